"""A project of the learner's own, as lesson 09 makes it: messages and their answers, from a file to a score.

Checks and splits a learner's file, and asks a model or a model server the same questions in the same words. Knows pairs
of texts. Knows nothing of what they are about, nor of training (`finetuning`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.models.evaluation import llama, scores
from labkit.models.evaluation.scores import answers, score

if TYPE_CHECKING:
    from labkit.world.services import Service

Row = dict[str, str]
_FIELDS = ("message", "answer")
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_FEWEST, _LONGEST = 40, 2000  # rows, and characters of a text


def example() -> str:
    """A completed project, of the course's own messages, as text: need, data, figures, decision, points."""
    return assets.path("project", "example.md").read_text(encoding="utf-8")


def read(file: Path | str) -> list[Row]:
    """The rows of a .jsonl or .csv file (UTF-8) with the fields `message` and `answer`; others are left out.

    A CSV may have commas, semicolons or tabs between its fields, as spreadsheets of different countries write; what is
    found is printed where it is no comma. LabError, which names the line, when a row lacks a field or has one too many,
    a text is empty or above 2,000 characters, or one message has two answers; when two answers differ in capitals only;
    and when there are fewer than 40 rows or only one answer: nothing could be learnt or measured then.
    """
    file = Path(file)
    if file.suffix.lower() not in (".jsonl", ".csv"):
        raise LabError(f"{file.name} is neither .jsonl nor .csv: save your messages as one of them.")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise LabError(f"{file} cannot be read ({problem}): is it there, and saved as UTF-8?") from None
    lines = _of_csv(text, file.name) if file.suffix.lower() == ".csv" else _of_jsonl(text, file.name)
    rows: list[Row] = []
    known: dict[str, str] = {}
    for number, line in lines:
        row = _checked(line, f"{file.name}, line {number}")
        if known.setdefault(row["message"], row["answer"]) != row["answer"]:
            raise LabError(f"{file.name}, line {number}: this message has another answer in an earlier line.")
        rows.append(row)
    rows = list({row["message"]: row for row in rows}.values())
    if len(rows) < _FEWEST:
        raise LabError(f"{file.name} has {len(rows)} different messages: {_FEWEST} are the least, and 200 are better.")
    spellings: dict[str, str] = {}
    for answer in sorted(set(known.values())):
        if (other := spellings.setdefault(answer.casefold(), answer)) != answer:
            raise LabError(f"{file.name} has the answers {other!r} and {answer!r}: write them alike, if they are one.")
    if len(spellings) < 2:
        raise LabError(f"{file.name} has one answer only: there is nothing to learn.")
    return rows


def _of_jsonl(text: str, name: str) -> list[tuple[int, Any]]:
    found = []
    # Not splitlines(): JSON may hold a few rare characters within a string that it takes for the end of a line.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                found.append((number, json.loads(line)))
            except ValueError:
                raise LabError(f"{name}, line {number} is no JSON: one object a line, with quotes.") from None
    return found


def _of_csv(text: str, name: str) -> list[tuple[int, Any]]:
    header = text.partition("\n")[0].rstrip("\r")
    columns = {mark: next(csv.reader([header], delimiter=mark)) for mark in _SEPARATORS}
    fitting = [mark for mark, found in columns.items() if {name.strip().lower() for name in found} >= set(_FIELDS)]
    if not fitting:
        found = max(columns.values(), key=len)
        raise LabError(f"{name} has the columns {', '.join(found)}: two of them must be named message and answer.")
    (mark,) = fitting
    if mark != ",":
        print(f"{name}: {_SEPARATORS[mark]} stand between the fields.")
    names = [column.strip().lower() for column in columns[mark]]
    reader = csv.DictReader(io.StringIO(text, newline=""), names, restkey="", delimiter=mark)
    next(reader)  # the names themselves
    rows, began = [], reader.line_num + 1
    for row in reader:
        if "" in row:
            raise LabError(
                f"{name}, line {began} has more fields than the first line: a text with {_SEPARATORS[mark]} in it "
                'needs quotes around it, "like this".'
            )
        rows.append((began, row))
        began = reader.line_num + 1
    return rows


def _checked(line: Any, where: str) -> Row:
    if not isinstance(line, dict) or any(not isinstance(line.get(name), str) for name in _FIELDS):
        raise LabError(f"{where} needs the fields message and answer, both texts.")
    row = {name: line[name].strip() for name in _FIELDS}
    for name, text in row.items():
        if not text or len(text) > _LONGEST:
            raise LabError(f"{where}: the {name} has {len(text)} characters: it must have 1 to {_LONGEST:,}.")
    return row


def split(rows: Sequence[Row], *, share: float = 0.375) -> tuple[list[Row], list[Row]]:
    """(to learn from, to be judged on): `share` of each answer's messages is held out, drawn by their hashes.

    The same rows give the same split on any machine, in any order. Answers that come once or twice are learnt from.
    """
    if not 0 < share < 1:
        raise LabError(f"The share that is held out lies between 0 and 1, not {share}.")
    # Where nearly every answer is another one, there is one group: nothing to balance.
    balanced = len({row["answer"] for row in rows}) <= len(rows) / 4
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=_hash):
        groups[row["answer"] if balanced else ""].append(row)
    held = [row for group in groups.values() for row in group[: int(len(group) * share)]]
    chosen = {row["message"] for row in held}
    return [row for row in sorted(rows, key=_hash) if row["message"] not in chosen], sorted(held, key=_hash)


def _hash(row: Row) -> str:
    return hashlib.sha256(row["message"].encode()).hexdigest()


def conversation(instruction: str, message: str, shots: Sequence[Row] = (), answer: str | None = None) -> list[Row]:
    """Chat messages: the instruction, solved examples, the message, and the answer if it is to be learnt."""
    found = [{"role": "system", "content": instruction}]
    for row in (*shots, {"message": message, "answer": answer}):
        found.append({"role": "user", "content": row["message"]})
        if row["answer"] is not None:
            found.append({"role": "assistant", "content": row["answer"]})
    return found


def evaluate(
    model: Any, tokenizer: Any, rows: Sequence[Row], instruction: str, *, shots: Sequence[Row] = ()
) -> scores.Score:
    """How many messages a transformers model answers exactly, greedily; spaces around an answer do not count."""
    conversations = [conversation(instruction, row["message"], shots) for row in rows]
    longest = max(len(tokenizer(row["answer"])["input_ids"]) for row in rows) + 2
    return _score(rows, answers(model, tokenizer, conversations, new_tokens=longest))


def evaluate_server(server: Service, rows: Sequence[Row], instruction: str) -> tuple[scores.Score, float]:
    """The same through a running model server, and the seconds that it took."""
    longest = max(len(row["answer"].encode()) for row in rows) + 2  # tokens: each has a byte at least
    found, began = [], time.perf_counter()
    for row in rows:
        body = {"messages": conversation(instruction, row["message"]), "temperature": 0, "max_tokens": longest}
        answer = llama.ask(server.url, server.key, "/v1/chat/completions", body)
        # A thinking model that used up its tokens, or wants a tool, says nothing: that is a wrong answer, not an error.
        found.append(answer["choices"][0]["message"].get("content") or "")
    return _score(rows, found), time.perf_counter() - began


def _score(rows: Sequence[Row], found: Sequence[str]) -> scores.Score:
    wanted = [row["answer"] for row in rows]
    right = [text.strip() == answer for text, answer in zip(found, wanted, strict=True)]
    return score([row["message"] for row in rows], wanted, found, right)
