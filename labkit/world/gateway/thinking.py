"""A stand-in for a thinking model: the course model is asked twice, first for thoughts, then for the answer.

It was not trained to think, and its thoughts seldom help. What is real is the form, which every thinking model has:
thoughts come first, in `reasoning_content`; they are tokens that are written and paid for; and they share `max_tokens`
with the answer, so that nothing may be left for it. (llama.cpp and DeepSeek name the field so, vLLM since 0.11.1 and
huggingface_hub `reasoning`.) Knows bodies in OpenAI's form. Knows nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from labkit.world.gateway.requests import Refused

# The most tokens of thought for each effort. Providers name the efforts so (Hugging Face, Chat Completion, 2026-08);
# how many tokens each means is theirs to say, and these are small, as the model is.
EFFORTS = {"none": 0, "minimal": 16, "low": 32, "medium": 64, "high": 128, "xhigh": 256}
_THINK = "Think about this step by step. Do not give the answer yet."
_ANSWER = "Now give the answer in one short sentence."

Ask = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def effort(body: dict[str, Any]) -> int:
    """How many tokens of thought a chat asks for with `reasoning_effort`; 0 without it."""
    given = body.get("reasoning_effort", "none")
    if not isinstance(given, str) or given not in EFFORTS:
        raise Refused(400, f"reasoning_effort cannot be {str(given)[:40]!r}: it is one of {', '.join(EFFORTS)}.")
    if EFFORTS[given] and (body.get("tools") or body.get("n", 1) > 1 or "response_format" in body):
        raise Refused(400, "The course model thinks about plain chats only: leave out tools, n and response_format.")
    return EFFORTS[given]


async def thought(ask: Ask, body: dict[str, Any], tokens: int) -> dict[str, Any]:
    """The answer to a chat after up to `tokens` tokens of thought, which count as written and fill `max_tokens`."""
    plain = {name: value for name, value in body.items() if name not in ("reasoning_effort", "max_tokens")}
    most = body.get("max_tokens")
    told = [*body["messages"], {"role": "user", "content": _THINK}]
    answer = await ask(plain | {"messages": told, "max_tokens": tokens if most is None else min(tokens, most)})
    thoughts, used = answer["choices"][0]["message"]["content"], answer["usage"]
    left = {} if most is None else {"max_tokens": most - used["completion_tokens"]}
    text, written = None, used["completion_tokens"]
    if most is None or left["max_tokens"] > 0:
        said = [{"role": "assistant", "content": thoughts}, {"role": "user", "content": _ANSWER}]
        answer = await ask(plain | left | {"messages": [*told, *said]})
        text = answer["choices"][0]["message"]["content"]
        written += answer["usage"]["completion_tokens"]
    message = {"role": "assistant", "content": text, "reasoning_content": thoughts}
    usage = {
        "prompt_tokens": used["prompt_tokens"],
        "completion_tokens": written,
        "total_tokens": used["prompt_tokens"] + written,
        "completion_tokens_details": {"reasoning_tokens": used["completion_tokens"]},
    }
    reason = "length" if text is None else answer["choices"][0]["finish_reason"]
    return {**answer, "choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": usage}
