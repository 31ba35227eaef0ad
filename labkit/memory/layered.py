"""The families whose layers differ: what each layer holds, by the names and sizes of its weights in transformers.

Sliding and chunked windows in some layers, linear attention and state spaces, compressed keys and values, layers that
share another's, experts beside shared ones, embeddings per layer. Each is held against transformers in
tests/test_architectures.py. Names and numbers come from the code of transformers 5.24 (read 2026-11-27).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from labkit.memory.shapes import Layer, Layered, Shape

_Sizes = dict[str, tuple[int, ...]]


class Settings:
    """A configuration by name, with the usual numbers worked out. A value of None counts as absent."""

    def __init__(self, values: dict[str, Any]):
        self._values = values
        self.hidden: int = values["hidden_size"]
        self.heads: int = values["num_attention_heads"]
        self.kv_heads: int = self("num_key_value_heads", self.heads)
        self.head_dim: int = self("head_dim", self.hidden // self.heads)
        self.layers: int = values["num_hidden_layers"]
        # transformers 5 says here what is different in some layers; its keys are numbers as text, "05" among ten or more.
        self.own = {int(place): own for place, own in self("per_layer_config", {}).items()}

    def __call__(self, key: str, default: Any = None) -> Any:
        value = self._values.get(key)
        return default if value is None else value

    def kinds(self, every: int, most: str, full: str = "full_attention") -> list[str]:
        """The kind of each layer: as the configuration lists them, or `most` with every n-th one `full`."""
        return self("layer_types") or [most if (layer + 1) % every else full for layer in range(self.layers)]


def _gated(
    prefix: str, hidden: int, inner: int, names: Iterable[str] = ("gate_proj", "up_proj", "down_proj")
) -> _Sizes:
    gate, up, down = names
    wide, narrow = (inner, hidden), (hidden, inner)
    return {f"{prefix}.{gate}.weight": wide, f"{prefix}.{up}.weight": wide, f"{prefix}.{down}.weight": narrow}


def _experts(prefix: str, count: int, hidden: int, inner: int) -> _Sizes:
    return {f"{prefix}.gate_up_proj": (count, 2 * inner, hidden), f"{prefix}.down_proj": (count, hidden, inner)}


def _attention(hidden: int, queries: int, keys: int, *, bias: str = "", out: str = "o_proj") -> _Sizes:
    """The four matrices; `bias` has a letter of "qkvo" for each that has one."""
    sizes = {"q_proj": (queries, hidden), "k_proj": (keys, hidden), "v_proj": (keys, hidden), out: (hidden, queries)}
    found: _Sizes = {f"self_attn.{name}.weight": size for name, size in sizes.items()}
    return found | {f"self_attn.{name}.bias": (sizes[name][0],) for name in sizes if name[0] in bias}


def _norms(names: Iterable[str], size: int) -> _Sizes:
    return {f"{name}.weight": (size,) for name in names}


_TWO = ("input_layernorm", "post_attention_layernorm")
_HEADS = ("self_attn.q_norm", "self_attn.k_norm")


def _shape(
    read: Settings,
    parts: Iterable[Layer],
    *,
    intermediate: int,
    tied: bool,
    norm: str = "norm",
    outside: _Sizes | None = None,
    looked_up: tuple[str, ...] = (),
    **fields: Any,
) -> Shape:
    tied, vocab = bool(read("tie_word_embeddings", tied)), read("vocab_size")
    outer: _Sizes = {"model.embed_tokens.weight": (vocab, read.hidden), **(outside or {})}
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


def _layer(weights: _Sizes, width: int, **kept: Any) -> Layer:
    return Layer(tuple(weights.items()), width=width, **kept)


def _routed(active: int, inner: int, hidden: int, shared: int = 0) -> int:
    """Numbers a token that experts work with: each token visits several, and comes back from each."""
    return active * (4 * inner + 3 * hidden) + 3 * shared


def _gpt_oss(read: Settings) -> Shape:
    inner, count, active = read("intermediate_size"), read("num_local_experts"), read("num_experts_per_tok", 4)
    queries, keys, hidden = read.heads * read.head_dim, read.kv_heads * read.head_dim, read.hidden
    weights = {"self_attn.sinks": (read.heads,)}
    weights |= _attention(hidden, queries, keys, bias="qkvo" if read("attention_bias", True) else "")
    weights |= {"mlp.router.weight": (count, hidden), "mlp.router.bias": (count,)}
    weights |= {"mlp.experts.gate_up_proj": (count, hidden, 2 * inner), "mlp.experts.down_proj": (count, inner, hidden)}
    weights |= {"mlp.experts.gate_up_proj_bias": (count, 2 * inner), "mlp.experts.down_proj_bias": (count, hidden)}
    weights |= _norms(_TWO, hidden)
    window, width = read("sliding_window", 128), max(3 * (queries + keys), _routed(active, inner, hidden))
    kinds = read("layer_types") or [
        "full_attention" if layer % 2 else "sliding_attention" for layer in range(read.layers)
    ]
    parts = [
        _layer(weights, width, cached=2 * keys, window=window if kind == "sliding_attention" else None)
        for kind in kinds
    ]
    counts = {"experts": count, "experts_active": active}
    return _shape(read, parts, intermediate=inner, tied=False, window=window, **counts)


def _qwen3_5(read: Settings) -> Shape:
    hidden, width = read.hidden, 0
    if count := read("num_experts", 0):
        inner, shared, active = (
            read(name) for name in ("moe_intermediate_size", "shared_expert_intermediate_size", "num_experts_per_tok")
        )
        mlp = {"mlp.gate.weight": (count, hidden), **_experts("mlp.experts", count, hidden, inner)}
        mlp |= _gated("mlp.shared_expert", hidden, shared) | {"mlp.shared_expert_gate.weight": (1, hidden)}
        width = _routed(active, inner, hidden, shared)
    else:
        inner, active, count = read("intermediate_size"), 1, 1
        mlp, width = _gated("mlp", hidden, inner), 3 * inner
    mlp |= _norms(_TWO, hidden)
    queries, keys = read.heads * read.head_dim, read.kv_heads * read.head_dim
    attention = _attention(hidden, queries, keys) | _norms(_HEADS, read.head_dim)
    attention["self_attn.q_proj.weight"] = (2 * queries, hidden)  # half of them gate the output
    full = _layer(attention | mlp, max(5 * queries + 3 * keys, width), cached=2 * keys)
    linear = _delta_net(read, mlp, width)
    parts = [
        full if kind == "full_attention" else linear
        for kind in read.kinds(read("full_attention_interval", 4), "linear_attention")
    ]
    return _shape(read, parts, intermediate=inner, tied=False, experts=count, experts_active=active)


def _delta_net(read: Settings, mlp: _Sizes, width: int) -> Layer:
    """A Gated DeltaNet: each value head keeps one matrix of keys by values, whatever the text."""
    value_heads, key_dim, value_dim = (
        read(f"linear_{name}") for name in ("num_value_heads", "key_head_dim", "value_head_dim")
    )
    keys, values, taps = (
        read("linear_num_key_heads") * key_dim,
        value_heads * value_dim,
        read("linear_conv_kernel_dim", 4),
    )
    mixed = 2 * keys + values
    weights: _Sizes = {"linear_attn.dt_bias": (value_heads,), "linear_attn.A_log": (value_heads,)}
    weights |= {"linear_attn.conv1d.weight": (mixed, 1, taps), "linear_attn.norm.weight": (value_dim,)}
    weights["linear_attn.out_proj.weight"] = (read.hidden, values)
    for name, rows in (("qkv", mixed), ("z", values), ("b", value_heads), ("a", value_heads)):
        weights[f"linear_attn.in_proj_{name}.weight"] = (rows, read.hidden)
    busiest = max(width, 24 * value_heads * (key_dim + value_dim))  # in chunks of 64 tokens, in fp32
    return _layer(weights | mlp, busiest, state=mixed * taps, state_fp32=value_heads * key_dim * value_dim)


def _granite_hybrid(read: Settings) -> Shape:
    hidden, inner, shared = read.hidden, read("intermediate_size"), read("shared_intermediate_size", 1024)
    count, active = read("num_local_experts", 0), read("num_experts_per_tok", 0)
    mlp = {"shared_mlp.input_linear.weight": (2 * shared, hidden), "shared_mlp.output_linear.weight": (hidden, shared)}
    width = 4 * shared
    if count:
        mlp |= {"block_sparse_moe.router.weight": (count, hidden)}
        mlp |= _experts("block_sparse_moe.experts", count, hidden, inner)
        width += _routed(active, inner, hidden)
    mlp |= _norms(_TWO, hidden)
    queries, keys = read.heads * read.head_dim, read.kv_heads * read.head_dim
    attention = _layer(_attention(hidden, queries, keys) | mlp, max(3 * (queries + keys), width), cached=2 * keys)
    parts = [
        attention if kind in ("attention", "full_attention") else _mamba(read, mlp, width)
        for kind in read("layer_types")
    ]
    counts = {"experts": count or 1, "experts_active": active if count else 1}
    return _shape(read, parts, intermediate=shared, tied=True, **counts)


def _mamba(read: Settings, mlp: _Sizes, width: int) -> Layer:
    """A Mamba-2 layer: each head keeps one matrix, whatever the text."""
    heads, taps = read("mamba_n_heads", 128), read("mamba_d_conv", 4)
    inner, state = read("mamba_expand", 2) * read.hidden, read("mamba_d_state", 256)
    mixed = inner + 2 * read("mamba_n_groups", 1) * state
    weights: _Sizes = {f"mamba.{name}": (heads,) for name in ("dt_bias", "A_log", "D")}
    weights["mamba.conv1d.weight"] = (mixed, 1, taps)
    if read("mamba_conv_bias", True):
        weights["mamba.conv1d.bias"] = (mixed,)
    weights |= {"mamba.in_proj.weight": (inner + mixed + heads, read.hidden), "mamba.norm.weight": (inner,)}
    weights["mamba.out_proj.weight"] = (read.hidden, inner)
    busiest = max(width, 16 * (inner + mixed))  # in chunks, in fp32
    return _layer(weights | mlp, busiest, state=mixed * taps, state_fp32=inner * state)


_FOUR = (*_TWO, "pre_feedforward_layernorm", "post_feedforward_layernorm")


def _gemma4(read: Settings) -> Shape:
    """Windows in most layers, wider heads in the others; last layers that use the keys and values of earlier ones;
    embeddings per layer; in one size experts beside the MLP."""
    window, kinds = read("sliding_window", 512), read.kinds(6, "sliding_attention")
    own = read.layers - read("num_kv_shared_layers", 0)
    parts = [_gemma4_layer(read, place, kind, window, shared=place >= own) for place, kind in enumerate(kinds)]
    outside: _Sizes = {}
    if size := read("hidden_size_per_layer_input", 0):
        every = read.layers * size
        outside["model.embed_tokens_per_layer.weight"] = (read("vocab_size_per_layer_input", 262_144), every)
        outside["model.per_layer_model_projection.weight"] = (every, read.hidden)
        outside["model.per_layer_projection_norm.weight"] = (size,)
    counts = {"experts": read("num_experts", 1), "experts_active": read("top_k_experts", 1)}
    if not read("enable_moe_block", False):
        counts = {}
    table = ("model.embed_tokens_per_layer.weight",) if outside else ()
    sizes = {"intermediate": read("intermediate_size"), "tied": True, "outside": outside, "looked_up": table}
    return _shape(read, parts, **sizes, window=window, **counts)


def _gemma4_layer(read: Settings, place: int, kind: str, window: int, *, shared: bool) -> Layer:
    full, hidden, inner = kind == "full_attention", read.hidden, read("intermediate_size")
    head_dim = read("global_head_dim", 512) if full else read.head_dim
    same = full and read("attention_k_eq_v", False)  # values are the keys, normed in another way
    kv_heads = read("num_global_key_value_heads", read.kv_heads) if same else read.kv_heads
    own = read.own.get(place, {})
    head_dim, kv_heads = own.get("head_dim", head_dim), own.get("num_key_value_heads", kv_heads)
    queries, keys = read.heads * head_dim, kv_heads * head_dim
    weights = _attention(hidden, queries, keys) | _norms(_HEADS, head_dim)
    for name in ("k_proj", "v_proj", "k_norm") if shared else ("v_proj",) if same else ():
        del weights[f"self_attn.{name}.weight"]
    wide = inner * (2 if shared and read("use_double_wide_mlp", False) else 1)
    weights |= _gated("mlp", hidden, wide) | _norms(_FOUR, hidden)
    width = max(3 * (queries + keys), 3 * wide)
    if size := read("hidden_size_per_layer_input", 0):
        weights |= {"per_layer_input_gate.weight": (size, hidden), "per_layer_projection.weight": (hidden, size)}
        weights |= _norms(["post_per_layer_input_norm"], hidden)
        width += read.layers * size  # the inputs of all layers are there from the start
    if read("enable_moe_block", False):
        count, small = read("num_experts"), read("moe_intermediate_size")
        weights |= {
            "router.scale": (hidden,),
            "router.per_expert_scale": (count,),
            "router.proj.weight": (count, hidden),
        }
        weights |= _experts("experts", count, hidden, small)
        extra = ("post_feedforward_layernorm_1", "post_feedforward_layernorm_2", "pre_feedforward_layernorm_2")
        weights |= _norms(extra, hidden)
        width = max(width, _routed(read("top_k_experts"), small, hidden) + 3 * hidden)
    kept = {} if shared else {"cached": 2 * keys, "window": None if full else window}
    return _layer(weights, width, **kept)


def _mixture(read: Settings, attention: _Sizes, attention_width: int, cached: int, **fields: Any) -> Shape:
    """DeepSeek's and GLM's layers: the first ones with one MLP, the others with experts and shared experts."""
    hidden, inner, small = read.hidden, read("intermediate_size"), read("moe_intermediate_size")
    count, active, first = read("n_routed_experts"), read("num_experts_per_tok"), read("first_k_dense_replace", 0)
    shared, norms = small * read("n_shared_experts", 1), _norms(_TWO, hidden)
    sparse = _experts("mlp.experts", count, hidden, small) | {"mlp.gate.weight": (count, hidden)}
    sparse |= _gated("mlp.shared_experts", hidden, shared)
    width = max(attention_width, _routed(active, small, hidden, shared))
    dense = _layer(attention | _gated("mlp", hidden, inner) | norms, max(attention_width, 3 * inner), cached=cached)
    mixed = _layer(attention | sparse | norms, width, cached=cached)
    parts = [dense if place < first else mixed for place in range(read.layers)]
    return _shape(read, parts, intermediate=inner, tied=False, experts=count, experts_active=active, **fields)


def _deepseek_v3(read: Settings) -> Shape:
    """Multi-head latent attention: one compressed vector a token is kept, and the part of the key that is rotated."""
    latent, rotated, plain = read("kv_lora_rank"), read("qk_rope_head_dim"), read("qk_nope_head_dim")
    values, rank, hidden = read("v_head_dim"), read("q_lora_rank"), read.hidden
    queries, narrow = read.heads * (plain + rotated), {}
    weights: _Sizes = {}
    if rank:
        narrow = {
            "q_a_proj.weight": (rank, hidden),
            "q_a_layernorm.weight": (rank,),
            "q_b_proj.weight": (queries, rank),
        }
    else:
        narrow = {"q_proj.weight": (queries, hidden)}
    narrow |= {"kv_a_proj_with_mqa.weight": (latent + rotated, hidden), "kv_a_layernorm.weight": (latent,)}
    narrow |= {
        "kv_b_proj.weight": (read.heads * (plain + values), latent),
        "o_proj.weight": (hidden, read.heads * values),
    }
    weights = {f"self_attn.{name}": size for name, size in narrow.items()}
    width = 4 * queries + 3 * read.heads * (plain + values)
    return _mixture(read, weights, width, latent + rotated, kv_heads=read.heads, head_dim=plain + rotated)


def _glm4_moe(read: Settings) -> Shape:
    queries, keys = read.heads * read.head_dim, read.kv_heads * read.head_dim
    weights = _attention(read.hidden, queries, keys, bias="qkv" if read("attention_bias", False) else "")
    if read("use_qk_norm", False):
        weights |= _norms(_HEADS, read.head_dim)
    return _mixture(read, weights, 3 * (queries + keys), 2 * keys)


def _llama4(read: Settings) -> Shape:
    """Attention within chunks in most layers; in some or all layers one of many experts, beside a shared one."""
    hidden, inner, count = read.hidden, read("intermediate_size"), read("num_local_experts", 16)
    queries, keys, active = read.heads * read.head_dim, read.kv_heads * read.head_dim, read("num_experts_per_tok", 1)
    common = _attention(hidden, queries, keys) | _norms(_TWO, hidden)
    wide = read("intermediate_size_mlp", 16384)
    dense = common | _gated("feed_forward", hidden, wide)
    mixed = (
        common | {"feed_forward.router.weight": (count, hidden)} | _gated("feed_forward.shared_expert", hidden, inner)
    )
    sizes = {"gate_up_proj": (count, hidden, 2 * inner), "down_proj": (count, inner, hidden)}
    mixed |= {f"feed_forward.experts.{name}": size for name, size in sizes.items()}
    step, chunk = read("interleave_moe_layer_step", 1), read("attention_chunk_size", 8192)
    sparse = read("moe_layers", range(step - 1, read.layers, step))
    nope = read("no_rope_layers") or [(place + 1) % 4 for place in range(read.layers)]
    kinds = read("layer_types") or ["chunked_attention" if turned else "full_attention" for turned in nope]
    # Every expert gets every token, and zeros where it was not chosen.
    width = max(3 * (queries + keys), count * (4 * inner + 2 * hidden))
    parts = [
        _layer(
            mixed if place in sparse else dense,
            width if place in sparse else max(3 * (queries + keys), 3 * wide),
            cached=2 * keys,
            window=chunk if kind == "chunked_attention" else None,
        )
        for place, kind in enumerate(kinds)
    ]
    return _shape(read, parts, intermediate=inner, tied=False, window=chunk, experts=count, experts_active=active)


def _lfm2(read: Settings) -> Shape:
    """Short convolutions in most layers, which remember their last inputs only, and attention in the others."""
    hidden, taps, inner = read.hidden, read("conv_L_cache", 3), read("block_ff_dim", read("intermediate_size"))
    if read("block_auto_adjust_ff_dim", True):
        multiple = read("block_multiple_of", 256)
        inner = multiple * -(-int(read("block_ffn_dim_multiplier", 1.0) * int(2 * inner / 3)) // multiple)
    queries, keys = read.heads * read.head_dim, read.kv_heads * read.head_dim
    mlp = _gated("feed_forward", hidden, inner, ("w1", "w3", "w2")) | _norms(("operator_norm", "ffn_norm"), hidden)
    attention = _attention(hidden, queries, keys, out="out_proj")
    attention |= _norms(("self_attn.q_layernorm", "self_attn.k_layernorm"), read.head_dim)
    names, rows = (
        ("conv.conv", "conv.in_proj", "conv.out_proj"),
        ((hidden, 1, taps), (3 * hidden, hidden), (hidden, hidden)),
    )
    conv = {f"{name}.weight": size for name, size in zip(names, rows, strict=True)}
    if read("conv_bias", False):
        conv |= {f"{name}.bias": (size[0],) for name, size in zip(names, rows, strict=True)}
    layers = {
        True: _layer(attention | mlp, max(3 * (queries + keys), 3 * inner), cached=2 * keys),
        False: _layer(conv | mlp, max(8 * hidden, 3 * inner), state=hidden * taps),
    }
    indices = read("full_attn_idxs", range(read.layers))
    kinds = read("layer_types") or ["full_attention" if place in indices else "conv" for place in range(read.layers)]
    parts = [layers[kind == "full_attention"] for kind in kinds]
    return _shape(read, parts, intermediate=inner, tied=True, norm="embedding_norm")


FAMILIES: dict[str, Callable[[Settings], Shape]] = {
    "gpt_oss": _gpt_oss,
    "qwen3_5_text": _qwen3_5,
    "qwen3_5_moe_text": _qwen3_5,
    "granitemoehybrid": _granite_hybrid,
    "gemma4_text": _gemma4,
    "gemma4_unified_text": _gemma4,
    "deepseek_v3": _deepseek_v3,
    "kimi_k2": _deepseek_v3,  # the same classes under another name
    "glm4_moe": _glm4_moe,
    "llama4_text": _llama4,
    "lfm2": _lfm2,
}
WITH_BIASES = ("gpt_oss", "glm4_moe")  # of their attention; elsewhere they are not known
