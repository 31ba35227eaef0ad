"""What the servers of the local world share around their applications. Plain ASGI. Knows nothing of what is asked."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from labkit.world.services.refusals import Refused

_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


class Mark:
    """Put the same warning on every answer; the client prints it once."""

    def __init__(self, app: Any, warning: str) -> None:
        self.app = app
        self.header = (b"x-hf-warning", warning.encode())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def marked(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], self.header]
            await send(message)

        await self.app(scope, receive, marked)


class FromHere:
    """Refuse what a web page asks under a name of its own (DNS rebinding): the course's tokens are no secret.

    The host that a client asks for, and the page that a request comes from if it says so, must be on this machine.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", ()))
        asked = "//" + headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin", b"//localhost").decode("latin-1")
        if scope["type"] == "http" and not (_is_here(asked) and _is_here(origin)):
            refused = Refused(403, "This server answers programs on its own machine: ask for it as 127.0.0.1.")
            return await refused.response(scope["path"])(scope, receive, send)
        await self.app(scope, receive, send)


def _is_here(url: str) -> bool:
    try:
        return urlsplit(url).hostname in _THIS_MACHINE
    except ValueError:
        return False
