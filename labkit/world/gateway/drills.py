"""Failures on request from the local gateway, and the requests that it got: what does the client do about them?

    drills.order(status=429, times=2, retry_after=1)   # the next two calls are refused, then all is well again
    len(drills.seen())                                 # how often the client has asked

Speaks to the learner's own gateway. Knows how it is reached. What a failure is, is in `ordered_failures`.
"""

from __future__ import annotations

import http.client
import os
from dataclasses import asdict
from typing import Any

from labkit.base.errors import LabError
from labkit.world.gateway import service as gateway
from labkit.world.services.ordered_failures import Drill, ask


def order(
    *,
    status: int | str,
    path: str = "",
    method: str = "POST",
    times: int = 1,
    retry_after: int | None = None,
    seconds: float = 2.0,
) -> None:
    """The next `times` requests that fit fail so. `path` is a regular expression that is searched for in the path.

    `status` is 400 to 504, or "slow" (nothing for `seconds`), "trickle" (`seconds` before each piece), "cut" (the
    connection breaks after a few pieces). `retry_after`, in seconds, becomes the header of that name.
    LabError for an order that makes no sense, and outside the local world, where calls would go to real providers.
    """
    if not os.environ.get("HF_ENDPOINT", "").startswith("http://127.0.0.1:"):
        raise LabError(
            "Nobody can order a real provider to fail: for this cell, restart the kernel and begin the lesson without "
            'mode="live".'
        )
    _ask("POST", asdict(Drill(status, path, method, times, retry_after, seconds)))


def clear() -> None:
    """Forget all orders, and what was seen."""
    _ask("DELETE")


def seen() -> list[dict[str, Any]]:
    """The requests since the last `clear`, oldest first, up to 500: method, path, status, and whether drilled."""
    return _ask("GET")


def _ask(method: str, body: Any = None) -> Any:
    service = gateway.inference_gateway()
    try:
        return ask(service.url, service.key, method, body)
    except (OSError, ValueError, http.client.HTTPException) as problem:
        raise LabError(f"The course's gateway did not answer ({problem}): run the cell again.") from None
