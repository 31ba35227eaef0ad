"""Makes `pytest --nbval notebooks` strict (author/comparison.py), labkit importable, and shares the cores out."""

import os

import pytest

from labkit.base import machine

pytest_plugins = ["author.comparison"]

# As in lessons: tests that compute share the cores with servers, kernels and each other.
for _name, _value in machine.PATIENT_THREADS.items():
    os.environ.setdefault(_name, _value)


def pytest_configure(config: pytest.Config) -> None:
    """Give each of several workers cores of its own: a lesson beside another computes with the threads that fit."""
    worker = getattr(config, "workerinput", None)
    if worker and hasattr(os, "sched_setaffinity"):  # Linux
        cores = sorted(os.sched_getaffinity(0))
        if own := cores[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]:
            os.sched_setaffinity(0, own)
