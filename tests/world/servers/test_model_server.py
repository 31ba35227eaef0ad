"""The real model server: what clients meet, and what happens when it is asked for too much or killed."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest
from service_helpers import gone, kill, listens_at, wait_until

from labkit import LabError
from labkit.world import services, weights
from labkit.world.model_server.service import MODEL_SERVER, model_server
from tests.sharing import at

pytestmark = pytest.mark.usefixtures("course_cache")
QUESTION = [{"role": "user", "content": "Name a colour."}]


@pytest.fixture(scope="module")
def small(_cache_with_model):
    """A server with settings of its own, for the tests of this module."""
    with at(_cache_with_model):
        service = model_server(context=256, slots=2)
    yield service
    with at(_cache_with_model):
        services.stop(service.name)


def ask(service: services.Service, path: str, body: dict[str, Any] | None = None, key: str | None = None) -> Any:
    """The open answer of urllib."""
    request = urllib.request.Request(service.url + path, json.dumps(body).encode() if body is not None else None)
    request.add_header("Authorization", f"Bearer {service.key if key is None else key}")
    request.add_header("Content-Type", "application/json")
    return urllib.request.urlopen(request, timeout=120)


def chat(service: services.Service, **settings: Any) -> dict[str, Any]:
    body = {"messages": QUESTION, "max_tokens": 8, "temperature": 0, **settings}
    return json.load(ask(service, "/v1/chat/completions", body))


def test_urllib_meets_the_openai_protocol():
    service = model_server()
    listed = json.load(ask(service, "/v1/models"))["data"][0]
    assert listed["id"] == "SmolLM2-135M-Instruct" and listed["meta"]["n_ctx"] == 8192
    answer = chat(service, logprobs=True, top_logprobs=3)
    choice = answer["choices"][0]
    tokens = choice["logprobs"]["content"]
    assert choice["finish_reason"] == "length" and answer["usage"]["completion_tokens"] == len(tokens) == 8
    assert "".join(token["token"] for token in tokens) == choice["message"]["content"]
    assert all(token["logprob"] <= 0 and len(token["top_logprobs"]) == 3 for token in tokens)
    assert chat(service)["choices"][0]["message"] == choice["message"], "greedy decoding repeats itself"
    text = json.load(ask(service, "/v1/completions", {"prompt": "One, two,", "max_tokens": 4, "temperature": 0}))
    assert text["choices"][0]["text"]
    assert json.load(ask(service, "/tokenize", {"content": "Hello"}))["tokens"] == [19556]


def test_streaming_through_urllib():
    service = model_server()
    body = {"messages": QUESTION, "max_tokens": 8, "temperature": 0, "stream": True}
    with ask(service, "/v1/chat/completions", body) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        events = [line.decode().removeprefix("data: ").strip() for line in answer if line.startswith(b"data: ")]
    assert events.pop() == "[DONE]"
    pieces = [json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events]
    assert sum(map(bool, pieces)) > 1, "in pieces, not at once"
    assert "".join(pieces) == chat(service)["choices"][0]["message"]["content"]


def test_inference_client():
    from huggingface_hub import InferenceClient

    service = model_server()
    client = InferenceClient(base_url=service.url, api_key=service.key)
    answer = client.chat.completions.create(messages=QUESTION, max_tokens=8, temperature=0)
    assert answer.choices[0].message.content == chat(service)["choices"][0]["message"]["content"]
    stream = client.chat_completion(QUESTION, max_tokens=8, temperature=0, stream=True)
    pieces = [event.choices[0].delta.content or "" for event in stream]
    assert "".join(pieces) == answer.choices[0].message.content
    with pytest.raises(Exception, match="401"):
        InferenceClient(base_url=service.url, api_key="wrong").chat_completion(QUESTION, max_tokens=8)


@pytest.mark.parametrize(
    "path", ["/v1/models", "/props", "/slots", "/metrics", "/v1/chat/completions", "/tokenize", "/"]
)
def test_no_door_opens_without_the_key(path):
    service = model_server()
    for key in ("", "wrong", service.key[:-1]):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(service, path, {} if path.endswith(("completions", "tokenize")) else None, key=key)
        assert refused.value.code == 401 if path != "/" else refused.value.code in (401, 404)
    assert urllib.request.urlopen(service.url + "/health", timeout=60).status == 200


def test_no_other_machine_and_no_web_page_gets_an_answer():
    service = model_server()
    assert listens_at(service.pid) == {"127.0.0.1"}
    request = urllib.request.Request(service.url + "/v1/models")
    request.add_header("Authorization", f"Bearer {service.key}")
    request.add_header("Origin", "http://example.org")
    allowed = urllib.request.urlopen(request, timeout=60).headers.get("Access-Control-Allow-Origin")
    assert allowed not in ("*", "http://example.org")


def test_a_prompt_longer_than_the_context(small):
    with pytest.raises(urllib.error.HTTPError) as refused:
        chat(small, messages=[{"role": "user", "content": "word " * 500}])
    error = json.load(refused.value)["error"]
    assert refused.value.code == error["code"] == 400 and error["type"] == "exceed_context_size_error"
    assert error["n_ctx"] == 256 and error["n_prompt_tokens"] > 500
    assert chat(small)["usage"]["completion_tokens"] == 8, "it goes on serving others"


def test_slots_each_have_the_context_asked_for(small):
    slots = json.load(ask(small, "/slots"))
    assert [slot["n_ctx"] for slot in slots] == [256, 256]


def test_embeddings_are_a_server_of_their_own():
    service = model_server(embeddings=True)
    assert model_server(embeddings=True) == service and model_server().pid != service.pid
    texts = ["A cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates went up again this year."]
    answer = json.load(ask(service, "/v1/embeddings", {"input": texts}))
    vectors = [one["embedding"] for one in sorted(answer["data"], key=lambda one: one["index"])]
    assert [len(vector) for vector in vectors] == [576] * 3 and answer["usage"]["prompt_tokens"] > 20
    near, far = (sum(a * b for a, b in zip(vectors[0], other, strict=True)) for other in vectors[1:])
    assert sum(a * a for a in vectors[0]) == pytest.approx(1, abs=1e-3) and 1 > near > far
    longest = json.load(ask(service, "/v1/embeddings", {"input": "word " * 500}))
    assert longest["usage"]["prompt_tokens"] >= 500
    with pytest.raises(urllib.error.HTTPError):
        ask(service, "/v1/embeddings", {"input": "word " * 600})
    with pytest.raises(urllib.error.HTTPError):
        ask(model_server(), "/v1/embeddings", {"input": "a"})


def test_the_same_model_by_any_name_is_one_server(small):
    service = model_server()
    assert model_server("smollm2-135m-instruct") == model_server("SmolLM2-135M-Instruct") == service
    assert service.name == "model" and model_server(context=256, slots=2) == small != service


def test_a_file_of_ones_own(own_course_cache, tmp_path, monkeypatch):
    file = tmp_path / "Mine.gguf"
    file.write_bytes(weights.gguf_file().read_bytes())
    service = model_server(file)
    monkeypatch.chdir(tmp_path)
    assert model_server("Mine.gguf") == service
    model = json.load(ask(service, "/v1/models"))["data"][0]
    assert model["id"] == "Mine" and model["meta"]["n_ctx"] == 4096
    os.utime(file, (1, 1))
    assert model_server(file).pid != service.pid, "a file written anew is another model"


def test_what_cannot_be_served(own_course_cache, tmp_path):
    with pytest.raises(LabError, match="no model named|unknown|There is no"):
        model_server("smollm3-nothing")
    with pytest.raises(LabError, match=r"nowhere.gguf cannot be read \(No such file or directory\)"):
        model_server(tmp_path / "nowhere.gguf")
    pickle = tmp_path / "pickle.gguf"
    pickle.write_bytes(b"\x80\x04K\x00.")
    with pytest.raises(LabError, match="pickle.gguf is not a GGUF file"):
        model_server(pickle)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(weights.gguf_file().read_bytes()[:5_000_000])
    with pytest.raises(LabError, match=r"^llama.cpp could not load broken.gguf: it may be damaged.* are in .*\.log\.$"):
        model_server(broken)
    with pytest.raises(LabError, match="cannot have context=0: choose 1 or more"):
        model_server(context=0)
    with pytest.raises(LabError, match="SmolLM2-135M-Instruct reads at most 8,192 tokens"):
        model_server(context=8193)


def test_a_killed_server_ends_its_requests_and_is_replaced(own_course_cache):
    before = model_server()
    outcome: list[BaseException] = []

    def wait_long() -> None:
        try:
            chat(before, max_tokens=5000, ignore_eos=True)
        except (urllib.error.URLError, ConnectionError) as problem:
            outcome.append(problem)

    thread = threading.Thread(target=wait_long)
    thread.start()
    assert wait_until(lambda: json.load(ask(before, "/slots"))[0]["is_processing"])
    kill(before.pid)
    thread.join()
    assert len(outcome) == 1
    # Refused, or cut off: a process that is dying may still take a connection, and answers nobody.
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        chat(before)
    after = model_server()
    assert after.pid != before.pid and chat(after)["choices"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no polite signal")
def test_sigterm_ends_it_in_the_middle_of_a_request(own_course_cache):
    service = model_server()
    body = {"messages": QUESTION, "max_tokens": 5000, "ignore_eos": True, "stream": True}
    with ask(service, "/v1/chat/completions", body) as answer:
        assert answer.readline().startswith(b"data: ")
        os.kill(service.pid, signal.SIGTERM)
        assert wait_until(lambda: gone(service.pid))
    assert services.running("model") is None


def test_it_ends_after_its_last_user(own_course_cache):
    service = services.join(MODEL_SERVER, linger=0.2)
    services.leave(service.name)
    assert wait_until(lambda: gone(service.pid))
