"""What the readers in `layered` and `recurrent` share: a configuration by name, and the weights of common parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labkit.facts.memory.shapes import Layer, Layered, Shape

Sizes = dict[str, tuple[int, ...]]


class Settings:
    """A configuration by name, with the usual numbers worked out. A value of None counts as absent."""

    def __init__(self, values: dict[str, Any]):
        self._values = values
        self.hidden: int = values["hidden_size"]
        self.heads: int = values["num_attention_heads"]
        self.kv_heads: int = self("num_key_value_heads", self.heads)
        self.head_dim: int = self("head_dim", self.hidden // self.heads)
        self.layers: int = values["num_hidden_layers"]
        # What transformers 5 found to be different in some layers; "05" is the fifth of ten or more.
        self.own = {int(place): own for place, own in self("per_layer_config", {}).items()}

    def __call__(self, key: str, default: Any = None) -> Any:
        value = self._values.get(key)
        return default if value is None else value

    def kinds(self, every: int, most: str, full: str = "full_attention") -> list[str]:
        """The kind of each layer: as the configuration lists them, or `most` with every n-th one `full`."""
        return self("layer_types") or [most if (layer + 1) % every else full for layer in range(self.layers)]


def gated_mlp(
    prefix: str, hidden: int, inner: int, names: Iterable[str] = ("gate_proj", "up_proj", "down_proj")
) -> Sizes:
    gate, up, down = names
    wide, narrow = (inner, hidden), (hidden, inner)
    return {f"{prefix}.{gate}.weight": wide, f"{prefix}.{up}.weight": wide, f"{prefix}.{down}.weight": narrow}


def expert_matrices(prefix: str, count: int, hidden: int, inner: int) -> Sizes:
    return {f"{prefix}.gate_up_proj": (count, 2 * inner, hidden), f"{prefix}.down_proj": (count, hidden, inner)}


def attention_matrices(hidden: int, queries: int, keys: int, *, bias: str = "", out: str = "o_proj") -> Sizes:
    """The four matrices; `bias` has a letter of "qkvo" for each that has one."""
    sizes = {"q_proj": (queries, hidden), "k_proj": (keys, hidden), "v_proj": (keys, hidden), out: (hidden, queries)}
    found: Sizes = {f"self_attn.{name}.weight": size for name, size in sizes.items()}
    return found | {f"self_attn.{name}.bias": (sizes[name][0],) for name in sizes if name[0] in bias}


def norm_vectors(names: Iterable[str], size: int) -> Sizes:
    return {f"{name}.weight": (size,) for name in names}


TWO_NORMS = ("input_layernorm", "post_attention_layernorm")
HEAD_NORMS = ("self_attn.q_norm", "self_attn.k_norm")


def shape_with(
    read: Settings,
    parts: Iterable[Layer],
    *,
    intermediate: int,
    tied: bool,
    norm: str = "norm",
    outside: Sizes | None = None,
    looked_up: tuple[str, ...] = (),
    **fields: Any,
) -> Shape:
    tied, vocab = bool(read("tie_word_embeddings", tied)), read("vocab_size")
    outer: Sizes = {"model.embed_tokens.weight": (vocab, read.hidden), **(outside or {})}
    outer[f"model.{norm}.weight"] = (read.hidden,)
    if not tied:
        outer["lm_head.weight"] = (vocab, read.hidden)
    fields = {"kv_heads": read.kv_heads, "head_dim": read.head_dim} | fields
    return Layered(
        layers=read.layers,
        hidden=read.hidden,
        heads=read.heads,
        intermediate=intermediate,
        vocab=vocab,
        tied=tied,
        parts=tuple(parts),
        outside=tuple(outer.items()),
        looked_up=looked_up,
        **fields,
    )


def layer_of(weights: Sizes, width: int, **kept: Any) -> Layer:
    return Layer(tuple(weights.items()), width=width, **kept)


def routed_width(active: int, inner: int, hidden: int, shared: int = 0) -> int:
    """Numbers a token that experts work with: each token visits several, and comes back from each."""
    return active * (4 * inner + 3 * hidden) + 3 * shared
