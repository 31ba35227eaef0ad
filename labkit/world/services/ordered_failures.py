"""Failures on request: the next calls get a 429, a slow answer, or a stream that breaks off.

`Drills` is the ASGI middleware that the gateway and the Hub put before their answers; `ask` is how a lesson's side
speaks to it. Knows what a failure looks like to a client. Knows nothing of the answers that it replaces.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse

from labkit.base.errors import LabError
from labkit.world.services.refusals import Refused

ROUTE = "/_drills"
SENTENCES = {
    400: "The request makes no sense.",
    401: "Invalid credentials in Authorization header.",
    402: "The credits of this account are used up: buy more, or wait for the next month.",
    403: "This token may not call Inference Providers: make one that may.",
    404: "There is no such model.",
    429: "Too many requests: slow down.",
    500: "Something broke on the server.",
    502: "The provider behind the router gave no proper answer.",
    503: "The model is loading.",
    504: "The provider did not answer in time.",
}
KINDS = ("slow", "cut", "trickle")
_CUT_AFTER = 3  # pieces of an answer that still come before it is cut


@dataclass
class Drill:
    """One order. `status` is an HTTP status, or "slow" (before the first byte), "trickle" (before each), "cut"."""

    status: int | str
    path: str = ""
    method: str = "POST"
    times: int = 1
    retry_after: int | None = None
    seconds: float = 2.0

    def __post_init__(self) -> None:
        if self.status not in (*SENTENCES, *KINDS):
            known = ", ".join(map(str, (*SENTENCES, *KINDS)))
            raise LabError(f"There is no drill {self.status!r}: choose from {known}.")
        if not isinstance(self.method, str):
            raise LabError(f"method cannot be {self.method!r}: give GET, POST or another of HTTP's words.")
        if not isinstance(self.times, int) or not 1 <= self.times <= 1000:
            raise LabError(f"A drill cannot be met {self.times!r} times: give a whole number from 1 to 1000.")
        if not isinstance(self.seconds, int | float) or not 0 <= self.seconds <= 600:
            raise LabError(f"A drill cannot wait {self.seconds!r} seconds: give 0 to 600.")
        if self.retry_after is not None and (not isinstance(self.retry_after, int) or self.retry_after < 0):
            raise LabError(f"retry_after cannot be {self.retry_after!r}: give whole seconds.")
        try:
            re.compile(self.path)
        except (re.error, TypeError):
            raise LabError(f"path cannot be {self.path!r}: give a regular expression.") from None

    def fits(self, method: str, path: str) -> bool:
        return method == self.method.upper() and re.search(self.path, path) is not None


def ask(url: str, key: str, method: str, body: Any = None) -> Any:
    """What the drills of the service at `url` answer to POST (an order), DELETE (forget all) and GET (what was seen).

    OSError, ValueError or http.client.HTTPException when it gives no proper answer.
    """
    import http.client

    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request(method, ROUTE, json.dumps(body), {"Authorization": f"Bearer {key}"})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


class Drills:
    """Gives each request the failure that was ordered for it, if any, and remembers every request."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.orders: list[Drill] = []
        self.seen: deque[dict[str, Any]] = deque(maxlen=500)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] == "/health":
            return await self.app(scope, receive, send)
        if scope["path"] == ROUTE:
            return await self._desk(scope, receive, send)
        drill = self._next(scope["method"], scope["path"])
        entry = {"method": scope["method"], "path": scope["path"], "status": None, "drilled": drill is not None}
        self.seen.append(entry)

        async def noted(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
            await send(message)

        if drill is None:
            await self.app(scope, receive, noted)
        elif isinstance(drill.status, int):
            refused = Refused(drill.status, f"Drill: {SENTENCES[drill.status]}", retry_after=drill.retry_after)
            await refused.response(scope["path"])(scope, receive, noted)
        else:
            await self._met(drill, scope, receive, noted)

    def _next(self, method: str, path: str) -> Drill | None:
        for drill in self.orders:
            if drill.fits(method, path):
                drill.times -= 1
                if not drill.times:
                    self.orders.remove(drill)
                return drill
        return None

    async def _met(self, drill: Drill, scope: Any, receive: Any, send: Any) -> None:
        if drill.status == "slow":
            await asyncio.sleep(drill.seconds)
            return await self.app(scope, receive, send)
        pieces = 0
        over = asyncio.Event()

        async def through(message: dict[str, Any]) -> None:
            nonlocal pieces
            if drill.status == "trickle":
                await asyncio.sleep(drill.seconds)
            elif message["type"] == "http.response.body":
                pieces += 1
                whole = pieces == 1 and not message.get("more_body")
                if whole:  # an answer in one piece is cut in its middle
                    half = message["body"][: len(message["body"]) // 2]
                    await send({"type": "http.response.body", "body": half, "more_body": True})
                if whole or pieces > _CUT_AFTER:
                    over.set()
                    await asyncio.Event().wait()
            await send(message)

        work, cut = asyncio.ensure_future(self.app(scope, receive, through)), asyncio.ensure_future(over.wait())
        try:
            await asyncio.wait({work, cut}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Returning before the answer is complete makes the server close the connection.
            cut.cancel()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _desk(self, scope: Any, receive: Any, send: Any) -> None:
        answer: Any = {}
        if scope["method"] == "POST":
            try:
                self.orders.append(Drill(**json.loads((await receive())["body"])))
            except (ValueError, TypeError, LabError) as problem:
                return await Refused(400, str(problem)).response()(scope, receive, send)
        elif scope["method"] == "DELETE":
            self.orders.clear()
            self.seen.clear()
        else:
            answer = list(self.seen)
        await JSONResponse(answer)(scope, receive, send)
