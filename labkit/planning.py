"""Does it fit? The bytes that a model of the catalogue needs (`memory`) against what a machine has (`machine`).

Knows no bytes of its own. GB is 10^9 bytes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labkit import catalogue, memory
from labkit.errors import LabError

if TYPE_CHECKING:
    import pandas

    from labkit.machine import Machine


def free_bytes(machine: Machine) -> int:
    """What is free now. An NVIDIA GPU's memory and the main memory count together: what one cannot take goes into the
    other."""
    gpu = machine.gpu.memory_bytes if machine.device == "cuda" and machine.gpu else 0
    return machine.available_bytes() + gpu


def table(name: str, *, tokens: int, batch: int = 1, free: float) -> pandas.DataFrame:
    """What running a model takes in each precision, in GB: one row a dtype, `fits` in `free` bytes or not.

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
    """Raise LabError, before anything is loaded, when the model and `tokens` tokens do not fit what is free now.

    The message has both numbers and the largest chat model of the catalogue that fits and needs no permission.
    """
    free = free_bytes(machine)
    if (needed := memory.inference_bytes(entry.shape, dtype=dtype, tokens=tokens).total) <= free:
        return
    advice = "close other programs and notebooks, then try again"
    if fits := largest_that_fits(free, dtype, tokens):
        advice += f', or choose a model that fits, such as model="{fits.name}"'
    needed_gb, free_gb = math.ceil(needed / 1e8) / 10, math.floor(free / 1e8) / 10
    raise LabError(f"{entry.title} in {dtype} needs {needed_gb} GB of memory and {free_gb} GB are free: {advice}.")


def largest_that_fits(free: float, dtype: str, tokens: int = 512) -> catalogue.Entry | None:
    """The largest chat model of the catalogue that needs no permission and at most `free` bytes, or None."""
    open_chat_models = [entry for entry in catalogue.all() if entry.value("chat") and not entry.value("gated")]
    for entry in sorted(open_chat_models, key=lambda entry: entry.parameters, reverse=True):
        if memory.inference_bytes(entry.shape, dtype=dtype, tokens=tokens).total <= free:
            return entry
    return None
