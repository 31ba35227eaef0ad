"""What lessons on Inference Providers need beyond the client: the way to the local gateway, what is sent, its cost.

`connect_local()` sends the unmodified `InferenceClient` to the course's gateway, through the client's own hook for HTTP
clients. `watch()` shows requests before they leave. `SpendMeter` (from `labkit.world.spending`) stops a call that could
cost more than is left. Prices are those of `labkit.pricing`, at a fixed date. Knows nothing of what a lesson asks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.facts import pricing
from labkit.world.spending import CapReached as CapReached
from labkit.world.spending import SpendMeter as SpendMeter

if TYPE_CHECKING:
    from labkit.world.services import Service

ROUTER = "router.huggingface.co"


@dataclass(frozen=True)
class Sent:
    """A request as the client made it: `url` is where the learner's own code would send it; secrets are left out."""

    method: str
    url: str
    headers: dict[str, str]
    body: Any  # JSON as Python values; None when there is none

    def __str__(self) -> str:
        lines = [f"{self.method} {self.url}", *(f"{name}: {value}" for name, value in self.headers.items())]
        return "\n".join([*lines, "", json.dumps(self.body, indent=2, ensure_ascii=False)])


_gateway: Service | None = None
_watchers: list[tuple[list[Sent], bool]] = []
_hooked = False


def connect_local() -> Service:
    """Send the libraries of this process to the local Hub and gateway, with a token that is nobody's; the gateway.

    Call it before `huggingface_hub` is imported: it reads its settings then. Calling it again is cheap.
    Raises LabError when a service cannot start.
    """
    global _gateway
    from labkit.world import hub_client as hub
    from labkit.world.gateway.service import inference_gateway

    hub.connect()
    _gateway = inference_gateway()
    _hook()
    return _gateway


@contextmanager
def watch(*, show: bool = True) -> Iterator[list[Sent]]:
    """Within the block, note each request that huggingface_hub sends, and print it before it leaves.

    Tokens are shown as `***`. What the client was going to send is shown, whether it goes to a provider or the gateway.
    """
    _hook()
    sent: list[Sent] = []
    entry = (sent, show)
    _watchers.append(entry)
    try:
        yield sent
    finally:
        _watchers[:] = [other for other in _watchers if other is not entry]


def _hook() -> None:
    """Put `_outgoing` into the HTTP clients of huggingface_hub, beside its own hooks; httpx and httpx2 alike."""
    global _hooked
    if _hooked:
        return
    import huggingface_hub as hub

    def factory(example: Any, hook: Any) -> Any:
        kind, hooks = type(example), example.event_hooks
        ours = {**hooks, "request": [*hooks["request"], hook]}
        return lambda: kind(event_hooks=ours, follow_redirects=True, timeout=None)

    async def outgoing(request: Any) -> None:
        _outgoing(request)

    hub.set_client_factory(factory(hub.get_session(), _outgoing))
    hub.set_async_client_factory(factory(hub.get_async_session(), outgoing))
    _hooked = True


def _outgoing(request: Any) -> None:
    """Look at a request and, in the local world, turn it to the gateway."""
    if _watchers:
        note = _sent(request)
        for sent, show in list(_watchers):
            sent.append(note)
            if show:
                print(note, flush=True)
    if _gateway is None:
        return
    if request.url.host == ROUTER:
        _require_gateway()
    host, port = _gateway.url.removeprefix("http://").split(":")
    if request.url.host == ROUTER:
        request.url = request.url.copy_with(scheme="http", host=host, port=int(port))
        request.headers["host"] = f"{host}:{port}"
    if (request.url.host, request.url.port) == (host, int(port)):
        request.headers["x-labkit-key"] = _gateway.key
    elif "x-labkit-key" in request.headers:  # a redirect to somewhere else
        del request.headers["x-labkit-key"]


def _require_gateway() -> None:
    """Start the gateway again if its process was killed: a look at the process table. LabError when it cannot start."""
    global _gateway
    from labkit.world import services
    from labkit.world.gateway import service

    if _gateway is not None and not services.is_alive(_gateway):
        _gateway = service.inference_gateway()


def _sent(request: Any) -> Sent:
    secret = {"authorization", "cookie", "x-labkit-key", "x-api-key"}
    shown = {
        name: "***" if name.lower() in secret else value
        for name, value in request.headers.items()
        if name.lower() in secret or name.lower() in ("content-type", "user-agent", "x-hf-bill-to")
    }
    try:
        body = json.loads(request.read()) if request.method != "GET" else None
    except (ValueError, RuntimeError):  # no JSON, or a stream that can be read once only
        body = None
    return Sent(request.method, str(request.url), shown, body)


def cost_usd(usage: Any, provider: str, model: str) -> float:
    """What a request with this `usage` costs at a real provider, in USD, at the list price of `pricing.AS_OF`.

    `usage` is what an answer has (`prompt_tokens`, `completion_tokens`); provider and model as genai-prices names them.
    Another model has another tokenizer and writes another number of tokens: for those it is an estimate. Thinking
    tokens are among `completion_tokens`; a cache and a batch's lower price are ignored.

    >>> cost_usd({"prompt_tokens": 1000, "completion_tokens": 1000}, "openai", "gpt-4")
    0.09
    """
    given = usage if isinstance(usage, dict) else vars(usage)
    return pricing.request_usd(provider, model, given["prompt_tokens"], given["completion_tokens"])
