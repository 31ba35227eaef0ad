"""The unmodified InferenceClient and AsyncInferenceClient on the local gateway: every method and failure, and money."""

from __future__ import annotations

import asyncio
import concurrent.futures
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient, InferenceTimeoutError
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, IncompleteGenerationError

from labkit import LabError
from labkit.base import assets
from labkit.facts import pricing
from labkit.world import inference_client, services, weights
from labkit.world.gateway import drills
from labkit.world.gateway import upstream as gateway_upstream
from labkit.world.gateway.api import application
from labkit.world.gateway.service import inference_gateway as real_gateway  # `world` puts another in its place
from labkit.world.hub import api, repos
from labkit.world.model_server.service import model_server
from tests.world.servers.gateway_helpers import KEY, MODEL, busy
from tests.world.servers.service_helpers import kill, serving, wait_until

HTTPX = sys.modules[type(huggingface_hub.get_session()).__module__.split(".")[0]]  # httpx2, or httpx before 2.0
# huggingface_hub 1.27 lets httpx's own exception through.
TIMEOUTS = (InferenceTimeoutError, HTTPX.TimeoutException)
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
CITY = {"type": "string", "maxLength": 20}  # without an end to it a small model can write on until it is cut off
FACTS = {"type": "object", "properties": {"city": CITY, "people": {"type": "integer"}}, "required": ["city", "people"]}
TO_THE_END = {"max_tokens": 100, "temperature": 0}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "facts", "schema": FACTS}}
WHERE = {"type": "object", "properties": {"city": CITY}, "required": ["city"]}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": f"The {name} in a city", "parameters": WHERE}}
    for name in ("weather", "time")
]


@pytest.fixture(scope="module")
def world(_cache_with_model):
    """A Hub and a gateway in threads; the client is sent there as `connect_local` does it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_CACHE", str(_cache_with_model))
        upstream = gateway_upstream.ours()
        hub = api.application(repos.repositories(weights.ensure(quiet=True)))
        with serving(hub) as hub_url, serving(application(upstream, key=KEY)) as url:
            gateway = services.Service("gateway-test", url, KEY, os.getpid())
            patch.setenv("HF_TOKEN", "hf_course_learner")
            patch.setenv("HF_ENDPOINT", hub_url)
            patch.setattr(huggingface_hub.constants, "ENDPOINT", hub_url)
            patch.setattr(inference_client, "_gateway", gateway)
            patch.setattr("labkit.world.gateway.service.inference_gateway", lambda: gateway)
            inference_client._hook()
            InferenceClient(model=MODEL).chat_completion(QUESTION, max_tokens=1)
            InferenceClient(provider="scaleway").feature_extraction("x", model=MODEL)
            yield gateway


@pytest.fixture(autouse=True)
def _in_the_world(world, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_course_learner")
    drills.clear()
    yield


def both(method: str, *arguments, client=None, **options):
    """The results of the sync and of the async client; of a stream, its events."""
    settings = client or {"model": MODEL}

    async def async_result():
        async with AsyncInferenceClient(**settings) as one:
            answer = await getattr(one, method)(*arguments, **options)
            return [event async for event in answer] if options.get("stream") else answer

    # A stream ends when its client is gone, so the client is kept.
    kept = InferenceClient(**settings)
    answer = getattr(kept, method)(*arguments, **options)
    return [list(answer) if options.get("stream") else answer, asyncio.run(async_result())]


@pytest.mark.parametrize("provider", [None, "auto", "hf-inference", "groq", "together"])
def test_chat_by_any_provider(provider):
    for answer in both(
        "chat_completion", QUESTION, client={"provider": provider}, model=MODEL, max_tokens=4, temperature=0
    ):
        assert answer.model == MODEL and answer.choices[0].message.content
        assert answer.usage.completion_tokens == 4 and answer.usage.total_tokens == answer.usage.prompt_tokens + 4
        assert answer.choices[0].finish_reason == "length"


def test_a_stream_and_its_usage():
    options = {"max_tokens": 6, "temperature": 0, "stream": True, "stream_options": {"include_usage": True}}
    whole = InferenceClient(model=MODEL).chat_completion(QUESTION, max_tokens=6, temperature=0)
    for events in both("chat_completion", QUESTION, **options):
        text = "".join(event.choices[0].delta.content or "" for event in events if event.choices)
        assert text == whole.choices[0].message.content
        assert events[-1].usage.completion_tokens == 6 and all(event.usage is None for event in events[:-1])


def test_the_parameters_have_an_effect():
    ask = {"messages": QUESTION, "max_tokens": 8}
    first, second = (one.choices[0].message for one in both("chat_completion", **ask, seed=3, temperature=1.5))
    assert first.content == second.content
    for several in both("chat_completion", **ask, n=3, seed=1, temperature=1.5):
        assert [choice.index for choice in several.choices] == [0, 1, 2]
        assert len({choice.message.content for choice in several.choices}) > 1
        assert 3 < several.usage.completion_tokens <= 24
    whole = InferenceClient(model=MODEL).chat_completion(**ask, temperature=0).choices[0].message.content
    for answer in both("chat_completion", **ask, temperature=0, stop=[whole[4]]):
        stopped = answer.choices[0]
        assert stopped.message.content == whole[: whole.index(whole[4])] and stopped.finish_reason == "stop"
    for answer in both("chat_completion", **ask, temperature=0, logprobs=True, top_logprobs=2):
        scored = answer.choices[0].logprobs.content
        assert len(scored) == 8 and all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in scored)
        assert "".join(token.token for token in scored) == whole


def test_the_client_by_its_openai_name():
    ask = {"model": MODEL, "messages": QUESTION, "max_tokens": 4, "temperature": 0}
    text = InferenceClient().chat_completion(**ask).choices[0].message.content
    assert InferenceClient().chat.completions.create(**ask).choices[0].message.content == text

    async def by_name() -> str:
        async with AsyncInferenceClient() as client:
            stream = await client.chat.completions.create(**ask, stream=True)
            return "".join([event.choices[0].delta.content or "" async for event in stream if event.choices])

    assert asyncio.run(by_name()) == text


@pytest.mark.parametrize("provider", ["auto", "hf-inference", "together"])
def test_a_schema_is_enforced(provider):
    for answer in both(
        "chat_completion", QUESTION, client={"provider": provider}, model=MODEL, response_format=SCHEMA, **TO_THE_END
    ):
        found = json.loads(answer.choices[0].message.content)
        assert isinstance(found["city"], str) and isinstance(found["people"], int)


def test_any_json():
    for free in both(
        "chat_completion", QUESTION, response_format={"type": "json_object"}, max_tokens=12, temperature=0
    ):
        assert free.choices[0].message.content.lstrip().startswith("{")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "time"}}])
@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_call_is_forced_by_grammar(choice, stream):
    for answer in both("chat_completion", QUESTION, tools=TOOLS, tool_choice=choice, **TO_THE_END, stream=stream):
        one = answer[0].choices[0].delta if stream else answer.choices[0].message
        call = one.tool_calls[0].function
        assert call.name in ("weather", "time") if choice == "required" else call.name == "time"
        assert list(json.loads(call.arguments)) == ["city"]
        assert (answer[1].choices[0] if stream else answer.choices[0]).finish_reason == "tool_calls"


def test_a_tool_loop_comes_to_an_end():
    for asked in both("chat_completion", QUESTION, tools=TOOLS, tool_choice="required", **TO_THE_END):
        message = asked.choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "12 degrees"}
    told = [*QUESTION, message, result]
    for again in both("chat_completion", told, tools=TOOLS, tool_choice="none", max_tokens=8, temperature=0):
        assert again.choices[0].message.content and not again.choices[0].message.tool_calls
    for answer in both("chat_completion", QUESTION, tools=TOOLS, max_tokens=8, temperature=0):
        left_to_it = answer.choices[0].message
        assert left_to_it.content and not left_to_it.tool_calls, (
            "this model answers in prose, and nobody pretends otherwise"
        )


def test_half_a_call_is_no_call():
    for answer in both("chat_completion", QUESTION, tools=TOOLS, tool_choice="required", max_tokens=12, temperature=0):
        choice = answer.choices[0]
        assert choice.finish_reason == "length" and not choice.message.tool_calls
        assert choice.message.content.startswith("{")


@pytest.mark.parametrize("stream", [False, True])
def test_several_calls_in_one_answer_where_they_are_asked_for(stream):
    cities = [{"role": "user", "content": "What is the weather in Lima, and what is the weather in Tokyo?"}]
    several = {"extra_body": {"parallel_tool_calls": True}, "tools": TOOLS, "tool_choice": "required"}
    for answer in both("chat_completion", cities, **several, max_tokens=200, temperature=0, stream=stream):
        calls = (answer[0].choices[0].delta if stream else answer.choices[0].message).tool_calls
        assert 2 <= len(calls) <= 4 and len({call.id for call in calls}) == len(calls)
        assert all(call.function.name in ("weather", "time") for call in calls)
        assert all(list(json.loads(call.function.arguments)) == ["city"] for call in calls)


@pytest.mark.parametrize("most", [8, 100])
@pytest.mark.parametrize("stream", [False, True])
def test_a_thinking_model_writes_its_thoughts_first_and_both_fill_max_tokens(stream, most):
    asked = {"extra_body": {"reasoning_effort": "low"}, "max_tokens": most, "temperature": 0, "stream": stream}
    if stream:
        asked["stream_options"] = {"include_usage": True}
    for answer in both("chat_completion", QUESTION, **asked):
        if stream:
            deltas = [one.choices[0].delta for one in answer if one.choices]
            thoughts = [place for place, one in enumerate(deltas) if one.get("reasoning_content")]
            said = [place for place, one in enumerate(deltas) if one.content]
            assert thoughts == [0] and said == ([] if most == 8 else [1])
            usage = answer[-1].usage
        else:
            message, usage = answer.choices[0].message, answer.usage
            assert message["reasoning_content"] and bool(message.content) == (most == 100)
            assert (answer.choices[0].finish_reason == "length") == (most == 8)
        thought = usage["completion_tokens_details"]["reasoning_tokens"]
        assert thought == (8 if most == 8 else 32) and thought <= usage.completion_tokens <= most


def test_without_effort_nothing_is_thought():
    for answer in both("chat_completion", QUESTION, extra_body={"reasoning_effort": "none"}, max_tokens=4):
        assert answer.choices[0].message.content and "reasoning_content" not in answer.choices[0].message


def test_vectors():
    texts = ["A cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates went up again this year."]
    for found in both("feature_extraction", texts, client={"provider": "scaleway"}, model=MODEL):
        assert found.shape == (3, 576) and found.dtype == "float32"
        near, far = found[0] @ found[1], found[0] @ found[2]
        assert near > far and abs(found[0] @ found[0] - 1) < 1e-4
    pipeline = f"https://{inference_client.ROUTER}/hf-inference/models/{MODEL}/pipeline"
    for found in both("sentence_similarity", texts[0], texts[1:], model=f"{pipeline}/sentence-similarity"):
        assert found == pytest.approx([near, far], abs=1e-3)
    for found in both("feature_extraction", texts[0], model=f"{pipeline}/feature-extraction"):
        assert found.shape == (1, 576)
    with pytest.raises(HfHubHTTPError, match="more than 512 tokens"):
        InferenceClient(provider="scaleway").feature_extraction("cat " * 600, model=MODEL)


def test_text_generation():
    prompt, options = "One, two, three,", {"max_new_tokens": 5}
    for text in both("text_generation", prompt, **options):
        assert "four" in text
    for full in both("text_generation", prompt, return_full_text=True, **options):
        assert full == prompt + text
    for detailed in both("text_generation", prompt, details=True, **options):
        assert detailed.details.generated_tokens == 5 == len(detailed.details.tokens)
        assert detailed.details.finish_reason == "length"
    for pieces in both("text_generation", prompt, stream=True, **options):
        assert len(pieces) == 5 and "".join(pieces) == text
    for events in both("text_generation", prompt, stream=True, details=True, **options):
        assert events[-1].generated_text == text and events[-1].details.generated_tokens == 5
    for other in both("text_generation", prompt, client={"provider": "featherless-ai"}, model=MODEL, **options):
        assert other


def all_together(work: Callable[[Any, int], Any], count: int = 30) -> list:
    """What `count` calls end with that are all under way at once: half in threads, half of one async client.

    `work(client, number)` gives what a method of the client gives. Results are texts or exceptions; every other call
    of both halves is a stream.
    """

    def synchronous(number: int) -> Any:
        client = InferenceClient(model=MODEL)
        try:
            answer = work(client, number)
            return answer if isinstance(answer, str) else "".join(answer)
        except Exception as problem:
            return problem

    async def asynchronous() -> list:
        async with AsyncInferenceClient(model=MODEL) as client:

            async def one(number: int) -> str:
                answer = await work(client, number)
                return answer if isinstance(answer, str) else "".join([piece async for piece in answer])

            return await asyncio.gather(*(one(number) for number in range(count // 2)), return_exceptions=True)

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        later = pool.submit(lambda: asyncio.run(asynchronous()))
        first = list(pool.map(synchronous, range(count // 2, count)))
        return [*later.result(), *first]


def counting(client: Any, number: int) -> Any:
    """A prompt that goes on with a number of its own: the next number tells whose answer it is."""
    start = 100 + 10 * number
    prompt = f"{start}, {start + 1}, {start + 2},"
    return client.text_generation(prompt, max_new_tokens=8, stream=number % 2 == 0)


@pytest.mark.slow
def test_thirty_at_once_are_all_answered_and_none_is_mixed_up():
    found = all_together(counting)
    for number, text in enumerate(found):
        assert isinstance(text, str) and str(100 + 10 * number + 3) in text, (number, text)
    assert len(found) == len(drills.seen()) == 30


@pytest.mark.slow
def test_a_killed_model_server_is_said_to_all_thirty_and_replaced(course_cache):
    """kill -9 under load: who was being answered is told so, who was waiting is answered, and nobody is lost."""
    server = model_server(slots=gateway_upstream.SLOTS, context=gateway_upstream.CONTEXT)
    victim: list[bool] = []

    def shoot() -> None:
        # All places are taken, and the others wait.
        victim.append(wait_until(lambda: busy(server) == gateway_upstream.SLOTS))
        kill(server.pid)

    shooting = threading.Thread(target=shoot)
    shooting.start()
    found = all_together(counting)
    shooting.join()
    assert victim == [True] and len(found) == 30
    complete = [number for number, one in enumerate(found) if isinstance(one, str)]
    for number in complete:
        assert str(100 + 10 * number + 3) in found[number]
    told = [one for one in found if not isinstance(one, str)]
    for problem in told:
        assert "ended in the middle of this request" in str(problem)
        if isinstance(problem, HfHubHTTPError):
            assert problem.response.status_code == 503 and problem.response.headers["Retry-After"] == "2"
        else:
            assert isinstance(problem, IncompleteGenerationError)
    # Who sends in the very moment of its death is told so too: a few more than there are places.
    assert 1 <= len(told) <= 2 * gateway_upstream.SLOTS and len(complete) + len(told) == 30
    assert model_server(slots=gateway_upstream.SLOTS, context=gateway_upstream.CONTEXT).pid != server.pid


def test_a_full_queue_is_a_503_that_says_when_to_come_again(course_cache, monkeypatch):
    crowded = gateway_upstream.ours(waiting=0)  # the same model server, and no place to wait
    with serving(application(crowded, key=KEY)) as url:
        monkeypatch.setattr(inference_client, "_gateway", services.Service("crowded", url, KEY, os.getpid()))
        monkeypatch.setattr("labkit.world.gateway.service.inference_gateway", lambda: inference_client._gateway)
        found = all_together(counting, 16)
    refused = [one for one in found if not isinstance(one, str)]
    assert refused and len(refused) < 16
    for problem in refused:
        response = problem.__cause__.response  # the client knows this one: it is an OverloadedError
        assert response.status_code == 503 and response.headers["Retry-After"] == "2"
        assert "is full" in str(problem)


def test_a_killed_gateway_is_replaced_with_the_next_call(own_course_cache, world, monkeypatch):
    """A real process here, which hands the calls on to the gateway of the other tests."""
    monkeypatch.setenv("LABKIT_ENDPOINT", world.url)
    monkeypatch.setenv("LABKIT_ENDPOINT_KEY", world.key)
    monkeypatch.setattr("labkit.world.gateway.service.inference_gateway", real_gateway)
    monkeypatch.setattr(inference_client, "_gateway", real_gateway())
    ask = {"messages": QUESTION, "max_tokens": 2, "temperature": 0}
    for call in (
        lambda: InferenceClient(model=MODEL).chat_completion(**ask),
        lambda: asyncio.run(AsyncInferenceClient(model=MODEL).chat_completion(**ask)),
    ):
        before = inference_client._gateway
        assert call().choices
        kill(before.pid)
        assert call().choices and inference_client._gateway.pid != before.pid


def test_another_model_is_never_answered_for():
    for model in ("meta-llama/Llama-2-70b-chat-hf", "HuggingFaceTB/SmolLM2-1.7B-Instruct"):
        with pytest.raises(BadRequestError, match=f"only, not {model}"):
            InferenceClient(model=model).chat_completion(QUESTION, max_tokens=2)
        with pytest.raises(ValueError, match="is not supported by provider groq"):
            InferenceClient(model=model, provider="groq").chat_completion(QUESTION, max_tokens=2)


def test_openai_speaks_to_the_same_gateway(world):
    openai = pytest.importorskip("openai", reason="the openai client is not installed")
    settings, ask = {"base_url": f"{world.url}/v1", "api_key": world.key}, {"model": MODEL, "messages": QUESTION}
    client = openai.OpenAI(**settings)
    answer = client.chat.completions.create(**ask, max_tokens=4)
    assert answer.usage.completion_tokens == 4
    events = list(client.chat.completions.create(**ask, max_tokens=4, stream=True))
    assert events[-1].choices[0].finish_reason == "length"
    assert list(client.embeddings.create(model=MODEL, input="x").data[0].embedding)

    async def asynchronous() -> Any:
        async with openai.AsyncOpenAI(**settings) as other:
            return await other.chat.completions.create(**ask, response_format=SCHEMA, **TO_THE_END)

    assert set(json.loads(asyncio.run(asynchronous()).choices[0].message.content)) == {"city", "people"}
    drills.order(status=429, retry_after=0)
    with pytest.raises(openai.RateLimitError):
        client.with_options(max_retries=0).chat.completions.create(**ask, max_tokens=4)


# --- failures


def failures(stream: bool, expected, **client) -> list:
    """What the sync and the async client raise."""
    found = []

    async def asynchronous() -> None:
        async with AsyncInferenceClient(model=MODEL, **client) as one:
            answer = await one.chat_completion(QUESTION, max_tokens=30, stream=stream)
            async for _ in answer if stream else ():
                pass

    def synchronous() -> None:
        kept = InferenceClient(model=MODEL, **client)
        list(kept.chat_completion(QUESTION, max_tokens=30, stream=stream))

    for work in (synchronous, lambda: asyncio.run(asynchronous())):
        with pytest.raises(expected) as raised:
            work()
        found.append(raised.value)
    return found


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "retry_after"), [(401, None), (402, None), (403, None), (429, None), (429, 7), (503, 1), (504, None)]
)
def test_an_ordered_status(status, retry_after, stream):
    drills.order(status=status, times=2, retry_after=retry_after)
    for problem in failures(stream, HfHubHTTPError):
        assert problem.response.status_code == status
        assert problem.response.headers.get("Retry-After") == (str(retry_after) if retry_after is not None else None)
        assert "Drill: " in str(problem)
    assert [entry["status"] for entry in drills.seen()] == [status] * 2, "the client does not try again"
    assert InferenceClient(model=MODEL).chat_completion(QUESTION, max_tokens=1).choices, "and then all is well"


def test_a_gateway_timeout_advises_a_stream():
    drills.order(status=504, times=2)
    for problem in failures(False, HfHubHTTPError):
        assert problem.response.status_code == 504
        if int(huggingface_hub.__version__.split(".")[0]) >= 2:
            assert "stream=True" in str(problem)


@pytest.mark.parametrize("stream", [False, True])
def test_a_slow_provider_runs_into_the_time_limit(stream):
    drills.order(status="slow", seconds=60, times=2)
    failures(stream, TIMEOUTS, timeout=0.3)


@pytest.mark.parametrize("stream", [False, True])
def test_a_connection_that_breaks(stream):
    drills.order(status="cut", times=2)
    failures(stream, HTTPX.RemoteProtocolError)


def test_a_trickle_is_slow_and_whole():
    drills.order(status="trickle", seconds=0.05, times=2)
    for events in both("chat_completion", QUESTION, max_tokens=4, temperature=0, stream=True):
        assert events[-1].choices[0].finish_reason == "length"


def test_a_slow_first_token_comes_late_and_whole():
    """The drill of a slow first token, for a client that has the patience: nothing, then everything."""
    drills.order(status="slow", seconds=1, times=2)
    client = InferenceClient(model=MODEL)
    began = time.monotonic()
    stream = client.chat_completion(QUESTION, max_tokens=4, temperature=0, stream=True)
    next(iter(stream))
    assert time.monotonic() - began >= 1

    async def asynchronous() -> float:
        async with AsyncInferenceClient(model=MODEL) as other:
            began = time.monotonic()
            async for _ in await other.chat_completion(QUESTION, max_tokens=4, temperature=0, stream=True):
                return time.monotonic() - began

    assert asyncio.run(asynchronous()) >= 1


def test_an_unknown_token_and_no_token(monkeypatch, tmp_path):
    for problem in failures(False, HfHubHTTPError, token="hf_wrong"):
        assert problem.response.status_code == 401 and "the course's tokens only" in str(problem)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    failures(False, ValueError)


def test_nobody_there():
    ask = {"messages": QUESTION, "max_tokens": 4}
    with pytest.raises(HTTPX.ConnectError):
        InferenceClient(base_url="http://127.0.0.1:9", api_key="local").chat_completion(**ask)
    with pytest.raises(HTTPX.ConnectError):
        asyncio.run(AsyncInferenceClient(base_url="http://127.0.0.1:9", api_key="local").chat_completion(**ask))


def test_an_error_in_the_middle_of_a_stream_has_a_sentence(world):
    """What the gateway writes when the model server dies is what the client turns into its own exception."""
    from labkit.world.gateway.answers import error_event

    class Dying(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(error_event("The model server ended."))

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = InferenceClient(base_url=f"http://127.0.0.1:{server.server_port}", api_key="local")
    with pytest.raises(IncompleteGenerationError, match="The model server ended."):
        list(client.chat_completion(QUESTION, stream=True))
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "order", [{"status": 200}, {"status": "x"}, {"status": 429, "times": 0}, {"status": 429, "path": "("},
              {"status": "slow", "seconds": -1}, {"status": 429, "retry_after": "soon"}]
)  # fmt: skip
def test_a_drill_that_makes_no_sense(order):
    with pytest.raises(LabError):
        drills.order(**order)


def test_nobody_orders_a_real_provider_to_fail(monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT")
    with pytest.raises(LabError, match="Nobody can order a real provider to fail"):
        drills.order(status=429)


def test_a_drill_meets_only_what_it_is_for():
    drills.order(status=500, path="/embeddings$", times=2)
    assert InferenceClient(model=MODEL).chat_completion(QUESTION, max_tokens=1).choices
    with pytest.raises(HfHubHTTPError, match="500"):
        InferenceClient(provider="scaleway").feature_extraction("x", model=MODEL)
    drills.clear()
    assert InferenceClient(provider="scaleway").feature_extraction("x", model=MODEL).size
    assert [(entry["status"], entry["drilled"]) for entry in drills.seen()] == [(200, False)]


# --- what is sent


def test_watch_shows_what_would_leave_the_machine(capsys):
    with inference_client.watch() as sent:
        InferenceClient(model=MODEL, bill_to="my-team").chat_completion(QUESTION, max_tokens=2)
    assert [(one.method, one.url) for one in sent] == [
        ("POST", f"https://{inference_client.ROUTER}/v1/chat/completions")
    ]
    assert sent[0].body == {"model": MODEL, "messages": QUESTION, "max_tokens": 2, "stream": False}
    assert sent[0].headers["authorization"] == "***" and sent[0].headers["x-hf-bill-to"] == "my-team"
    shown = capsys.readouterr().out
    assert "capital of France" in shown and "hf_course" not in shown and KEY not in shown
    with inference_client.watch(show=False) as quiet:
        asyncio.run(AsyncInferenceClient(model=MODEL).chat_completion(QUESTION, max_tokens=2))
    assert len(quiet) == 1 and len(sent) == 1 and capsys.readouterr().out == ""


LESSON = """
import asyncio, json, os, socket, sys
from labkit import inference
sent = []
for name in ("send", "sendall"):
    def noting(self, data, *flags, _own=getattr(socket.socket, name)):
        if self.family != socket.AF_UNIX:
            sent.append((self.getpeername()[0], bytes(data).decode("latin-1")))
        return _own(self, data, *flags)
    setattr(socket.socket, name, noting)
gateway = inference.connect_local()
from huggingface_hub import AsyncInferenceClient, HfApi, InferenceClient
M, Q = "HuggingFaceTB/SmolLM2-135M-Instruct", [{"role": "user", "content": "Hello"}]
assert HfApi().whoami()["name"] == "learner"
HfApi().model_info(M)
said = [InferenceClient(model=M).chat_completion(Q, max_tokens=2),
        InferenceClient(model=M, provider="groq").chat_completion(Q, max_tokens=2),
        asyncio.run(AsyncInferenceClient(model=M).chat_completion(Q, max_tokens=2))]
client = InferenceClient(model=M)
list(client.chat_completion(Q, max_tokens=2, stream=True))
assert inference.connect_local() == gateway
print(json.dumps({"hosts": sorted({host for host, _ in sent}), "sent": "".join(data for _, data in sent),
                  "answers": [one.choices[0].message.content for one in said], "no_proxy": os.environ["NO_PROXY"]}))
"""


class Recorder:
    """A listener that notes all that reaches it, and answers chats."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                recorder.requests.append(f"{self.command} {self.path}\n{self.headers}\n{body}")
                choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
                usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
                answer = json.dumps(
                    {"id": "x", "created": 0, "model": "m", "choices": [choice], "usage": usage}
                ).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_HEAD = do_CONNECT = handle_any

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.mark.parametrize("key", ["", "class-key"])
def test_no_token_of_the_learner_goes_anywhere(own_course_cache, tmp_path, key):
    """A real token in the environment, in the file of `hf auth login` and in a netrc: none is sent to anybody.

    All that leaves the process is noted; whatever went to another host would meet the proxy, which is a listener.
    """
    proxy, endpoint = Recorder(), Recorder()
    home = tmp_path / "hf"
    home.mkdir()
    (home / "token").write_text("hf_REALSTORED", encoding="utf-8")
    hosts = ("127.0.0.1", "localhost", "huggingface.co", inference_client.ROUTER)
    netrc = tmp_path / "netrc"
    netrc.write_text("".join(f"machine {host} login me password REALNETRC\n" for host in hosts), encoding="utf-8")
    netrc.chmod(0o600)
    environment = {
        **os.environ,
        **{"HF_TOKEN": "hf_REALTOKEN", "HF_HOME": str(home), "NETRC": str(netrc), "NO_PROXY": "school.example"},
        **{name: proxy.url for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy")},
        **{"LABKIT_ENDPOINT": endpoint.url, "LABKIT_ENDPOINT_KEY": key, "PYTHONPATH": str(assets.PACKAGE.parent)},
    }
    run = subprocess.run([sys.executable, "-c", LESSON], capture_output=True, text=True, env=environment, timeout=120)
    proxy.server.shutdown(), endpoint.server.shutdown()
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["answers"] == ["Hi"] * 3 and found["hosts"] == ["127.0.0.1"]
    assert found["no_proxy"] == "school.example,127.0.0.1,localhost"
    assert "hf_course_learner" in found["sent"], "what is noted is what is sent"
    assert proxy.requests == [] and sum(request.startswith("POST") for request in endpoint.requests) == 4
    everything = found["sent"] + "".join(endpoint.requests)
    for secret in ("REAL", "cm_REAL", "bWU6UkVBTE5FVFJD"):  # the last: "me:REALNETRC" as Basic sends it
        assert secret not in everything
    for request in endpoint.requests:
        assert (f"Bearer {key}" in request) if key else ("authorization" not in request.lower())
        assert "hf_course" not in request and "labkit-key" not in request.lower()


# --- money

GROQ = {"provider": "huggingface_groq", "model": "openai/gpt-oss-20b"}


def test_what_an_answer_would_have_cost():
    answer = InferenceClient(model=MODEL).chat_completion(QUESTION, max_tokens=4)
    prices = pricing.price(*GROQ.values())
    expected = answer.usage.prompt_tokens * prices.input_usd_per_million_tokens
    expected += answer.usage.completion_tokens * prices.output_usd_per_million_tokens
    assert inference_client.cost_usd(answer.usage, **GROQ) == pytest.approx(expected / 1e6)
    with pytest.raises(LabError):
        inference_client.cost_usd(answer.usage, "nobody", "nothing")


def test_the_cap_stops_the_next_call_before_it_is_sent():
    client, calls = InferenceClient(model=MODEL), 0
    one = inference_client.SpendMeter(1, **GROQ).worst_case_usd(messages=QUESTION, max_tokens=8)
    meter = inference_client.SpendMeter(one * 1.1, **GROQ)
    with pytest.raises(inference_client.CapReached, match="^Not sent: this call could cost"):
        for _ in range(100):
            meter.call(client.chat_completion, QUESTION, max_tokens=8)
            calls += 1
    assert len(drills.seen()) == calls == meter.calls >= 1
    assert 0 < meter.spent_usd <= meter.cap_usd and meter.left_usd < one


def test_the_meter_counts_streams_and_async_calls():
    meter = inference_client.SpendMeter(1, **GROQ)
    client = InferenceClient(model=MODEL)
    events = list(meter.call(client.chat_completion, QUESTION, max_tokens=4, stream=True))
    assert (
        meter.spent_usd == inference_client.cost_usd(events[-1].usage, **GROQ) and meter.left_usd == 1 - meter.spent_usd
    )

    async def more() -> list:
        async with AsyncInferenceClient(model=MODEL) as client:
            whole = await meter.call(client.chat_completion, QUESTION, max_tokens=4)
            stream = await meter.call(client.chat_completion, QUESTION, max_tokens=4, stream=True)
            return [whole.usage, [event async for event in stream][-1].usage]

    usages = [events[-1].usage, *asyncio.run(more())]
    assert meter.calls == 3
    assert meter.spent_usd == pytest.approx(sum(inference_client.cost_usd(usage, **GROQ) for usage in usages))


def test_the_cap_holds_for_calls_at_the_same_time():
    worst = inference_client.SpendMeter(1, **GROQ).worst_case_usd(messages=QUESTION, max_tokens=8)
    meter = inference_client.SpendMeter(worst * 3.5, **GROQ)
    drills.order(status="slow", seconds=0.5, times=100)  # so that all are under way together

    def one(_: int) -> bool:
        try:
            return bool(meter.call(InferenceClient(model=MODEL).chat_completion, QUESTION, max_tokens=8))
        except inference_client.CapReached:
            return False

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(one, range(12))) == 3
    drills.clear()

    async def together() -> list:
        async with AsyncInferenceClient(model=MODEL) as client:
            calls = (meter.call(client.chat_completion, QUESTION, max_tokens=8) for _ in range(12))
            return await asyncio.gather(*calls, return_exceptions=True)

    refused = [one for one in asyncio.run(together()) if isinstance(one, inference_client.CapReached)]
    assert refused and meter.spent_usd <= meter.cap_usd


def test_what_a_failed_call_costs():
    client = InferenceClient(model=MODEL, timeout=0.3)
    meter = inference_client.SpendMeter(1, **GROQ)
    for status in (402, 429, 503):
        drills.order(status=status)
        with pytest.raises(HfHubHTTPError):
            meter.call(client.chat_completion, QUESTION, max_tokens=8)
    assert meter.spent_usd == 0 and meter.left_usd == 1, "refused, so not billed"
    worst = meter.worst_case_usd(messages=QUESTION, max_tokens=8)
    drills.order(status="slow", seconds=60)
    with pytest.raises(TIMEOUTS):
        meter.call(client.chat_completion, QUESTION, max_tokens=8)
    drills.order(status=504)
    with pytest.raises(HfHubHTTPError):
        meter.call(client.chat_completion, QUESTION, max_tokens=8)
    assert meter.spent_usd == pytest.approx(2 * worst), "nobody knows, so the worst is counted"
    drills.order(status="cut")
    with pytest.raises(HTTPX.RemoteProtocolError):
        client = InferenceClient(model=MODEL)
        list(meter.call(client.chat_completion, QUESTION, max_tokens=8, stream=True))
    assert meter.spent_usd > 2.9 * worst and meter.left_usd == pytest.approx(1 - meter.spent_usd)


def test_the_worst_case_is_not_too_small():
    """Bytes are an upper bound of tokens, for letters that take several tokens each too."""
    meter = inference_client.SpendMeter(1, **GROQ)
    for content in ("Hi", "x7" * 20, "ß漢字🙂" * 5, " \n" * 20):
        messages = [{"role": "user", "content": content}]
        answer = InferenceClient(model=MODEL).chat_completion(messages, max_tokens=2, tools=TOOLS)
        real = inference_client.cost_usd(answer.usage, **GROQ)
        assert real <= meter.worst_case_usd(messages=messages, max_tokens=2, tools=TOOLS)


def test_what_a_meter_does_not_take():
    for cap in (-1, float("nan"), float("inf"), "1"):
        with pytest.raises(LabError, match="A cap cannot be"):
            inference_client.SpendMeter(cap, **GROQ)
    with pytest.raises(LabError, match="The price table has no"):
        inference_client.SpendMeter(1, provider="nobody", model="nothing")
    meter = inference_client.SpendMeter(1, **GROQ)
    with pytest.raises(LabError, match="Give max_tokens"):
        meter.call(InferenceClient(model=MODEL).chat_completion, QUESTION)
    for wrong in (0, -1, 1.5, "8", True):
        with pytest.raises(LabError, match="max_tokens and n must be"):
            meter.call(InferenceClient(model=MODEL).chat_completion, QUESTION, max_tokens=wrong)
    assert drills.seen() == [] and "0 calls, $0.000000 of $1" in repr(meter)
