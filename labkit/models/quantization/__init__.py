"""Quantization: by hand on one matrix, on a whole model, and through the tools that people use.

`blocks` integers with a scale · `normal_float` levels from the normal distribution · `layers` a model's linear layers,
GPTQ's idea · `gguf_files` files that llama.cpp reads · `methods` what works where.
"""

from labkit.base import contents

__getattr__, __dir__, __all__ = contents.of(
    __name__,
    {
        "blocks": (
            *("Quantized", "absmax", "error_table", "outlier_table", "pack", "relative_error", "unpack", "zero_point"),
        ),
        "normal_float": ("double_quantize", "nf4", "nf4_levels"),
        "layers": ("gptq", "layer_inputs", "linears", "output_error", "quantized_linears"),
        "gguf_files": (),
        "methods": ("load", "table", "why_not"),
    },
)
