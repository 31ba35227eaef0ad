"""Which lessons there are, read from the notebooks themselves; in a checkout and in a wheel alike."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.front import progress_report

LESSON_FILE = re.compile(r"^(?P<number>\d\d)_(?P<topic>[a-z0-9]+(_[a-z0-9]+)*)\.ipynb$")


@dataclass(frozen=True)
class LessonInfo:
    """A lesson as its first cells describe it; `minutes` is None where they do not say."""

    number: str
    title: str
    file: str
    minutes: int | None


def lessons(folder: Path | None = None) -> list[LessonInfo]:
    """The lessons in `folder` (the course's own), by number. LabError when a file cannot be read."""
    folder = folder or assets.notebook_dir()
    return [_describe(file) for file in sorted(folder.glob("*.ipynb")) if LESSON_FILE.match(file.name)]


def find(wanted: list[str], folder: Path | None = None) -> list[Path]:
    """The notebook files that numbers ("5", "05") or paths name; all lessons for none. LabError for an unknown one."""
    folder = folder or assets.notebook_dir()
    have = {file.name[:2]: file for file in sorted(folder.glob("*.ipynb")) if LESSON_FILE.match(file.name)}
    found = []
    for word in wanted:
        path = Path(word)
        if word.isdecimal() and word.zfill(2) in have:
            found.append(have[word.zfill(2)])
        elif path.suffix == ".ipynb" and path.is_file():
            found.append(path.resolve())
        else:
            raise LabError(f"There is no lesson or notebook {word!r}: this version of the course has {_named(have)}.")
    if not wanted and not have:
        raise LabError(f"There are no lessons in {folder}.")
    return found or list(have.values())


def _named(numbers: dict[str, Path]) -> str:
    return ", ".join(numbers) or "none"


def _describe(file: Path) -> LessonInfo:
    try:
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    except (ValueError, KeyError, TypeError, OSError) as problem:
        raise LabError(f"{file.name} is not a readable notebook ({problem}): get it again from the course.") from None
    title = next((line[2:].strip() for text in texts for line in text.splitlines() if line.startswith("# ")), file.stem)
    need = next((text.split("## What you need")[1] for text in texts if "## What you need" in text), "")
    minutes = re.search(r"(\d+) minutes", need)
    return LessonInfo(file.name[:2], title, file.name, int(minutes[1]) if minutes else None)


def show(argv: list[str]) -> int:
    """`lessons`: number, minutes, title, and what of it is done."""
    parser = argparse.ArgumentParser(prog="labkit lessons", description="List the lessons of the course.")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(argv)
    found, done = lessons(), progress_report.summary()
    if options.json:
        rows = [dataclasses.asdict(lesson) | {"progress": done.get(lesson.number)} for lesson in found]
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return 0
    for lesson in found:
        minutes = f"{lesson.minutes} min" if lesson.minutes else ""
        count = done.get(lesson.number, {"tried": 0})
        finished = count["tried"] and count["correct"] + count["written"]
        tried = f"  ({finished} of {count['exercises']} exercises done)" if count["tried"] else ""
        print(f"{lesson.number}  {minutes:>7}  {lesson.title}{tried}")
    print("`python lab.py` opens them; `python lab.py lab 05` opens one.")
    return 0
