"""A service at a terminal: say how to use it, and stay until Ctrl-C. Knows nothing of what the service does."""

from __future__ import annotations

import time

from labkit.base.errors import LabError
from labkit.world import services


def stay(service: services.Service, greeting: str, *, called: str, ended: str) -> int:
    """Print the greeting and wait for Ctrl-C, then leave and say what becomes of the service: it may have other users.

    LabError with the sentence `ended` when the service is gone before that.
    """
    try:
        print(greeting, flush=True)
        while services.is_alive(service):
            time.sleep(1)
    except KeyboardInterrupt:
        services.leave(service.name)
        others = len(services.users(service.name))
        using = f"runs on: {programs(others)} still use{'s' if others == 1 else ''} it"
        print(f"\nYou left; the {called} {using if others else 'ends within a minute'}.", flush=True)
        return 0
    raise LabError(ended)


def programs(count: int) -> str:
    """Such as "2 other programs"."""
    return f"{count} other program{'s' if count > 1 else ''}"
