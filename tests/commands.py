"""Commands of labkit in processes of their own, as a person types them."""

from __future__ import annotations

import subprocess
import sys

from labkit.base import processes


def labkit(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """`labkit ARGUMENTS`, run to its end with these environment variables added."""
    command = [sys.executable, "-m", "labkit", *map(str, arguments)]
    environment = processes.child_environment(PYTHONUTF8="1", **variables)
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, timeout=240)


def python(
    program: str, *arguments: object, folder: object = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """A program of Python that finds this labkit, and modules in `folder`; run to its end."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    environment = processes.child_environment(*([folder] if folder else []), **variables)
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280)
