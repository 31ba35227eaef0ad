"""The files of a service: who runs it, who uses it, and the lock around both.

They lie in `services/HOST/` of the course cache, since two machines may share it, and are the user's own. INSTANCE is
the service's name, followed by a hash of its options when there are any, so that another model is another process:

    INSTANCE.json     who runs: pid, birth, url, key, version, arguments; mode 0600; written and removed by the service
    INSTANCE.lock     held while a process starts or joins the service, and while the service decides to end; mode 0600
    INSTANCE.users/   one empty file a user process, PID-BIRTH: its lease
    INSTANCE.log      what the running or the last process printed; mode 0600

Knows names and contents. Knows nothing of how a service is started or reached.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from labkit import __version__
from labkit.base import cache, processes
from labkit.base.errors import LabError


@dataclass(frozen=True)
class State:
    """What INSTANCE.json says: the process that runs the service, how to reach it, which labkit it belongs to."""

    pid: int
    birth: float
    url: str
    key: str
    version: str

    def alive(self) -> bool:
        return processes.is_alive(self.pid, self.birth)


def _folder() -> Path:
    return cache.subfolder("services", cache.host())


def file(instance: str, suffix: str) -> Path:
    return _folder() / f"{instance}.{suffix}"


def instance_name(name: str, options: dict[str, Any]) -> str:
    """`model`, or `model-1a2b3c4d` when options are given."""
    if not options:
        return name
    return f"{name}-{hashlib.sha256(json.dumps(options, sort_keys=True, default=str).encode()).hexdigest()[:8]}"


def instances() -> list[str]:
    """The services that have a state file, running or not."""
    return sorted(found.stem for found in _folder().glob("*.json"))


def read(instance: str) -> State | None:
    """The state file, or None when there is none or it makes no sense. LabError when it is another account's."""
    path = file(instance, "json")
    try:
        with path.open(encoding="utf-8") as stream:
            if os.name == "posix" and os.fstat(stream.fileno()).st_uid != os.getuid():
                raise PermissionError
            found = json.load(stream)
        if not re.fullmatch(r"http://127\.0\.0\.1:\d{1,5}", found["url"]):
            return None
        pid, birth = int(found["pid"]), float(found["birth"])
        return State(pid, birth, found["url"], str(found["key"]), str(found["version"]))
    except PermissionError:
        if os.name == "posix":  # Windows says this of a file that is being deleted, too
            raise LabError(f"{path} belongs to another account: set LABKIT_CACHE to a folder of your own.") from None
        return None
    except (OSError, ArithmeticError, ValueError, LookupError, TypeError, RecursionError):
        return None


def create(instance: str, url: str, key: str) -> bool:
    """Write the state file for this process; False when there is one already, which stays as it is."""
    state = {"pid": os.getpid(), "birth": processes.birth(os.getpid()), "url": url, "key": key}
    state |= {"version": __version__, "arguments": sys.argv[1:]}
    try:
        descriptor = os.open(file(instance, "json"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(state, stream)
    return True


def discard(instance: str) -> None:
    """Remove the state file."""
    for _ in range(20):
        try:
            return file(instance, "json").unlink(missing_ok=True)
        except PermissionError:  # on Windows, while another process reads it
            time.sleep(0.05)


def add_lease(instance: str) -> None:
    """Count this process as a user of the service."""
    (_leases(instance) / f"{os.getpid()}-{processes.birth(os.getpid()):.2f}").touch()


def remove_lease(instance: str) -> None:
    """Count it no longer. A forked child has another pid, so it cannot take its parent's lease away."""
    for lease in _leases(instance).glob(f"{os.getpid()}-*"):
        lease.unlink(missing_ok=True)


def users(instance: str) -> list[int]:
    """The pids of the living users. The leases of dead ones are removed."""
    living = []
    for lease in _leases(instance).iterdir():
        pid, _, birth = lease.name.partition("-")
        with contextlib.suppress(ValueError):  # a name that is no lease
            if processes.is_alive(int(pid), float(birth)):
                living.append(int(pid))
            else:
                lease.unlink(missing_ok=True)
    return sorted(living)


def new_log(instance: str) -> BinaryIO:
    """The log, emptied and open for writing; nobody else's to read, whatever the umask or an older file says."""
    path = file(instance, "log")
    with contextlib.suppress(PermissionError):  # on Windows, while a process of before still has it
        path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb")


def last_line(instance: str) -> str:
    """The last line of the log that says something. A full disk holds no line, so it is looked at itself."""
    lines = file(instance, "log").read_text(encoding="utf-8", errors="replace").split("\n")
    full = shutil.disk_usage(_folder()).free < 1_000_000
    silent = "the disk is full: make room, then try again" if full else "it printed nothing"
    return next((line.strip() for line in reversed(lines) if line.strip()), silent)


@contextlib.contextmanager
def locked(instance: str, seconds: float) -> Iterator[None]:
    """Alone with the files of this instance; LabError when that takes longer than `seconds`.

    The system frees the lock when its holder dies, so a stale lock file does not matter.
    """
    path = file(instance, "lock")
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(cache.locked(path, seconds))
        except TimeoutError:
            raise LabError(
                f"Another process has been starting the {instance} service for {seconds:.0f} seconds: wait, or end it."
            ) from None
        yield


def _leases(instance: str) -> Path:
    return cache.subfolder("services", cache.host(), f"{instance}.users")
