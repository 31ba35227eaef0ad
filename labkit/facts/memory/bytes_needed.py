"""Bytes from a shape: weights in each precision, KV cache, working memory, the states of training, and plans of all."""

from __future__ import annotations

import math
from dataclasses import dataclass

from labkit.base.errors import LabError
from labkit.facts.memory.shapes import (
    Layer,
    Layered,
    Shape,
    linear_parameter_count,
    matrices,
    parameter_count,
)

# Bits that one number takes. int4 is stored in blocks of 32 numbers that share one 16-bit scale: 4 + 16/32 bits.
BITS = {"fp32": 32, "bf16": 16, "fp16": 16, "int8": 8, "int4": 4.5}
INT4_BLOCK, INT4_BLOCK_BYTES = 32, 18
_NF4_BITS = 4.5  # 64 numbers of 4 bits share an fp32 scale
_MXFP4_BITS = 4.25  # 32 numbers of 4 bits share a scale of 8 bits
_FP8_BLOCK = 128  # 128 x 128 numbers of 8 bits share an fp32 scale

# What Python, torch, transformers and a tokenizer hold without any model: 392 MB resident on Linux (torch 2.13 for
# CPUs, transformers 5.23, 2026-11), and some 60 MB more once they compute.
LIBRARIES_BYTES = 450_000_000


def weights_bytes(parameters: int, dtype: str) -> int:
    """Bytes of `parameters` weights.

    int4 counts the scale of each block of 32: 4.5 bits a weight, as in llama.cpp's Q4_0. Real files are a little
    larger: they keep some matrices (often the embedding) in more bits. int8 leaves out its scales (under 1 %).

    >>> weights_bytes(7_241_732_096, "bf16") / 1e9  # Mistral-7B in 16 bits
    14.483464192
    >>> round(weights_bytes(7_241_732_096, "int4") / 1e9, 2)  # and in 4
    4.07

    Raises LabError for a dtype that is not one of fp32, bf16, fp16, int8, int4.
    """
    if dtype == "int4":
        return math.ceil(_count(parameters, "parameters") / INT4_BLOCK) * INT4_BLOCK_BYTES
    return math.ceil(_count(parameters, "parameters") * _bits(dtype) / 8)


def nf4_bytes(shape: Shape) -> int:
    """Bytes of a model's weights as `from_pretrained` stores them with bitsandbytes' NF4.

    The matrices of attention and MLPs take 4 bits a number and an fp32 scale for each 64: 4.5 bits. The rest stays in
    16 bits: embedding, output matrix, norms, biases, routers, and the experts of a mixture. transformers 5 keeps the
    experts of a layer as one parameter of three dimensions, and bitsandbytes replaces linear layers only (seen with
    transformers 5.24 and bitsandbytes 0.50, 2026-11; https://github.com/bitsandbytes-foundation/bitsandbytes/issues/1849).

    >>> llama2_7b = Shape(32, 4096, 32, 32, 128, 11008, 32000, tied=False)
    >>> mixtral = Shape(32, 4096, 32, 8, 128, 14336, 32000, tied=False, experts=8, experts_active=2)
    >>> [round(nf4_bytes(shape) / 1e9, 1) for shape in (llama2_7b, mixtral)]
    [4.2, 91.5]
    """
    small = linear_parameter_count(shape)
    return math.ceil(small * _NF4_BITS / 8) + 2 * (parameter_count(shape) - small)


def mxfp4_bytes(shape: Shape) -> int:
    """Bytes of a mixture's weights with the matrices of its experts in MXFP4, as gpt-oss is published: 4 bits a number
    and a scale of 8 bits for each 32, so 4.25. The rest stays in 16 bits: attention, routers, embeddings, biases.

    LabError for a model without experts.
    """
    if shape.experts == 1:
        raise LabError(
            "Only the experts of a mixture are stored in MXFP4, and this model has none: choose another dtype."
        )
    small = sum(math.prod(size) for size in matrices(shape) if len(size) == 3)
    return math.ceil(small * _MXFP4_BITS / 8) + 2 * (parameter_count(shape) - small)


def fp8_bytes(shape: Shape) -> int:
    """Bytes of a model's weights in FP8, as DeepSeek-V3 is published: the matrices of attention, MLPs and experts take
    8 bits a number, and each block of 128 x 128 an fp32 scale. The rest stays in 16 bits: embedding, output matrix,
    norms, biases, routers.

    >>> mistral_7b = Shape(32, 4096, 32, 8, 128, 14336, 32000, tied=False)
    >>> round(fp8_bytes(mistral_7b) / 1e9, 1)
    7.5

    Source: https://github.com/deepseek-ai/DeepSeek-V3/blob/9b4e9788e4a3a731f7567338ed15d3ec549ce03b/README_WEIGHTS.md
    """
    sizes = matrices(shape)
    small = sum(map(math.prod, sizes))
    blocks = (math.prod(size[:-2]) * math.prod(math.ceil(side / _FP8_BLOCK) for side in size[-2:]) for size in sizes)
    return small + 4 * sum(blocks) + 2 * (parameter_count(shape) - small)


def stored_bytes(shape: Shape, dtype: str) -> int:
    """Bytes of a model's weights in one of `BITS`, or in nf4, mxfp4 or fp8 (`nf4_bytes` and so on)."""
    mixed = {"nf4": nf4_bytes, "mxfp4": mxfp4_bytes, "fp8": fp8_bytes}
    return mixed[dtype](shape) if dtype in mixed else weights_bytes(parameter_count(shape), dtype)


def kv_cache_bytes(shape: Shape, tokens: int, *, batch: int = 1, dtype: str = "bf16", window: int | None = None) -> int:
    """Bytes of the keys and values kept for `batch` sequences of `tokens` tokens each.

    One key and one value vector for each layer, key-value head and token. A layer with a sliding window keeps the last
    `window` tokens (the model's own unless given); transformers one less, since the newest comes with the next step.
    Of a `Layered` shape each layer keeps what is its own: nothing where it uses another's, a compressed vector, or a
    state of a size that no text changes, part of it in 32 bits whatever the dtype.

    >>> llama2_7b = Shape(32, 4096, 32, 32, 128, 11008, 32000, tied=False)
    >>> mistral_7b = Shape(32, 4096, 32, 8, 128, 14336, 32000, tied=False, window=4096)
    >>> kv_cache_bytes(llama2_7b, 4096) / 2**30, kv_cache_bytes(mistral_7b, 4096) / 2**30  # grouped-query attention
    (2.0, 0.5)
    >>> kv_cache_bytes(mistral_7b, 32768) / 2**30  # the window: eight times the text, no byte more
    0.5

    Source: Pope et al. 2022, "Efficiently Scaling Transformer Inference", https://arxiv.org/abs/2211.05102
    """
    tokens, batch = _count(tokens, "tokens"), _count(batch, "batch")
    if isinstance(shape, Layered):
        return batch * math.ceil(sum(_kept_bytes(layer, tokens, window, _bits(dtype)) for layer in shape.parts))
    window = window or shape.window
    kept = shape.layers * tokens
    if window:
        unlimited = shape.layers // shape.global_every if shape.global_every else 0
        kept = unlimited * tokens + (shape.layers - unlimited) * min(tokens, window)
    return math.ceil(2 * kept * shape.kv_heads * shape.head_dim * batch * _bits(dtype) / 8)


def _kept_bytes(layer: Layer, tokens: int, window: int | None, bits: float) -> float:
    limit = window or layer.window
    kept = layer.cached * (min(tokens, limit) if limit else tokens)
    return (kept + layer.state) * bits / 8 + layer.state_fp32 * 4 if tokens else 0


def activation_bytes(shape: Shape, tokens: int, *, batch: int = 1, dtype: str = "bf16", all_logits: bool = True) -> int:
    """An upper estimate of the working memory while the model reads `batch` prompts of `tokens` tokens.

    Layers run one after the other and inference keeps nothing for later, so only the busiest moment counts, one of two:

    - inside a layer: the residual stream, its copy, the normed input and an output (4 x hidden), ids, positions and
      their tables, and either queries, keys and values with rotated copies or, mostly, the gate, the activated gate and
      the product of the MLP (3 x intermediate; more for experts, where each token visits several);
    - at the end: one number for each token of the vocabulary. A plain `model(ids)` makes them for every position
      (`all_logits`), counted with 4 bytes because losses and probabilities are computed in fp32; `generate` makes them
      for the last position only.

    Leaves out: attention scores (none with the fused attention that transformers uses by default; heads x tokens^2
    numbers with `attn_implementation="eager"`), the mask of a text longer than a sliding window (tokens^2 numbers), and
    what the allocator holds in reserve. Checked against the tensors that six families allocate: never under, and inside
    the layers at most a fifth over.

    >>> smollm2 = Shape(30, 576, 9, 3, 64, 1536, 49152, tied=True)
    >>> [round(activation_bytes(smollm2, 512, dtype="fp32", all_logits=every) / 1e6) for every in (True, False)]
    [102, 15]
    """
    tokens, batch = _count(tokens, "tokens"), _count(batch, "batch")
    width = _bits(_computes_in(dtype)) / 8
    inside = width * (4 * shape.hidden + 4 * shape.head_dim + _busiest(shape)) + 16
    logits = 4 * shape.vocab * (tokens if all_logits else min(tokens, 1))
    return math.ceil(batch * max(tokens * inside, tokens * (width * shape.hidden + 16) + logits))


def _busiest(shape: Shape) -> int:
    """Numbers a token that a layer works with at once, beside the residual stream."""
    if isinstance(shape, Layered):
        return max(layer.width for layer in shape.parts)
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    mlp = 3 * shape.intermediate
    if shape.experts > 1:
        mlp = shape.experts_active * (4 * shape.intermediate + 3 * shape.hidden)
    return max(3 * queries + 3 * keys, mlp)


def optimizer_bytes(trainable: int) -> int:
    """Bytes that AdamW adds to the weights while it trains `trainable` parameters in fp32.

    A gradient and two running averages (of it and of its square), 4 bytes each. The weights themselves and the
    activations kept for the backward pass come on top.

    >>> optimizer_bytes(134_515_008) / 1e9, optimizer_bytes(921_600) / 1e9  # all of SmolLM2-135M; a LoRA adapter for it
    (1.614180096, 0.0110592)
    """
    return 12 * _count(trainable, "parameters")


@dataclass(frozen=True)
class Plan:
    """Where the bytes go; printed, it is a table."""

    weights: int
    kv_cache: int
    activations: int
    overhead: int

    @property
    def total(self) -> int:
        return self.weights + self.kv_cache + self.activations + self.overhead

    def __str__(self) -> str:
        rows = {"weights": self.weights, "KV cache": self.kv_cache, "activations": self.activations}
        rows |= {"libraries": self.overhead, "total": self.total}
        return "\n".join(f"{name:<12}{size / 1e6:>12,.0f} MB" for name, size in rows.items())


def inference_bytes(shape: Shape, *, dtype: str, tokens: int, batch: int = 1, all_logits: bool = True) -> Plan:
    """What running a model takes: weights in `dtype`, the cache and the activations of `tokens` tokens, the libraries.

    `dtype` is one of `BITS`, nf4, mxfp4 or fp8 (`stored_bytes`). Weights in fewer than 16 bits are computed with in 16:
    cache and activations count 16 bits then.

    >>> print(inference_bytes(Shape(32, 4096, 32, 8, 128, 14336, 32000, tied=False), dtype="bf16", tokens=4096))
    weights           14,483 MB
    KV cache             537 MB
    activations          558 MB
    libraries            450 MB
    total             16,028 MB

    Measured for the course model in fp32 (Linux, 2 cores, 2026-11), peak of the whole process against this plan:
    32 and 512 tokens with `generate` 955 and 982 MB (planned 990 and 1,026); 512 and 2,048 tokens with `model(ids)`
    1,083 and 1,531 MB (planned 1,113 and 1,490). Within 5 %; weights and cache are exact, the rest is the estimate.
    Measured at real size in bf16 (NVIDIA H200, random weights, 2,080 tokens): cache and activations of Mistral-7B,
    LLaMA-2-7B and 13B took 0.52, 1.28 and 1.93 GB (planned 0.52, 1.30 and 1.96; tests/test_gpu_sizes.py, 2026-11-26).
    """
    computes_in = _computes_in(dtype)
    return Plan(
        weights=stored_bytes(shape, dtype),
        kv_cache=kv_cache_bytes(shape, tokens, batch=batch, dtype=computes_in),
        activations=activation_bytes(shape, tokens, batch=batch, dtype=computes_in, all_logits=all_logits),
        overhead=LIBRARIES_BYTES,
    )


def training_bytes(shape: Shape, *, trainable: int | None = None, dtype: str = "fp32") -> dict[str, int]:
    """What training holds before the first activation: all weights in `dtype`, and AdamW's states in fp32.

    `dtype` is one of `BITS`, or nf4 for weights as bitsandbytes stores them (`nf4_bytes`).
    `trainable` parameters are trained: all of them unless given (an adapter's few, kept in fp32 beside the weights).

    >>> mistral_7b = Shape(32, 4096, 32, 8, 128, 14336, 32000, tied=False)
    >>> sum(training_bytes(mistral_7b).values()) / 1e9  # everything, in fp32
    115.867713536
    >>> sum(training_bytes(mistral_7b, trainable=20_971_520, dtype="nf4").values()) / 1e9  # an adapter on 4 bits
    4.786233344

    Activations come on top; they grow with batch and text.
    Source: Rajbhandari et al. 2020, section 3.1, https://arxiv.org/abs/1910.02054
    """
    parameters = parameter_count(shape)
    adapter = 0 if trainable is None else 4 * _count(trainable, "parameters")
    states = optimizer_bytes(parameters if trainable is None else trainable)
    return {
        "weights": stored_bytes(shape, dtype),
        "adapter": adapter,
        "gradients": states // 3,
        "AdamW": states - states // 3,
    }


def _computes_in(dtype: str) -> str:
    return "bf16" if dtype in ("nf4", "mxfp4", "fp8") or _bits(dtype) < 16 else dtype


def _bits(dtype: str) -> float:
    if dtype not in BITS:
        raise LabError(f"Unknown dtype {dtype!r}: choose one of {', '.join(BITS)}.")
    return BITS[dtype]


def _count(number: int, name: str) -> int:
    if number < 0:
        raise LabError(f"The number of {name} cannot be {number}: give 0 or more.")
    return number
