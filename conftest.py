"""Makes `pytest --nbval notebooks` strict (labkit/authoring/strict.py), and labkit importable in a bare checkout."""

import os

from labkit import machine

pytest_plugins = ["labkit.authoring.strict"]

# As in lessons: tests that compute share the cores with servers, kernels and each other.
for _name, _value in machine.PATIENT_THREADS.items():
    os.environ.setdefault(_name, _value)
