"""What the learner has done: one JSON file in the course cache, merged across kernels, never lost and never sent.

A result never gets worse: what was once correct stays so. Writing is atomic and under a lock. A file that cannot be
read is kept aside. A machine that will be deleted, as Colab's, gives the file away and takes it back (`download`,
`upload`). Knows item numbers such as "05.1" and statuses; knows nothing of what they ask.
"""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any

from labkit.base import cache
from labkit.base.errors import LabError

VERSION = 2  # in version 1 the capstone, now 09, was lesson 08
_RANK = {"wrong": 1, "error": 1, "correct": 2, "written": 2}  # written: an open answer, which no program can grade
# The form of the record: for each exercise, and for each lesson.
_FORM: dict[str, dict[str, Any]] = {
    "items": {"status": str, "attempts": int, "last": str},
    "lessons": {"minutes": (int, float), "finished": str},
}
_session: dict[str, str] = {}  # the best status of each item tried in this process


def file() -> Path:
    """Where the progress is kept."""
    return cache.root() / "progress.json"


def record(item: str, status: str) -> None:
    """Remember that `item` ("05.1") was tried. An untouched exercise is not a try, and leaves no trace."""
    if status not in _RANK:
        return
    _session[item] = _better(_session.get(item), status)
    with _locked():
        data = load()
        known = data["items"].get(item, {"attempts": 0})
        data["items"][item] = {
            "status": _better(known.get("status"), status),
            "attempts": known["attempts"] + 1,
            "last": datetime.date.today().isoformat(),
        }
        _write(data)


def finish(lesson: str, *, seconds: float) -> str:
    """Note that a lesson was worked through, and say how it went, in a sentence.

    Running a lesson without trying one exercise is reading, not progress: it is not written down.
    """
    tried = {item: status for item, status in _session.items() if item.startswith(f"{lesson}.")}
    graded = [status for status in tried.values() if status != "written"]
    written = len(tried) - len(graded)
    if not tried:
        return f"Lesson {lesson} is over. No exercise was tried this time; your progress is as it was."
    with _locked():
        data = load()
        known = data["lessons"].get(lesson, {"minutes": 0.0})
        minutes = round(known["minutes"] + seconds / 60, 1)
        data["lessons"][lesson] = {"minutes": minutes, "finished": datetime.date.today().isoformat()}
        _write(data)
    return (
        f"Lesson {lesson} is over: {graded.count('correct')} of the {len(graded)} exercises that you tried are correct"
        + (f", and {written} open answer{'s' * (written > 1)} written. " if written else ". ")
        + "Progress is saved."
        + (f"\n{_KEEP}" if _on_colab() else "")
    )


def load() -> dict[str, Any]:
    """The whole record: `{"version", "items": {item: {status, attempts, last}}, "lessons": {lesson: {...}}}`.

    A file that makes no sense is moved aside, with a word about it. One written by a newer labkit raises LabError.
    """
    try:
        data = json.loads(file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return _empty()
    except (OSError, ValueError):  # also what is no UTF-8
        data = None
    if not _is_record(data, str(file())):
        _set_aside()
        return _empty()
    return _renumbered(data)


def merge(other: dict[str, Any]) -> int:
    """Add another record, such as one from another machine: of each item the better status, the larger counts, the
    later day. Merging twice changes nothing. Returns the number of exercises that the record has. LabError when it is
    no record of the course.
    """
    if not _is_record(other, "That progress"):
        raise LabError(f"That {_FOREIGN}")
    other = _renumbered(other)
    with _locked():
        data = load()
        for item, new in other["items"].items():
            known = data["items"].get(item, new)
            data["items"][item] = {
                "status": _better(known["status"], new["status"]),
                "attempts": max(known["attempts"], new["attempts"]),
                "last": max(known["last"], new["last"]),
            }
        for lesson, new in other["lessons"].items():
            known = data["lessons"].get(lesson, new)
            data["lessons"][lesson] = {key: max(known[key], new[key]) for key in ("minutes", "finished")}
        _write(data)
    return len(other["items"])


def merge_file(source: Path) -> int:
    """`merge` with a file that `labkit progress --save` or `download` has made."""
    try:
        return merge(json.loads(source.read_text(encoding="utf-8")))
    except OSError as problem:
        raise LabError(f"{source} cannot be read ({problem.strerror}): look for it where your browser saves.") from None
    except ValueError:
        raise LabError(f"{source} {_FOREIGN}") from None


def download() -> str:
    """On Colab: hand the progress to the browser, which saves it as a file. Elsewhere it says where the file is."""
    if not file().exists():
        return "There is no progress yet: try an exercise first."
    if not _on_colab():
        return f"Your progress stays on this machine, in {file()}."
    from google.colab import files  # type: ignore[import-not-found]

    files.download(str(file()))
    return "Your browser saves progress.json: keep it, and bring it back with labkit.progress.upload()."


def upload() -> str:
    """On Colab: take a saved file back, chosen in the browser, and merge it. Elsewhere it says what to type."""
    if not _on_colab():
        return "Here progress comes back with `python lab.py progress --merge FILE`."
    from google.colab import files  # type: ignore[import-not-found]

    chosen = files.upload()
    if not chosen:
        return "No file was chosen: nothing was changed."
    try:
        count = sum(merge(json.loads(content)) for content in chosen.values())
    except ValueError:
        raise LabError(f"That {_FOREIGN}") from None
    return f"Welcome back: {count} exercises are known again."


_FOREIGN = "is no progress file of the course: nothing was changed."
_KEEP = "Colab deletes this machine when you are gone: labkit.progress.download() saves your progress as a file."


def _on_colab() -> bool:
    from labkit.base import machine

    return machine.detect().platform == "colab"


def _better(known: str | None, new: str) -> str:
    return known if known and _RANK[known] > _RANK[new] else new


def _empty() -> dict[str, Any]:
    return {"version": VERSION, "items": {}, "lessons": {}}


def _is_record(data: Any, what: str) -> bool:
    """Whether `data` has the form that `record` and `finish` write. LabError when a newer labkit wrote it."""
    try:
        if isinstance(data["version"], int) and data["version"] > VERSION:
            raise LabError(f"{what} was written by a newer version of the course: update the course to use it.")
        rows = [(row, form) for part, form in _FORM.items() for row in data[part].values()]
        known = all(row["status"] in _RANK for row in data["items"].values())
        return known and all(isinstance(row[key], kind) for row, form in rows for key, kind in form.items())
    except (KeyError, TypeError, AttributeError):
        return False


def _renumbered(data: dict[str, Any]) -> dict[str, Any]:
    """A record of an earlier version with today's numbers."""
    if data["version"] == VERSION:
        return data

    def now(number: str) -> str:
        return f"09{number[2:]}" if number[:2] == "08" else number

    return {
        "version": VERSION,
        "items": {now(item): known for item, known in data["items"].items()},
        "lessons": {now(lesson): known for lesson, known in data["lessons"].items()},
    }


def _set_aside() -> None:
    number = 1
    while (aside := file().with_name(f"progress.unreadable-{number}.json")).exists():
        number += 1
    file().rename(aside)
    print(f"The progress file could not be read: it is kept as {aside.name}, and a new one begins.", file=sys.stderr)


def _write(data: dict[str, Any]) -> None:
    try:
        cache.write_atomically(file(), json.dumps(data, indent=1, sort_keys=True))
    except OSError as problem:
        raise LabError(f"{file()} cannot be written ({problem.strerror}).") from None


def _locked():
    return cache.locked(file().with_suffix(".lock"))
