"""Lesson 04 and the capstone's evaluation in front of a model that thinks and hardly says anything.

`python thinking_endpoint.py` puts a server behind `LABKIT_ENDPOINT` that speaks as such models do when their tokens are
used up: `content` null beside `reasoning_content`, streams of thoughts only, tool calls without content, no `usage`. It
runs the lesson's cells and prints, as one JSON object, those that ended in an exception, and the evaluation's score.
"""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import os
import threading
from types import SimpleNamespace
from typing import Any

import lesson_requests

CALL = {"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": '{"city": "Lima"}'}}


class Thinking(http.server.BaseHTTPRequestHandler):
    """Thoughts and no words; a tool call where one is wanted; vectors of two numbers."""

    def do_GET(self) -> None:
        self._send({"data": [{"id": "a-thinking-model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/embeddings"):
            texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
            return self._send({"data": [{"index": at, "embedding": [1, at]} for at, _ in enumerate(texts)]})
        shared = {"id": "1", "created": 1, "model": "a-thinking-model", "system_fingerprint": "", "usage": None}
        message: dict[str, Any] = {"role": "assistant", "content": None, "reasoning_content": "Let me think."}
        if body.get("tool_choice") == "required":
            message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
        if not body.get("stream"):
            return self._send({**shared, "choices": [{"index": 0, "message": message, "finish_reason": "length"}]})
        pieces = [{"index": 0, "delta": message, "finish_reason": None}] * 3
        pieces.append({"index": 0, "delta": {}, "finish_reason": "length"})
        events = [f"data: {json.dumps({**shared, 'choices': [piece]})}\n\n" for piece in pieces]
        self._send("".join([*events, "data: [DONE]\n\n"]), "text/event-stream")

    def _send(self, content: Any, kind: str = "application/json") -> None:
        data = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Thinking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    os.environ.update({"LABKIT_ENDPOINT": url, "LABKIT_ENDPOINT_KEY": "a-key"})
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        failed = lesson_requests.run("04")

    from labkit.models import capstone

    rows = [{"message": "Where do I pay?", "answer": "finance"}]
    score, _ = capstone.evaluate_server(SimpleNamespace(url=url, key="a-key"), rows, "Name the desk.")
    report = {"failed": failed, "shown": shown.getvalue(), "score": [score.correct, score.total]}
    print(json.dumps(report), flush=True)
    os._exit(0)
