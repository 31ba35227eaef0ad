"""What has been done, for a person to read: a line a lesson, or a table for a teacher. The command `progress`.

Knows lessons, exercises and columns. The record itself is kept by `progress`.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from labkit.base import cache
from labkit.base.errors import LabError
from labkit.lessons import course, exercises, progress


def summary() -> dict[str, dict[str, int]]:
    """For each lesson how many exercises there are, were tried, are correct, and are open answers, written."""
    items = progress.load()["items"]
    found = {}
    for lesson in course.LESSONS:
        numbers = [exercise.number for _, exercise in exercises.lesson(lesson)]
        statuses = [items[item]["status"] for item in numbers if item in items]
        found[lesson] = {"exercises": len(numbers), "tried": len(statuses)}
        found[lesson] |= {status: statuses.count(status) for status in ("correct", "written")}
    return found


def show(argv: list[str]) -> int:
    """The command: show the progress, or write it as CSV for a teacher."""
    parser = argparse.ArgumentParser(prog="labkit progress", description="Show or export what you have done.")
    parser.add_argument("--csv", metavar="FILE", help="write one line an exercise, for a teacher")
    parser.add_argument(
        "--name", default="", help="the name in the CSV: any you like (nothing else about you is in it)"
    )
    parser.add_argument("--json", action="store_true", help="print the whole record")
    parser.add_argument("--save", metavar="FILE", help="write the whole record to a file, to take to another machine")
    parser.add_argument("--merge", metavar="FILE", help="add such a file to the record here")
    options = parser.parse_args(argv)
    if options.merge:
        print(f"{progress.merge_file(Path(options.merge))} exercises of {options.merge} are known here now.")
    elif options.save:
        cache.write_atomically(Path(options.save), json.dumps(progress.load(), indent=1, sort_keys=True))
        print(f"{options.save} has your progress: `--merge` takes it back.")
    elif options.json:
        print(json.dumps(progress.load(), indent=1, sort_keys=True))
    elif options.csv:
        count = _export(Path(options.csv), options.name)
        print(f"{options.csv} has {count} exercises.")
    else:
        for lesson, count in summary().items():
            done = count["correct"] + count["written"]
            bar = "#" * done + "." * (count["exercises"] - done)
            written = f"{count['written']} written, " if count["written"] else ""
            said = f"{count['correct']} of {count['exercises']} correct, {written}{count['tried']} tried"
            print(f"lesson {lesson}  {bar}  {said}")
    return 0


def _export(target: Path, name: str) -> int:
    items = progress.load()["items"]
    try:
        # The mark at the beginning tells spreadsheets that this is UTF-8: without it they garble names.
        with target.open("w", newline="", encoding="utf-8-sig") as stream:
            writer = csv.writer(stream)
            writer.writerow(["name", "exercise", "status", "attempts", "last"])
            for item, known in sorted(items.items()):
                exercise = "lesson {} exercise {}".format(*item.split("."))  # "05.1" would become a number or a date
                writer.writerow([_as_text(name), exercise, known["status"], known["attempts"], known["last"]])
    except OSError as problem:
        raise LabError(f"{target} cannot be written ({problem.strerror}): choose another place.") from None
    return len(items)


def _as_text(name: str) -> str:
    """A name that a spreadsheet will not take for a formula."""
    name = " ".join(name.split())
    return f"'{name}" if name.startswith(("=", "+", "-", "@")) else name
