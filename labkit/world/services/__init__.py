"""One process a user for each service of the local world: started once, joined by every kernel, gone a minute later.

Knows how to start, find, judge and end that process. Knows nothing of what a service does: it is described by
a `Kind`, and its process calls `host.main`. Its files, and what tells one instance from another, are in
`records`. Accounts never share a service, whatever they can read.

    service = services.join(KIND)        # started now, or by another kernel before
    service.url, service.key             # for any HTTP client; the key goes in "Authorization: Bearer KEY"
"""

from __future__ import annotations

import atexit
import contextlib
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit import __version__
from labkit.base import processes
from labkit.base.errors import LabError
from labkit.world.services import records

LINGER_S = 60.0  # how long a service waits for a next user
PATIENCE_S = 120.0  # how long a start may take
_HEALTH_S = 10.0  # how long `/health` may take: the cores may be busy with a model


@dataclass(frozen=True)
class Service:
    """A running service. `url` has no path; every route but `/health` wants `key` as a bearer token."""

    name: str
    url: str
    key: str = field(repr=False)  # a printed Service must not leave a key in a notebook's output
    pid: int


@dataclass(frozen=True)
class Kind:
    """A service that can be run. `command(**options)` gives the command line for it, or raises LabError.

    `--service INSTANCE --port PORT --linger SECONDS` is added to it. The process binds to 127.0.0.1 (port 0: any free
    one), answers GET `/health` with 200, and hands over to `host.main`, or calls `host.host` itself. A failure that a
    learner can mend is its last line, beginning with `labkit:`.
    """

    name: str
    command: Callable[..., list[str]]


_joined: set[str] = set()


def join(
    kind: Kind, *, port: int = 0, linger: float = LINGER_S, patience: float = PATIENCE_S, **options: Any
) -> Service:
    """The running service of this kind with these options, started if needed; this process is its user from now on.

    Kernels that join with equal options (None means not given) share one process. `port` and `linger` (seconds) matter
    to the one who starts it. A process that is dead, does not answer, or belongs to another version of the course is
    replaced. Joining again is cheap, and the cure when a service was killed.
    Raises LabError when it cannot start within `patience` seconds, or `port` is taken.
    """
    options = {key: value for key, value in options.items() if value is not None}
    command = kind.command(**options)
    instance = records.instance_name(kind.name, options)
    try:
        with records.locked(instance, patience):
            # The lease comes first: a service that sees it does not end while we look.
            records.add_lease(instance)
            service = _usable(instance)
            if service is None:
                command += ["--service", instance, "--port", str(port), "--linger", str(linger)]
                service = _start(instance, command, port, patience)
            elif port and not service.url.endswith(f":{port}"):
                raise LabError(
                    f"The {kind.name} service runs at {service.url} already: leave out --port to use it there."
                )
    except BaseException as problem:
        if instance not in _joined:
            leave(instance)
        if isinstance(problem, OSError):
            raise LabError(f"The {kind.name} service could not be started ({problem.strerror or problem}).") from None
        raise
    if not _joined:
        atexit.register(leave_all)
    _joined.add(instance)
    return service


def leave(name: str) -> None:
    """This process no longer uses the service (`Service.name`). Leaving twice, or without having joined, is fine."""
    _joined.discard(name)
    with contextlib.suppress(OSError):
        records.remove_lease(name)


def leave_all() -> None:
    """Leave every service that this process joined; done at its exit as well."""
    for name in list(_joined):
        with contextlib.suppress(LabError):
            leave(name)


def running(name: str) -> Service | None:
    """The running service of this name (`Service.name`), if it is alive and answers."""
    state = records.read(name)
    return _service(name, state) if state and state.alive() and _answers(state.url) else None


def is_alive(service: Service) -> bool:
    """Whether the process of the service still runs: a look at the process table, not at the network."""
    state = records.read(service.name)
    return state is not None and state.pid == service.pid and state.alive()


def log_file(name: str) -> Path:
    """Where the service (`Service.name`) prints to."""
    return records.file(name, "log")


def users(name: str) -> list[int]:
    """The pids of the living processes that use the service (`Service.name`)."""
    return records.users(name)


def stop(name: str) -> None:
    """End the service (`Service.name`) now, whoever uses it. Their next `join` starts it anew."""
    with records.locked(name, PATIENCE_S):
        if state := records.read(name):
            processes.end(state.pid, state.birth)
        records.discard(name)


def stop_all() -> None:
    """End every service of this user."""
    for name in records.instances():
        stop(name)


def _service(instance: str, state: records.State) -> Service:
    return Service(instance, state.url, state.key, state.pid)


def _usable(instance: str) -> Service | None:
    """The service that the state file names, if it can be joined; what cannot is ended."""
    state = records.read(instance)
    if state is None:
        return None
    if state.version == __version__ and state.alive() and _answers(state.url):
        return _service(instance, state)
    processes.end(state.pid, state.birth)
    return None


def _start(instance: str, command: list[str], port: int, patience: float) -> Service:
    if port:
        processes.require_free(port)
    records.discard(instance)
    with records.new_log(instance) as output:
        process = processes.start(command, output, records.file(instance, "log").parent)
    try:
        return _when_ready(instance, process, patience)
    except BaseException:
        process.kill()
        raise


def _when_ready(instance: str, process: subprocess.Popen, patience: float) -> Service:
    """The started service, as soon as its state file is there and it answers."""
    log = records.file(instance, "log")
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        state = records.read(instance)
        if state and state.alive() and _answers(state.url):
            return _service(instance, state)
        if ended:
            last = records.last_line(instance)
            if last.startswith("labkit: "):
                raise LabError(last.removeprefix("labkit: "))
            raise LabError(f"The {instance} service ended while it started ({last[:300]}): see {log}.")
        time.sleep(0.02)
    raise LabError(f"The {instance} service was not ready within {patience:.0f} seconds: see {log}, then try again.")


def _answers(url: str) -> bool:
    """Whether `/health` says 200. http.client asks no proxy."""
    import http.client

    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=_HEALTH_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, OverflowError, http.client.HTTPException):
        return False
    finally:
        connection.close()
