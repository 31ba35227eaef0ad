"""The model on this machine: load it, talk to it, watch it write, measure it.

A thin layer over transformers: `load` returns the library's own objects, `chat` and `stream` call the library's own
`generate`. Knows nothing of where weights come from (`world.weights`) or of what a lesson wants to show.
"""

from __future__ import annotations

import functools
import inspect
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.base import machine
from labkit.base.errors import LabError
from labkit.facts import catalogue, memory, planning
from labkit.models.chat_format import templated
from labkit.world import weights

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Messages = str | Sequence[dict[str, str]]


def load(model: str | None = None, dtype: str | None = None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """`(model, tokenizer)` of transformers, in evaluation mode, on this machine's device.

    `model` is a catalogue name; without it `LABKIT_MODEL`, else the course model. `dtype` is fp32, bf16, fp16 or int4
    (4 bits by bitsandbytes, computed with in the machine's own type); without it what `weights.precision_for` says: on
    a CPU fp32, so that results are the same on every CPU. Raises LabError when the name is unknown, the weights cannot
    be had, or the model does not fit (before loading).
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    here = machine.detect()
    entry = catalogue.get(model or os.environ.get("LABKIT_MODEL") or catalogue.DEFAULT)
    dtype = dtype or weights.precision_for(entry, here)
    planning.require_memory(entry, dtype, here)
    folder = weights.ensure(entry.name)
    loaded = AutoModelForCausalLM.from_pretrained(folder, **options(dtype, here))
    if here.device == "mps":
        loaded = loaded.to("mps")
    return loaded.eval(), AutoTokenizer.from_pretrained(folder)


def options(dtype: str, here: machine.Machine) -> dict[str, Any]:
    """What `from_pretrained` is given for a dtype (or int4) on a machine. LabError for 4 bits where there are none."""
    given: dict[str, Any] = {"dtype": torch_dtype(here.dtype if dtype == "int4" else dtype)}
    if here.device == "cuda":
        # accelerate fills the GPUs one after the other, and puts the rest into main memory.
        given["device_map"] = "auto"
    if dtype == "int4":
        given["quantization_config"] = four_bits(here)
    return given


def four_bits(here: machine.Machine) -> Any:
    """The `quantization_config` of bitsandbytes' NF4, as lesson 06 explains it, computed with in the machine's dtype.

    On a T4 that is fp16: it has no units for bf16. LabError on a Mac, where bitsandbytes does not run.
    """
    if here.device == "mps":
        raise LabError("4-bit weights need an NVIDIA GPU or a CPU: on a Mac leave dtype out.")
    from transformers import BitsAndBytesConfig

    computed = torch_dtype(here.dtype)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=computed)


def torch_dtype(name: str) -> torch.dtype:
    """torch's own type for fp32, bf16 or fp16. LabError for another name."""
    import torch

    types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if name not in types:
        raise LabError(f"Unknown dtype {name!r}: choose one of {', '.join(types)}.")
    return types[name]


@functools.lru_cache(maxsize=1)
def shared(name: str | None = None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The one pair that `chat` and `stream` use when they are given none: the course model in the fastest dtype."""
    return load(name, dtype=machine.detect().dtype if (name or catalogue.DEFAULT) == catalogue.DEFAULT else None)


def unload() -> None:
    """Forget the shared pair and give its memory back."""
    import gc

    shared.cache_clear()
    gc.collect()


def chat(messages: Messages, model: Any = None, tokenizer: Any = None, **settings: Any) -> str:
    """The model's answer to a conversation: a list of `{"role", "content"}`, or one question as a string.

    Settings are those of `stream`. Greedy unless a `temperature` above 0 is given.
    """
    import torch

    if unknown := settings.keys() - {"max_new_tokens", "temperature", "top_p", "seed"}:
        raise LabError(f"chat has no setting {min(unknown)}: it has max_new_tokens, temperature, top_p and seed.")
    model, tokenizer = _pair(model, tokenizer)
    inputs, options = _prepare(messages, model, tokenizer, **settings)

    with torch.inference_mode(), _seeded(settings.get("seed")):
        output = model.generate(**inputs, **options)
    return tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def stream(
    messages: Messages,
    model: Any = None,
    tokenizer: Any = None,
    *,
    max_new_tokens: int = 128,
    temperature: float = 0.0,
    top_p: float | None = None,
    seed: int | None = None,
    stop: threading.Event | None = None,
) -> Iterator[str]:
    """The same answer, in pieces, as the model writes it.

    `generate` runs in a thread of its own. It ends early when `stop` is set or the iterator is closed (a `break`, an
    interrupted kernel), after the token in hand. Joined together, the pieces are what `chat` returns.
    Raises LabError when the prompt does not fit the model's context or a setting is out of range.
    """
    import torch
    from transformers import StoppingCriteria, TextIteratorStreamer

    left = threading.Event()  # the reader has left; the caller's own event, `stop`, is never set here

    class Stopped(StoppingCriteria):
        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
            ended = left.is_set() or (stop is not None and stop.is_set()) or not threading.main_thread().is_alive()
            return torch.full((input_ids.shape[0],), ended, device=input_ids.device, dtype=torch.bool)

    model, tokenizer = _pair(model, tokenizer)
    inputs, options = _prepare(
        messages, model, tokenizer, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p
    )
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    failure: list[BaseException] = []

    def write() -> None:
        try:
            with torch.inference_mode(), _seeded(seed):
                model.generate(**inputs, **options, streamer=streamer, stopping_criteria=[Stopped()])
        except BaseException as problem:
            failure.append(problem)
            streamer.end()

    # Not a daemon: at exit Python would stop it inside torch, and abort. `Stopped` ends it with the main thread.
    thread = threading.Thread(target=write, name="labkit-stream")
    thread.start()
    try:
        yield from (piece for piece in streamer if piece)
    finally:
        left.set()
        thread.join()
    if failure:
        raise failure[0]


@dataclass(frozen=True)
class Speed:
    """What `measure` found: tokens a second for reading the prompt (prefill) and for writing the answer (decode)."""

    prompt_tokens: int
    new_tokens: int
    prefill_tokens_per_s: float
    decode_tokens_per_s: float


def measure(model: Any, *, prompt_tokens: int = 32, new_tokens: int = 32) -> Speed:
    """Prefill and decode speed of a transformers model, batch 1, greedy, with its KV cache, timed once.

    The prompt is made of arbitrary token ids: the work is the same for any text. Machines are noisy: repeat it.
    """
    import torch

    # The KV cache's name, as an argument and in the output: `cache` since transformers 5.24.
    named = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
    ids = torch.arange(100, 100 + prompt_tokens, device=model.device)[None]
    with torch.inference_mode():
        started = time.perf_counter()
        output = model(ids, use_cache=True, logits_to_keep=1)
        token = output.logits[:, -1:].argmax(-1)
        token.item()  # a GPU works ahead of Python: wait until it is done
        first = time.perf_counter()
        for _ in range(new_tokens):
            output = model(token, use_cache=True, **{named: output[named]})
            token = output.logits[:, -1:].argmax(-1)
        token.item()
        done = time.perf_counter()
    return Speed(prompt_tokens, new_tokens, prompt_tokens / (first - started), new_tokens / (done - first))


def _pair(model: Any, tokenizer: Any) -> tuple[Any, Any]:
    if (model is None) != (tokenizer is None):
        raise LabError("Give both model= and tokenizer=, or neither to use the course model.")
    return (model, tokenizer) if model is not None else shared(os.environ.get("LABKIT_MODEL"))


def _prepare(
    messages: Messages,
    model: Any,
    tokenizer: Any,
    *,
    max_new_tokens: int = 128,
    temperature: float = 0.0,
    top_p: float | None = None,
    seed: int | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The token ids of the conversation, and the options of `generate`."""
    if max_new_tokens < 1 or temperature < 0 or (top_p is not None and not 0 < top_p <= 1):
        raise LabError("max_new_tokens must be 1 or more, temperature 0 or more, top_p above 0 and at most 1.")
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    elif not isinstance(messages, Sequence) or not all(isinstance(message, Mapping) for message in messages):
        raise LabError('Ask with a text, or with a list of messages such as {"role": "user", "content": "Hello"}.')
    inputs = templated(tokenizer, messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
    inputs = inputs.to(model.device)
    length, context = inputs["input_ids"].shape[1], memory.context_of(model.config)
    if length >= context:
        raise LabError(
            f"The conversation is {length:,} tokens long and this model reads at most {context:,}: shorten it."
        )
    options: dict[str, Any] = {"max_new_tokens": min(max_new_tokens, context - length), "do_sample": temperature > 0}
    if temperature > 0:
        options |= {"temperature": temperature, **({"top_p": top_p} if top_p is not None else {})}
    return dict(inputs), options


def _seeded(seed: int | None) -> Any:
    """Draw from `seed` inside the block, and leave the caller's random state as it was."""
    import contextlib

    import torch

    if seed is None:
        return contextlib.nullcontext()
    stack = contextlib.ExitStack()
    stack.enter_context(torch.random.fork_rng())
    torch.manual_seed(seed)
    return stack
