"""How long until something is on the screen: `import labkit`, `start()`, the model, JupyterLab, the first set-up."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

from author.bench import fresh
from author.bench.jupyter import until_api
from labkit.base.errors import LabError
from labkit.base.process_memory import Peak
from labkit.front.bench import Section, scratch
from labkit.world import weights

# Each one runs in a new process and prints the seconds it took, without the start of Python itself.
_PROGRAMS = {
    "import labkit": "import labkit",
    "labkit.start() warm": "import labkit; labkit.start('00')",
    "start, then load in transformers": "import labkit; labkit.start('00'); labkit.local.load()",
}
_TIMED = """import time; began = time.perf_counter()
{}
import sys; print(time.perf_counter() - began, 'torch' in sys.modules)"""
# `labkit lab` in the current folder, so that a learner's own is left alone.
_LAB = """import sys; from pathlib import Path; from labkit import assets; from labkit.front import commands as work
assets.root = Path.cwd; work.lab(sys.argv[1:])"""


def run(quick: bool) -> Section:
    """Median, lowest and highest of repeated starts, with the weights in the course cache; the first set-up, once."""
    weights.ensure(quiet=True)
    repeats = 3 if quick else 10
    rows = []
    for name, program in _PROGRAMS.items():
        seconds, torch = zip(*(_once(program) for _ in range(repeats)), strict=True)
        rows.append(_row(name, seconds, loads_torch=any(torch)))
    few = 1 if quick else 3
    seconds, peaks = zip(*(conversion() for _ in range(few)), strict=True)
    rows.append(_row("GGUF to safetensors", seconds, peak_MB=max(peaks) / 1e6))
    with scratch() as folder:
        _, *seconds = (until_api([sys.executable, "-c", _LAB], cwd=folder) for _ in range(few + 1))  # the first copies
    rows.append(_row("labkit lab, until /api answers", seconds))
    protocol = f"{repeats} new processes each, {few} of the conversion and of JupyterLab, weights in the cache"
    if quick:
        return Section("startup", f"{protocol}; the first set-up takes minutes: --quick leaves it out", rows)
    times, ratios, note = fresh.first_set_up()
    rows += [_row(what, [seconds]) for what, seconds in times.items()]
    return Section("startup", f"{protocol}; {note}", rows, ratios)


def _row(name: str, seconds: Iterable[float], **more: Any) -> dict[str, Any]:
    seconds = list(seconds)
    times = {"median_s": statistics.median(seconds), "lowest_s": min(seconds), "highest_s": max(seconds)}
    return {"what": name, **times, "loads_torch": "", "peak_MB": ""} | more


def _once(program: str) -> tuple[float, bool]:
    output = subprocess.run(
        [sys.executable, "-c", _TIMED.format(program)], capture_output=True, text=True, check=True
    ).stdout
    seconds, torch = output.splitlines()[-1].split()
    return float(seconds), torch == "True"


def conversion() -> tuple[float, int]:
    """Seconds and peak bytes of the course model's conversion: the child process of `weights.ensure`, Python's start
    included."""
    with scratch() as folder:
        command = [
            sys.executable,
            "-m",
            "labkit.world.conversion",
            str(weights.gguf_file(quiet=True)),
            str(folder / "model"),
        ]
        began = time.perf_counter()
        child = subprocess.Popen(command)
        peak = Peak(child.pid)
        peak.start()
        code = child.wait()
        seconds = time.perf_counter() - began
        bytes_ = peak.stop()
    if code:
        raise LabError("The conversion of the course model failed (see above).")
    return seconds, bytes_
