"""The inference gateway in front of real model servers: what it answers, refuses, survives, and hands on."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading

import huggingface_hub
import openai
import pytest
import requests
from gateway_helpers import KEY, MODEL, QUESTION, ask, busy, chat_body
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_helpers import ANYTHING, gone, greeting, kill, listens_at, serving, wait_until
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from labkit import LabError
from labkit.base import assets
from labkit.world import services
from labkit.world.gateway import service as gateway
from labkit.world.gateway import upstream as gateway_upstream
from labkit.world.gateway.api import application
from labkit.world.gateway.requests import FIELDS
from labkit.world.model_server.service import model_server

CHAT = "/v1/chat/completions"


@pytest.fixture
def url(course_cache):
    """A gateway of this process; its model server is that of the session."""
    with serving(application(gateway_upstream.ours(), key=KEY)) as address:
        yield address


@pytest.fixture
def own_url(own_course_cache):
    """The same with a model server of this test's own."""
    with serving(application(gateway_upstream.ours(), key=KEY)) as address:
        yield address


def error(answer) -> str:
    said = json.loads(answer[2])["error"]
    return said if isinstance(said, str) else said["message"]


@pytest.fixture
def mute():
    """A gateway whose other side is reached by no test: for what is decided before."""
    with serving(application(gateway_upstream.endpoint("http://127.0.0.1:9", ""), key=KEY)) as address:
        yield address


@pytest.fixture
def strict():
    """The same, in front of the course model, which is never started."""
    with serving(application(gateway_upstream.ours(), key=KEY)) as address:
        yield address


@pytest.mark.parametrize("path", ["/v1/models", CHAT, "/groq/openai/v1/chat/completions", "/_drills", "/nowhere"])
def test_no_door_opens_without_the_key(strict, path):
    for key in ("", "wrong", KEY[:-1], "hf_course_learner"):
        status, headers, _ = ask(strict, path, {}, key=key)
        assert status == 401 and "local-gateway" in headers["x-hf-warning"]
    assert ask(strict, "/health", method="GET", key="")[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        (CHAT, b"{", 400, "not JSON"),
        (CHAT, b"[" * 100_000, 400, "not JSON"),
        (CHAT, b"\xff", 400, "not JSON"),
        (CHAT, [], 400, "must be a JSON object"),
        (
            CHAT,
            chat_body(model="meta-llama/Llama-2-70b-chat-hf"),
            400,
            "runs .*SmolLM2.* only, not meta-llama/Llama-2-70b",
        ),
        (CHAT, {"messages": QUESTION}, 400, "only, not None"),
        (CHAT, chat_body(model=f"{MODEL}:nobody"), 400, "Nobody is called 'nobody' .* fastest, cheapest, preferred"),
        (CHAT, chat_body(model=f"{MODEL}:"), 400, "Nobody is called ''"),
        (CHAT, chat_body(reasoning_effort="a lot"), 400, "one of none, minimal, low"),
        (CHAT, chat_body(reasoning_effort=3), 400, "one of none, minimal, low"),
        (CHAT, chat_body(reasoning_effort="low", tools=[{"function": {"name": "f"}}]), 400, "leave out tools"),
        (CHAT, chat_body(model=["x"]), 400, "model must be a text"),
        (CHAT, chat_body(model="\ud800"), 400, "^model has what JSON cannot hold"),
        (CHAT, chat_body(messages=[{"role": "user", "content": "\udc00"}]), 400, "^messages has what JSON"),
        (CHAT, chat_body(temperature=float("inf")), 400, "^temperature has what JSON"),
        (CHAT, chat_body(temperature="hot"), 400, '^temperature must be a number, and not "hot"'),
        (CHAT, chat_body(seed=10**30), 400, "^seed must be a whole number of at most 64 bits"),
        (CHAT, chat_body(seed=[1]), 400, "^seed must be a whole number"),
        (CHAT, chat_body(n=2, stream="yes"), 400, "^stream must be true or false"),
        (CHAT, chat_body(max_tokens=-1), 400, "^max_tokens must be a whole number above 0"),
        ("/nebius" + CHAT, chat_body(), 404, "does not stand in for nebius: it does for hf-inference, groq"),
        ("/v1/images/generations", {}, 404, 'images and speech need mode="live"'),
        (CHAT, chat_body(messages=[]), 400, "at least one message"),
        (CHAT, chat_body(messages="hello"), 400, "at least one message"),
        (CHAT, chat_body(messages=["hello"]), 400, "a role"),
        (CHAT, chat_body(messages=[{"role": "wizard", "content": "x"}]), 400, "a role"),
        (CHAT, chat_body(messages=[{"role": "user", "content": None}]), 400, "content of a user message must be text"),
        (CHAT, chat_body(messages=[{"role": "user", "content": [{"type": "image_url"}]}]), 400, "reads text only"),
        (CHAT, chat_body(n=0), 400, "n must be"),
        (CHAT, chat_body(n="2"), 400, "n must be"),
        (CHAT, chat_body(response_format={"type": "regex", "value": "a+"}), 400, "response_format cannot be"),
        (CHAT, chat_body(response_format="json"), 400, "response_format cannot be"),
        (CHAT, chat_body(response_format={"type": "json_schema", "json_schema": {}}), 400, "needs a JSON schema"),
        (CHAT, chat_body(tools=[1]), 400, "^tools must be a list of JSON objects"),
        (CHAT, chat_body(tools=[{"function": {"name": "f", "parameters": []}}]), 400, "parameters of f must be"),
        (
            CHAT,
            chat_body(tools=[{"function": {"name": "f"}}], tool_choice={"function": {"name": "g"}}),
            400,
            "no such tool",
        ),
        (CHAT, chat_body(n=2, messages=[{"role": "assistant", "tool_calls": [1]}]), 400, "The tool_calls of a message"),
        (f"/hf-inference/models/{MODEL}", {"inputs": 5}, 422, "inputs must be a text"),
        (f"/hf-inference/models/{MODEL}", {"inputs": "x", "parameters": [1]}, 422, "parameters must be"),
        (f"/hf-inference/models/{MODEL}", {"inputs": "x", "parameters": {"max_new_tokens": 0}}, 422, "^max_new_tokens"),
        (
            f"/hf-inference/models/{MODEL}",
            {"inputs": "x", "parameters": {"watermark": True}},
            422,
            "cannot do watermark",
        ),
        ("/hf-inference/models/openai-community/gpt2", {"inputs": "x"}, 400, "only, not openai-community/gpt2"),
        ("/v1/completions", {"model": MODEL, "prompt": ["a", "b"]}, 400, "one prompt"),
        ("/v1/completions", {"model": MODEL, "prompt": "a", "n": 2}, 400, "one answer"),
        ("/scaleway/v1/embeddings", {"model": MODEL, "input": ["x", " "]}, 422, "none of them empty"),
        (f"/hf-inference/models/{MODEL}/pipeline/sentence-similarity", {"inputs": "x"}, 422, "source_sentence"),
        (
            f"/hf-inference/models/{MODEL}/pipeline/feature-extraction",
            {"inputs": "x", "normalize": False},
            422,
            "length 1",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(strict, path, body, status, sentence):
    answer = ask(strict, path, body)
    assert answer[0] == status, answer[2]
    assert re.search(sentence, error(answer)) and answer[1]["x-error-message"].isascii()


_BODIES = ("messages", "prompt", "input", "inputs", "parameters")
some_fields = st.dictionaries(st.sampled_from([*FIELDS, *_BODIES]), ANYTHING)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(some_fields, st.sampled_from([CHAT, "/v1/completions", "/v1/embeddings", f"/hf-inference/models/{MODEL}"]))
def test_no_body_breaks_the_gateway(mute, body, path):
    status, _, content = ask(mute, path, {"model": MODEL, "messages": QUESTION} | body)
    assert status in (400, 422, 503), content


def test_each_client_shows_the_sentence(strict):
    sentence = "The course's gateway runs HuggingFaceTB/SmolLM2-135M-Instruct only, not some/other"
    client = openai.OpenAI(base_url=f"{strict}/v1", api_key=KEY)
    with pytest.raises(openai.BadRequestError, match=f"^Error code: 400 - {sentence}"):
        client.chat.completions.create(model="some/other", messages=QUESTION)
    with pytest.raises(openai.AuthenticationError, match="401 - This is another program's gateway: its key is missing"):
        client.with_options(api_key="x").models.list()
    with pytest.raises(huggingface_hub.errors.HfHubHTTPError, match=f"(?m)^{sentence}"):
        huggingface_hub.InferenceClient(f"{strict}/v1", api_key=KEY).chat_completion(QUESTION, model="some/other")
    answer = requests.post(f"{strict}{CHAT}", json={"model": "some/other"}, headers={"Authorization": f"Bearer {KEY}"})
    said = answer.json()["error"]
    assert said.pop("message").startswith(sentence)
    assert said == {"type": "invalid_request_error", "code": "model_not_found"}


def test_a_web_page_is_not_answered_under_its_own_name(strict):
    answer = requests.get(f"{strict}/v1/models", headers={"Host": "evil.example", "Authorization": f"Bearer {KEY}"})
    assert answer.status_code == 403 and "own machine" in answer.json()["error"]["message"]


def test_too_much_is_refused_before_it_is_read(strict):
    assert ask(strict, CHAT, b" " * (5 << 20))[0] == 413


def test_a_sentence_with_other_letters_reaches_the_client(strict):
    answer = ask(strict, CHAT, chat_body(model="größe/模型\r\nX-Evil: 1"))
    assert answer[0] == 400 and "größe/模型" in error(answer) and "x-evil" not in answer[1]


def test_answers_are_named_after_the_model_that_wrote_them(url):
    whole = json.loads(ask(url, CHAT, chat_body())[2])
    assert whole["model"] == MODEL
    status, headers, stream = ask(url, CHAT, chat_body(stream=True, model=f"{MODEL}:cheapest"))
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in stream.split(b"\n\n") if line.startswith(b"data: {")]
    assert {one["model"] for one in events} == {MODEL}
    text = "".join(one["choices"][0]["delta"].get("content") or "" for one in events)
    assert text == whole["choices"][0]["message"]["content"]
    assert stream.rstrip().endswith(b"data: [DONE]")
    assert json.loads(ask(url, "/v1/models", method="GET")[2])["data"][0]["id"] == MODEL


def test_a_killed_model_server_is_said_and_replaced(own_url):
    ask(own_url, CHAT, chat_body())
    server = model_server(slots=gateway_upstream.SLOTS, context=gateway_upstream.CONTEXT)
    long = chat_body(max_tokens=2000, ignore_eos=True)
    outcomes: dict[bool, tuple] = {}

    def wait_long(stream: bool) -> None:
        outcomes[stream] = ask(own_url, CHAT, {**long, "stream": stream})

    threads = [threading.Thread(target=wait_long, args=(stream,)) for stream in (False, True)]
    for thread in threads:
        thread.start()
    assert wait_until(lambda: busy(server) == 2)
    kill(server.pid)
    for thread in threads:
        thread.join()
    assert outcomes[False][0] == 503 and outcomes[False][1]["retry-after"]
    assert "ended in the middle of this request" in error(outcomes[False])
    last = outcomes[True][2].rstrip().split(b"\n\n")[-1]
    said = json.loads(last.removeprefix(b"data: "))
    assert said["error_type"] == "incomplete_generation" and "ended in the middle" in said["error"]["message"]
    assert ask(own_url, CHAT, chat_body())[0] == 200, "the next call has a new server"


def test_who_leaves_frees_the_place(url):
    import http.client

    ask(url, CHAT, chat_body())
    server = model_server(slots=gateway_upstream.SLOTS, context=gateway_upstream.CONTEXT)
    for stream in (True, False):
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        body = json.dumps(chat_body(max_tokens=2000, ignore_eos=True, stream=stream))
        connection.request("POST", CHAT, body, {"Authorization": f"Bearer {KEY}"})
        assert wait_until(lambda: busy(server) == 1)
        connection.close()
        assert wait_until(lambda: busy(server) == 0), f"stream={stream}"


def test_a_full_queue_says_so_at_once(own_course_cache):
    upstream = gateway_upstream.ours(slots=1, waiting=2)
    with serving(application(upstream, key=KEY)) as url:
        ask(url, CHAT, chat_body())
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            bodies = [chat_body(max_tokens=30, ignore_eos=True, stream=turn % 2 == 0) for turn in range(12)]
            found = list(pool.map(lambda body: ask(url, CHAT, body), bodies))
        assert ask(url, CHAT, chat_body())[0] == 200
    statuses = [status for status, _, _ in found]
    assert set(statuses) == {200, 503} and statuses.count(200) >= 1
    for status, headers, content in found:
        if status == 503:
            assert headers["retry-after"] == "2" and "is full" in json.loads(content)["error"]["message"]
        else:
            assert b'"finish_reason":"length"' in content, "complete"


def test_a_class_shares_one_machine_with_a_token(course_cache):
    with serving(application(gateway_upstream.ours(), key="class-token", class_token=True)) as teacher:
        assert ask(teacher, "/_drills", {"status": 429}, key="class-token")[0] == 404, "no drills for others"
        learner = application(gateway_upstream.endpoint(teacher, "class-token"), key=KEY)
        intruder = application(gateway_upstream.endpoint(f"{teacher}/v1/", "wrong"), key=KEY)
        with serving(learner) as url, serving(intruder) as other:
            answer = ask(url, CHAT, chat_body())
            assert answer[0] == 200 and json.loads(answer[2])["model"] == MODEL
            assert ask(url, CHAT, chat_body(stream=True))[2].rstrip().endswith(b"data: [DONE]")
            vectors = json.loads(ask(url, "/scaleway/v1/embeddings", {"model": MODEL, "input": ["a", "b"]})[2])["data"]
            assert [len(one["embedding"]) for one in vectors] == [576, 576]
            text = ask(
                url, f"/hf-inference/models/{MODEL}", {"inputs": "One, two,", "parameters": {"max_new_tokens": 3}}
            )
            assert json.loads(text[2])[0]["generated_text"]
            tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
            called = json.loads(ask(url, CHAT, chat_body(tools=[tool], tool_choice="required", max_tokens=40))[2])
            assert called["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "now"
            refused = ask(other, CHAT, chat_body())
            assert refused[0] == 401 and "does not know the key in LABKIT_ENDPOINT_KEY" in error(refused)
            assert ask(url, CHAT, chat_body(model="some/other"))[0] == 400, "the other side decides"


@pytest.mark.parametrize(
    ("names", "status", "said"),
    [(["qwen-3"], 200, "qwen-3"), (["qwen-3", "olmo-3"], 404, "Set MODEL to one of the models of .*: qwen-3, olmo-3$"),
     (None, 404, "no such model$")]
)  # fmt: skip
def test_an_endpoint_with_other_models(course_cache, names, status, said):
    """vLLM and Ollama refuse a name that they do not have; lessons ask for the course model all the same."""
    server = model_server()

    async def listed(request):
        return JSONResponse({"data": [{"id": name} for name in names]}) if names else JSONResponse({}, 404)

    async def answered(request):
        body = await request.json()
        if body["model"] not in (names or ()):
            return JSONResponse({"error": {"message": "no such model"}}, 404)
        answer = json.loads(await asyncio.to_thread(lambda: ask(server.url, CHAT, body, key=server.key)[2]))
        return JSONResponse(answer | {"model": body["model"]})

    routes = [Route("/v1/models", listed), Route(CHAT, answered, methods=["POST"])]
    with contextlib.ExitStack() as stack:
        teacher = stack.enter_context(serving(Starlette(routes=routes)))
        url = stack.enter_context(serving(application(gateway_upstream.endpoint(teacher, ""), key=KEY)))
        answer = ask(url, CHAT, chat_body())
        other = ask(url, CHAT, chat_body(model="some/other"))
    found = json.loads(answer[2])
    assert answer[0] == status and re.search(said, found["model"] if status == 200 else error(answer))
    assert other[0] == 404, "another model that is asked for by name is not swapped"


def test_an_endpoint_that_is_not_there(mute):
    answer = ask(mute, CHAT, chat_body())
    assert answer[0] == 503 and "http://127.0.0.1:9/v1 does not answer" in error(answer)


@pytest.mark.parametrize("url", ["teacher:8000", "ftp://x", "http://user:secret@x", "http://x/?a=b", "http://", "x y"])
def test_an_endpoint_must_be_a_url(url, monkeypatch):
    monkeypatch.setenv("LABKIT_ENDPOINT", url)
    with pytest.raises(LabError, match="^LABKIT_ENDPOINT cannot be"):
        gateway.inference_gateway()


# --- the service and the command


def test_it_ends_after_its_last_user_and_takes_its_model_server_along(own_course_cache):
    service = services.join(gateway.GATEWAY, linger=0.2)
    assert ask(service.url, CHAT, chat_body(), key=service.key)[0] == 200
    server = next(services.running(name) for name in services.records.instances() if name.startswith("model-"))
    assert services.users(server.name) == [service.pid]
    services.leave(service.name)
    assert wait_until(lambda: gone(service.pid)) and wait_until(lambda: gone(server.pid), seconds=20)


def test_one_gateway_for_all_kernels_and_one_a_destination(own_course_cache, monkeypatch):
    service = gateway.inference_gateway()
    assert gateway.inference_gateway() == service and listens_at(service.pid) == {"127.0.0.1"}
    monkeypatch.setenv("LABKIT_ENDPOINT", service.url)
    monkeypatch.setenv("LABKIT_ENDPOINT_KEY", service.key)
    forwarding = gateway.inference_gateway()
    assert forwarding.pid != service.pid
    assert ask(forwarding.url, CHAT, chat_body(), key=forwarding.key)[0] == 200
    command = " ".join(__import__("psutil").Process(forwarding.pid).cmdline())
    assert service.key not in command and services.log_file(forwarding.name).read_text() == ""
    monkeypatch.setenv("LABKIT_ENDPOINT_KEY", "another")
    assert gateway.inference_gateway().pid != forwarding.pid


@pytest.fixture
def start():
    """Starts `labkit gateway`; what still runs after the test is ended."""
    with contextlib.ExitStack() as started:

        def run(*arguments: str) -> subprocess.Popen:
            command = subprocess.Popen(
                [sys.executable, "-m", "labkit", "gateway", *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(assets.PACKAGE.parent)},
            )
            started.enter_context(command)
            started.callback(command.kill)
            return command

        yield run


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C cannot be sent to one process of a Windows console")
def test_the_command_prints_its_address_first(course_cache, start):
    command = start()
    text = greeting(command)
    url, key = text.splitlines()[0], re.search(r"^key: (\S+)$", text, re.MULTILINE)[1]
    assert ask(url.removesuffix("/v1"), "/v1/models", method="GET", key=key)[0] == 200
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=60)
    assert (command.returncode, err) == (0, "") and "You left" in out


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C cannot be sent to one process of a Windows console")
def test_for_a_class_it_wants_the_token(course_cache, start):
    command = start("--lan")
    text = greeting(command)
    port, token = text.splitlines()[0].rpartition(":")[2], re.search(r"ENDPOINT_KEY=(\S+)", text)[1]
    url = f"http://127.0.0.1:{port}"
    assert len(token) >= 12 and listens_at(command.pid) == {"0.0.0.0"}
    assert ask(url, "/v1/models", method="GET", key=token)[0] == 200
    for wrong in ("", "hf_course_learner", token[:-1]):
        assert ask(url, "/v1/models", method="GET", key=wrong)[0] == 401
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=60)
    assert (command.returncode, err) == (0, "") and "has ended" in out


def test_bad_arguments_are_one_sentence(start):
    for arguments, sentence in [
        (["--token", "long-enough"], "A class token is for --lan"),
        (["--lan", "--token", "short"], "at least 8 plain characters"),
        (["--lan", "--port", "99999"], "Port 99999 is in use or not allowed"),
    ]:
        command = start(*arguments)
        out, err = command.communicate(timeout=60)
        assert (command.returncode, out) == (1, "") and sentence in err and err.count("\n") == 1


def test_bodies_come_whole_whatever_the_pieces():
    from labkit.world.gateway import answers

    whole = b'data: {"a": 1}\n\ndata: {"b": "\\n\\n"}\n\ndata: [DONE]\n\n'

    async def collect(size: int) -> list[bytes]:
        async def pieces():
            for place in range(0, len(whole), size):
                yield whole[place : place + size]

        return [one async for one in answers.events(pieces())]

    assert all(asyncio.run(collect(size)) == asyncio.run(collect(1000)) for size in range(1, 30))
    assert len(asyncio.run(collect(7))) == 3
