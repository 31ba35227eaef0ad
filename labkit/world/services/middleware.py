"""What the servers of the local world share around their applications. Plain ASGI. Knows nothing of what is asked."""

from __future__ import annotations

import json
from typing import Any


async def refuse(send: Any, status: int, sentence: str, headers: dict[str, str] | None = None, **more: Any) -> None:
    """An error in the forms that clients read: `X-Error-Message`, and JSON with `error`."""
    body = json.dumps({"error": sentence, **more}).encode()
    plain = sentence.encode("ascii", "replace").replace(b"\n", b" ")
    fixed = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    extra = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    start = {"type": "http.response.start", "status": status, "headers": [*fixed, (b"x-error-message", plain), *extra]}
    await send(start)
    await send({"type": "http.response.body", "body": body})


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
