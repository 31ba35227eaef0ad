"""The Inference Providers protocol, for the unmodified `InferenceClient`: a Starlette application.

It answers as router.huggingface.co does for `provider="auto"` (/v1/...) and for providers by name (/NAME/...). It runs
the course model and answers for no other; every answer carries a warning that it is the course's gateway.
Facts about the protocol: the client's own source and requests, huggingface_hub 2.4 and 1.27, tried on 2026-11-23.
Knows routes; what is asked and answered is in `gateway.requests` and `gateway.answers`, who does it in
`gateway.upstream`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from labkit.world.gateway import answers, requests, thinking
from labkit.world.gateway.guard import NOT_A_PROVIDER, Guard
from labkit.world.gateway.upstream import Upstream, refusal
from labkit.world.services import bodies, providers
from labkit.world.services.middleware import FromHere, Mark
from labkit.world.services.ordered_failures import Drills
from labkit.world.services.refusals import Refused, handlers

CHAT, TEXT, EMBEDDINGS = "/chat/completions", "/completions", "/embeddings"
_MODEL = "/hf-inference/models/{owner}/{name}"


def application(upstream: Upstream, *, key: str, class_token: bool = False) -> Any:
    """The gateway in front of `upstream`, for who has `key`. For a class there are no drills: they would hit others."""
    routes = [
        Route("/health", _health),
        Route("/v1/models", _models),
        Route(f"{_MODEL}/pipeline/feature-extraction", _features, methods=["POST"]),
        Route(f"{_MODEL}/pipeline/sentence-similarity", _similarity, methods=["POST"]),
        Route(f"{_MODEL}/v1{CHAT}", _chat, methods=["POST"]),
        Route(_MODEL, _generation, methods=["POST"]),
        # Providers have paths of their own, such as /groq/openai/v1/chat/completions: their ends are alike.
        Route(f"/{{route:path}}{CHAT}", _chat, methods=["POST"]),
        Route(f"/{{route:path}}{TEXT}", _completion, methods=["POST"]),
        Route(f"/{{route:path}}{EMBEDDINGS}", _embeddings, methods=["POST"]),
    ]
    app = Starlette(routes=routes, exception_handlers=handlers(_elsewhere))
    app.state.upstream = upstream
    guarded = Guard(app if class_token else Drills(app), key=key, class_token=class_token)
    # A class asks by whatever name the teacher's machine has in its network; its token is a secret.
    return Mark(guarded if class_token else FromHere(guarded), warning=NOT_A_PROVIDER)


def _elsewhere(request: Request, status: int) -> Refused:
    return Refused(
        status,
        f"The course's gateway has nothing at {request.method} {request.url.path}: it answers chat, text generation "
        'and embeddings; images and speech need mode="live".',
    )


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _models(request: Request) -> Response:
    listed = [{"id": providers.course_model(), "object": "model", "owned_by": "HuggingFaceTB"}]
    return JSONResponse({"object": "list", "data": listed})


async def _body(request: Request) -> tuple[Upstream, dict[str, Any]]:
    """What is asked, of a provider that is known and a model that we run."""
    upstream: Upstream = request.app.state.upstream
    body = bodies.parsed(await request.body(), requests.FIELDS)
    provider = request.url.path.split("/")[1]
    if provider != "v1" and provider not in providers.PROVIDERS:
        known = ", ".join(providers.PROVIDERS)
        raise Refused(404, f"The course's gateway does not stand in for {provider}: it does for {known}.")
    if upstream.is_ours:
        inside = "{owner}/{name}".format(**request.path_params) if "owner" in request.path_params else body.get("model")
        requests.require_course_model(inside)
    return upstream, body


# --- chat


async def _chat(request: Request) -> Response:
    upstream, body = await _body(request)
    body = requests.chat(body)
    thoughts = thinking.effort(body) if upstream.is_ours else 0
    if not upstream.is_ours or not (thoughts or body.get("tools") or body.get("n", 1) > 1 or _has_calls(body)):
        return await _relayed(upstream, CHAT, body)
    asked = requests.with_tools(body) | {"stream": False}
    asked.pop("stream_options", None)
    if thoughts:
        answer = await thinking.thought(lambda one: _whole(upstream, CHAT, one), asked, thoughts)
    else:
        answer = answers.joined(await _several(upstream, asked, asked.pop("n", 1)))
    if body.get("tools"):
        answer = answers.with_call(answer, forced=bool(requests.forced_tools(body)))
    if not body.get("stream"):
        return JSONResponse(answer)
    usage = bool((body.get("stream_options") or {}).get("include_usage"))
    return _events(answers.as_events(answer, usage=usage))


def _has_calls(body: dict[str, Any]) -> bool:
    return any(message.get("tool_calls") for message in body["messages"])


async def _several(upstream: Upstream, body: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """`count` answers to the same prompt. llama.cpp's own `n` counts the tokens of one of them only."""
    seeds = [{"seed": body["seed"] + turn} if isinstance(body.get("seed"), int) else {} for turn in range(count)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_caught(_whole(upstream, CHAT, body | seed))) for seed in seeds]
    found = [task.result() for task in tasks]
    for one in found:
        if isinstance(one, Refused):
            raise one
    return found


async def _caught(work: Any) -> Any:
    """A refusal as a value: in a task group it would come out wrapped."""
    try:
        return await work
    except Refused as problem:
        return problem


async def _relayed(upstream: Upstream, path: str, body: dict[str, Any]) -> Response:
    """The answer as it is, in one piece or in events as they come, under the repository's name."""
    if not body.get("stream"):
        return JSONResponse(await _whole(upstream, path, body))
    rename = answers.renamed if upstream.is_ours else bytes
    source = await _stream(upstream, path, body, form="/v1/")
    return _events(rename(one) async for one in source)


async def _whole(upstream: Upstream, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """An answer in one piece.

    llama.cpp is asked for a stream all the same: it stops writing for who has gone away only then (2026-11-23).
    """
    if not upstream.is_ours:
        return await upstream.post(path, body)
    asked = body | {"stream": True, "stream_options": {"include_usage": True}}
    async with upstream.open(path, asked) as response:
        if response.status_code != 200:
            raise refusal(response, await response.aread(), upstream)
        return await answers.assembled(answers.events(response.aiter_raw()))


async def _stream(upstream: Upstream, path: str, body: dict[str, Any], *, form: str = "") -> AsyncIterator[bytes]:
    """The events of an answer. A refusal is raised before the first; what fails later is said in an event of its own.

    A stream that breaks off ends with that event alone, so that a client can tell it from a short answer.
    """
    stack = AsyncExitStack()
    try:
        response = await stack.enter_async_context(upstream.open(path, body))
        if response.status_code != 200:
            raise refusal(response, await response.aread(), upstream)
    except BaseException as problem:
        await stack.__aexit__(type(problem), problem, problem.__traceback__)
        raise

    async def events() -> AsyncIterator[bytes]:
        try:
            async with stack:
                async for one in answers.events(response.aiter_raw()):
                    yield one
        except Refused as problem:
            yield answers.error_event(problem.detail, form)

    return events()


def _events(pieces: AsyncIterator[bytes] | Iterable[bytes]) -> Response:
    return StreamingResponse(pieces, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


# --- text and vectors


async def _generation(request: Request) -> Response:
    """The hf-inference route: `{inputs, parameters, stream}`, answered as text-generation servers do."""
    upstream, body = await _body(request)
    bodies.check(body, {"parameters": bodies.OBJECT}, status=422, error_type="validation")
    parameters = body.get("parameters") or {}
    bodies.check(parameters, requests.FIELDS, status=422, error_type="validation")
    asked = requests.completion(body.get("inputs"), parameters, stream=bool(body.get("stream")))
    asked["model"] = "{owner}/{name}".format(**request.path_params)
    if not asked["stream"]:
        answer = await _whole(upstream, TEXT, asked)
        return JSONResponse(answers.generated(answer, body["inputs"], parameters))
    asked["stream_options"] = {"include_usage": True}
    return _events(answers.generated_events(await _stream(upstream, TEXT, asked), parameters))


async def _completion(request: Request) -> Response:
    upstream, body = await _body(request)
    if upstream.is_ours and (not isinstance(body.get("prompt"), str) or body.get("n") not in (None, 1)):
        raise Refused(400, "A completion has one prompt, a text, and one answer: send several requests for more.")
    return await _relayed(upstream, TEXT, {name: value for name, value in body.items() if value is not None})


async def _embeddings(request: Request) -> Response:
    upstream, body = await _body(request)
    texts = requests.texts(body.pop("input", None), dimensions=body.get("dimensions"))
    answer = await _embedded(upstream, texts, body.get("model"))
    if upstream.is_ours:
        answer["model"] = providers.course_model()
    return JSONResponse(answer)


async def _features(request: Request) -> Response:
    upstream, body = await _body(request)
    texts = requests.texts(body.pop("inputs", None), **body)
    answer = await _embedded(upstream, texts, "{owner}/{name}".format(**request.path_params))
    return JSONResponse([one["embedding"] for one in answer["data"]])


async def _similarity(request: Request) -> Response:
    """Cosine similarity of each sentence to the source: the vectors have length 1, so it is their product."""
    upstream, body = await _body(request)
    inputs = body.get("inputs")
    if not isinstance(inputs, dict):
        raise Refused(422, "inputs must be {'source_sentence': .., 'sentences': [..]}.")
    others = requests.texts(inputs.get("sentences"))
    texts = [*requests.texts(inputs.get("source_sentence")), *others]
    answer = await _embedded(upstream, texts, "{owner}/{name}".format(**request.path_params))
    first, *rest = (one["embedding"] for one in answer["data"])
    return JSONResponse([sum(a * b for a, b in zip(first, other, strict=True)) for other in rest])


async def _embedded(upstream: Upstream, texts: list[str], model: Any) -> dict[str, Any]:
    return await upstream.post(EMBEDDINGS, {"input": texts, "model": model}, kind="embeddings")
