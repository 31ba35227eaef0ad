"""The families whose layers differ: what each layer holds, by the names and sizes of its weights in transformers.

Here those with attention in every layer: sliding and chunked windows in some, compressed keys and values, layers that
use another's, experts beside shared ones, embeddings per layer. What keeps a state is in `recurrent`. Each is held
against transformers in tests/facts/test_architectures.py. Names and numbers come from the code of transformers 5.24
(read 2026-11-27).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.facts.memory import recurrent
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


def _gpt_oss(read: Settings) -> Shape:
    inner, count, active = read("intermediate_size"), read("num_local_experts"), read("num_experts_per_tok", 4)
    queries, keys, hidden = read.heads * read.head_dim, read.kv_heads * read.head_dim, read.hidden
    weights = {"self_attn.sinks": (read.heads,)}
    weights |= attention_matrices(hidden, queries, keys, bias="qkvo" if read("attention_bias", True) else "")
    weights |= {"mlp.router.weight": (count, hidden), "mlp.router.bias": (count,)}
    weights |= {"mlp.experts.gate_up_proj": (count, hidden, 2 * inner), "mlp.experts.down_proj": (count, inner, hidden)}
    weights |= {"mlp.experts.gate_up_proj_bias": (count, 2 * inner), "mlp.experts.down_proj_bias": (count, hidden)}
    weights |= norm_vectors(TWO_NORMS, hidden)
    window, width = read("sliding_window", 128), max(3 * (queries + keys), routed_width(active, inner, hidden))
    kinds = read("layer_types") or [
        "full_attention" if layer % 2 else "sliding_attention" for layer in range(read.layers)
    ]
    parts = [
        layer_of(weights, width, cached=2 * keys, window=window if kind == "sliding_attention" else None)
        for kind in kinds
    ]
    counts = {"experts": count, "experts_active": active}
    return shape_with(read, parts, intermediate=inner, tied=False, window=window, **counts)


_FOUR = (*TWO_NORMS, "pre_feedforward_layernorm", "post_feedforward_layernorm")


def _gemma4(read: Settings) -> Shape:
    """Windows in most layers, wider heads in the others; last layers that use the keys and values of earlier ones;
    embeddings per layer; in one size experts beside the MLP."""
    window, kinds = read("sliding_window", 512), read.kinds(6, "sliding_attention")
    own = read.layers - read("num_kv_shared_layers", 0)
    parts = [_gemma4_layer(read, place, kind, window, shared=place >= own) for place, kind in enumerate(kinds)]
    outside: Sizes = {}
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
    return shape_with(read, parts, **sizes, window=window, **counts)


def _gemma4_layer(read: Settings, place: int, kind: str, window: int, *, shared: bool) -> Layer:
    full, hidden, inner = kind == "full_attention", read.hidden, read("intermediate_size")
    head_dim = read("global_head_dim", 512) if full else read.head_dim
    same = full and read("attention_k_eq_v", False)  # values are the keys, normed in another way
    kv_heads = read("num_global_key_value_heads", read.kv_heads) if same else read.kv_heads
    own = read.own.get(place, {})
    head_dim, kv_heads = own.get("head_dim", head_dim), own.get("num_key_value_heads", kv_heads)
    queries, keys = read.heads * head_dim, kv_heads * head_dim
    weights = attention_matrices(hidden, queries, keys) | norm_vectors(HEAD_NORMS, head_dim)
    for name in ("k_proj", "v_proj", "k_norm") if shared else ("v_proj",) if same else ():
        del weights[f"self_attn.{name}.weight"]
    wide = inner * (2 if shared and read("use_double_wide_mlp", False) else 1)
    weights |= gated_mlp("mlp", hidden, wide) | norm_vectors(_FOUR, hidden)
    width = max(3 * (queries + keys), 3 * wide)
    if size := read("hidden_size_per_layer_input", 0):
        weights |= {"per_layer_input_gate.weight": (size, hidden), "per_layer_projection.weight": (hidden, size)}
        weights |= norm_vectors(["post_per_layer_input_norm"], hidden)
        width += read.layers * size  # the inputs of all layers are there from the start
    if read("enable_moe_block", False):
        count, small = read("num_experts"), read("moe_intermediate_size")
        weights |= {
            "router.scale": (hidden,),
            "router.per_expert_scale": (count,),
            "router.proj.weight": (count, hidden),
        }
        weights |= expert_matrices("experts", count, hidden, small)
        extra = ("post_feedforward_layernorm_1", "post_feedforward_layernorm_2", "pre_feedforward_layernorm_2")
        weights |= norm_vectors(extra, hidden)
        width = max(width, routed_width(read("top_k_experts"), small, hidden) + 3 * hidden)
    kept = {} if shared else {"cached": 2 * keys, "window": None if full else window}
    return layer_of(weights, width, **kept)


def _mixture(read: Settings, attention: Sizes, attention_width: int, cached: int, **fields: Any) -> Shape:
    """DeepSeek's and GLM's layers: the first ones with one MLP, the others with experts and shared experts."""
    hidden, inner, small = read.hidden, read("intermediate_size"), read("moe_intermediate_size")
    count, active, first = read("n_routed_experts"), read("num_experts_per_tok"), read("first_k_dense_replace", 0)
    shared, norms = small * read("n_shared_experts", 1), norm_vectors(TWO_NORMS, hidden)
    sparse = expert_matrices("mlp.experts", count, hidden, small) | {"mlp.gate.weight": (count, hidden)}
    sparse |= gated_mlp("mlp.shared_experts", hidden, shared)
    width = max(attention_width, routed_width(active, small, hidden, shared))
    dense = layer_of(
        attention | gated_mlp("mlp", hidden, inner) | norms, max(attention_width, 3 * inner), cached=cached
    )
    mixed = layer_of(attention | sparse | norms, width, cached=cached)
    parts = [dense if place < first else mixed for place in range(read.layers)]
    return shape_with(read, parts, intermediate=inner, tied=False, experts=count, experts_active=active, **fields)


def _deepseek_v3(read: Settings) -> Shape:
    """Multi-head latent attention: one compressed vector a token is kept, and the part of the key that is rotated."""
    latent, rotated, plain = read("kv_lora_rank"), read("qk_rope_head_dim"), read("qk_nope_head_dim")
    values, rank, hidden = read("v_head_dim"), read("q_lora_rank"), read.hidden
    queries, narrow = read.heads * (plain + rotated), {}
    weights: Sizes = {}
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
    weights = attention_matrices(read.hidden, queries, keys, bias="qkv" if read("attention_bias", False) else "")
    if read("use_qk_norm", False):
        weights |= norm_vectors(HEAD_NORMS, read.head_dim)
    return _mixture(read, weights, 3 * (queries + keys), 2 * keys)


def _llama4(read: Settings) -> Shape:
    """Attention within chunks in most layers; in some or all layers one of many experts, beside a shared one."""
    hidden, inner, count = read.hidden, read("intermediate_size"), read("num_local_experts", 16)
    queries, keys, active = read.heads * read.head_dim, read.kv_heads * read.head_dim, read("num_experts_per_tok", 1)
    common = attention_matrices(hidden, queries, keys) | norm_vectors(TWO_NORMS, hidden)
    wide = read("intermediate_size_mlp", 16384)
    dense = common | gated_mlp("feed_forward", hidden, wide)
    mixed = (
        common
        | {"feed_forward.router.weight": (count, hidden)}
        | gated_mlp("feed_forward.shared_expert", hidden, inner)
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
        layer_of(
            mixed if place in sparse else dense,
            width if place in sparse else max(3 * (queries + keys), 3 * wide),
            cached=2 * keys,
            window=chunk if kind == "chunked_attention" else None,
        )
        for place, kind in enumerate(kinds)
    ]
    return shape_with(read, parts, intermediate=inner, tied=False, window=chunk, experts=count, experts_active=active)


FAMILIES: dict[str, Callable[[Settings], Shape]] = {
    "gpt_oss": _gpt_oss,
    "qwen3_5_text": recurrent.qwen3_5,
    "qwen3_5_moe_text": recurrent.qwen3_5,
    "granitemoehybrid": recurrent.granite_hybrid,
    "gemma4_text": _gemma4,
    "gemma4_unified_text": _gemma4,
    "deepseek_v3": _deepseek_v3,
    "kimi_k2": _deepseek_v3,  # the same classes under another name
    "glm4_moe": _glm4_moe,
    "llama4_text": _llama4,
    "lfm2": recurrent.lfm2,
}
WITH_BIASES = ("gpt_oss", "glm4_moe")  # of their attention; elsewhere they are not known
