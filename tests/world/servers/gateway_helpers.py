"""A gateway in a thread, real but for the service around it, and ways to speak to it, for the tests of its parts."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
KEY = "the-key-of-this-gateway"
QUESTION = [{"role": "user", "content": "Name a colour."}]


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    """The application on a free port of loopback: its URL."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = server.force_exit = True
    thread.join(10)
    listener.close()


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
