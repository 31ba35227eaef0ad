"""Layers that remember a state of one size however long the text is: linear attention, Mamba-2, short convolutions.

As in `layered`, by the names and sizes of the weights in transformers 5.24 (read 2026-11-27).
"""

from __future__ import annotations

from labkit.facts.memory.layer_parts import (
    HEAD_NORMS,
    TWO_NORMS,
    Settings,
    Sizes,
    attention_matrices,
    expert_matrices,
    gated_mlp,
    layer_of,
    norm_vectors,
    routed_width,
    shape_with,
)
from labkit.facts.memory.shapes import Layer, Shape


def qwen3_5(read: Settings) -> Shape:
    hidden, width = read.hidden, 0
    if count := read("num_experts", 0):
        inner, shared, active = (
            read(name) for name in ("moe_intermediate_size", "shared_expert_intermediate_size", "num_experts_per_tok")
        )
        mlp = {"mlp.gate.weight": (count, hidden), **expert_matrices("mlp.experts", count, hidden, inner)}
        mlp |= gated_mlp("mlp.shared_expert", hidden, shared) | {"mlp.shared_expert_gate.weight": (1, hidden)}
        width = routed_width(active, inner, hidden, shared)
    else:
        inner, active, count = read("intermediate_size"), 1, 1
        mlp, width = gated_mlp("mlp", hidden, inner), 3 * inner
    mlp |= norm_vectors(TWO_NORMS, hidden)
    queries, keys = read.heads * read.head_dim, read.kv_heads * read.head_dim
    attention = attention_matrices(hidden, queries, keys) | norm_vectors(HEAD_NORMS, read.head_dim)
    attention["self_attn.q_proj.weight"] = (2 * queries, hidden)  # half of them gate the output
    full = layer_of(attention | mlp, max(5 * queries + 3 * keys, width), cached=2 * keys)
    linear = _delta_net(read, mlp, width)
    parts = [
        full if kind == "full_attention" else linear
        for kind in read.kinds(read("full_attention_interval", 4), "linear_attention")
    ]
    return shape_with(read, parts, intermediate=inner, tied=False, experts=count, experts_active=active)


def _delta_net(read: Settings, mlp: Sizes, width: int) -> Layer:
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
    weights: Sizes = {"linear_attn.dt_bias": (value_heads,), "linear_attn.A_log": (value_heads,)}
    weights |= {"linear_attn.conv1d.weight": (mixed, 1, taps), "linear_attn.norm.weight": (value_dim,)}
    weights["linear_attn.out_proj.weight"] = (read.hidden, values)
    for name, rows in (("qkv", mixed), ("z", values), ("b", value_heads), ("a", value_heads)):
        weights[f"linear_attn.in_proj_{name}.weight"] = (rows, read.hidden)
    busiest = max(width, 24 * value_heads * (key_dim + value_dim))  # in chunks of 64 tokens, in fp32
    return layer_of(weights | mlp, busiest, state=mixed * taps, state_fp32=value_heads * key_dim * value_dim)


def granite_hybrid(read: Settings) -> Shape:
    hidden, inner, shared = read.hidden, read("intermediate_size"), read("shared_intermediate_size", 1024)
    count, active = read("num_local_experts", 0), read("num_experts_per_tok", 0)
    mlp = {"shared_mlp.input_linear.weight": (2 * shared, hidden), "shared_mlp.output_linear.weight": (hidden, shared)}
    width = 4 * shared
    if count:
        mlp |= {"block_sparse_moe.router.weight": (count, hidden)}
        mlp |= expert_matrices("block_sparse_moe.experts", count, hidden, inner)
        width += routed_width(active, inner, hidden)
    mlp |= norm_vectors(TWO_NORMS, hidden)
    queries, keys = read.heads * read.head_dim, read.kv_heads * read.head_dim
    attention = layer_of(
        attention_matrices(hidden, queries, keys) | mlp, max(3 * (queries + keys), width), cached=2 * keys
    )
    parts = [
        attention if kind in ("attention", "full_attention") else _mamba(read, mlp, width)
        for kind in read("layer_types")
    ]
    counts = {"experts": count or 1, "experts_active": active if count else 1}
    return shape_with(read, parts, intermediate=shared, tied=True, **counts)


def _mamba(read: Settings, mlp: Sizes, width: int) -> Layer:
    """A Mamba-2 layer: each head keeps one matrix, whatever the text."""
    heads, taps = read("mamba_n_heads", 128), read("mamba_d_conv", 4)
    inner, state = read("mamba_expand", 2) * read.hidden, read("mamba_d_state", 256)
    mixed = inner + 2 * read("mamba_n_groups", 1) * state
    weights: Sizes = {f"mamba.{name}": (heads,) for name in ("dt_bias", "A_log", "D")}
    weights["mamba.conv1d.weight"] = (mixed, 1, taps)
    if read("mamba_conv_bias", True):
        weights["mamba.conv1d.bias"] = (mixed,)
    weights |= {"mamba.in_proj.weight": (inner + mixed + heads, read.hidden), "mamba.norm.weight": (inner,)}
    weights["mamba.out_proj.weight"] = (read.hidden, inner)
    busiest = max(width, 16 * (inner + mixed))  # in chunks, in fp32
    return layer_of(weights | mlp, busiest, state=mixed * taps, state_fp32=inner * state)


def lfm2(read: Settings) -> Shape:
    """Short convolutions in most layers, which remember their last inputs only, and attention in the others."""
    hidden, taps, inner = read.hidden, read("conv_L_cache", 3), read("block_ff_dim", read("intermediate_size"))
    if read("block_auto_adjust_ff_dim", True):
        multiple = read("block_multiple_of", 256)
        inner = multiple * -(-int(read("block_ffn_dim_multiplier", 1.0) * int(2 * inner / 3)) // multiple)
    queries, keys = read.heads * read.head_dim, read.kv_heads * read.head_dim
    mlp = gated_mlp("feed_forward", hidden, inner, ("w1", "w3", "w2")) | norm_vectors(
        ("operator_norm", "ffn_norm"), hidden
    )
    attention = attention_matrices(hidden, queries, keys, out="out_proj")
    attention |= norm_vectors(("self_attn.q_layernorm", "self_attn.k_layernorm"), read.head_dim)
    names, rows = (
        ("conv.conv", "conv.in_proj", "conv.out_proj"),
        ((hidden, 1, taps), (3 * hidden, hidden), (hidden, hidden)),
    )
    conv = {f"{name}.weight": size for name, size in zip(names, rows, strict=True)}
    if read("conv_bias", False):
        conv |= {f"{name}.bias": (size[0],) for name, size in zip(names, rows, strict=True)}
    layers = {
        True: layer_of(attention | mlp, max(3 * (queries + keys), 3 * inner), cached=2 * keys),
        False: layer_of(conv | mlp, max(8 * hidden, 3 * inner), state=hidden * taps),
    }
    indices = read("full_attn_idxs", range(read.layers))
    kinds = read("layer_types") or ["full_attention" if place in indices else "conv" for place in range(read.layers)]
    parts = [layers[kind == "full_attention"] for kind in kinds]
    return shape_with(read, parts, intermediate=inner, tied=True, norm="embedding_norm")
