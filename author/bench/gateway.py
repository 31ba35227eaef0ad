"""What the gateway costs: the same requests to it and to the model server behind it, in turn."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from labkit.front.bench import Section, interleaved, ratio
from labkit.world.services import Service

_MESSAGES = [{"role": "user", "content": "Tell a long story about a lighthouse keeper and the sea."}]
_NEW_TOKENS = 64


def run(quick: bool) -> Section:
    """Milliseconds a request and to the first token, and tokens per second: through the gateway and without it."""
    from labkit.world.gateway.service import inference_gateway
    from labkit.world.gateway.upstream import CONTEXT, SLOTS
    from labkit.world.model_server.service import model_server

    server, gateway = model_server(slots=SLOTS, context=CONTEXT), inference_gateway()
    pairs = 5 if quick else 30
    parts: list[tuple[str, Callable[[Service], float], int, str]] = [
        ("ms a request", _request_ms, pairs * 4, "5 more at most"),
        ("ms to the first token", _first_token_ms, pairs * 4, ""),
        ("tokens per s", _tokens_per_s, pairs, "3 % fewer at most"),
    ]
    rows, ratios = [], []
    for name, measure, count, aim in parts:
        ways = [lambda of=measure: of(server), lambda of=measure: of(gateway)]
        for way in ways:
            way()  # the first call of each pays for warming up
        bare, through = interleaved(count, *ways)
        added = statistics.median(a - b for a, b in zip(through, bare, strict=True))
        medians = {"bare": statistics.median(bare), "gateway": statistics.median(through)}
        rows.append({"measure": name, **medians, "added": added, "aim": aim})
        ratios.append(ratio(f"{name}, gateway to bare server", through, bare))
    protocol = (
        f"greedy; {pairs} pairs of streams of {_NEW_TOKENS} tokens, {pairs * 4} of requests for 1 token and of first "
        "tokens; a connection each; medians, of the differences too"
    )
    return Section("gateway", protocol, rows, ratios)


def _open(service: Service, new_tokens: int, *, stream: bool) -> tuple[http.client.HTTPConnection, Any]:
    from labkit.world.services import providers

    body: dict[str, Any] = {"model": providers.course_model(), "messages": _MESSAGES, "temperature": 0}
    body |= {"max_tokens": new_tokens, "ignore_eos": True, "stream": stream}
    headers = {"Authorization": f"Bearer {service.key}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"), timeout=300)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    return connection, connection.getresponse()


def _request_ms(service: Service) -> float:
    began = time.perf_counter()
    connection, answer = _open(service, 1, stream=False)
    answer.read()
    connection.close()
    return (time.perf_counter() - began) * 1000


def _first_token_ms(service: Service) -> float:
    began = time.perf_counter()
    connection, answer = _open(service, 2, stream=True)
    while not _has_text(answer.readline()):
        pass
    spent = (time.perf_counter() - began) * 1000
    answer.read()
    connection.close()
    return spent


def _has_text(line: bytes) -> bool:
    if not line:
        raise RuntimeError("the stream ended without a token")
    return line.startswith(b"data: {") and bool(json.loads(line[6:])["choices"][0]["delta"].get("content"))


def _tokens_per_s(service: Service) -> float:
    began = time.perf_counter()
    connection, answer = _open(service, _NEW_TOKENS, stream=True)
    tokens = sum(1 for line in answer if line.startswith(b"data: {"))
    connection.close()
    return tokens / (time.perf_counter() - began)
