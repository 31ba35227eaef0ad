"""A limit on the memory of a process and of all that it starts, held by the system: Linux control groups, v1 and v2.

Binder gives a learner 2 GB in all. A measurement every tenth of a second may miss a short peak; the system does not.
Where no group can be made (other systems, no rights), `process_memory` watches instead. Knows no notebook.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from labkit.base import machine

BINDER_BYTES = 2_000_000_000
# Of these, Jupyter's own server: JupyterLab 4.6 with a notebook open in a browser took 0.105 GB (PSS, November 2026),
# and its variant for a JupyterHub, which Binder runs, loads the hub's client as well.
SERVER_BYTES = 150_000_000


@dataclass(frozen=True)
class Group:
    """A control group with a limit. A process enters by being started with `prefix` before its command."""

    folder: Path
    version: int

    @property
    def prefix(self) -> list[str]:
        """What goes before a command, so that it and its children are inside from the first instruction."""
        return ["/bin/sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(self.folder)]

    def kills(self) -> int:
        """How many processes the system has ended because the group was full."""
        file = self.folder / ("memory.events" if self.version == 2 else "memory.oom_control")
        found = [line.split() for line in file.read_text(encoding="ascii").splitlines()]
        return next((int(words[1]) for words in found if words[0] == "oom_kill"), 0)

    def pids(self) -> list[int]:
        """The processes inside."""
        return [int(word) for word in (self.folder / "cgroup.procs").read_text(encoding="ascii").split()]


@contextlib.contextmanager
def group(limit_bytes: float) -> Iterator[Group | None]:
    """A group of this limit, removed afterwards with all that is still inside; None where none can be made."""
    made = next(filter(None, (_make(parent, int(limit_bytes)) for parent in _parents())), None)
    try:
        yield made
    finally:
        if made:
            _remove(made)


def _parents() -> list[Path]:
    """The groups in which ours could be: that of this process, and the highest that is seen from here."""
    folders = machine.cgroup_folders(machine.CGROUP, "memory")
    return [folder for folder in reversed(folders) if (folder / "cgroup.procs").is_file()]


def _make(parent: Path, limit: int) -> Group | None:
    folder = parent / f"labkit-{os.getpid()}-{time.monotonic_ns()}"
    try:
        folder.mkdir()
    except OSError:
        return None
    version = 2 if (folder / "memory.max").is_file() else 1
    # Without swap, which Binder does not have.
    wanted = {"memory.max": limit} if version == 2 else {"memory.limit_in_bytes": limit}
    wanted |= {"memory.swap.max": 0} if (folder / "memory.swap.max").is_file() else {}
    try:
        for name, value in wanted.items():
            # Written in place: these files are switches of the kernel.
            with (folder / name).open("r+", encoding="ascii") as switch:
                switch.write(str(value))
        return Group(folder, version)
    except OSError:
        with contextlib.suppress(OSError):
            folder.rmdir()
        return None


def _remove(made: Group) -> None:
    deadline = time.monotonic() + 5
    while made.folder.exists() and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            made.folder.rmdir()
            return
        with contextlib.suppress(OSError, psutil.Error):
            for pid in made.pids():
                psutil.Process(pid).kill()
        time.sleep(0.05)
