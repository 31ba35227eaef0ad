"""Failures on request from the local Hub, and the requests that it got: what does the client do about them?

    hub_drills.order(path="/api/models", status=429, times=2, retry_after=1)
    list(HfApi().list_models(limit=1))        # comes back until it is answered
    len(hub_drills.seen())                    # 3

What a failure is, is in `ordered_failures`, as for the gateway. Knows how the Hub is reached, and who may order.
"""

from __future__ import annotations

import http.client
import os
import re
from dataclasses import asdict
from typing import Any

from labkit.base.errors import LabError
from labkit.world.hub.access import TOKENS
from labkit.world.services.ordered_failures import ROUTE, Drill, Drills, ask
from labkit.world.services.refusals import Refused


def order(
    *,
    status: int | str,
    path: str = "",
    method: str = "GET",
    times: int = 1,
    retry_after: int | None = None,
    seconds: float = 2.0,
) -> None:
    """The next `times` requests that fit fail so; see `gateway.drills.order`. What was seen before is forgotten."""
    drill = asdict(Drill(status, path, method, times, retry_after, seconds))
    clear()
    _ask("POST", drill)


def clear() -> None:
    """Forget all orders, and what was seen."""
    _ask("DELETE")


def seen() -> list[dict[str, Any]]:
    """The requests since the last `order` or `clear`, oldest first, up to 500: method, path, status, drilled."""
    return _ask("GET")


def _ask(method: str, body: Any = None) -> Any:
    url = os.environ.get("HF_ENDPOINT", "")
    if not re.fullmatch(r"http://127\.0\.0\.1:\d+", url):
        raise LabError("Drills belong to the course's Hub: they need the local world of a lesson about the Hub.")
    try:
        return ask(url, next(iter(TOKENS)), method, body)
    except (OSError, ValueError, http.client.HTTPException) as problem:
        raise LabError(f"The course's Hub did not answer ({problem}): run the set-up cell again.") from None


class HubDrills(Drills):
    """The middleware. Orders are taken from who has a token of the course."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == ROUTE:
            given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ")
            if given not in TOKENS:
                refused = Refused(401, "Drills are ordered with a token of the course.")
                return await refused.response()(scope, receive, send)
        await super().__call__(scope, receive, send)
