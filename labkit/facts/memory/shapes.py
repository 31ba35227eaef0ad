"""The numbers that decide the size of a language model, and how many parameters they make.

Two kinds: `Shape`, whose layers are alike and follow LLaMA's ways, and `Layered`, which lists every layer by its
weights. Both are arithmetic alone: `reading` fills them from a configuration, `bytes_needed` turns them into bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Shape:
    """The numbers that decide the size of a decoder-only transformer. The defaults are LLaMA's ways."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool
    experts: int = 1
    experts_active: int = 1
    window: int | None = None  # tokens that a layer with a sliding window looks back on
    global_every: int | None = None  # with a window: every n-th layer has none and sees everything (Gemma 3: 6)
    norms: int = 2  # RMSNorm vectors of `hidden` numbers in a layer (Gemma 3: 4)
    qkv_bias: bool = False  # queries, keys and values have a bias (Qwen2.5)
    qk_norm: str = ""  # queries and keys have an RMSNorm: "head", one for all heads, or "full", over all of them

    def one_layer(self) -> Shape:
        """The same model with one layer only."""
        return replace(self, layers=1)


Weights = tuple[tuple[str, tuple[int, ...]], ...]  # names with sizes, as transformers has them


@dataclass(frozen=True)
class Layer:
    """One layer of a `Layered` shape."""

    weights: Weights  # names below "model.layers.3."
    cached: int = 0  # numbers kept for each token: keys and values, or what they are computed from
    window: int | None = None  # kept for that many tokens at most
    state: int = 0  # numbers kept however long the text: the inputs that a convolution still needs
    state_fp32: int = 0  # the same, always in 32 bits: what linear attention and state spaces remember
    width: int = 0  # numbers a token that are worked with at once, at the busiest moment


@dataclass(frozen=True)
class Layered(Shape):
    """A shape whose layers differ, or whose weights `Shape` cannot name. The fields of `Shape` describe a usual layer
    (heads, window, experts), for people to read: all that is counted comes from `parts` and `outside`."""

    parts: tuple[Layer, ...] = ()
    outside: Weights = ()  # embeddings, last norm, output matrix: whole names
    looked_up: tuple[str, ...] = ()  # of `outside`: tables of which a token reads one row (Gemma's per-layer inputs)

    def one_layer(self) -> Shape:
        """The same model with its largest layer only."""
        largest = max(self.parts, key=lambda layer: _numbers(layer.weights))
        return replace(self, layers=1, parts=(largest,))


def is_routed(name: str) -> bool:
    """Whether a weight belongs to experts of which a token visits some (shared experts are visited by all)."""
    return "experts." in name and "shared_experts." not in name


# Two-dimensional weights that transformers does not keep in linear layers: bitsandbytes leaves them alone.
_ROUTERS = ("mlp.gate.weight", "mlp.router.weight", "block_sparse_moe.router.weight")


def is_linear(name: str, size: tuple[int, ...]) -> bool:
    """Whether a weight of a layer is the matrix of a linear layer."""
    return len(size) == 2 and name.endswith(".weight") and name not in _ROUTERS


def parameter_count(shape: Shape) -> int:
    """Exactly how many numbers the model's weights are.

    >>> llama2_7b = Shape(32, 4096, 32, 32, 128, 11008, 32000, tied=False)
    >>> f"{parameter_count(llama2_7b):,}"
    '6,738,415,616'
    """
    if isinstance(shape, Layered):
        return _numbers(shape.outside) + sum(_numbers(layer.weights) for layer in shape.parts)
    return _layers(shape, shape.experts) + _outside(shape)


def active_parameter_count(shape: Shape) -> int:
    """How many of them take part in computing one token: all, unless the model is a mixture of experts or has tables
    of which a token reads one row (Gemma's embeddings per layer).

    >>> mixtral = Shape(32, 4096, 32, 8, 128, 14336, 32000, tied=False, experts=8, experts_active=2)
    >>> print(f"{active_parameter_count(mixtral) / 1e9:.1f} of {parameter_count(mixtral) / 1e9:.1f} billion")
    12.9 of 46.7 billion
    """
    if not isinstance(shape, Layered):
        return _layers(shape, shape.experts_active) + _outside(shape)
    resting = sum(math.prod(size) - size[1] for name, size in shape.outside if name in shape.looked_up)
    for layer in shape.parts:
        routed = sum(math.prod(size) for name, size in layer.weights if is_routed(name))
        resting += routed - routed * shape.experts_active // shape.experts
    return parameter_count(shape) - resting


def linear_parameter_count(shape: Shape) -> int:
    """How many of them are in the linear layers of the attention and the MLPs, without biases. The experts of a
    mixture are not: transformers 5 keeps those of a layer as one parameter of three dimensions."""
    return sum(math.prod(size) for size in matrices(shape) if len(size) == 2)


def matrices(shape: Shape) -> list[tuple[int, ...]]:
    """The sizes of all matrices of the attention, the MLPs and the experts. The experts of a layer are one of three
    dimensions, the first of them their number, as transformers 5 keeps them."""
    if isinstance(shape, Layered):
        every = [pair for layer in shape.parts for pair in layer.weights]
        every += [pair for pair in shape.outside if pair[0].endswith("_projection.weight")]
        return [size for name, size in every if is_linear(name, size) or (is_routed(name) and len(size) == 3)]
    hidden, inner, keys = shape.hidden, shape.intermediate, shape.kv_heads * shape.head_dim
    sizes = [(hidden, shape.heads * shape.head_dim)] * 2 + [(keys, hidden)] * 2  # queries and output, keys and values
    if shape.experts > 1:
        sizes += [(shape.experts, 2 * inner, hidden), (shape.experts, hidden, inner)]
    else:
        sizes += [(inner, hidden)] * 3
    return sizes * shape.layers


def _numbers(weights: Weights) -> int:
    return sum(math.prod(size) for _, size in weights)


def _outside(shape: Shape) -> int:
    """The token embedding, the output matrix (the same one when tied) and the last norm."""
    return shape.vocab * shape.hidden * (1 if shape.tied else 2) + shape.hidden


def _layers(shape: Shape, experts: int) -> int:
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    attention = 2 * shape.hidden * queries + 2 * shape.hidden * keys  # queries and output, keys and values
    attention += queries + 2 * keys if shape.qkv_bias else 0
    attention += {"": 0, "head": 2 * shape.head_dim, "full": queries + keys}[shape.qk_norm]
    mlp = 3 * shape.hidden * shape.intermediate * experts  # gate, up, down
    router = shape.hidden * shape.experts if shape.experts > 1 else 0
    return shape.layers * (attention + mlp + router + shape.norms * shape.hidden)
