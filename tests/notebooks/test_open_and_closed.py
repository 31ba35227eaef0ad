"""Lessons 01 and 02 keep their promises: every claim of the source text has its place, every number its origin."""

from __future__ import annotations

import json
import re

import nbformat
import pytest

from labkit.base import assets
from labkit.facts import catalogue, pricing
from labkit.lessons.exercises import lesson02

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
    "Quality": ("02", "## 5. Quality", "judge"),
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


# What the rows of the second table say of each model, and the words that stand in its section.
SAID = {
    "LLaMA-2-7B, 13B, 70B": ("Meta,", "general-purpose text", "grouped-query attention"),
    "Mixtral-8x7B": ("Mistral AI,", "mixture of experts", "efficient and fast"),
    "Mistral-7B": ("Mistral AI,", "sliding window"),
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


@pytest.mark.parametrize("row", SAID)
def test_what_the_table_says_of_a_model_stands_in_its_section(row):
    lesson, heading, _ = MODELS[row]
    text = "\n".join(cell.source for cell in cells(lesson) if cell.cell_type == "markdown").split(f"{heading}\n")[1]
    section = re.split(r"\n#{2,3} ", text)[0]
    assert [words for words in SAID[row] if words not in section] == []


def test_the_claims_of_the_source_are_quoted_and_tested():
    """Each claim as people make it, in italics, in the section whose experiment tries it."""
    quotes = {
        "01": ("*open models are free to download, modify, fine-tune and deploy, without a central provider,",
               "unlike GPT-4, Claude or Gemini.*", "*Mistral-7B is the best small model and outperforms LLaMA-2-13B.*",
               "*no restrictions*"),
        "02": ("*Open models are free.*", "*With a local model your data stays with you.*",
               "*Closed models cannot be fine-tuned.*", "*Without a central provider.*"),
    }  # fmt: skip
    for lesson, said in quotes.items():
        prose = "\n".join(cell.source for cell in cells(lesson) if cell.cell_type == "markdown")
        assert [quote for quote in said if quote not in prose] == []


def test_the_summary_of_lesson_02_names_the_six_trade_offs():
    summary = next(cell.source for cell in cells("02") if cell.source.startswith("## Summary"))
    assert all(f"| {row} |" in summary for row in TRADE_OFFS)


def test_the_exercise_of_lesson_02_is_blind():
    """What is to be judged stands nowhere in the lesson, where it would have a name on it."""
    text = json.dumps(cells("02"), ensure_ascii=False)
    assert lesson02._ANSWERS and not [answer for _, *both in lesson02._ANSWERS for answer in both if answer in text]


def test_every_statement_of_the_data_is_used():
    sources = "".join(file.read_text(encoding="utf-8") for file in assets.notebook_dir().glob("*.ipynb"))
    names = list(catalogue.statements())
    assert not [name for name in names if name not in sources]


# --- numbers

# What is measured by the tests and stands in the table "What you need"; years and other names of things.
EXEMPT_CELLS = ("badges", "need", "reading", "errors", "next")
NAMES = re.compile(
    r"""https?://\S+ | `[^`]*` | !\[[^\]]*\]\([^)]*\) | \]\([^)]*\)       # addresses, code, pictures
    | \b(19|20)\d\d\b | \b[Ll]esson(s)?\ 0\d(\ and\ 0\d)? | [Ee]xercise(s)?\ 0\d\.\d | \bsection\ \d
    | ^\#+\ .*$ | LLaMA[- ]2 | LLaMA-2-\d+B | OLMo\ 2 | Mi[sx]tral-8?x?7B | GPT-4 | SmolLM2(-135M)? | Gemma\ \d
    | \bv0\.\d | \b\d+B\b | Apache-2\.0 | fp32 | bf16 | int8 | int4 | \b0\d\.\d\b""",
    re.VERBOSE | re.MULTILINE,
)
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
WORDS = {"eleven": 11, "twelve": 12, "fifteen": 15, "sixteen": 16, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50}
WORDS |= {"sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100}
WORD = re.compile(rf"\b({'|'.join(WORDS)})\b", re.IGNORECASE)


def output_text(output: dict) -> str:
    """What a reader sees of an output."""
    if output.output_type == "stream":
        return output.text
    return "\n".join(text for kind, text in output.get("data", {}).items() if kind.startswith("text/"))


def origins(lesson: str) -> set[float]:
    """Every number in the lesson's code, outputs and exercises, and in the facts that the lesson names."""
    found = cells(lesson)
    code = [cell for cell in found if cell.cell_type == "code"]
    texts = [cell.source for cell in code] + [output_text(output) for cell in code for output in cell.outputs]
    source = "\n".join(cell.source for cell in found)
    for name in (name for name in catalogue.statements() if f'"{name}"' in source):
        statement = catalogue.fact(name)
        texts += [str(statement.value), statement.note]
    names = {entry.name for entry in catalogue.all() if f'"{entry.name}"' in source} | {catalogue.DEFAULT}
    texts += [str(fact.value) for name in names for fact in catalogue.get(name).facts.values()]
    texts.append(f"{pricing.AS_OF:%d %B %Y}")
    texts.append(
        (assets.CHECKOUT / "labkit" / "lessons" / "exercises" / f"lesson{lesson}.py").read_text(encoding="utf-8")
    )
    plain = [re.sub(r"https?://\S+", " ", text).replace("_", "") for text in texts]  # addresses are full of digits
    numbers = {float(number.replace(",", "")) for text in plain for number in NUMBER.findall(text)}
    return numbers | {float(WORDS[word.lower()]) for text in plain for word in WORD.findall(text)}


def shown(text: str, known: set[float]) -> bool:
    """Whether a number is one of the known: as it stands, with decimals rounded, in thousands, millions, billions."""
    number, digits = float(text.replace(",", "")), len(text.partition(".")[2])
    scales = (1, 1e-3, 1e-6, 1e-9) if digits else (1e-3, 1e-6, 1e-9)
    return number in known or any(round(other * scale, digits) == number for other in known for scale in scales)


def strangers(prose: str, known: set[float]) -> list[str]:
    """The numbers of a text that come from nowhere. Whole ones up to ten are words of the language, and pass."""
    plain = NAMES.sub(" ", prose)
    numbers = [number for number in NUMBER.findall(plain) if "." in number or float(number.replace(",", "")) > 10]
    numbers += [str(WORDS[word.lower()]) for word in WORD.findall(plain)]
    return [number for number in numbers if not shown(number, known)]


@pytest.mark.parametrize("lesson", LESSONS)
def test_numbers_in_the_prose_come_from_cells_or_data(lesson):
    known, prose = origins(lesson), [cell for cell in cells(lesson) if cell.cell_type == "markdown"]
    found = {cell.id: strangers(cell.source, known) for cell in prose if cell.id not in EXEMPT_CELLS}
    assert not {place: numbers for place, numbers in found.items() if numbers}


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_wrong_number_is_mostly_noticed(lesson):
    """A wrong number may stand elsewhere in the lesson: not often, or the test above would be worth little."""
    known = origins(lesson)
    assert sum(shown(str(number), known) for number in range(11, 1000)) < 150
    assert sum(shown(f"{number / 10:.1f}", known) for number in range(1, 300, 2)) < 75
    assert strangers("It takes 7,777 MB, 46.8 billion, and ninety tries.", known) == ["7,777", "46.8", "90"]


def test_a_number_of_a_cell_is_found():
    known = origins("01")
    assert strangers("It has 46.7 billion, 134.5 million, 576 numbers, 39.35 and two heads.", known) == []
