"""Reading and writing speed: through labkit, through bare transformers, through llama.cpp, in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from labkit.facts import catalogue
from labkit.front.bench import Ratio, Section, interleaved, ratio
from labkit.models import local
from labkit.models.evaluation import llama

_QUESTION = [{"role": "user", "content": "Tell a long story about a lighthouse keeper and the sea."}]
_NEW_TOKENS = 64


def run(quick: bool) -> Section:
    """Speed tables at 32 and 512 prompt tokens, and the ratios of labkit and of llama.cpp to bare transformers."""
    pairs = 3 if quick else 10
    model, tokenizer = local.load(dtype="fp32")
    rows = _transformers_rows(model, "fp32", pairs)
    ratios = _ratios(model, tokenizer, pairs)
    del model
    model, _ = local.load(dtype="bf16")
    rows += _transformers_rows(model, "bf16", pairs)
    protocol = (
        f"batch 1, greedy, {_NEW_TOKENS} new tokens, {pairs} rounds, each round measures every way once; "
        "rows show medians, ratios are of tokens per second"
    )
    return Section("decode", protocol, rows + _llama_rows(pairs), ratios)


def _transformers_rows(model: Any, dtype: str, rounds: int) -> list[dict[str, Any]]:
    rows = []
    for prompt in (32, 512):
        speeds = [local.measure(model, prompt_tokens=prompt, new_tokens=32) for _ in range(rounds)]
        prefill = statistics.median(speed.prefill_tokens_per_s for speed in speeds)
        decode = statistics.median(speed.decode_tokens_per_s for speed in speeds)
        rows.append(_row(f"transformers {dtype}", prompt, prefill, decode))
    return rows


def _row(engine: str, prompt: int, prefill: float, decode: float) -> dict[str, Any]:
    return {"engine": engine, "prompt_tokens": prompt, "prefill_tokens_per_s": prefill, "decode_tokens_per_s": decode}


def _ratios(model: Any, tokenizer: Any, pairs: int) -> list[Ratio]:
    """labkit and llama.cpp against the library's own `generate` on the same conversation."""
    from transformers import TextIteratorStreamer

    prompt = tokenizer.apply_chat_template(_QUESTION, add_generation_prompt=True, return_dict=True, return_tensors="pt")
    length = prompt["input_ids"].shape[1]
    both = {"model": model, "tokenizer": tokenizer, "max_new_tokens": _NEW_TOKENS}

    def bare() -> float:
        return _speed(lambda: model.generate(**prompt, max_new_tokens=_NEW_TOKENS, do_sample=False).shape[1] - length)

    def chat() -> float:
        return _speed(lambda: len(tokenizer(local.chat(_QUESTION, **both))["input_ids"]))

    def bare_stream() -> float:
        return _speed(lambda: _bare_stream(model, prompt, TextIteratorStreamer(tokenizer, skip_prompt=True)))

    def stream() -> float:
        return _speed(lambda: len(tokenizer("".join(local.stream(_QUESTION, **both)))["input_ids"]))

    service = _server()
    measures = [bare, chat, bare_stream, stream, lambda: _llama(service, _QUESTION)["predicted_per_second"]]
    for measure in measures:
        measure()  # the first call of each pays for warming up
    bare_, chat_, bare_stream_, stream_, llama_ = interleaved(pairs, *measures)
    return [
        ratio("labkit.local.chat to transformers generate", chat_, bare_, "at least 0.98"),
        ratio("labkit.local.stream to a bare TextIteratorStreamer", stream_, bare_stream_, "at least 0.98"),
        ratio("llama.cpp (Q4_1) to transformers generate (fp32)", llama_, bare_),
    ]


def _bare_stream(model: Any, prompt: Any, streamer: Any) -> int:
    """What a user of the library writes to stream: `generate` in a thread, the pieces in a loop."""
    import threading

    options = {"max_new_tokens": _NEW_TOKENS, "do_sample": False, "streamer": streamer}
    output: list[Any] = []
    thread = threading.Thread(target=lambda: output.append(model.generate(**prompt, **options)))
    thread.start()
    for _ in streamer:
        pass
    thread.join()
    return output[0].shape[1] - prompt["input_ids"].shape[1]


def _speed(work: Callable[[], int]) -> float:
    """Tokens per second of `work`, which returns how many it wrote; the time to read the prompt is included."""
    began = time.perf_counter()
    tokens = work()
    return tokens / (time.perf_counter() - began)


def _server() -> Any:
    from labkit.world.model_server.service import model_server

    return model_server(catalogue.DEFAULT)


def _llama(service: Any, messages: Any, new_tokens: int = _NEW_TOKENS) -> dict[str, float]:
    """llama.cpp's own timings for one answer of exactly `new_tokens` tokens.

    Its prompt cache is off, or the second prefill would read nothing.
    """
    body = {"messages": messages, "max_tokens": new_tokens, "temperature": 0, "cache_prompt": False, "ignore_eos": True}
    return llama.ask(service.url, service.key, "/v1/chat/completions", body)["timings"]


def _llama_rows(rounds: int) -> list[dict[str, Any]]:
    service, rows = _server(), []
    for prompt, words in ((32, 2), (512, 482)):
        # The template around the question has 30 tokens; "a" is one.
        messages = [{"role": "user", "content": "a " * words}]
        timings = [_llama(service, messages, 32) for _ in range(rounds)]
        prefill = statistics.median(timing["prompt_per_second"] for timing in timings)
        decode = statistics.median(timing["predicted_per_second"] for timing in timings)
        rows.append(_row("llama.cpp Q4_1", timings[0].get("prompt_n", prompt), prefill, decode))
    return rows
