"""LoRA by hand: a frozen matrix and two thin trainable ones beside it (Hu et al. 2021, arXiv:2106.09685, section 4.1).

What `peft` does, in the smallest form that trains, merges and comes apart again; tests compare the two. Also what an
adapter costs and what a merge changes, in numbers. Knows nothing of data or of training.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labkit.base.errors import LabError
from labkit.facts import memory

if TYPE_CHECKING:
    import pandas
    import torch

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
ALL_LINEAR = (*ATTENTION, "gate_proj", "up_proj", "down_proj")


@functools.cache
def _layer_class() -> Any:
    from torch import nn

    class LoRALinear(nn.Module):
        """W x + (alpha / rank) B A x, where W is frozen. B starts at zero: at first nothing has changed."""

        def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
            super().__init__()
            self.base = base.requires_grad_(False)
            self.A = nn.Parameter(base.weight.new_empty(rank, base.in_features))
            self.B = nn.Parameter(base.weight.new_zeros(base.out_features, rank))
            nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
            self.scale = alpha / rank

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.base(x) + self.scale * (x @ self.A.T @ self.B.T)

        def change(self) -> torch.Tensor:
            """What the two thin matrices add to W, of W's shape."""
            return self.scale * (self.B @ self.A).detach()

        def merge(self) -> nn.Linear:
            """W with the change added to it, in place: a plain layer again, as fast as before."""
            self.base.weight.data += self.change()
            return self.base

        def unmerge(self) -> None:
            """Take the change out of W again: the same up to rounding."""
            self.base.weight.data -= self.change()

    return LoRALinear


def lora_linear(base: torch.nn.Linear, rank: int = 8, alpha: float = 16) -> torch.nn.Module:
    """The layer `LoRALinear` around `base`, which is frozen. LabError unless 1 <= rank <= its smaller side."""
    smaller = min(base.in_features, base.out_features)
    if not 1 <= rank <= smaller:
        raise LabError(f"The rank of this layer can be 1 to {smaller}, its smaller side, not {rank}.")
    return _layer_class()(base, rank, alpha)


def add(model: Any, *, rank: int = 8, alpha: float = 16, targets: Sequence[str] = ATTENTION) -> list[str]:
    """Put a LoRALinear in the place of each linear layer whose name ends in one of `targets`; the names, in order.

    In place: the rest of the model is frozen. LabError when no layer has such a name.
    """
    import torch

    named = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)]
    found = [(name, layer) for name, layer in named if name.rpartition(".")[2] in targets]
    if not found:
        kinds = sorted({name.rpartition(".")[2] for name, _ in named})
        raise LabError(f"No layer is called {' or '.join(targets)}: this model has {', '.join(kinds)}.")
    model.requires_grad_(False)
    for name, layer in found:
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, lora_linear(layer, rank, alpha))
    return [name for name, _ in found]


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


def full_parameters(shape: memory.Shape, targets: Sequence[str] = ATTENTION) -> int:
    """How many numbers the matrices themselves have, which LoRA leaves alone."""
    return sum(ins * outs for ins, outs in _sizes(shape, targets))


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
