"""Weights of the local Hub that are too large to be there: safetensors headers, rebuilt from published shapes.

A header holds the name, dtype and shape of every tensor, and that is what `get_safetensors_metadata` reads. The numbers
behind it are not here. Names are those of the published repositories. Knows shapes; knows nothing of HTTP.
Format: https://huggingface.co/docs/safetensors/index#format (read 2026-11-23).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from labkit.facts.catalogue import Entry
from labkit.facts.memory import Layered, Shape, text_config
from labkit.world.hub.files import File, text_file

SHARD_BYTES = 10_000_000_000  # a larger model is cut into files of at most this size, as its makers do
_BYTES = {"F32": 4, "I32": 4, "BF16": 2, "F16": 2}


def dtype_of(entry: Entry) -> str:
    """The dtype of the published weights: LLaMA-2's are in 16-bit floats, nearly all later ones in bfloat16."""
    return "F16" if entry.name.startswith("llama-2") else "BF16"


def tensors(entry: Entry) -> dict[str, tuple[int, ...]]:
    """The name and shape of every weight of a model of the catalogue; of its language model, if it is more than one."""
    shape = entry.shape
    if isinstance(shape, Layered):
        layers = (
            (f"model.layers.{layer}.{name}", size)
            for layer, part in enumerate(shape.parts)
            for name, size in part.weights
        )
        return dict(shape.outside) | dict(layers)
    family = text_config(entry.config)["model_type"] if entry.config else entry.value("model_type")
    found = {"model.embed_tokens.weight": (shape.vocab, shape.hidden)}
    for layer in range(shape.layers):
        for name, size in _layer(shape, family):
            found[f"model.layers.{layer}.{name}"] = size
    found["model.norm.weight"] = (shape.hidden,)
    if not shape.tied:
        found["lm_head.weight"] = (shape.vocab, shape.hidden)
    return found


def _layer(shape: Shape, family: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    queries, keys, hidden = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim, shape.hidden
    if family == "phi3":
        yield "self_attn.qkv_proj.weight", (queries + 2 * keys, hidden)
    else:
        for name, rows in (("q", queries), ("k", keys), ("v", keys)):
            yield f"self_attn.{name}_proj.weight", (rows, hidden)
            if shape.qkv_bias:
                yield f"self_attn.{name}_proj.bias", (rows,)
    yield "self_attn.o_proj.weight", (hidden, queries)
    if shape.qk_norm:
        sizes = (shape.head_dim, shape.head_dim) if shape.qk_norm == "head" else (queries, keys)
        yield "self_attn.q_norm.weight", (sizes[0],)
        yield "self_attn.k_norm.weight", (sizes[1],)
    yield from _mlp(shape, family)
    for name in _NORMS.get(family, ("input_layernorm", "post_attention_layernorm")):
        yield f"{name}.weight", (hidden,)


_NORMS = {
    "gemma3_text": (
        *("input_layernorm", "post_attention_layernorm"),
        *("pre_feedforward_layernorm", "post_feedforward_layernorm"),
    ),
    "olmo2": ("post_attention_layernorm", "post_feedforward_layernorm"),
    "olmo3": ("post_attention_layernorm", "post_feedforward_layernorm"),
}


def _mlp(shape: Shape, family: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    wide, narrow = (shape.intermediate, shape.hidden), (shape.hidden, shape.intermediate)
    if shape.experts > 1:
        yield "block_sparse_moe.gate.weight", (shape.experts, shape.hidden)
        for expert in range(shape.experts):
            for name, size in (("w1", wide), ("w2", narrow), ("w3", wide)):
                yield f"block_sparse_moe.experts.{expert}.{name}.weight", size
    elif family == "phi3":
        yield "mlp.gate_up_proj.weight", (2 * shape.intermediate, shape.hidden)
        yield "mlp.down_proj.weight", narrow
    else:
        for name, size in (("gate", wide), ("up", wide), ("down", narrow)):
            yield f"mlp.{name}_proj.weight", size


def shards(entry: Entry) -> list[dict[str, tuple[int, ...]]]:
    """The weights in the files that they would fill, each of at most `SHARD_BYTES` if its tensors allow it."""
    width, parts, size = _BYTES[dtype_of(entry)], [{}], 0
    for name, shape in tensors(entry).items():
        length = width * math.prod(shape)
        if parts[-1] and size + length > SHARD_BYTES:
            parts.append({})
            size = 0
        parts[-1][name] = shape
        size += length
    return parts


def header(weights: dict[str, tuple[int, ...]], dtype: str) -> tuple[bytes, int]:
    """The first bytes of a safetensors file with these weights, and the size that the whole file would have."""
    return mixed_header({name: (dtype, shape) for name, shape in weights.items()})


def mixed_header(weights: dict[str, tuple[str, tuple[int, ...]]]) -> tuple[bytes, int]:
    """The same for weights of several dtypes: name to (dtype, shape)."""
    table: dict[str, dict[str, object]] = {"__metadata__": {"format": "pt", "labkit": "header rebuilt from the shape"}}
    offset = 0
    for name, (dtype, shape) in weights.items():
        end = offset + _BYTES[dtype] * math.prod(shape)
        table[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text, 8 + len(text) + offset


# What turns weights packed by GPTQ back, and is no weight. The Hub counts so since huggingface.js pull request 1770 of
# 2025-09-25, and counted the packs before (`parse-safetensors-metadata.ts`, read 2026-11-28).
_BESIDE_PACKED = ("qzeros", "g_idx", "scales")


def count(weights: dict[str, tuple[str, tuple[int, ...]]], *, gptq_bits: int | None = None) -> dict[str, int]:
    """How many parameters of each dtype, as the Hub tells it: of weights packed by GPTQ, those in the packs."""
    found: dict[str, int] = {}
    for name, (dtype, shape) in weights.items():
        suffix = name.rpartition(".")[2]
        if gptq_bits and suffix in _BESIDE_PACKED:
            continue
        packed = 32 // gptq_bits if gptq_bits and suffix == "qweight" else 1
        found[dtype] = found.get(dtype, 0) + packed * math.prod(shape)
    return found


def files(entry: Entry) -> dict[str, File]:
    """`config.json` and the weight files of a model of the catalogue, of which the headers are there."""
    parts, dtype = shards(entry), dtype_of(entry)
    found = text_file("config.json", json.dumps(config(entry), indent=2))
    for name, part in zip(file_names(parts), parts, strict=True):
        content, size = header(part, dtype)
        found[name] = File(name, size, content)
    if len(parts) > 1:
        found |= text_file("model.safetensors.index.json", json.dumps(index(parts, dtype), indent=1))
    return found


def config(entry: Entry) -> dict[str, Any]:
    """`config.json` with the published values that the catalogue has; the rest is the library's default."""
    if entry.config is not None:
        return entry.config
    shape = entry.shape
    found: dict[str, Any] = {
        "architectures": [entry.architecture],
        "model_type": entry.value("model_type"),
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "intermediate_size": shape.intermediate,
        "vocab_size": shape.vocab,
        "max_position_embeddings": entry.context,
        "tie_word_embeddings": shape.tied,
    }
    if shape.experts > 1:
        found |= {"num_local_experts": shape.experts, "num_experts_per_tok": shape.experts_active}
    if shape.window:
        found["sliding_window"] = shape.window
    elif entry.value("model_type") in _WINDOWED:
        found["sliding_window"] = None  # said, because the library's default is another
    if shape.global_every:
        found["sliding_window_pattern"] = shape.global_every
    return found


_WINDOWED = ("mistral", "mixtral", "phi3")


def index(parts: list[dict[str, tuple[int, ...]]], dtype: str) -> dict[str, object]:
    """`model.safetensors.index.json`: which file each tensor is in."""
    names = file_names(parts)
    total = sum(_BYTES[dtype] * math.prod(shape) for part in parts for shape in part.values())
    places = {tensor: name for name, part in zip(names, parts, strict=True) for tensor in part}
    return {"metadata": {"total_size": total}, "weight_map": places}


def file_names(parts: list[dict[str, tuple[int, ...]]]) -> list[str]:
    """`model.safetensors`, or one name a shard."""
    if len(parts) == 1:
        return ["model.safetensors"]
    return [f"model-{number:05}-of-{len(parts):05}.safetensors" for number in range(1, len(parts) + 1)]
