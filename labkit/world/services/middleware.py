"""What the servers of the local world share around their applications. Plain ASGI. Knows nothing of what is asked."""

from __future__ import annotations

from typing import Any


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
