"""How long until something is on the screen: `import labkit`, `start()`, loading the model."""

from __future__ import annotations

import statistics
import subprocess
import sys

from labkit import models
from labkit.bench import Section

# Each one runs in a new process and prints the seconds it took, without the start of Python itself.
_PROGRAMS = {
    "import labkit": "import labkit",
    "labkit.start() warm": "import labkit; labkit.start('00')",
    "start, then load in transformers": "import labkit; labkit.start('00'); labkit.local.load()",
}
_TIMED = """import time; began = time.perf_counter()
{}
import sys; print(time.perf_counter() - began, 'torch' in sys.modules)"""


def run(quick: bool) -> Section:
    """Median, lowest and highest of repeated starts, with the weights in the course cache."""
    models.ensure(quiet=True)
    rows = []
    for name, program in _PROGRAMS.items():
        seconds, torch = zip(*(_once(program) for _ in range(3 if quick else 10)), strict=True)
        rows.append(
            {
                "what": name,
                "median_s": statistics.median(seconds),
                "lowest_s": min(seconds),
                "highest_s": max(seconds),
                "loads_torch": any(torch),
            }
        )
    return Section("startup", f"{len(seconds)} new processes each, weights in the cache", rows)


def _once(program: str) -> tuple[float, bool]:
    output = subprocess.run(
        [sys.executable, "-c", _TIMED.format(program)], capture_output=True, text=True, check=True
    ).stdout
    seconds, torch = output.splitlines()[-1].split()
    return float(seconds), torch == "True"
