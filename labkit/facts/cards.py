"""Is a model card fit to be published? A linter on top of huggingface_hub's own ModelCard.

It checks form and honesty: that the fields are there which people and the Hub's search need; that base model and data
allow the licence; that limits are named and an evaluation has numbers; that no file beside the card holds what should
stay at home. It sees words and cannot judge them: that takes a person. Knows the course's licences (`licences`) and
catalogue; knows nothing of the Hub's state. Teaching material, not legal advice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.base.errors import LabError
from labkit.facts import catalogue, licences

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

# What a section must be about, and headings that say so.
SECTIONS = {
    "intended use": ("intended use", "uses", "use", "what it is for", "how to use"),
    "training data": ("training data", "data", "dataset", "training"),
    "evaluation": ("evaluation", "results", "how good it is"),
    "limits": ("limits", "limitations", "known limits", "bias, risks, and limitations", "what it cannot do"),
}
REQUIRED = ("license", "base_model", "datasets", "language", "pipeline_tag", "library_name", "tags")
_ENOUGH_WORDS = 8
_PLACEHOLDER = re.compile(r"\[?more information needed\]?|\btodo\b|\blorem ipsum\b|\bTBD\b|____", re.IGNORECASE)
_NUMBER = re.compile(r"\d")
# What `check_files` looks for, and where.
_PICKLES = (".bin", ".pkl", ".pickle", ".pt", ".pth", ".ckpt")
_TEXTS = (".json", ".jsonl", ".md", ".txt", ".csv", ".yaml", ".yml", ".toml", ".jinja", ".py")
_MOST_TEXT = 20_000_000
_HOME = re.compile(r"(?<![\w./])(?:/home/|/Users/|/root/|[A-Za-z]:\\{1,2}Users\\)[\w.-]*")
_TOKEN = re.compile(r"\b(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,})")


@dataclass(frozen=True)
class Finding:
    """One thing about a card. `level` is "problem" (do not publish) or "note"; `where` a field or section."""

    level: str
    where: str
    message: str

    def __repr__(self) -> str:
        return f"{self.level}: {self.where}: {self.message}"


def check(card: ModelCard | str | Path, *, data_licences: Mapping[str, str] | None = None) -> list[Finding]:
    """What is wrong with a card (huggingface_hub's object, its text, or a README.md); an empty list when nothing is.

    `data_licences` gives the licence of each data set, by the name that the card uses; a data set without one gets a
    note. LabError when a file cannot be read or the card's head is no YAML.
    """
    card = load(card)
    data = card.data.to_dict()
    licence = [*_licence(data), *_data_licences(data, data_licences or {})]
    return [*_fields(data), *_results(card.data.eval_results), *licence, *_sections(card.text, data)]


def require_valid(card: ModelCard | str | Path) -> None:
    """Ask the Hub whether it takes the head of a card, before anything is sent. LabError with its words when not.

    huggingface_hub's own `ModelCard.validate` asks the same. In 1.27 it asks huggingface.co, whatever HF_ENDPOINT says
    (seen 2026-11-23), and so would send a card out of the local world; 2.4 follows HF_ENDPOINT, as this does.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import get_session, hf_raise_for_status

    body = {"repoType": "model", "content": load(card).content}
    try:
        answer = get_session().post(f"{constants.ENDPOINT}/api/validate-yaml", json=body)
    except Exception as problem:  # of httpx or httpx2, as the client's version has it
        raise LabError(f"The Hub at {constants.ENDPOINT} does not answer ({problem}): run the set-up cell.") from None
    try:
        hf_raise_for_status(answer)
    except HfHubHTTPError as problem:
        if answer.status_code != 400:
            raise
        said = "; ".join(str(error.get("message")) for error in answer.json().get("errors", [])) or str(problem)
        raise LabError(f"The Hub does not take this card: {said}.") from None


def check_files(folder: Path, names: Iterable[str] | None = None) -> list[Finding]:
    """What should not leave this machine, among the files of a folder or those of them in `names`.

    Found are: an adapter whose base model is a folder on this machine, as peft writes it; a token, or a path into
    somebody's home, in a text file; weights in a format that can run programs. LabError when a file is not there.
    """
    folder = Path(folder)
    files = [folder / name for name in names] if names is not None else sorted(folder.rglob("*"))
    found: list[Finding] = []
    for file in files:
        if names is not None and not file.is_file():
            raise LabError(f"There is no file {file.name} in {folder.name}: write it first.")
        if file.is_file():
            found += _file(file, file.relative_to(folder).as_posix())
    return found


def _file(file: Path, name: str) -> Iterator[Finding]:
    if file.suffix.lower() in _PICKLES:
        yield Finding("problem", name, "a pickle can run programs: save the weights as safetensors or GGUF.")
    if file.suffix.lower() not in _TEXTS or file.stat().st_size > _MOST_TEXT:
        return
    text = file.read_text(encoding="utf-8", errors="replace")
    if file.name == "adapter_config.json":
        base = _base_of(text)
        if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", base):
            said = f"the base model is {base!r}, which nobody else has"
            yield Finding("problem", name, f"{said}: set base_model_name_or_path to its name on the Hub before saving.")
    elif place := _HOME.search(text):
        yield Finding("problem", name, f"{place[0]!r} is a place on somebody's machine.")
    if token := _TOKEN.search(text):
        yield Finding("problem", name, f"this looks like a token: {token[0][:6]}... Take it out, and revoke it.")


def _base_of(text: str) -> str:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    return str(found.get("base_model_name_or_path") or "") if isinstance(found, dict) else ""


def is_ready(findings: list[Finding]) -> bool:
    """Whether nothing among the findings is a problem."""
    return all(finding.level != "problem" for finding in findings)


def load(card: ModelCard | str | Path) -> ModelCard:
    """huggingface_hub's ModelCard from itself, from text, or from a file."""
    from huggingface_hub import ModelCard

    if isinstance(card, ModelCard):
        return card
    try:
        text = card.read_text(encoding="utf-8") if isinstance(card, Path) else card
        return ModelCard(text, ignore_metadata_errors=False)
    except (OSError, UnicodeDecodeError) as problem:
        raise LabError(f"The card {card} cannot be read ({problem}): give a README.md.") from None
    except Exception as problem:  # YAML's errors come from a package that is not ours to name
        reason = " ".join(str(problem).split())
        raise LabError(f"The head of the card, between the two lines ---, is not as it must be: {reason}.") from None


def licence_of(base_model: str) -> str | None:
    """The licence of a base model as the catalogue has it, by its repository; None for one that it does not have."""
    try:
        return catalogue.get(base_model).licence
    except LabError:
        return None


def _fields(data: Mapping[str, Any]) -> Iterator[Finding]:
    for name in REQUIRED:
        if not data.get(name):
            yield Finding("problem", name, "the field is missing or empty in the card's head.")
    for name, value in data.items():
        if isinstance(value, str) and _PLACEHOLDER.search(value):
            yield Finding("problem", name, f"{value!r} is a placeholder.")


def _results(results: Iterable[Any] | None) -> Iterator[Finding]:
    """The Hub shows figures of the head beside the model, and accepts any value: here it has to be a number."""
    for result in results or ():
        value = result.metric_value
        if isinstance(value, bool) or not isinstance(value, int | float):
            said = f"the value of {result.metric_type!r} on {result.dataset_name!r} is {value!r}, which is no number."
            yield Finding("problem", "model-index", said)


def _licence(data: Mapping[str, Any]) -> Iterator[Finding]:
    """What the licence of the base model asks of a model that was made from it."""
    own = data.get("license")
    if own == "other" and not (data.get("license_name") and data.get("license_link")):
        yield Finding("problem", "license", "'other' needs license_name and license_link.")
    for base in _listed(data.get("base_model")):
        theirs = licence_of(base)
        if theirs is None:
            yield Finding("note", "base_model", f"{base} is not in the catalogue: check its licence yourself.")
            continue
        if (terms := _terms(theirs)) is None:
            yield _unread("base_model", theirs, base)
            continue
        yield from _against(base, terms, str(data.get("license_name") or own), str(data.get("model_name") or ""))


def _against(base: str, terms: licences.Licence, own: str, name: str) -> Iterator[Finding]:
    use = terms.uses["fine_tune_and_publish"]
    if use.value == "no":
        yield Finding("problem", "license", f"{terms.title} of {base} does not let you publish what you made of it.")
    # Under an approved open licence, a changed version may carry another one; a vendor's own licence stays with it.
    if not terms.approved_by_osi and own.lower() not in (terms.id, terms.hub_id):
        said = f"{base} is under {terms.title}, which goes along with what is made of it ({use.clause})"
        yield Finding("problem", "license", f"{said}: the card says {own!r}.")
    if terms.approved_by_osi and own.lower() not in (terms.id, terms.hub_id):
        said = f"{base} is under {terms.title}: another licence may stand on your changes only"
        yield Finding("note", "license", f"{said}, and its notices must stay.")
    rename = terms.uses["change_the_name"]
    if rename.value in ("no", "conditional"):
        yield Finding("note", "model_name", f"{terms.title}, {rename.clause}: {rename.paraphrase} Yours: {name!r}.")


def _data_licences(data: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Finding]:
    for name in _listed(data.get("datasets")):
        licence = known.get(name)
        if licence is None:
            yield Finding("note", "datasets", f"under which licence is {name}? Pass data_licences={{{name!r}: ...}}.")
            continue
        if (terms := _terms(licence)) is None:
            yield _unread("datasets", licence, name)
            continue
        if terms.uses["commercial_product"].value == "no" and _allows_selling(data.get("license")):
            said = f"{name} is under {terms.title}, which forbids selling, and the card's licence allows it"
            yield Finding("problem", "datasets", f"{said}: choose a licence that says the same, or other data.")
        if terms.uses["leave_out_attribution"].value != "allowed":
            yield Finding("note", "datasets", f"{terms.title} wants the makers of {name} named in the card.")


def _allows_selling(licence: Any) -> bool:
    terms = _terms(str(licence))
    return terms is not None and terms.uses["commercial_product"].value != "no"


def _terms(licence: str) -> licences.Licence | None:
    """What the course has read of a licence; None where it has read nothing."""
    try:
        return licences.get(licence)
    except LabError:
        return None


def _unread(where: str, licence: str, of: str) -> Finding:
    return Finding("note", where, f"the course has not read the licence {licence!r} of {of}.")


def _sections(text: str, data: Mapping[str, Any]) -> Iterator[Finding]:
    sections = _split(text)
    for wanted, headings in SECTIONS.items():
        found = [body for heading, body in sections.items() if heading in headings]
        body = "\n".join(found)
        if not found:
            yield Finding(
                "problem", wanted, f"there is no such section: write a heading such as '## {wanted.title()}'."
            )
        elif len(body.split()) < _ENOUGH_WORDS:
            yield Finding("problem", wanted, f"{len(body.split())} words say too little.")
        if wanted == "evaluation" and found and not _NUMBER.search(body):
            yield Finding("problem", wanted, "there is no number: say what was measured, on how many items.")
    for found in _PLACEHOLDER.finditer(text):
        yield Finding("problem", "text", f"{found[0]!r} is a placeholder.")
    for base in _listed(data.get("base_model")):
        if base not in text and base.rpartition("/")[2].lower() not in text.lower():
            yield Finding("problem", "text", f"the text does not say that the model was made from {base}.")


def _split(text: str) -> dict[str, str]:
    """The text below each heading, with what stands below its own sub-headings; code does not count as headings."""
    sections: dict[str, list[str]] = {}
    open_: list[tuple[int, str]] = []
    fenced = False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith("```")
        heading = None if fenced else re.match(r"(#{1,6})\s+(.+?)\s*#*$", line)
        if heading:
            depth, name = len(heading[1]), heading[2].strip().lower().rstrip(":")
            open_ = [(level, title) for level, title in open_ if level < depth] + [(depth, name)]
            sections.setdefault(name, [])
            continue
        for _, title in open_:
            sections[title].append(line)
    return {name: "\n".join(lines) for name, lines in sections.items()}


def _listed(value: Any) -> list[str]:
    return [] if not value else [value] if isinstance(value, str) else [str(one) for one in value]
