"""A Python with what Colab has, made on this machine, so that lessons are tried where many learners will be.

Finds a Python 3.13, makes `.venv-colab` in the checkout from the list of Colab's own versions in `tests/platforms`, and
knows what it was like before the course came into it. It is made once for each list: 3 minutes and 6 GB (9 GB while pip
holds the packages too), because the plain name of torch means CUDA, there as here. Knows pip. Knows nothing of lessons;
`tests/platforms` runs them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from labkit.base import assets, cache, pip
from labkit.base.errors import LabError

VARIABLE = "LABKIT_COLAB_PYTHON"
VERSION = (3, 13)
LIST = "tests/platforms/colab-2026-08.txt"
TOOLS = ("hypothesis>=6.130", "nbval>=0.11", "pytest-socket>=0.7", "pytest-timeout>=2.3")  # what tests need beside it
NEEDED_BYTES = 9_000_000_000
_FOLDER, _STAMP = ".venv-colab", "labkit-stamp.json"
_PACKAGES = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"


def find() -> Path | None:
    """A Python 3.13 that works: the one `LABKIT_COLAB_PYTHON` names, this one, `python3.13` on the PATH, or pyenv's.

    None without one, and outside of Linux, where Colab's packages are others. LabError when the one that is named is
    none.
    """
    if named := os.environ.get(VARIABLE):
        if not _works(named):
            raise LabError(
                f"{VARIABLE} is {named!r}, which is no Python {_dotted()} that runs: correct it or unset it."
            )
        return Path(named)
    if not sys.platform.startswith("linux"):
        return None
    # A name on the PATH may be a shim that only prints an error: it has to have run.
    kept = sorted(Path.home().glob(f".pyenv/versions/{_dotted()}*/bin/python"))
    candidates = (getattr(sys, "_base_executable", sys.executable), shutil.which(f"python{_dotted()}"), *kept)
    return next((Path(each) for each in candidates if each and _works(each)), None)


def folder() -> Path:
    """Where the environment is, made or not. LabError outside of a checkout, which alone has the list."""
    root = assets.checkout()
    if root is None:
        raise LabError("Colab's versions are tested in a checkout of the course: clone its repository.")
    return root / _FOLDER


def ready() -> Path | None:
    """The Python of the finished environment for today's list, or None. Looks only."""
    stamp = _stamp()
    return _python() if stamp.get("wanted") == _wanted() and stamp.get("at") == str(folder()) else None


def make(base: Path) -> Path:
    """The environment's Python. It is made with `base` when it is not there, half made, moved, or of another list.

    LabError in one sentence when the disk is too full or pip cannot have the packages.
    """
    from filelock import FileLock

    with FileLock(f"{folder()}.lock"):
        if python := ready():
            return python
        shutil.rmtree(folder(), ignore_errors=True)
        cache.require_space(folder().parent, NEEDED_BYTES, "An environment like Colab's")
        print(f"Making {_FOLDER}, Colab's versions on {base} (some minutes, once)", flush=True)
        wanted = ["-r", str(folder().parent / LIST), *TOOLS]
        try:
            _run([str(base), "-m", "venv", str(folder())])
            _run([str(_python()), "-m", "pip", "install", "--quiet", "--progress-bar", "off", *wanted])
        except LabError:
            shutil.rmtree(folder(), ignore_errors=True)  # gigabytes, perhaps, that the tests that go on may need
            raise
        stamp = {"wanted": _wanted(), "at": str(folder()), "packages": packages(_python())}
        cache.write_atomically(folder() / _STAMP, json.dumps(stamp, indent=1))
        return _python()


def reset() -> dict[str, str]:
    """Take out what came after the making, the course among it; returns Colab's packages, each with its version."""
    wanted = _stamp()["packages"]
    if extra := sorted(packages(_python()).keys() - wanted.keys()):
        _run([str(_python()), "-m", "pip", "uninstall", "--quiet", "--yes", *extra])
    return wanted


def packages(python: Path) -> dict[str, str]:
    """What is installed for a Python, name by name."""
    run = subprocess.run([python, "-I", "-c", _PACKAGES], capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(run.stdout)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in sorted(found.items())}


def listed() -> dict[str, str]:
    """The list: Colab's packages, each with its version."""
    lines = (folder().parent / LIST).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pairs}


def _dotted() -> str:
    return ".".join(map(str, VERSION))


def _works(python: str) -> bool:
    program = "import ensurepip, sys, venv; print(*sys.version_info[:2])"
    try:
        run = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return run.returncode == 0 and run.stdout.split() == [str(number) for number in VERSION]


def _python() -> Path:
    return folder() / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _wanted() -> str:
    """What decides the content: another list or other tools make it anew."""
    return hashlib.sha256(repr((sorted(listed().items()), TOOLS, VERSION)).encode()).hexdigest()


def _stamp() -> dict:
    """What the making wrote at its end; {} while it is not finished."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads((folder() / _STAMP).read_text(encoding="utf-8")))
    return {}


def _run(command: list[str]) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_REQUIRE_VIRTUALENV": "0"}
    environment.pop("PYTHONPATH", None)
    failed = "The environment with Colab's versions could not be made or changed"
    pip.run(command, failed=failed, cure="try again", show=True, environment=environment)
