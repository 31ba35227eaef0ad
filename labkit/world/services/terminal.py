"""A service at a terminal: say how to use it, and stay until Ctrl-C. Knows nothing of what the service does."""

from __future__ import annotations

import time
from collections.abc import Callable

from labkit.base.errors import LabError
from labkit.world import services


def stay(service: services.Service, greeting: str, *, called: str, ended: str) -> int:
    """Print the greeting and wait for Ctrl-C, then leave and say what becomes of the service: it may have other users.

    LabError with the sentence `ended` when the service is gone before that.
    """
    if not until_ctrl_c(greeting, lambda: services.is_alive(service)):
        raise LabError(ended)
    services.leave(service.name)
    others = len(services.users(service.name))
    using = f"runs on: {programs(others)} still use{'s' if others == 1 else ''} it"
    print(f"\nYou left; the {called} {using if others else 'ends within a minute'}.", flush=True)
    return 0


def until_ctrl_c(greeting: str, alive: Callable[[], bool] = lambda: True) -> bool:
    """Print the greeting, wait for Ctrl-C, and say whether it came: False when `alive()` is over before that."""
    try:
        print(greeting, flush=True)
        while alive():
            time.sleep(1)
    except KeyboardInterrupt:
        return True
    return False


def programs(count: int) -> str:
    """Such as "2 other programs"."""
    return f"{count} other program{'s' if count > 1 else ''}"
