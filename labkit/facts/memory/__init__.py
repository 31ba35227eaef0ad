"""How many bytes a language model needs, from its shape alone: weights, KV cache, activations, training state.

Knows shapes and arithmetic; needs no torch and no download. Knows nothing of what this machine has (`machine`) or of
which models there are (`catalogue`): `planning` brings them together. GB is 10^9 bytes, GiB is 2^30.
"""

from labkit.facts.memory.bytes_needed import (
    BITS,
    INT4_BLOCK,
    INT4_BLOCK_BYTES,
    LIBRARIES_BYTES,
    Plan,
    activation_bytes,
    fp8_bytes,
    inference_bytes,
    kv_cache_bytes,
    mxfp4_bytes,
    nf4_bytes,
    optimizer_bytes,
    stored_bytes,
    training_bytes,
    weights_bytes,
)
from labkit.facts.memory.reading import context_of, shape_of, text_config
from labkit.facts.memory.shapes import Layer, Layered, Shape, active_parameter_count, parameter_count

__all__ = [
    "BITS",
    "INT4_BLOCK",
    "INT4_BLOCK_BYTES",
    "LIBRARIES_BYTES",
    "Layer",
    "Layered",
    "Plan",
    "Shape",
    "activation_bytes",
    "active_parameter_count",
    "context_of",
    "fp8_bytes",
    "inference_bytes",
    "kv_cache_bytes",
    "mxfp4_bytes",
    "nf4_bytes",
    "optimizer_bytes",
    "parameter_count",
    "shape_of",
    "stored_bytes",
    "text_config",
    "training_bytes",
    "weights_bytes",
]
