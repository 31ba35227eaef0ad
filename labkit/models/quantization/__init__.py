"""Quantization: by hand on one matrix, on a whole model, and through the tools that people use.

`blocks` integers with a scale · `normal_float` levels from the normal distribution · `layers` a model's
linear layers, GPTQ's idea · `gguf_files` files that llama.cpp reads · `methods` what works where.
"""

from labkit.models.quantization import gguf_files
from labkit.models.quantization.blocks import (
    Quantized,
    absmax,
    error_table,
    outlier_table,
    pack,
    relative_error,
    unpack,
    zero_point,
)
from labkit.models.quantization.layers import gptq, layer_inputs, linears, output_error, quantized_linears
from labkit.models.quantization.methods import load, table, why_not
from labkit.models.quantization.normal_float import double_quantize, nf4, nf4_levels

__all__ = [
    "Quantized",
    "absmax",
    "double_quantize",
    "error_table",
    "gguf_files",
    "gptq",
    "layer_inputs",
    "linears",
    "load",
    "table",
    "nf4",
    "nf4_levels",
    "outlier_table",
    "output_error",
    "pack",
    "quantized_linears",
    "relative_error",
    "unpack",
    "why_not",
    "zero_point",
]
