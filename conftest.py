"""Makes `pytest --nbval notebooks` strict (labkit/authoring/strict.py), and labkit importable in a bare checkout."""

import os

pytest_plugins = ["labkit.authoring.strict"]


def pytest_configure() -> None:
    """Give each of several workers cores of its own: torch and llama.cpp wait for their threads by spinning.

    Two threads of one on a core that the other one holds made both ten times slower (2 cores, 2026-11-27).
    """
    worker, count = os.environ.get("PYTEST_XDIST_WORKER", ""), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    if worker and hasattr(os, "sched_setaffinity"):  # Linux
        cores = sorted(os.sched_getaffinity(0))
        if own := cores[int(worker.removeprefix("gw")) :: count]:
            os.sched_setaffinity(0, own)
