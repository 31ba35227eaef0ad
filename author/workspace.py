"""The clean place in which a notebook runs: an empty folder, a cache of its own with the real weights, no network.

A run leaves nothing behind and touches nothing of the learner's: progress, services and IPython profile are its own,
and only the folder of model weights is shared. It finds an invented Hugging Face token where a learner's kernel would
find the real one, and the guard notes whatever sends it anywhere. Knows no notebook.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from labkit.base import cache, processes

_PREFIX = "labkit-run-"
GUARD = Path(__file__).with_name("guard")

PLANTED = "hf_PLANTED"  # how every planted token begins, and nothing else

# Variables that would make one author's run differ from another's, or put a token into an output; HF_* as well.
_FORGOTTEN = {
    *("HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_CACHE", "OPENAI_API_KEY"),
    *("LABKIT_ENDPOINT", "LABKIT_ENDPOINT_KEY", "LABKIT_MODE", "LABKIT_MODEL"),
    *("MPLBACKEND", "PYTEST_CURRENT_TEST", "PYTHONSTARTUP", "PYTHONWARNINGS"),
}


@dataclass(frozen=True, order=True)
class Request:
    """A request: `outside` when it went beyond this machine, `carries` when the planted token went with it."""

    host: str
    port: str
    carries: bool
    outside: bool


@dataclass(frozen=True)
class Workspace:
    """`folder` is the kernel's working folder, `environment` its variables, `places` folders to be named in outputs."""

    folder: Path
    environment: dict[str, str]
    places: dict[str, str]
    log: Path
    notes: Path

    def requests(self) -> list[Request]:
        """What the kernel and all that it started asked for so far, each kind once."""
        with contextlib.suppress(FileNotFoundError):
            lines = self.notes.read_text(encoding="utf-8").splitlines()
            return sorted({Request(*json.loads(line)) for line in lines})
        return []


@contextlib.contextmanager
def workspace() -> Iterator[Workspace]:
    """Make a place to run in, and remove it afterwards."""
    _sweep()
    # Resolved: macOS and Windows spell the temporary folder in two ways, and a kernel prints the real one.
    top = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")).resolve()
    try:
        folders = {name: top / name for name in ("work", "cache", "tmp", "ipython", "hf")}
        for folder in folders.values():
            folder.mkdir()
        models = cache.subfolder("models")
        link(models, folders["cache"] / "models")
        (folders["hf"] / "token").write_text(f"{PLANTED}_IN_A_FILE", encoding="utf-8")
        notes = top / "requests"
        environment = _environment(folders) | {"LABKIT_GUARD_NOTES": str(notes), "LABKIT_GUARD_TOKEN": PLANTED}
        places = {str(folders["work"]): "WORK", str(folders["cache"]): "CACHE", str(models.parent): "CACHE"}
        places |= {str(folders["tmp"]): "TMP", str(top): "RUN"}
        yield Workspace(folders["work"], environment, places, top / "kernel.log", notes)
    finally:
        _remove(top)


def _remove(top: Path) -> None:
    unlink(top / "cache" / "models")
    shutil.rmtree(top, ignore_errors=True)


def _sweep() -> None:
    """Remove the places of runs that were killed."""
    for top in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = top.name.removeprefix(_PREFIX).split("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            _remove(top)


def _environment(folders: dict[str, Path]) -> dict[str, str]:
    ours = processes.child_environment(GUARD).items()
    kept = {name: value for name, value in ours if name not in _FORGOTTEN and not name.startswith("HF_")}
    environment = kept | {"HF_HOME": str(folders["hf"]), "HF_TOKEN": f"{PLANTED}_IN_A_VARIABLE"}
    environment["PYTHONHASHSEED"] = "0"
    environment["LABKIT_CACHE"] = str(folders["cache"])
    environment["IPYTHONDIR"] = str(folders["ipython"])
    # `!python` and scripts in a notebook are the kernel's own, even when its environment is not activated.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    return environment | {name: str(folders["tmp"]) for name in ("TMPDIR", "TEMP", "TMP")}


def link(target: Path, at: Path) -> None:
    """Make the folder `at` lead to `target`: a symbolic link; on Windows a junction, which needs no privilege."""
    if sys.platform == "win32":
        import _winapi

        _winapi.CreateJunction(str(target.resolve()), str(at))
    else:
        at.symlink_to(target.resolve(), target_is_directory=True)


def unlink(at: Path) -> None:
    """Remove a link made by `link`, never what it leads to."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            at.rmdir()
        else:
            at.unlink()
