"""The two cells that are the same in every lesson, the badges and the set-up cell, and the README's links to lessons.

All come from the project's name and version, its repository and the release that learners get, in `pyproject.toml`, so
that a fork changes a line or two and runs `labkit lint --fix`. Notebook and package always come from one release: what
changes later in the repository reaches no class in the middle of its course. Knows nothing of what a lesson teaches.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.front.lesson_list import LESSON_FILE

README = "README.md"
_HOSTED = re.compile(r"https://(?:colab\.research\.google\.com|mybinder\.org)/\S*?(?P<file>\d\d_[a-z0-9_]+\.ipynb)")


@dataclass(frozen=True)
class Source:
    """Where the course is published: the name that pip knows, OWNER/NAME on GitHub, and the release that learners get.

    A release is a tag; a branch or a commit will do, too.
    """

    distribution: str
    repository: str
    release: str


def source() -> Source:
    """From `[project]` and `[tool.labkit]` of `pyproject.toml`: the release is `v` and the version, unless it is named.

    LabError outside a checkout.
    """
    root = assets.checkout()
    if root is None:
        raise LabError("Lessons are written in a checkout of the course: clone its repository and run this there.")
    with (root / "pyproject.toml").open("rb") as file:
        settings = tomllib.load(file)
    project, own = settings["project"], settings["tool"]["labkit"]
    return Source(project["name"], own["repository"], own.get("release", f"v{project['version']}"))


def number_of(file: Path | str) -> str:
    """The two digits that begin a lesson's file name.

    >>> number_of("notebooks/05_running_locally.ipynb")
    '05'
    """
    match = LESSON_FILE.match(Path(file).name)
    if match is None:
        raise LabError(f"{Path(file).name} is not a lesson's name: use two digits and the topic, as in 05_topic.ipynb.")
    return match["number"]


def badges(file: Path | str, where: Source | None = None) -> str:
    """The markdown of the badges cell of a lesson file such as `05_running_locally.ipynb`."""
    colab, binder = addresses(file, where)
    return (
        f"[![Open in Colab](../assets/figures/open-in-colab.svg)]({colab})\n"
        f"[![Open in Binder](../assets/figures/open-in-binder.svg)]({binder})"
    )


def addresses(file: Path | str, where: Source | None = None) -> tuple[str, str]:
    """Where a lesson file opens on Colab and on Binder."""
    where, name = where or source(), Path(file).name
    colab = f"https://colab.research.google.com/github/{where.repository}/blob/{where.release}/notebooks/{name}"
    binder = f"https://mybinder.org/v2/gh/{where.repository}/{where.release}?urlpath=lab%2Ftree%2Fnotebooks%2F{name}"
    return colab, binder


def pointed(text: str, where: Source | None = None) -> str:
    """A text such as the README's, with its links to lessons on Colab and Binder leading to this repository."""
    where = where or source()

    def here(match: re.Match[str]) -> str:
        colab, binder = addresses(match["file"], where)
        return colab if "//colab." in match[0] else binder

    return _HOSTED.sub(here, text)


def setup_cell(lesson: str, where: Source | None = None) -> str:
    """The code of the set-up cell of lesson "05".

    On Colab it installs the course first; everywhere else the course is there, and nothing is installed unasked. It
    makes all that an exercise needs besides what its lesson has taught: `q` and the blank `____`.
    """
    where = where or source()
    package = f"{where.distribution} @ git+https://github.com/{where.repository}@{where.release}"
    return (
        "# Set-up: the same cell in every lesson. On Colab it installs the course first, in the version after the @:\n"
        "# a teacher may write another tag or commit there.\n"
        "import importlib.util\n"
        "import sys\n"
        "\n"
        'if "google.colab" in sys.modules and importlib.util.find_spec("labkit") is None:\n'
        f'    %pip install --quiet "{package}"\n'
        "\n"
        "import labkit\n"
        "from labkit import ____\n"
        "\n"
        f'lab = labkit.start("{lesson}")\n'
        f'q = labkit.exercises.lesson("{lesson}")'
    )
