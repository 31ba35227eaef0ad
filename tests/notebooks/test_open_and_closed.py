"""Lessons 01 and 02 keep their promises: every claim of the source text has its place, every number its origin."""

from __future__ import annotations

import json
import re
from itertools import chain
from pathlib import Path

import nbformat
import pytest

from labkit import assets, catalogue

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)
LESSONS = {
    "01": assets.notebook_dir() / "01_open_models.ipynb",
    "02": assets.notebook_dir() / "02_open_versus_closed.ipynb",
}

# The two tables that the course was built upon: row -> lesson, heading, and the cell that tries it.
TRADE_OFFS = {
    "Cost": ("02", "## 1. Cost", "break-even"),
    "Control": ("02", "## 2. Control", "ablate"),
    "Data privacy": ("02", "## 3. Privacy", "count"),
    "Customization": ("02", "## 4. Customization", "new-questions"),
    "Deployment": ("02", "## 6. Deployment, and the decision", "serve"),
}
MODELS = {
    "LLaMA-2-7B, 13B, 70B": ("01", "### LLaMA-2-7B, 13B and 70B", "gqa"),
    "Mixtral-8x7B": ("01", "### Mixtral-8x7B", "mixtral"),
    "Mistral-7B": ("01", "### Mistral-7B", "window"),
}
CLAIMS = {
    "free to download": ("01", "## 1. Open the release", "files"),
    "free, without restrictions": ("01", "## 5. Ask how open it is", "licence"),
    "outperforms LLaMA-2-13B": ("01", "## 4. Compare three families", "scores"),
    "efficient and fast": ("01", "### Mixtral-8x7B", "mixtral"),
    "closed models cannot be fine-tuned": ("02", "## 4. Customization", "closed-tuning"),
    "by the Inference API or locally": ("01", "## In practice", None),
}


def cells(lesson: str) -> list:
    return nbformat.read(LESSONS[lesson], 4).cells


@pytest.mark.parametrize("row", [*TRADE_OFFS, *MODELS, *CLAIMS])
def test_every_row_is_a_heading_and_an_experiment(row):
    lesson, heading, cell_id = {**TRADE_OFFS, **MODELS, **CLAIMS}[row]
    found = cells(lesson)
    place = next(
        (n for n, cell in enumerate(found) if cell.cell_type == "markdown" and heading in cell.source.splitlines()),
        None,
    )
    assert place is not None, f"{heading} is missing"
    if cell_id:
        tried = next(n for n, cell in enumerate(found) if cell.id == cell_id)
        assert tried >= place and found[tried].cell_type == "code" and found[tried].outputs


def test_the_summary_of_lesson_02_names_the_five_trade_offs():
    summary = next(cell.source for cell in cells("02") if cell.source.startswith("## Summary"))
    assert all(f"| {row} |" in summary for row in TRADE_OFFS)


def test_every_statement_of_the_data_is_used():
    sources = "".join(file.read_text(encoding="utf-8") for file in assets.notebook_dir().glob("*.ipynb"))
    names = [name for name in catalogue._statements() if name != "score"]
    assert not [name for name in names if name not in sources]


# --- numbers

# What is measured by the tests and stands in the table "What you need"; years and other names of things.
EXEMPT_CELLS = ("badges", "need", "reading", "errors", "next")
NAMES = re.compile(
    r"""https?://\S+ | `[^`]*` | !\[[^\]]*\]\([^)]*\) | \]\([^)]*\)       # addresses, code, pictures
    | \b(19|20)\d\d\b | \b[Ll]esson(s)?\ 0\d(\ and\ 0\d)? | [Ee]xercise(s)?\ 0\d\.\d | \bsection\ \d
    | ^\#+\ .*$ | LLaMA[- ]2 | LLaMA-2-\d+B | OLMo\ 2 | Mi[sx]tral-8?x?7B | GPT-4 | SmolLM2(-135M)? | \bv0\.\d
    | \b\d+B\b | Apache-2\.0 | 23\ November | 11\ December | fp32 | \b0\d\.\d\b""",
    re.VERBOSE | re.MULTILINE,
)
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


def origins(lesson: str) -> set[float]:
    """Every number in the lesson's code, outputs and exercises, and in the data that it shows."""
    texts = []
    for cell in cells(lesson):
        if cell.cell_type == "code":
            texts += [cell.source, json.dumps(cell.outputs)]
    data = [assets.path(name) for name in ("facts.toml", "costs.toml", "openness.toml")]
    texts += [file.read_text(encoding="utf-8") for file in chain(data, Path(assets.path("licences")).glob("*.toml"))]
    texts.append((assets.CHECKOUT / "labkit" / "exercises" / f"lesson{lesson}.py").read_text(encoding="utf-8"))
    texts += [str(fact.value) for entry in catalogue.all() for fact in entry.facts.values()]
    plain = [re.sub(r"https?://\S+", " ", text).replace("_", "") for text in texts]  # addresses are full of digits
    return {float(found.replace(",", "")) for text in plain for found in NUMBER.findall(text)}


def shown(text: str, known: set[float]) -> bool:
    """Whether a number is one of the known: as it stands, or rounded, in thousands, millions or billions."""
    number, digits = float(text.replace(",", "")), len(text.partition(".")[2])
    return any(round(other * scale, digits) == number for other in known for scale in (1, 1e-3, 1e-6, 1e-9))


@pytest.mark.parametrize("lesson", LESSONS)
def test_numbers_in_the_prose_come_from_cells_or_data(lesson):
    known = origins(lesson)
    strangers = []
    for cell in cells(lesson):
        if cell.cell_type != "markdown" or cell.id in EXEMPT_CELLS:
            continue
        for found in NUMBER.findall(NAMES.sub(" ", cell.source)):
            if float(found.replace(",", "")) > 10 and not shown(found, known):
                strangers.append((cell.id, found))
    assert not strangers


def test_a_number_from_nowhere_is_noticed():
    known = origins("01")
    assert not shown("7,777", known) and not shown("46.8", known) and shown("46.7", known)
