"""What the process of a service calls: announce itself, stay while it is used, go when nobody is left.

Knows leases and signals. Knows nothing of what is served.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labkit.base.errors import LabError
from labkit.world import services
from labkit.world.services import records

_WATCH_S = 2.0  # how often the leases are looked at


def main(
    argv: list[str], parser: argparse.ArgumentParser, serve: Callable[[argparse.Namespace, str], tuple[str, Any]]
) -> int:
    """The process of a service, from its command line to its end.

    `parser` has what this service alone is told. `serve(options, key)` begins to serve in other threads, asks clients
    for the random `key`, and gives the URL and what has to live for as long as it serves. It may raise LabError.
    """
    parser.add_argument("--service", required=True, help="the name of the service")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--linger", type=float, default=services.LINGER_S, help="seconds to wait for a next user")
    options, key = parser.parse_args(argv), secrets.token_urlsafe(24)
    try:
        url, _running = serve(options, key)
    except LabError as problem:
        print(f"labkit: {problem}", file=sys.stderr)
        return 1
    host(options.service, url, key, linger=options.linger)
    # Without waiting for requests in flight: nobody is left to want them, or somebody asked us to end.
    os._exit(0)


def host(instance: str, url: str, key: str, *, linger: float) -> None:
    """Tell the world that this process now serves at `url`, and wait until it should end.

    That is `linger` seconds after the last user process is gone, at SIGTERM or SIGINT, or as soon as the state file is
    missing or names another process. Call it in the main thread, and end the process when it returns.
    """
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    # Never over another's state: if two starts were ever to overlap, the second to be ready gives way.
    if not records.create(instance, url, key):
        return
    file = records.file(instance, "json")
    last_used = time.monotonic()
    while not done.wait(max(0.05, min(_WATCH_S, linger / 2))) and _is_mine(file, instance):
        if records.users(instance):
            last_used = time.monotonic()
        elif time.monotonic() - last_used >= linger and _retired(instance):
            return
    if _is_mine(file, instance):
        records.discard(instance)


def _retired(instance: str) -> bool:
    """Remove the state file, unless somebody uses the service after all or is about to join it."""
    with contextlib.suppress(LabError), records.locked(instance, 0):
        if not records.users(instance):
            records.discard(instance)
            return True
    return False


def _is_mine(file: Path, instance: str) -> bool:
    """Whether the state file still names this process. A deleted cache is not made anew by looking."""
    state = records.read(instance) if file.exists() else None
    return state is not None and state.pid == os.getpid()
