"""What surrounds the gateway's application: who may ask, how much, and until when.

Plain ASGI. Knows keys, sizes and connections. Knows nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from labkit.world.services.refusals import Refused

NOT_A_PROVIDER = "local-gateway; answers come from the course's gateway, not from huggingface.co or a provider"
KEY_HEADER = "x-labkit-key"
COURSE_TOKENS = "hf_course_"
MAX_BODY = 4 << 20


class Guard:
    """Let in who has the key, read the body once, and stop working as soon as the caller has gone.

    The key comes as bearer token, or in a header of its own beside a token of the course, which is what a lesson sends:
    it says "my own gateway", and the token is judged as a provider would. With `class_token` only that token counts.
    """

    def __init__(self, app: Any, *, key: str, class_token: bool = False) -> None:
        self.app = app
        self.key = key
        self.class_token = class_token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] == "/health":
            return await self.app(scope, receive, send)
        if problem := self._problem(dict(scope["headers"])):
            return await Refused(401, problem).response()(scope, receive, send)
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MAX_BODY:
                refused = Refused(413, f"A request has at most {MAX_BODY >> 20} MB: send less.")
                refused.headers["Connection"] = "close"
                return await refused.response()(scope, receive, send)
        await self._until_gone(scope, bytes(body), receive, send)

    def _problem(self, headers: dict[bytes, bytes]) -> str:
        token = headers.get(b"authorization", b"").removeprefix(b"Bearer ").strip()
        if secrets.compare_digest(token, self.key.encode()):
            return ""
        if self.class_token:
            return "Ask the teacher for the class token and set it as LABKIT_ENDPOINT_KEY: this one is not it."
        if not secrets.compare_digest(headers.get(KEY_HEADER.encode(), b""), self.key.encode()):
            return "This is another program's gateway: its key is missing."
        if token.startswith(COURSE_TOKENS.encode()):
            return ""
        return "Invalid credentials in Authorization header: the course's gateway knows the course's tokens only."

    async def _until_gone(self, scope: Any, body: bytes, receive: Any, send: Any) -> None:
        sent = False

        async def replay() -> dict[str, Any]:
            nonlocal sent
            if sent:  # nothing more will come; who leaves is noticed outside
                await asyncio.Event().wait()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        work, watch = asyncio.ensure_future(self.app(scope, replay, send)), asyncio.ensure_future(gone())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            if not work.done():
                work.cancel()
        await asyncio.gather(work, return_exceptions=work.cancelled() or watch.done() and not work.done())
