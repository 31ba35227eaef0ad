"""What the gateway answers with: llama.cpp's answers in the forms that the clients of each route expect.

Knows bodies and events, not HTTP. An answer is named after the course model, since that is what wrote it.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

from labkit.world.services import providers
from labkit.world.services.refusals import Refused

DONE = b"data: [DONE]\n\n"
_CALL = re.compile(r"\s*<tool_call>\s*(\{.*\})\s*(</tool_call>)?\s*", re.DOTALL)
# llama.cpp's words for an end, in those of text-generation servers.
_FINISH = {"length": "length", "stop": "eos_token"}


def event(content: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n"


def error_event(sentence: str) -> bytes:
    """How a stream that cannot go on ends: the client raises IncompleteGenerationError with this sentence."""
    return event({"error": sentence, "error_type": "incomplete_generation"})


async def events(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Bytes as they came, cut into whole events."""
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n\n")
        for one in whole:
            yield one + b"\n\n"
    if rest.strip():
        yield rest


def renamed(content: bytes) -> bytes:
    """An answer of llama.cpp with the model's repository id in place of its short name.

    A quote inside a string is escaped in JSON, so what is replaced cannot be part of a text.
    """
    repo_id = providers.course_model()
    return content.replace(f'"model":"{repo_id.split("/")[1]}"'.encode(), f'"model":"{repo_id}"'.encode())


async def assembled(source: AsyncIterator[bytes]) -> dict[str, Any]:
    """The events of a chat or a completion, with usage, as one answer."""
    text, logprobs, choice, chunk = "", [], {}, {}
    async for one in source:
        if not one.startswith(b"data: {"):
            continue
        chunk = json.loads(one[6:])
        if "error" in chunk:
            raise Refused(500, str(chunk["error"].get("message", chunk["error"])))
        for choice in chunk["choices"]:
            text += choice.get("text") or choice.get("delta", {}).get("content") or ""
            logprobs += (choice.get("logprobs") or {}).get("content", [])
    is_chat = "delta" in choice
    body = {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
    whole = {"index": 0, **body, "finish_reason": choice.get("finish_reason")}
    if logprobs:
        whole["logprobs"] = {"content": logprobs}
    kind = "chat.completion" if is_chat else "text_completion"
    return {**chunk, "object": kind, "model": providers.course_model(), "choices": [whole]}


def joined(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Several answers to one prompt as one with several choices. The prompt is counted once, as providers do."""
    first = answers[0]
    choices = [{**answer["choices"][0], "index": index} for index, answer in enumerate(answers)]
    prompt, written = first["usage"]["prompt_tokens"], sum(one["usage"]["completion_tokens"] for one in answers)
    usage = {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
    return {**first, "choices": choices, "usage": usage}


def with_call(answer: dict[str, Any], *, forced: bool) -> dict[str, Any]:
    """The answer with the tool calls that the model has written; half a call, cut off by max_tokens, stays text."""
    for choice in answer["choices"]:
        message = choice["message"]
        text = message.get("content") or ""
        match = _CALL.fullmatch(text)
        try:
            found = json.loads(text if forced else match[1] if match else "")
            wanted = found if isinstance(found, list) else [found]
            functions = [{"name": one["name"], "arguments": json.dumps(one["arguments"])} for one in wanted]
        except (ValueError, LookupError, TypeError):
            continue
        calls = [{"id": f"call_{secrets.token_hex(8)}", "type": "function", "function": one} for one in functions]
        choice["message"] = {**message, "content": None, "tool_calls": calls}
        choice["finish_reason"] = "tool_calls"
    return answer


def as_events(answer: dict[str, Any], *, usage: bool) -> Iterator[bytes]:
    """A finished answer in the form of a stream."""
    shared = {key: answer.get(key) for key in ("id", "created", "model", "system_fingerprint")}
    shared["object"] = "chat.completion.chunk"
    for choice in answer["choices"]:
        delta = dict(choice["message"])
        if calls := delta.get("tool_calls"):
            delta["tool_calls"] = [{**call, "index": index} for index, call in enumerate(calls)]
        place = {"index": choice["index"], "logprobs": choice.get("logprobs")}
        # Thoughts come before the answer, in pieces of their own.
        thoughts = [{"role": "assistant", "reasoning_content": delta.pop("reasoning_content", None)}]
        for piece in [*(one for one in thoughts if one["reasoning_content"]), delta]:
            yield event({**shared, "choices": [{**place, "delta": piece, "finish_reason": None}]})
        end = {"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}
        yield event({**shared, "choices": [end]})
    if usage:
        yield event({**shared, "choices": [], "usage": answer["usage"]})
    yield DONE


# --- text generation, as the hf-inference route has it


def generated(answer: dict[str, Any], prompt: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """A completion in the form of text-generation servers."""
    choice = answer["choices"][0]
    text = choice["text"]
    result: dict[str, Any] = {"generated_text": prompt + text if parameters.get("return_full_text") else text}
    if parameters.get("details"):
        tokens = [_token(one) for one in (choice.get("logprobs") or {}).get("content", [])]
        result["details"] = {**_details(choice, answer["usage"], parameters), "prefill": [], "tokens": tokens}
    return [result]


def _details(choice: dict[str, Any], usage: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    reason = _FINISH.get(choice["finish_reason"], choice["finish_reason"])
    # llama.cpp says "stop" for both ends of a completion: where a stop text was given, it is taken for the reason.
    if reason == "eos_token" and parameters.get("stop"):
        reason = "stop_sequence"
    tokens = usage["completion_tokens"]
    return {"finish_reason": reason, "generated_tokens": tokens, "seed": parameters.get("seed")}


def _token(one: dict[str, Any]) -> dict[str, Any]:
    return {"id": one.get("id"), "text": one["token"], "logprob": one["logprob"], "special": False}


async def generated_events(source: AsyncIterator[bytes], parameters: dict[str, Any]) -> AsyncIterator[bytes]:
    """The events of a completion as those of text-generation servers: a token each, the whole text with the last."""
    whole, index, last, usage = "", 0, None, {"completion_tokens": 0}
    choice: dict[str, Any] = {"finish_reason": None}
    async for one in source:
        if not one.startswith(b"data: {"):
            continue
        chunk = json.loads(one[6:])
        if "error" in chunk:
            yield one
            return
        usage = chunk.get("usage") or usage
        for choice in chunk.get("choices", []):
            whole += choice.get("text") or ""
            for token in (choice.get("logprobs") or {}).get("content", []):
                if last is not None:
                    yield event({"index": index, "token": _token(last), "generated_text": None, "details": None})
                    index += 1
                last = token
    if last is None:
        last = {"token": "", "logprob": 0.0}
    usage = usage if usage["completion_tokens"] else {"completion_tokens": index + 1}
    details = _details(choice, usage, parameters)
    yield event({"index": index, "token": _token(last), "generated_text": whole, "details": details})
