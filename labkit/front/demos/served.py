"""What Voila is given: copies of the demo notebooks for the screen, their pictures, and a template of the course's own.

The template is Voila's, without the style sheets that it would fetch from the web (Font Awesome, for icons that no demo
has), with a page that lists the demos. Knows files, and no processes.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labkit.base import assets
from labkit.base.errors import LabError

TEMPLATE = "labkit"
_PICTURE = re.compile(r"!\[[^\]]*\]\(\S*?(?P<name>[^/\s)]+\.png)\)")


@dataclass(frozen=True)
class Demo:
    """A demo as the list shows it; `picture` is a path below the served folder, or empty."""

    file: str
    title: str
    sentence: str
    picture: str


def demos(folder: Path | None = None) -> list[Demo]:
    """The demos in `folder` (the course's own), by title. LabError when there are none, or one cannot be read."""
    folder = folder or assets.notebook_dir() / "demos"
    found = [_describe(file) for file in folder.glob("*.ipynb")]
    if not found:
        raise LabError(f"There are no demos in {folder}: get the course's folder notebooks/demos again.")
    return sorted(found, key=lambda demo: demo.title.lower())


def _describe(file: Path) -> Demo:
    texts = [_source(cell) for cell in _read(file)["cells"] if cell["cell_type"] == "markdown"]
    lines = [line for line in "\n".join(texts).splitlines() if line.strip()]
    title = next((line[2:].strip() for line in lines if line.startswith("# ")), file.stem)
    sentence = next((line for line in lines if not line.startswith(("#", "!"))), "")
    picture = _PICTURE.search("\n".join(lines))
    return Demo(file.name, title, sentence.replace("`", ""), f"figures/{picture['name']}" if picture else "")


def _read(file: Path) -> dict[str, Any]:
    try:
        notebook = json.loads(file.read_text(encoding="utf-8"))
        return {**notebook, "cells": [dict(cell) for cell in notebook["cells"]]}
    except (ValueError, KeyError, TypeError, OSError) as problem:
        raise LabError(f"{file.name} is not a readable notebook ({problem}): get it again from the course.") from None


def _source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def write(folder: Path, source: Path | None = None) -> list[Demo]:
    """Fill `folder`: `notebooks/` is what Voila serves, `jupyter/` belongs on JUPYTER_PATH. Returns the demos."""
    found = demos(source)
    served = folder / "notebooks"
    (served / "figures").mkdir(parents=True)
    for demo in found:
        notebook = _for_the_screen(_read((source or assets.notebook_dir() / "demos") / demo.file))
        (served / demo.file).write_text(json.dumps(notebook), encoding="utf-8")
        if demo.picture:
            shutil.copyfile(assets.path(demo.picture), served / demo.picture)
    template = folder / "jupyter" / "voila" / "templates" / TEMPLATE
    shutil.copytree(Path(__file__).with_name("voila"), template)
    # Voila looks for a page of its own for each of these.
    shutil.copyfile(template / "error.html", template / "404.html")
    (template / "conf.json").write_text('{"base_template": "lab"}', encoding="utf-8")
    listed = json.dumps([asdict(demo) for demo in found])
    (template / "demos.j2").write_text(f"{{% set demos = {listed} %}}", encoding="utf-8")
    return found


def _for_the_screen(notebook: dict[str, Any]) -> dict[str, Any]:
    """Without the pictures that stand in where widgets cannot live, and without stored outputs."""
    kept = [cell for cell in notebook["cells"] if not _PICTURE.fullmatch(_source(cell).strip())]
    for cell in kept:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    return {**notebook, "cells": kept}
