"""What lesson 04 says of the libraries, and the retry that it teaches, held against the libraries themselves.

A server on this machine refuses each request with one status. How many requests came says what was tried again.
"""

from __future__ import annotations

import http.server
import json
import re
import threading
import time
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import nbformat
import openai
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import http_backoff

from labkit.base import assets
from tests.rows import every

(FILE,) = assets.notebook_dir().glob("04_*.ipynb")
CELLS = {cell.id: cell.source for cell in nbformat.read(FILE, 4).cells}
STATUSES = (400, 401, 402, 403, 404, 408, 409, 422, 429, 500, 501, 502, 503, 504, 529)
HUB_RETRIES = {408, 429, 500, 502, 503, 504}
OPENAI_RETRIES = {408, 409, 429, 500, 501, 502, 503, 504, 529}
QUESTION = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def refusing():
    """A server that answers every request with `status` and `headers`, and counts in `requests`."""
    state = SimpleNamespace(status=503, headers={}, requests=0)

    class Refusal(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.requests += 1
            self.send_response(state.status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield state
        server.shutdown()


@pytest.fixture(scope="module")
def taught():
    """The names that the lesson's own cells of the retry define."""
    names: dict[str, Any] = {}
    exec("import time\n" + CELLS["failover"].partition("\nif ")[0], names)
    exec(CELLS["failures"].partition("\nfor ")[0], names)  # the classes; the rest orders failures from the gateway
    for cell in ("told", "wait", "retry"):
        exec(CELLS[cell], names)
    return SimpleNamespace(**names)


def requests(refusing: Any, status: int, call: Any, **headers: str) -> int:
    """How many requests one call makes that is refused so."""
    refusing.status, refusing.requests = status, 0
    refusing.headers = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises((HfHubHTTPError, openai.APIStatusError)):
        call()
    return refusing.requests


def ask(refusing: Any) -> Any:
    return InferenceClient(base_url=refusing.url, api_key="a-key").chat_completion(QUESTION)


def hub(refusing: Any) -> None:
    response = http_backoff("POST", refusing.url, max_retries=1, base_wait_time=0)
    huggingface_hub.utils.hf_raise_for_status(response)


@pytest.mark.skipif(huggingface_hub.__version__.startswith("1."), reason="the lesson speaks of huggingface_hub 2.4")
@every(STATUSES)
def test_what_huggingface_hub_tries_again(status, refusing):
    assert requests(refusing, status, lambda: hub(refusing)) == (2 if status in HUB_RETRIES else 1)


@every(STATUSES)
def test_the_inference_client_tries_nothing_again(status, refusing):
    assert requests(refusing, status, lambda: ask(refusing)) == 1


@every(STATUSES)
def test_what_the_openai_client_tries_again(status, refusing):
    client = openai.OpenAI(base_url=refusing.url, api_key="a-key", max_retries=1)
    found = requests(
        refusing,
        status,
        lambda: client.chat.completions.create(model="a-model", messages=QUESTION),
        retry_after_ms="1",
    )
    assert found == (2 if status in OPENAI_RETRIES else 1)


def test_the_openai_clients_own_limits():
    """The numbers of the text beside its cell."""
    from openai import _constants

    numbers = (_constants.DEFAULT_MAX_RETRIES, _constants.INITIAL_RETRY_DELAY, _constants.MAX_RETRY_DELAY)
    assert numbers == (2, 0.5, 8) and _constants.MAX_RETRY_AFTER_DELAY == 120


@every(STATUSES)
def test_the_taught_retry_covers_what_huggingface_hub_tries_again(status, refusing, taught):
    passing = HUB_RETRIES | {status for status in STATUSES if status >= 500}
    found = requests(refusing, status, lambda: taught.with_retry(lambda: ask(refusing), tries=2, sleep=lambda _: None))
    assert found == (2 if status in passing else 1)


@every([("2", 2), ("1.5", 1.5), ("0", 0), ("date", 20), ("past", 0)])
def test_the_taught_retry_waits_as_told_and_not_in_step(case, refusing, taught):
    text, seconds = case
    text = {"date": formatdate(time.time() + 20, usegmt=True), "past": formatdate(0, usegmt=True)}.get(text, text)
    waits: list[float] = []
    call = lambda: taught.with_retry(lambda: ask(refusing), tries=3, sleep=waits.append)  # noqa: E731
    assert requests(refusing, 429, call, Retry_After=text) == 3
    assert all(seconds - 1.5 * (seconds == 20) <= wait <= seconds + 1 for wait in waits), waits
    assert waits[0] != waits[1], "jitter on what the server says too"


def test_the_taught_retry_keeps_its_cap_and_its_deadline(refusing, taught):
    late = formatdate(time.time() + 3600, usegmt=True)
    for text in ("31", "3600", "inf", "1e999", late):
        call = lambda: taught.with_retry(lambda: ask(refusing), sleep=lambda _: None)  # noqa: E731
        assert requests(refusing, 503, call, Retry_After=text) == 1, text
    waits: list[float] = []
    call = lambda: taught.with_retry(  # noqa: E731
        lambda: ask(refusing), tries=20, deadline=100, sleep=waits.append, clock=lambda: sum(waits)
    )
    assert 5 < requests(refusing, 503, call) < 20
    assert sum(waits) <= 100 and max(waits) <= 30 and waits[0] != 1


@every(["ConnectTimeout", "ReadTimeout", "PoolTimeout", "ConnectError", "ReadError", "WriteError", "CloseError"])
def test_lost_connections_may_pass(name, taught):
    assert taught.wait_before(getattr(taught.http, name)("gone"), 0) is not None


def test_what_is_our_own_mistake_does_not_pass(taught):
    for problem in (taught.http.UnsupportedProtocol("ftp"), KeyError("x"), json.JSONDecodeError("no", "", 0)):
        assert taught.wait_before(problem, 0) is None
    assert taught.wait_before(huggingface_hub.InferenceTimeoutError("slow"), 0) is not None


@pytest.mark.skipif(huggingface_hub.__version__.startswith("1."), reason="the lesson speaks of huggingface_hub 2.4")
def test_who_serves_embeddings():
    from huggingface_hub.inference._providers import PROVIDERS

    serving = {name for name, tasks in PROVIDERS.items() if "feature-extraction" in tasks}
    (sentence,) = re.findall(r"[^.]*four providers for them[^.]*\.", CELLS["s6-embeddings"].replace("2.4", "2"))
    assert set(re.findall(r"`([a-z-]+)`", sentence)) == serving and len(serving) == 4
