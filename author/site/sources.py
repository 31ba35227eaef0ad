"""What Sphinx reads: copies of the lessons, the guides and the figures, and the pages that are written from the code.

The copies lie as in the repository, so that every relative link between them holds. Knows no HTML but the widgets'.
"""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import labkit
from author.parsed import Lesson
from author.site import answers, live
from labkit.base import assets
from labkit.front import lesson_list

# What a widget leaves where it cannot live (labkit.lessons.widgets.base.View).
_WIDGET = re.compile(r"<(?P<name>[^<>:]+): run this cell to use it>")
_BADGE = re.compile(r"\[!\[(?P<text>[^\]]+)\]\([^)]+\)\]\((?P<address>[^)]+)\)")


def gather(folder: Path, *, teacher: bool = False, live_pages: bool = False) -> None:
    """Write all sources of the website into `folder`, which must not exist; with the answers for a teacher.

    With `live_pages` the front page leads to them.
    """
    root = assets.CHECKOUT
    shutil.copytree(root / "docs" / "site", folder)
    shutil.copytree(assets.path("figures"), folder / "assets" / "figures")
    shutil.copytree(root / "docs", folder / "docs", ignore=shutil.ignore_patterns("site"))
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copyfile(root / name, folder / name)
    alive: set[str] = set()
    files = lesson_list.find([])
    (folder / "notebooks").mkdir()
    for file in files:
        page, used = lesson_page(json.loads(file.read_text(encoding="utf-8")))
        (folder / "notebooks" / file.name).write_text(json.dumps(page), encoding="utf-8")
        alive |= used
    for title in sorted(alive):
        live.write(title, folder / "_static" / "live")
    _api(folder / "api")
    if teacher:
        (folder / "answers.md").write_text(answers.page([file.name[:2] for file in files]), encoding="utf-8")
    front = (folder / "index.md").read_text(encoding="utf-8")
    front = front.replace("<!-- lesson map -->", lesson_map(files)).replace("<!-- lesson pages -->", _contents(files))
    front = front.replace("<!-- answers -->", "answers" if teacher else "")
    front = front.replace("<!-- live pages -->", _DOOR if live_pages else "")
    (folder / "index.md").write_text(front, encoding="utf-8")


_DOOR = (
    '<p><a class="labkit-door" href="live/index.html">Talk to an open model here</a> It is fetched once (98 MB) and '
    "runs in this browser: nothing to install, no account, and what you type stays with you.</p>"
)


def lesson_page(notebook: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """A lesson as its page shows it, and the names of the widgets that are alive on it.

    Badges become words, as links on a page are; widgets become what the page can do of them.
    """
    alive = set()
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown" and source.startswith("[!["):
            cell["source"] = " · ".join(f"[{text}]({address})" for text, address in _BADGE.findall(source))
        for output in cell.get("outputs", []):
            found = _WIDGET.fullmatch("".join(output.get("data", {}).get("text/plain", "")).strip())
            if found:
                name = found["name"]
                alive |= {name} & live.ALIVE.keys()
                output["data"] = {"text/html": live.place(name) if name in live.ALIVE else _asleep(name)}
    return notebook, alive


def _asleep(name: str) -> str:
    return (
        f'<p class="labkit-asleep"><b>{html.escape(name)}.</b> '
        "It needs Python behind it, so it lives in the notebook. The picture above shows it.</p>"
    )


def lesson_map(files: list[Path]) -> str:
    """A table of the lessons and what each needs, in the lessons' own words; below it, what all of them need."""
    found = [Lesson(file) for file in files]
    needs = [_needs(lesson) for lesson in found]
    alike = {name: value for name, value in needs[0].items() if all(other[name] == value for other in needs)}
    columns = [name for name in needs[0] if name not in alike]
    lines = ["| | Lesson | " + " | ".join(columns) + " |", "|---" * (2 + len(columns)) + "|"]
    for file, lesson, need in zip(files, found, needs, strict=True):
        title = lesson.cells[0].source.splitlines()[0].removeprefix("# ").strip()
        do = lesson.find("**What you will do.**").text.splitlines()[0].removeprefix("**What you will do.**").strip()
        cells = " | ".join(need[name] for name in columns)
        lines.append(f"| {lesson.number} | [{title}](notebooks/{file.name})<br>{do} | {cells} |")
    same = "; ".join(f"{name}: {value}" for name, value in alike.items())
    return "\n".join([*lines, "", f"In every lesson: {same}."])


def _needs(lesson: Lesson) -> dict[str, str]:
    """What a lesson needs, by name, without remarks in brackets and after a comma."""
    rows = re.findall(r"^\| *(\w[^|]*?) *\| *([^|]*?) *\|$", lesson.find("## What you need").text, re.MULTILINE)
    return {name: re.split(r" \(|, and", value)[0] for name, value in rows}


def _contents(files: list[Path]) -> str:
    found = {lesson.file: lesson for lesson in lesson_list.lessons()}
    return "\n".join(f"{file.name[:2]} {found[file.name].title} <notebooks/{file.stem}>" for file in files)


def _api(folder: Path) -> None:
    """One page for each part of `labkit` that lessons use, and one for what `labkit` itself offers."""
    folder.mkdir()
    names = sorted(name for name, home in labkit._CONTENTS.items() if ":" not in home)
    for name in names:
        (folder / f"{name}.md").write_text(_module_page(name), encoding="utf-8")
    top = ".. autofunction:: labkit.start\n\n"
    top += "\n".join(f".. autoclass:: labkit.{name}\n   :members:\n" for name in ("Lab", "LabError"))
    rows = "\n".join(names)
    text = f"# The labkit package\n\n```{{eval-rst}}\n.. automodule:: labkit\n\n{top}```\n\n## Its parts\n\n"
    (folder / "index.md").write_text(f"{text}```{{toctree}}\n{rows}\n```\n", encoding="utf-8")


def _module_page(name: str) -> str:
    home = labkit._CONTENTS[name]
    return f"# labkit.{name}\n\n```{{eval-rst}}\n.. automodule:: labkit.{home}\n   :members:\n```\n"
