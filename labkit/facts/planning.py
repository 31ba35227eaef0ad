"""Does it fit? The bytes that a model of the catalogue needs (`memory`) against what a machine has (`machine`).

Where NVIDIA GPUs hold a bigger model only in 4 bits, it plans for 4 bits. The arithmetic is that of `memory`. GB is
10^9 bytes.
"""

from __future__ import annotations

import importlib.util
import math
from typing import TYPE_CHECKING

from labkit.base.errors import LabError
from labkit.facts import catalogue, memory

if TYPE_CHECKING:
    import pandas

    from labkit.base.machine import Machine


# The share of a GPU's memory that a model can have. CUDA's own context takes half a GB of a T4's 16, and torch's blocks
# leave gaps.
GPU_SHARE = 0.9
# Models worth a larger download on a GPU that has room for them: the oldest ones of this course that can chat.
OFFERED = ("mistral-7b-instruct", "llama-2-7b-chat", "llama-2-13b-chat")


def gpu_bytes(machine: Machine) -> int:
    """Bytes that a model can have on the NVIDIA GPUs, taken together, since its layers can be spread over several; 0
    without such a GPU."""
    return int(GPU_SHARE * sum(gpu.memory_bytes for gpu in machine.gpus)) if machine.device == "cuda" else 0


def free_bytes(machine: Machine) -> int:
    """Bytes that are free now, in main memory and on NVIDIA GPUs together: what one cannot take goes to the other."""
    return machine.available_bytes() + (sum(gpu.memory_bytes for gpu in machine.gpus) if gpu_bytes(machine) else 0)


def precision(entry: catalogue.Entry, dtype: str, machine: Machine) -> str:
    """`dtype`, or "int4" where the NVIDIA GPUs of this machine hold the model in 4 bits and not in `dtype`.

    Weights in 4 bits are bitsandbytes' NF4; the model still computes in 16 bits. Such weights cannot be split between
    GPU and main memory, so they have to fit on the GPUs.
    """
    if not machine.gpus or _gpus_hold(entry, dtype, machine) or not _gpus_hold(entry, "int4", machine):
        return dtype
    return "int4" if _has_bitsandbytes() else dtype


def offer(lesson: str, dtype: str, machine: Machine) -> str:
    """One sentence on the bigger models that the NVIDIA GPUs of this machine hold; an empty text without any."""
    found = {}
    for entry in map(catalogue.get, OFFERED):
        chosen = precision(entry, dtype, machine)
        if _gpus_hold(entry, chosen, machine):
            asks = ", after its maker's permission" if entry.value("gated") else ""
            found[entry.name] = f"{entry.name} ({'4' if chosen == 'int4' else '16'} bits{asks})"
    if not found:
        return ""
    call = f'labkit.start("{lesson}", model="{next(iter(found))}")'
    return f"This GPU has room for more: {', '.join(found.values())}. Restart the kernel and write {call}."


def _has_bitsandbytes() -> bool:
    return importlib.util.find_spec("bitsandbytes") is not None


def _gpus_hold(entry: catalogue.Entry, dtype: str, machine: Machine) -> bool:
    """Whether the model and a conversation of 2,048 tokens fit in the NVIDIA GPUs alone.

    A layer cannot be split. With several GPUs each may end with room for most of a layer, and that room is lost.
    """
    plan = _needs(entry, dtype, tokens=2048, all_logits=False)
    left_over = plan.weights // entry.shape.layers * len(machine.gpus) if len(machine.gpus) > 1 else 0
    return plan.total + left_over <= gpu_bytes(machine)


def table(name: str, *, tokens: int, batch: int = 1, free: float) -> pandas.DataFrame:
    """What running a model takes in each precision, in GB: one row a dtype; `fits` tells whether `free` bytes suffice.

    `name` is a model of the catalogue. `tokens` counts prompt and answer of each of the `batch` conversations.
    LabError for an unknown name or negative numbers.
    """
    import pandas

    shape, rows = catalogue.get(name).shape, {}
    for dtype in ("fp32", "bf16", "int8", "int4"):
        plan = memory.inference_bytes(shape, dtype=dtype, tokens=tokens, batch=batch, all_logits=False)
        parts = {"weights": plan.weights, "kv_cache": plan.kv_cache, "rest": plan.activations + plan.overhead}
        rows[dtype] = {f"{part}_gb": size / 1e9 for part, size in parts.items()}
        rows[dtype] |= {"total_gb": plan.total / 1e9, "fits": plan.total <= free}
    return pandas.DataFrame.from_dict(rows, orient="index")


def require_memory(entry: catalogue.Entry, dtype: str, machine: Machine, tokens: int = 512) -> None:
    """Raise LabError, before anything is loaded, when the model and a text of `tokens` tokens need more than is free.

    The message has both numbers, and names the largest chat model of the catalogue that fits and needs no permission.
    """
    free = gpu_bytes(machine) if dtype == "int4" and machine.device == "cuda" else free_bytes(machine)
    if (needed := _needs(entry, dtype, tokens=tokens).total) <= free:
        return
    advice = "close other programs and notebooks, then try again"
    if dtype == "int4" and entry.shape.experts > 1:
        advice = "bitsandbytes leaves the experts of a mixture in 16 bits; use a GGUF of it with llama.cpp"
    if fits := largest_that_fits(free, dtype, tokens):
        advice += f', or choose a model that fits, such as model="{fits.name}"'
    needed_gb, free_gb = math.ceil(needed / 1e8) / 10, math.floor(free / 1e8) / 10
    dtype = "4 bits" if dtype == "int4" else dtype
    raise LabError(f"{entry.title} in {dtype} needs {needed_gb} GB of memory and {free_gb} GB are free: {advice}.")


def largest_that_fits(free: float, dtype: str, tokens: int = 512) -> catalogue.Entry | None:
    """The largest chat model of the catalogue that needs no permission and at most `free` bytes, or None."""
    open_chat_models = [entry for entry in catalogue.all() if entry.value("chat") and not entry.value("gated")]
    for entry in sorted(open_chat_models, key=lambda entry: entry.parameters, reverse=True):
        if _needs(entry, dtype, tokens=tokens).total <= free:
            return entry
    return None


def _needs(entry: catalogue.Entry, dtype: str, *, tokens: int, all_logits: bool = True) -> memory.Plan:
    """What a model takes as `local.load` loads it: int4 is bitsandbytes' NF4, which leaves some weights in 16 bits."""
    stored = "nf4" if dtype == "int4" else dtype
    return memory.inference_bytes(entry.shape, dtype=stored, tokens=tokens, all_logits=all_logits)
