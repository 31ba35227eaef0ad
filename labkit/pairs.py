"""A learner's own data for fine-tuning: pairs of a prompt and the wanted answer, read, checked, and split once for all.

Knows texts, and what about them would spoil a training run or a score. Knows nothing of models, and cannot judge
whether an answer is right, whether the texts may be used, or whether they name somebody: a person must.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from labkit.errors import LabError

FIELDS = ("prompt", "answer")
LEAST_TRAIN, LEAST_TEST = 20, 10
# Training must fit beside the model in memory: about 700 tokens of English.
MOST_LETTERS = 3000

Pair = dict[str, str]


def read(source: Path | str | Iterable[Any]) -> list[Pair]:
    """The pairs of a JSONL file (one object a line with `prompt` and `answer`), or of a list of such objects or tuples.

    Spaces around texts are dropped, and a pair that stands there twice is kept once.

    >>> read([("Where is the key?", "desk"), {"prompt": "No light!", "answer": "lights"}])[1]
    {'prompt': 'No light!', 'answer': 'lights'}

    LabError, with the line, for what is no pair of texts, is empty or too long, or asks the same and wants another
    answer.
    """
    rows = _lines(Path(source)) if isinstance(source, (str, Path)) else _items(source)
    found: dict[str, tuple[str, Pair]] = {}
    for where, row in rows:
        pair = _pair(where, row)
        first, known = found.setdefault(_key(pair), (where, pair))
        if known["answer"] != pair["answer"]:
            raise LabError(
                f"{where} asks the same as {first} and wants another answer ({pair['answer'][:40]!r}, not "
                f"{known['answer'][:40]!r}): decide for one, and delete the other."
            )
    return [pair for _, pair in found.values()]


def split(pairs: Sequence[Pair], share: float = 0.3) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on, and about `share` of all that are held out for the test.

    A hash of the prompt decides: a pair that was held out stays so, however many are added, and wherever this runs.

    LabError when either part would be too small to learn from or to measure with.
    """
    if not 0 < share < 1:
        raise LabError(f"The share to hold out cannot be {share}: give a number between 0 and 1, such as 0.3.")
    held_out = [_fraction(pair) < share for pair in pairs]
    train = [pair for pair, out in zip(pairs, held_out, strict=True) if not out]
    test = [pair for pair, out in zip(pairs, held_out, strict=True) if out]
    for part, least, what in ((train, LEAST_TRAIN, "to train on"), (test, LEAST_TEST, "to test with")):
        if len(part) < least:
            raise LabError(
                f"{len(pairs)} pairs leave {len(part)} {what}, and {least} is the least: bring more, 150 if you can."
            )
    return train, test


def choices(pairs: Sequence[Pair], most: int = 20) -> list[str]:
    """The answers, in alphabetical order, where there are at most `most` and each is wanted more than once; else [].

    >>> choices([{"prompt": letter, "answer": answer} for letter, answer in zip("abcd", ("no", "yes") * 2)])
    ['no', 'yes']
    """
    answers = [pair["answer"] for pair in pairs]
    found = sorted(set(answers))
    return found if len(found) <= most and all(answers.count(answer) > 1 for answer in found) else []


def _lines(file: Path) -> list[tuple[str, Any]]:
    if file.suffix.lower() not in (".jsonl", ".ndjson"):
        raise LabError(f"{file.name} is no .jsonl file: write one JSON object a line, with a prompt and an answer.")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise LabError(f"There is no file {file.name} in {_folder(file)}: look at its name and place.") from None
    except UnicodeDecodeError:
        raise LabError(f"{file.name} is not UTF-8 text: save it again with the encoding UTF-8.") from None
    except OSError as problem:
        raise LabError(f"{file.name} cannot be read ({problem.strerror}): give a file that can.") from None
    # Not splitlines(): a JSON text may hold other signs that end a line, such as U+2028.
    return [
        (f"Line {number}", _json(file.name, number, line))
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]


def _folder(file: Path) -> str:
    return "this folder" if file.parent == Path() else f"the folder {file.parent.name or file.parent}"


def _json(name: str, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        example = json.dumps(dict.fromkeys(FIELDS, "..."))
        raise LabError(f"Line {number} of {name} is not JSON: write it like {example}.") from None


def _items(source: Any) -> list[tuple[str, Any]]:
    try:
        return [(f"Pair {number}", row) for number, row in enumerate(source, start=1)]
    except TypeError:
        raise LabError(f"DATA is a {type(source).__name__}: give the name of a .jsonl file, or a list.") from None


def _pair(where: str, row: Any) -> Pair:
    if isinstance(row, (tuple, list)) and len(row) == len(FIELDS):
        row = dict(zip(FIELDS, row, strict=True))
    if not isinstance(row, dict) or any(name not in row for name in FIELDS):
        there = (
            f"it has {', '.join(map(str, row)) or 'nothing'}" if isinstance(row, dict) else f"it is {str(row)[:40]!r}"
        )
        raise LabError(f"{where} needs a prompt and an answer: {there}.")
    for name in FIELDS:
        value = row[name]
        if not isinstance(value, str) or not value.strip():
            raise LabError(f"{where}: the {name} must be a text with something in it, and not {str(value)[:40]!r}.")
        if len(value) > MOST_LETTERS:
            raise LabError(
                f"{where}: the {name} has {len(value):,} letters, and {MOST_LETTERS:,} is the most: cut it, or leave "
                "the pair out."
            )
    return {name: row[name].strip() for name in FIELDS}


def _key(pair: Pair) -> str:
    """What makes two prompts the same: their words, whatever their case and spaces."""
    return " ".join(pair["prompt"].split()).casefold()


def _fraction(pair: Pair) -> float:
    """A number from 0 to 1 that depends on the prompt alone."""
    return int.from_bytes(hashlib.sha256(_key(pair).encode("utf-8", "surrogatepass")).digest()[:4], "big") / 2**32
