"""Where the gateway's answers come from: the model servers of this user, or an endpoint that speaks OpenAI's protocol.

Knows addresses, keys, the queue in front of them, and what to say when they fail. Knows nothing of what is asked.
A request waits for one of a few places. When all waiting places are taken, the next is refused at once with 503 and
`Retry-After`: a clear no is better than a wait without end. A model server that was killed is started again.
Lessons ask for the course model. An endpoint that has one model, under another name, is asked for that one, and the
answer says its name; where it has several, it is for the learner to say which.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from labkit.base.errors import LabError
from labkit.world.model_server.service import EMBEDDING_CONTEXT, model_server
from labkit.world.services import providers
from labkit.world.services.refusals import Refused

# Together as much memory for keys and values as one request of 8,192 tokens takes.
SLOTS, CONTEXT = 4, 2048
WAITING = 64
_RETRY_AFTER_S = 2
_LOOK_AGAIN_S = 60  # how long an endpoint's list of models is believed
# The gateway itself stays for a minute after its last user; its model servers need not wait another one after that.
_LINGER_S = 2.0

# (kind, address that failed) -> (URL, key). The kind is "chat" or "embeddings".
Locate = Callable[[str, tuple[str, str] | None], Awaitable[tuple[str, str]]]


class Upstream:
    """One place to send requests to, `slots` at a time, with up to `waiting` more in the queue."""

    def __init__(
        self, locate: Locate, name: str, *, is_ours: bool, proxy: bool, slots: int = SLOTS, waiting: int = WAITING
    ) -> None:
        self.name = name
        self.is_ours = is_ours  # the course's own llama.cpp, which needs what OpenAI's protocol has in another form
        self.models: list[str] = []  # of an endpoint, as it listed them last
        self._listed = -float("inf")
        self._locate = locate
        self._places = asyncio.Semaphore(slots)
        self._waiting, self._most_waiting = 0, waiting
        # A connection to llama.cpp is used once: it closes idle ones when it likes, and a request sent to one is lost.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0 if is_ours else 20, keepalive_expiry=2)
        self._client = httpx2.AsyncClient(timeout=httpx2.Timeout(None, connect=30), limits=limits, trust_env=proxy)

    @asynccontextmanager
    async def open(self, path: str, body: dict[str, Any], *, kind: str = "chat") -> AsyncIterator[httpx2.Response]:
        """Send a request and give its answer, unread. Refused when there is no place, or nobody answers."""
        async with self._place():
            address = await self._locate(kind, None)
            body = await self._addressed(address, body)
            try:
                try:
                    response = await self._send(address, path, body)
                except httpx2.ConnectError:
                    # Nothing was sent, so nothing is sent twice.
                    address = await self._locate(kind, address)
                    response = await self._send(address, path, body)
                try:
                    yield response
                finally:
                    await response.aclose()
            except httpx2.TransportError as problem:
                raise Refused(503, self._failure(problem), retry_after=_RETRY_AFTER_S) from None

    async def post(self, path: str, body: dict[str, Any], *, kind: str = "chat") -> dict[str, Any]:
        """Send a request and give its answer, read. What the other side refuses is refused."""
        async with self.open(path, body, kind=kind) as response:
            content = await response.aread()
            if response.status_code != 200:
                raise refusal(response, content, self)
            return json.loads(content)

    async def _addressed(self, address: tuple[str, str], body: dict[str, Any]) -> dict[str, Any]:
        """The request under the name that the endpoint has for its one model, if it asks for the course model."""
        if self.is_ours or str(body.get("model")).lower() != providers.course_model().lower():
            return body
        if time.monotonic() - self._listed > _LOOK_AGAIN_S:
            try:
                answer = await self._client.get(
                    f"{address[0]}/models", headers=_headers(address), timeout=10, auth=None
                )
                if answer.status_code < 500:  # it may be loading
                    self._listed = time.monotonic()
                self.models = [str(one["id"]) for one in answer.json()["data"]]
            except (httpx2.HTTPError, ValueError, LookupError, TypeError):
                self.models = []  # not every server has a list
        return body | {"model": self.models[0]} if len(self.models) == 1 else body

    async def _send(self, address: tuple[str, str], path: str, body: dict[str, Any]) -> httpx2.Response:
        request = self._client.build_request("POST", address[0] + path, json=body, headers=_headers(address))
        return await self._client.send(request, stream=True, auth=None)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._places.locked() and self._waiting >= self._most_waiting:
            raise Refused(
                503,
                f"The course's gateway is full: {self._waiting} requests are waiting. Try again in a moment.",
                retry_after=_RETRY_AFTER_S,
                error_type="overloaded",
            )
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()

    def _failure(self, problem: Exception) -> str:
        if isinstance(problem, httpx2.ConnectError | httpx2.ConnectTimeout):
            return f"{self.name} does not answer: is it running, and is its address right?"
        return f"{self.name} ended in the middle of this request: nothing of it is lost but the answer, so ask again."

    async def close(self) -> None:
        await self._client.aclose()


def _headers(address: tuple[str, str]) -> dict[str, str]:
    """Not compressed, so that pieces can be handed on as they come."""
    return {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {address[1]}"} if address[1] else {})


def ours(*, slots: int = SLOTS, waiting: int = WAITING) -> Upstream:
    """The course model on this machine: its servers are started when they are first needed, and after a crash."""
    known: dict[str, tuple[str, str]] = {}
    starting = asyncio.Lock()

    async def locate(kind: str, failed: tuple[str, str] | None) -> tuple[str, str]:
        if known.get(kind) in (None, failed):
            async with starting:  # of many that wait for it, one starts it
                if known.get(kind) in (None, failed):
                    known[kind] = await asyncio.to_thread(_join, kind, slots)
        return known[kind]

    return Upstream(locate, "The model server", is_ours=True, proxy=False, slots=slots, waiting=waiting)


def _join(kind: str, slots: int) -> tuple[str, str]:
    try:
        options = {"embeddings": True} if kind == "embeddings" else {"slots": slots, "context": CONTEXT}
        service = model_server(linger=_LINGER_S, **options)
    except LabError as problem:
        raise Refused(503, str(problem), retry_after=30) from None
    return f"{service.url}/v1", service.key


def endpoint(url: str, key: str, *, slots: int = SLOTS * 8, waiting: int = WAITING) -> Upstream:
    """A server elsewhere. `url` is its base, with or without the /v1 at the end; `key` may be empty."""
    base = base_url(url)

    async def locate(kind: str, failed: tuple[str, str] | None) -> tuple[str, str]:
        return base, key

    # Plain HTTP is for machines nearby: a proxy could read prompts and key. HTTPS it only carries.
    proxy = base.startswith("https:")
    return Upstream(locate, base, is_ours=False, proxy=proxy, slots=slots, waiting=waiting)


def base_url(url: str) -> str:
    """The URL in front of /chat/completions. LabError when it cannot be one.

    >>> base_url("http://teacher:8000/")
    'http://teacher:8000/v1'
    """
    if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", url):
        raise LabError(f"LABKIT_ENDPOINT cannot be {url!r}: give a URL like http://teacher:8000, without a password.")
    url = url.rstrip("/")
    return url if re.search(r"/v\d+$", url) else f"{url}/v1"


def refusal(response: httpx2.Response, content: bytes, upstream: Upstream) -> Refused:
    """What the other side says when it refuses, in the gateway's form."""
    try:
        found = json.loads(content)
        error = found.get("error") or found.get("detail") or found["message"]  # servers differ
    except (ValueError, LookupError, TypeError, AttributeError):
        error = content.decode(errors="replace")[:300]
    more = {key: value for key, value in error.items() if key != "message"} if isinstance(error, dict) else {}
    sentence = str(error.get("message", error) if isinstance(error, dict) else error) or "no reason given"
    status = response.status_code
    if upstream.is_ours and "too large to process" in sentence:
        return Refused(413, f"One of the texts has more than {EMBEDDING_CONTEXT} tokens: shorten it.")
    if not upstream.is_ours and status == 401:
        sentence = f"{upstream.name} does not know the key in LABKIT_ENDPOINT_KEY ({sentence})."
    if status == 404 and len(upstream.models) > 1:
        some = ", ".join(upstream.models[:8]) + (" ..." if len(upstream.models) > 8 else "")
        sentence = f"{sentence} Set MODEL to one of the models of {upstream.name}: {some}"
    again = response.headers.get("retry-after", "")
    return Refused(status, sentence, retry_after=int(again) if again.isdigit() else None, **more)
