"""What tests of the gateway ask it, and how."""

from __future__ import annotations

import http.client
import json
from typing import Any

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
KEY = "the-key-of-this-gateway"
QUESTION = [{"role": "user", "content": "Name a colour."}]


def ask(url: str, path: str, body: Any = None, *, key: str = KEY, method: str = "POST") -> tuple[int, dict, bytes]:
    """Plain HTTP: status, headers in small letters, body."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=120)
    try:
        content = body if isinstance(body, bytes) else json.dumps(body)
        connection.request(
            method, path, content, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def chat_body(**settings: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": QUESTION, "max_tokens": 6, "temperature": 0, **settings}


def busy(server: Any) -> int:
    """How many requests a model server is working on."""
    slots = json.loads(ask(server.url, "/slots", method="GET", key=server.key)[2])
    return sum(slot["is_processing"] for slot in slots)
