"""Three of llama.cpp's block formats by hand: Q8_0 and Q4_0 written, Q4_K read.

A block holds its scale beside its codes, so that one reading of memory brings both. The bytes agree with the `gguf`
package and with llama.cpp (tests/models/test_quantization.py). Knows nothing of files.
Source: ggml/src/ggml-common.h and ggml-quants.c of https://github.com/ggml-org/llama.cpp (seen 2026-11-23)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.models.quantization.blocks import Quantized, in_blocks

if TYPE_CHECKING:
    import torch

Q4_K_BYTES = 144  # for 256 weights: two fp16 scales, 12 bytes of sub-scales, 128 bytes of codes


def q8_0(weights: torch.Tensor) -> Quantized:
    """32 weights, one fp16 scale, codes from -127 to 127: 8.5 bits a weight."""
    import torch

    blocks = in_blocks(weights, 32)
    scales = blocks.abs().amax(1, keepdim=True) / 127
    codes = _round(blocks * _inverse(scales))
    return Quantized(codes.to(torch.int8), scales.half(), 8, tuple(weights.shape))


def q4_0(weights: torch.Tensor) -> Quantized:
    """32 weights, one fp16 scale, codes from 0 to 15 that stand for -8 to 7: 4.5 bits a weight.

    The weight that is largest in size becomes -8 exactly, whatever its sign: the scale takes the sign instead. So all
    16 codes are used, where a symmetric code wastes one. At the other end 7 may be too little: a weight there moves
    by up to a whole scale.
    """
    import torch

    blocks = in_blocks(weights, 32)
    largest = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
    scales = largest / -8
    codes = (blocks * _inverse(scales) + 8.5).floor().clamp(0, 15)
    zeros = torch.full_like(scales, 8)
    return Quantized(codes.to(torch.uint8), scales.half(), 4, tuple(weights.shape), zeros=zeros)


def read_q4_k(raw: torch.Tensor) -> torch.Tensor:
    """Super-blocks of 256 weights, bytes (n, 144), as fp32 (n, 256): 4.5 bits a weight.

    Eight sub-blocks of 32 have a scale and a minimum of their own, in 6 bits each, which two fp16 numbers for all eight
    bring to size: a weight is `code * scale - minimum`. Double quantization, in llama.cpp's way.
    """
    import torch

    big = raw[:, :4].contiguous().view(torch.float16).float()  # (n, 2): the scale of the scales, that of the minima
    packed = raw[:, 4:16].int()
    first, second, third = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    # Sub-blocks 0 to 3 lie in the low six bits; the other four have four bits of their own, and borrow two.
    scales = torch.cat([first & 63, third & 15 | first >> 6 << 4], 1) * big[:, :1]
    minima = torch.cat([second & 63, third >> 4 | second >> 6 << 4], 1) * big[:, 1:]
    pairs = raw[:, 16:].reshape(-1, 4, 1, 32)  # 32 bytes hold two sub-blocks: in their low and in their high halves
    codes = torch.cat([pairs & 15, pairs >> 4], 2).reshape(-1, 8, 32).float()
    return (codes * scales[:, :, None] - minima[:, :, None]).reshape(-1, 256)


def _inverse(scales: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.where(scales == 0, torch.zeros_like(scales), 1 / scales)


def _round(values: torch.Tensor) -> torch.Tensor:
    """Halves away from zero, as C's roundf; torch's own goes to the even neighbour."""
    return values.sign() * (values.abs() + 0.5).floor()
