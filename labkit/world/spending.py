"""A spend meter: counts what calls cost at a provider's list price, and stops the call that could go beyond a cap.

Knows prices, usage and the worst case of a call. Knows nothing of HTTP; it takes the methods of any client that speaks
OpenAI's chat protocol: `InferenceClient`, `AsyncInferenceClient`, `openai.OpenAI`.

    meter = SpendMeter(0.01, provider="huggingface_groq", model="openai/gpt-oss-20b")
    answer = meter.call(client.chat_completion, messages=messages, max_tokens=50)
"""

from __future__ import annotations

import inspect
import json
import math
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from labkit.base.errors import LabError
from labkit.facts import pricing

# What a chat template may add around the messages, in tokens: a system prompt of its own and its markers.
_TEMPLATE_TOKENS = 64


class CapReached(LabError):
    """A call was not sent, because it could have cost more than what is left."""


class SpendMeter:
    """What calls have cost, in USD, and a cap that no call may pass. Safe in threads and with async calls.

    Before a call its worst case is set aside: every token of `max_tokens` written, and a token for every byte of the
    prompt, since no token is shorter. If that is more than what is left, the call is not sent. Afterwards what it has
    really used is counted. A call that ends without saying so (a time-out, a stream that broke off) may still be
    billed, so its worst case stays counted; a call that was refused costs nothing.
    """

    def __init__(self, cap_usd: float, *, provider: str, model: str) -> None:
        """Prices are those of `provider` for `model`, as genai-prices names them, at `pricing.AS_OF`. Batches and
        caches are ignored: what is read from a cache costs less than counted, what fills it more with some vendors."""
        if not isinstance(cap_usd, int | float) or not math.isfinite(cap_usd) or cap_usd < 0:
            raise LabError(f"A cap cannot be {cap_usd!r}: give dollars, 0 or more.")
        pricing.price(provider, model)  # an unknown name is said now, not in the middle of a loop
        self.cap_usd = cap_usd
        self.provider, self.model = provider, model
        self.spent_usd = 0.0
        self.calls = 0
        self._reserved_usd = 0.0
        self._lock = threading.Lock()

    @property
    def left_usd(self) -> float:
        """What may still be spent: the cap, less what was spent and what calls under way could cost."""
        with self._lock:
            return max(0.0, self.cap_usd - self.spent_usd - self._reserved_usd)

    def __repr__(self) -> str:
        return f"{self.calls} calls, ${self.spent_usd:.6f} of ${self.cap_usd:.6f} spent ({self.provider}, {self.model})"

    def worst_case_usd(self, *, messages: Any, max_tokens: int, n: int = 1, **options: Any) -> float:
        """What a call can cost at most: the price of all that is sent, in bytes, and of `max_tokens` an answer."""
        if not all(isinstance(count, int) and not isinstance(count, bool) and count > 0 for count in (max_tokens, n)):
            raise LabError("max_tokens and n must be whole numbers above 0, or nobody knows what a call may cost.")
        prompt = json.dumps([messages, options], ensure_ascii=False, default=str)
        return self._usd(len(prompt.encode()) + _TEMPLATE_TOKENS, max_tokens * n)

    def call(self, method: Callable[..., Any], messages: Any = None, **options: Any) -> Any:
        """`method(messages=messages, **options)`, if it cannot pass the cap: CapReached before anything is sent.

        Of an async method the result is awaited as without the meter. A stream is counted when it ends.
        LabError without `max_tokens`.
        """
        if options.get("max_tokens") is None:
            raise LabError("Give max_tokens: without it nobody can say what a call may cost.")
        if options.get("stream"):
            options["stream_options"] = {**(options.get("stream_options") or {}), "include_usage": True}
        if inspect.iscoroutinefunction(inspect.unwrap(method)):
            return self._awaited(method, messages, options)
        reserved = self._reserve(messages, options)
        with _Outcome(self, reserved) as outcome:
            answer = method(messages=messages, **options)
            if options.get("stream"):
                outcome.later()
                return self._stream(answer, reserved)
            outcome.usage = answer.usage
        return answer

    async def _awaited(self, method: Callable[..., Any], messages: Any, options: dict[str, Any]) -> Any:
        reserved = self._reserve(messages, options)
        with _Outcome(self, reserved) as outcome:
            answer = await method(messages=messages, **options)
            if options.get("stream"):
                outcome.later()
                return self._async_stream(answer, reserved)
            outcome.usage = answer.usage
        return answer

    def _stream(self, chunks: Any, reserved: float) -> Iterator[Any]:
        with _Outcome(self, reserved) as outcome:
            for chunk in chunks:
                outcome.usage = getattr(chunk, "usage", None) or outcome.usage
                yield chunk

    async def _async_stream(self, chunks: Any, reserved: float) -> AsyncIterator[Any]:
        with _Outcome(self, reserved) as outcome:
            async for chunk in chunks:
                outcome.usage = getattr(chunk, "usage", None) or outcome.usage
                yield chunk

    def _usd(self, input_tokens: int, output_tokens: int) -> float:
        return pricing.request_usd(self.provider, self.model, input_tokens, output_tokens)

    def _reserve(self, messages: Any, options: dict[str, Any]) -> float:
        worst = self.worst_case_usd(messages=messages, **options)
        with self._lock:
            left = self.cap_usd - self.spent_usd - self._reserved_usd
            if worst > left:
                raise CapReached(
                    f"Not sent: this call could cost ${worst:.6f} and ${max(0.0, left):.6f} of the cap of "
                    f"${self.cap_usd:.6f} are left; ask for fewer max_tokens, or raise the cap."
                )
            self._reserved_usd += worst
        return worst

    def _settle(self, reserved: float, usd: float) -> None:
        with self._lock:
            self._reserved_usd -= reserved
            self.spent_usd += usd
            self.calls += 1


class _Outcome:
    """What becomes of a reservation when its call ends: counted by usage, given back, or kept."""

    def __init__(self, meter: SpendMeter, reserved: float) -> None:
        self.meter, self.reserved = meter, reserved
        self.usage: Any = None
        self._open = False

    def __enter__(self) -> _Outcome:
        return self

    def later(self) -> None:
        """The answer is a stream: its end settles."""
        self._open = True

    def __exit__(self, kind: Any, problem: BaseException | None, trace: Any) -> None:
        if self._open and problem is None:
            return
        if self.usage is not None:
            usd = self.meter._usd(self.usage.prompt_tokens, self.usage.completion_tokens)
        else:
            usd = 0.0 if problem is not None and _refused(problem) else self.reserved
        self.meter._settle(self.reserved, usd)


def _refused(problem: BaseException) -> bool:
    """Whether a call cannot have been billed: refused before work began, never connected, or never sent."""
    never_sent = isinstance(problem, ValueError | TypeError) or "ConnectError" in type(problem).__name__
    status = getattr(getattr(problem, "response", None), "status_code", 500)
    return never_sent or status < 500 or status == 503
