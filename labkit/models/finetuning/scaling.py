"""What training a bigger model takes on each of several devices, by arithmetic.

With FSDP (fully sharded data parallel) the weights, gradients and optimizer states of a model are dealt out: each of n
devices holds one n-th. Counted are also the weights that a device gathers to compute with, but, as everywhere in
`memory.training_bytes`, not the activations.
Source: Rajbhandari et al. 2020, section 5, https://arxiv.org/abs/1910.02054 (stage 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.base.errors import LabError
from labkit.facts import catalogue, memory
from labkit.models.finetuning import lora

if TYPE_CHECKING:
    import pandas

MODELS = ("llama-2-7b", "llama-2-13b", "llama-2-70b", "mixtral-8x7b")
METHODS = ("full", "lora", "qlora")


def per_device_bytes(shape: memory.Shape, *, devices: int = 1, method: str = "full", rank: int = 16) -> int:
    """Bytes that each device holds: its share of the states, and the weights that are gathered whole to compute with.

    Gathered are one layer at a time, and through the whole step the embedding and the output matrix. `full` trains
    every weight: fp32 weights, gradients and AdamW, gathered in bf16. `lora` and `qlora` train an adapter of `rank` on
    the attention, over frozen weights in bf16 or in bitsandbytes' NF4. One device gathers nothing.

    >>> llama2_7b = memory.Shape(32, 4096, 32, 32, 128, 11008, 32000, tied=False)
    >>> [round(per_device_bytes(llama2_7b, devices=n) / 1e9, 1) for n in (1, 8)]
    [107.8, 14.4]

    LabError for an unknown method or less than one device.
    """
    if method not in METHODS or devices < 1:
        raise LabError(f"Choose a method of {', '.join(METHODS)} and 1 device or more, not {method!r} and {devices}.")
    kept = {"full": "fp32", "lora": "bf16", "qlora": "nf4"}[method]
    trained = None if method == "full" else lora.parameters(shape, rank)
    states = sum(memory.training_bytes(shape, trainable=trained, dtype=kept).values())
    if devices == 1:
        return states
    # One layer and what is outside of all layers: a model of one layer.
    gathered = memory.stored_bytes(shape.one_layer(), "bf16" if method == "full" else kept)
    return -(-states // devices) + gathered


def table(
    names: Sequence[str] = MODELS, *, devices: Sequence[int] = (1, 2, 4, 8, 16), method: str = "full", rank: int = 16
) -> pandas.DataFrame:
    """GB (10^9 bytes) on each device: a row for each model of the catalogue, a column for each number of devices."""
    import pandas

    rows = {}
    for name in names:
        shape = catalogue.get(name).shape
        rows[name] = [per_device_bytes(shape, devices=count, method=method, rank=rank) / 1e9 for count in devices]
    return pandas.DataFrame.from_dict(rows, orient="index", columns=list(devices)).rename_axis("model")
