"""What the Hub and the open price table say today, beside what the course says: a table, and a patch for a person.

Asks the Hub by its own client, without a token, for every model of the catalogue: is it there, its licence and gate,
how many parameters and bytes it has, its newest commit. Asks the price table for every model that lessons compare.
Knows nothing of what is right: a person reads, applies the patch or not, and looks at the lessons.
"""

from __future__ import annotations

import datetime
import difflib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.base.errors import LabError
from labkit.facts import catalogue, pricing
from labkit.facts.catalogue import Entry

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

PRICES = "https://raw.githubusercontent.com/BerriAI/litellm/main/model_prices_and_context_window.json"
# The providers of genai-prices, as the open table begins its names.
_PROVIDERS = {"google": "gemini", "together": "together_ai", "fireworks-ai": "fireworks_ai"}
_HEADER_SHARE = 0.001  # of a weight file: what its header may add to the numbers
_SECONDS = 20


@dataclass(frozen=True)
class Finding:
    """One thing of one model: what is `here`, what is `there`, and whether these differ or only the grade can rise."""

    subject: str
    key: str
    here: Any
    there: Any
    differs: bool = True


@dataclass(frozen=True)
class Report:
    """What was found, and the patch that writes it into the catalogue; prices have none, they come in a package."""

    findings: list[Finding]
    asked: str
    patch: str

    @property
    def differs(self) -> bool:
        return any(finding.differs for finding in self.findings)

    def text(self) -> str:
        """What differs as a table, and by model what can be raised to the maker's grade."""
        parts = [self.asked]
        if rows := [(one.subject, one.key, one.here, one.there) for one in self.findings if one.differs]:
            parts.append(f"Different there:\n{_table([('about', 'what', 'here', 'there'), *rows])}")
        raised: dict[str, list[str]] = {}
        for one in self.findings:
            if not one.differs:
                raised.setdefault(one.subject, []).append(one.key)
        if raised:
            rows = [(name, ", ".join(keys)) for name, keys in raised.items()]
            parts.append(f"The same there, and not yet from the maker here:\n{_table(rows)}")
        return "\n\n".join(parts)


def ask(folder: Path, hub: str | None, prices: str, today: datetime.date) -> Report:
    """Compare the catalogue in `folder` with a Hub (None: the real one), and the course's prices with a price table.

    `prices` is an address or a file. LabError when one of the two cannot be asked.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub or "https://huggingface.co", token=False)
    files, findings, patches = sorted(folder.rglob("*.toml")), [], []
    for file in files:
        found, source = compare(catalogue.load(file), api)
        findings += found
        patches.append(_patch(file, f"assets/catalogue/{file.relative_to(folder).as_posix()}", found, source, today))
    table = _price_table(prices)
    theirs, unknown = _prices(table)
    asked = f"Asked on {today}: {api.endpoint} for {len(files)} models, {prices} for prices"
    asked += f" (it has no {', '.join(unknown)})." if unknown else "."
    return Report(findings + theirs, asked, "".join(patches))


def compare(entry: Entry, api: HfApi) -> tuple[list[Finding], str]:
    """What the Hub says otherwise about a model, or says and is second hand here; and the page that says it."""
    from huggingface_hub import errors

    try:
        info = api.model_info(entry.repo_id, files_metadata=True, timeout=_SECONDS)
    except errors.RepositoryNotFoundError:
        return [Finding(entry.name, "repo_id", entry.repo_id, "no such repository")], ""
    except Exception as problem:  # of the client's own kinds, of httpx, of the system
        raise LabError(f"The Hub at {api.endpoint} does not answer about {entry.repo_id}: {problem}.") from None
    return list(_compare(entry, info)), f"https://huggingface.co/{info.id}/tree/{info.sha}"


def _compare(entry: Entry, info: ModelInfo) -> Iterator[Finding]:
    card = info.card_data
    licence = (card.get("license_name") if card.get("license") == "other" else card.get("license")) if card else None
    there = {"repo_id": info.id, "licence": str(licence).lower(), "gated": bool(info.gated)}
    for key, value in there.items():
        fact = entry.facts[key]
        if fact.value != value or fact.is_second_hand:
            yield Finding(entry.name, key, fact.value, value, fact.value != value)
    if info.sha != entry.revision:
        yield Finding(entry.name, "revision", entry.revision, info.sha, entry.revision is not None)
    if info.safetensors is not None:
        here = entry.value("hub_parameters", entry.parameters)
        if here != info.safetensors.total:
            yield Finding(entry.name, "hub_parameters", here, info.safetensors.total)
    files = [file for file in info.siblings or () if re.fullmatch(r"model[^/]*\.safetensors", file.rfilename)]
    size = sum(file.size or 0 for file in files)
    here = entry.value("weights_bytes", entry.size_bytes("bf16"))
    if size and not 0 <= size - here <= here * _HEADER_SHARE:
        yield Finding(entry.name, "weights_bytes", here, size)


def _patch(file: Path, name: str, findings: Sequence[Finding], source: str, today: datetime.date) -> str:
    """A unified diff of a catalogue file, `name` in the repository, with what the Hub has; "" without findings."""
    before = file.read_text(encoding="utf-8").splitlines(keepends=True)
    after = list(before)
    for finding in findings:
        if not source:
            continue
        value = f"{finding.there:_}" if type(finding.there) is int else json.dumps(finding.there, ensure_ascii=False)
        line = f'{finding.key} = {{ value = {value}, source = "{source}", seen = {today}, grade = "maker" }}\n'
        places = [at for at, old in enumerate(after) if old.startswith(f"{finding.key} = ")]
        if places:
            after[places[0]] = line
        else:  # at the end of what the card says, above the empty line before the shape
            after.insert(after.index("\n", after.index("\n") + 1), line)
    return "".join(difflib.unified_diff(before, after, f"a/{name}", f"b/{name}"))


def _price_table(place: str) -> dict[str, Any]:
    import urllib.request

    try:
        if place.startswith("https://"):
            with urllib.request.urlopen(place, timeout=_SECONDS) as answer:
                text = answer.read().decode()
        else:
            text = Path(place).read_text(encoding="utf-8")
        table = json.loads(text)
    except (OSError, ValueError) as problem:
        raise LabError(f"The price table {place} cannot be read: {problem}.") from None
    if not isinstance(table, dict):
        raise LabError(f"The price table {place} is no table of models: look whether it has moved.")
    return table


def _prices(table: dict[str, Any]) -> tuple[list[Finding], list[str]]:
    """Prices that differ, in USD for a million tokens; and models that the open table does not have."""
    findings, unknown = [], []
    for row in pricing.table(pricing.offers()).itertuples():
        provider = row.provider.removeprefix("huggingface_")
        provider = _PROVIDERS.get(provider, provider)
        theirs = table.get(f"{provider}/{row.model}") or table.get(row.model)
        if not theirs or theirs.get("input_cost_per_token") is None:
            unknown.append(f"{row.provider}/{row.model}")
            continue
        for way in ("input", "output"):
            here = getattr(row, f"{way}_usd_per_million_tokens")
            there = round(theirs[f"{way}_cost_per_token"] * 1e6, 6)
            if abs(here - there) > 1e-6:
                findings.append(Finding(row.model, f"USD a million tokens, {way}", here, there))
    return findings, unknown


def _table(rows: Sequence[Sequence[Any]]) -> str:
    lines = [[f"{cell:,}" if type(cell) is int else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in lines)
