"""The linter's rules on pictures, links and stored outputs: what must be there, and what must never be published."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from author.canonical import IGNORED, canonical, digest, digest_of_outputs, text_of
from author.form_rules import Found
from author.parsed import Lesson

MOST_OUTPUT_BYTES = 1.5e6
_FOLDER = re.compile(r"(?<![\w.])(/home/\w+|/Users/\w+|/root/|/tmp/|/var/folders/|[A-Z]:\\{1,2}Users\\)")
_TOKEN = re.compile(
    r"\b(hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}"
    r"|[Bb]earer +[A-Za-z0-9._-]{20,})"
)
_HOT = re.compile(r"<(?:img|script|iframe|link)\b[^>]*(?:src|href)=[\"']?https?:", re.IGNORECASE)


def pictures(lesson: Lesson) -> Found:
    for cell in lesson.prose():
        for alt, path in cell.images():
            if not alt.strip():
                yield cell, f"the picture {path} has no alt text: say what it shows, in the brackets."
            if re.match(r"(https?:)?//", path):
                yield cell, f"the picture {path} is loaded from the web: put it into assets/figures."
            elif not (lesson.file.parent / path).is_file():
                yield cell, f"there is no picture {path}."
        if re.search(r"<img\b", cell.text, re.IGNORECASE):
            yield cell, "write a picture as ![alt text](../assets/figures/name.png), not as HTML."


def links(lesson: Lesson) -> Found:
    for cell in lesson.prose():
        for target in cell.links():
            path = target.split("#")[0]
            if path and not re.match(r"[a-z]+:", path) and not (lesson.file.parent / path).exists():
                yield cell, f"the link to {path} leads nowhere."


def ran(lesson: Lesson) -> Found:
    if not any(cell.node.execution_count for cell in lesson.code()):
        yield None, "no cell was ever run: `labkit run` runs and stores the lesson."
        return
    for number, cell in enumerate(lesson.code(), start=1):
        if cell.node.execution_count is None:
            yield cell, "the cell was never run: `labkit run` runs and stores the lesson."
        elif cell.node.execution_count != number:
            yield cell, f"the cell ran as number {cell.node.execution_count}, not {number}: `labkit run` runs in order."
    stored = lesson.notebook.metadata.get("labkit", {}).get("sources")
    if stored != digest(lesson.notebook):
        yield None, "the outputs belong to other code than this: `labkit run` stores them anew."
    elif lesson.notebook.metadata["labkit"].get("outputs") != digest_of_outputs(lesson.notebook):
        yield None, "the outputs are not those of one run: `labkit run --fresh` stores all of them anew."


def stored(lesson: Lesson) -> Found:
    if "widgets" in lesson.notebook.metadata:
        yield None, "the file holds widget state (metadata.widgets): `labkit run` stores it without."
        return
    as_stored = canonical(lesson.notebook)
    as_stored.metadata["labkit"] = lesson.notebook.metadata.get("labkit", {})  # whether that is right, `ran` says
    if text_of(as_stored) != lesson.text:
        yield None, "the file is not in canonical form (another program wrote it): `labkit run` stores it so."


def tags(lesson: Lesson) -> Found:
    for cell in lesson.code():
        for tag in cell.node.metadata.get("tags", []):
            if tag.startswith("nbval-") and tag != IGNORED:
                yield cell, f"the tag {tag} is not used here: only {IGNORED} and raises-exception are."
        if re.search(r"^\s*#\s*(NBVAL|PYTEST_VALIDATE)_", cell.source, re.MULTILINE):
            yield cell, "use a cell tag, not an NBVAL comment."


def errors(lesson: Lesson) -> Found:
    for cell in lesson.code():
        raised = [output for output in cell.node.outputs if output.output_type == "error"]
        expected = "raises-exception" in cell.node.metadata.get("tags", [])
        if raised and not expected:
            yield cell, f"the cell ends in {raised[0].ename} and is not tagged raises-exception."
        elif expected and not raised and cell.node.execution_count:
            yield cell, "the cell is tagged raises-exception, and its stored run raised nothing."


def leaks(lesson: Lesson) -> Found:
    for cell in lesson.cells:
        shown = "\n".join(_strings(cell.node.get("outputs", [])))
        text = f"{cell.source}\n{shown}"
        if match := _TOKEN.search(text):
            yield cell, f"this looks like a token: {match[0][:6]}... Take it out, and revoke it."
        if match := _FOLDER.search(text):
            yield cell, f"this names a folder of somebody's machine: {match[0]}"
        if _HOT.search(shown):
            yield cell, "the output loads something from the web."


def weight(lesson: Lesson) -> Found:
    size = sum(len(json.dumps(cell.node.outputs)) for cell in lesson.code())
    if size > MOST_OUTPUT_BYTES:
        yield (
            None,
            f"the stored outputs take {size / 1e6:.1f} MB; at most {MOST_OUTPUT_BYTES / 1e6:.1f} MB are allowed.",
        )


def _strings(value: Any) -> Iterator[str]:
    """All text in an output, at any depth, without pictures."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if not key.startswith("image/"):
                yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
