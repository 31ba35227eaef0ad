"""What a LoRA adapter costs and what it changes, in numbers (Hu et al. 2021, arXiv:2106.09685, section 4.1).

An adapter is two thin trainable matrices beside a frozen one. Lesson 07 writes that layer by hand; peft puts it into
models. Knows shapes. Knows nothing of data or of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.base.errors import LabError
from labkit.facts import memory

if TYPE_CHECKING:
    import pandas
    import torch

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
ALL_LINEAR = (*ATTENTION, "gate_proj", "up_proj", "down_proj")


def parameters(shape: memory.Shape, rank: int, targets: Sequence[str] = ATTENTION) -> int:
    """How many numbers an adapter of that rank trains: rank x (in + out) for each matrix, in every layer.

    >>> from labkit import catalogue
    >>> parameters(catalogue.get("smollm2-135m-instruct").shape, 8)
    921600
    >>> parameters(catalogue.get("mistral-7b").shape, 64, ALL_LINEAR)
    167772160

    LabError for an unknown target or a rank below 1.
    """
    if rank < 1:
        raise LabError(f"A rank is 1 or more, not {rank}.")
    return sum(rank * (ins + outs) for ins, outs in _sizes(shape, targets))


def _sizes(shape: memory.Shape, targets: Sequence[str]) -> list[tuple[int, int]]:
    """(in, out) of each target in every layer; of one expert, if there are several."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    hidden, inner = shape.hidden, shape.intermediate
    sizes = {"q_proj": (hidden, queries), "k_proj": (hidden, keys), "v_proj": (hidden, keys)}
    sizes |= {"o_proj": (queries, hidden), "gate_proj": (hidden, inner), "up_proj": (hidden, inner)}
    sizes["down_proj"] = (inner, hidden)
    if unknown := [name for name in targets if name not in sizes]:
        raise LabError(f"There is no matrix {unknown[0]!r} in a layer: choose among {', '.join(sizes)}.")
    if isinstance(shape, memory.Layered):
        found = [(name.split("."), size) for layer in shape.parts for name, size in layer.weights if len(size) == 2]
        return [(ins, outs) for path, (outs, ins) in found if path[-1] == "weight" and path[-2] in targets]
    return shape.layers * [sizes[name] for name in targets]


def table(shape: memory.Shape, ranks: Sequence[int], targets: Sequence[str] = ATTENTION) -> pandas.DataFrame:
    """One row a rank: `trainable` numbers, their `share` of the model, `adapter_mb` on disk in fp32, and `states_mb`,
    what AdamW and the gradients hold of them."""
    import pandas

    rows = []
    for rank in ranks:
        trained = parameters(shape, rank, targets)
        share = trained / memory.parameter_count(shape)
        states = memory.optimizer_bytes(trained)
        rows.append((rank, trained, share, 4 * trained / 1e6, states / 1e6))
    return pandas.DataFrame(rows, columns=["rank", "trainable", "share", "adapter_mb", "states_mb"])


def spectrum(change: torch.Tensor) -> list[float]:
    """The singular values of a change of weights (rows, columns), largest first: how many count is its rank."""
    import torch

    return torch.linalg.svdvals(change.float()).tolist()
