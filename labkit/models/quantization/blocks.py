"""Quantization by hand: a block of weights becomes small integers and one scale, and comes back nearly the same.

Works on torch tensors of any shape, for reading and not for speed. Knows nothing of models or files. A block is the
whole tensor (`None`), a row, which is one output channel of a linear layer (`"channel"`), or that many weights in the
order of memory (a number).
Source of the terms: Dettmers et al. 2022, section 2, https://arxiv.org/abs/2208.07339 (seen 2026-11-23)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.base.errors import LabError

if TYPE_CHECKING:
    import pandas as pd
    import torch

Block = int | str | None


@dataclass(frozen=True)
class Quantized:
    """A tensor as integers: `codes` (blocks, block size), and what turns them back into numbers.

    A weight is `(code - zero) * scale`, or `levels[code] * scale` where there is a table of levels. `scales` and
    `zeros` are (blocks, 1); `scales` may be quantized themselves. `shape` is that of the original.
    """

    codes: torch.Tensor
    scales: torch.Tensor | Quantized
    bits: int
    shape: tuple[int, ...]
    zeros: torch.Tensor | None = None
    levels: torch.Tensor | None = None
    offset: float = 0.0  # added back to scales that were centred before they were quantized

    def dequantize(self) -> torch.Tensor:
        """The weights as fp32, in their first shape."""
        values = self.levels[self.codes.int()] if self.levels is not None else self.codes.float()
        if self.zeros is not None:
            values = values - self.zeros
        flat = (values * self.scale()).flatten()
        count = 1
        for size in self.shape:
            count *= size
        return flat[:count].reshape(self.shape)

    def scale(self) -> torch.Tensor:
        """The scales as fp32, (blocks, 1), de-quantized where they are quantized."""
        if isinstance(self.scales, Quantized):
            return self.scales.dequantize() + self.offset
        return self.scales.float()

    def max_error(self) -> torch.Tensor:
        """How far any weight of a block can be from its original, (blocks, 1): half the widest gap between two codes.

        Holds for scales that are kept as they were computed, up to the rounding of fp32.
        """
        gap = 1.0 if self.levels is None else float(self.levels.diff().max())
        return self.scale().abs() * gap / 2

    @property
    def nbytes(self) -> int:
        """Bytes when the codes are packed without a gap: codes, scales, zero points; a shared table is not counted."""
        scales = self.scales.nbytes + 4 if isinstance(self.scales, Quantized) else self.scales.nbytes
        zeros = 0 if self.zeros is None else self.zeros.numel() * self.bits / 8
        return int(-(-self.codes.numel() * self.bits // 8) + scales + zeros)

    @property
    def bits_per_weight(self) -> float:
        """What a weight costs, its share of scales and zero points included."""
        import math

        return 8 * self.nbytes / math.prod(self.shape)


def absmax(weights: torch.Tensor, bits: int = 8, block: Block = None) -> Quantized:
    """Symmetric integers: the largest weight of a block becomes the largest code, zero stays zero.

    Codes run from -(2^(bits-1) - 1) to 2^(bits-1) - 1: -127 to 127 in 8 bits, -7 to 7 in 4. No weight moves further
    than half a scale, which is half of `largest / 127` in 8 bits. LabError for bits outside 2 to 8.

    >>> import torch
    >>> quantized = absmax(torch.tensor([0.5, -1.27, 0.004]))
    >>> quantized.codes.tolist(), round(quantized.scales.item(), 4)
    ([[50, -127, 0]], 0.01)
    """
    import torch

    largest_code = 2 ** (_bits(bits) - 1) - 1
    blocks = in_blocks(weights, block)
    scales = _nonzero(blocks.abs().amax(1, keepdim=True) / largest_code)
    codes = (blocks / scales).round().clamp(-largest_code, largest_code)
    return Quantized(codes.to(torch.int8), scales, bits, tuple(weights.shape))


def zero_point(weights: torch.Tensor, bits: int = 8, block: Block = None) -> Quantized:
    """Asymmetric integers: the smallest weight becomes code 0, the largest 2^bits - 1, and a code in between is zero.

    All codes are used even where a block is not centred. The range is widened to hold zero, so that zero stays
    zero. No weight moves further than half a scale, which is half of `(largest - smallest) / 255` in 8 bits.
    """
    import torch

    steps = 2 ** _bits(bits) - 1
    blocks = in_blocks(weights, block)
    low = blocks.amin(1, keepdim=True).clamp(max=0)
    high = blocks.amax(1, keepdim=True).clamp(min=0)
    scales = _nonzero(high / steps - low / steps)
    zeros = (-low / scales).round()
    codes = ((blocks / scales).round() + zeros).clamp(0, steps)
    return Quantized(codes.to(torch.uint8), scales, bits, tuple(weights.shape), zeros=zeros)


def in_blocks(weights: torch.Tensor, block: Block) -> torch.Tensor:
    """`weights` as fp32 (blocks, block size); the last block of a number that does not divide is filled with zeros."""
    import torch

    if not weights.numel() or not bool(torch.isfinite(weights).all()):
        raise LabError("There is nothing to quantize: the tensor is empty, or holds numbers that are not finite.")
    flat = weights.detach().float()
    if block is None:
        return flat.reshape(1, -1)
    if block == "channel":
        return flat.reshape(-1, weights.shape[-1]) if weights.dim() else flat.reshape(1, 1)
    if not isinstance(block, int) or isinstance(block, bool) or block < 1:
        raise LabError(f"block={block!r} is not known: use None, 'channel', or how many weights share a scale.")
    missing = -weights.numel() % block
    return torch.nn.functional.pad(flat.flatten(), (0, missing)).reshape(-1, block)


def pack(codes: torch.Tensor) -> torch.Tensor:
    """Two 4-bit codes (0 to 15) in a byte, the first one in the high half, as bitsandbytes keeps them; uint8, flat.

    >>> import torch
    >>> [hex(byte) for byte in pack(torch.tensor([1, 15, 7]))]  # a missing last one counts as 0
    ['0x1f', '0x70']
    """
    import torch

    flat = codes.flatten().long()
    if flat.numel() and not 0 <= int(flat.min()) <= int(flat.max()) <= 15:
        raise LabError("Only codes from 0 to 15 fit into half a byte: add 8 to symmetric ones first.")
    pairs = torch.nn.functional.pad(flat, (0, flat.numel() % 2)).reshape(-1, 2)
    return (pairs[:, 0] << 4 | pairs[:, 1]).to(torch.uint8)


def unpack(packed: torch.Tensor, count: int | None = None) -> torch.Tensor:
    """The first `count` codes (all, unless given) of what `pack` made; uint8, flat."""
    import torch

    return torch.stack((packed >> 4, packed & 0x0F), dim=-1).flatten()[:count]


def relative_error(original: torch.Tensor, restored: torch.Tensor) -> float:
    """The length of the difference over the length of the original: 0.01 is one percent (Frobenius norms)."""
    length = original.float().norm().item()
    return (original.float() - restored.float()).norm().item() / length if length else 0.0


def error_table(
    weights: torch.Tensor,
    bits: Sequence[int] = (8, 6, 4, 3, 2),
    blocks: Sequence[Block] = (None, "channel", 128, 64, 32),
) -> pd.DataFrame:
    """Relative error of `absmax` for each number of bits (rows) and each block (columns), both as given."""
    import pandas as pd

    rows = {b: {_named(k): relative_error(weights, absmax(weights, b, k).dequantize()) for k in blocks} for b in bits}
    return pd.DataFrame(rows).T.rename_axis("bits")


def outlier_table(weights: torch.Tensor, times: float = 20.0, bits: int = 8) -> pd.DataFrame:
    """What one large weight does to all others: relative error of the others, before and after, for each block.

    A copy of `weights` gets one weight `times` the largest; the error is measured on the weights that were not touched.
    """
    import pandas as pd

    spoiled = weights.detach().float().clone()
    place = (0,) * weights.dim()
    spoiled[place] = spoiled.abs().max() * times
    rows = []
    for block in (None, "channel", 128, 64, 32):
        errors = []
        for tensor in (weights.detach().float(), spoiled):
            restored = absmax(tensor, bits, block).dequantize()
            restored[place] = tensor[place]
            errors.append(relative_error(weights, restored + (weights.detach() - tensor)))
        rows.append({"block": _named(block), "without": errors[0], "with": errors[1]})
    return pd.DataFrame(rows).set_index("block")


def _named(block: Block) -> str:
    return "tensor" if block is None else str(block)


def _bits(bits: int) -> int:
    if not isinstance(bits, int) or isinstance(bits, bool) or not 2 <= bits <= 8:
        raise LabError(f"bits={bits!r} is not possible here: choose 2 to 8.")
    return bits


def _nonzero(scales: torch.Tensor) -> torch.Tensor:
    """Scales that can be divided by: 1 for a block of zeros, and where fp32 is too small to divide by."""
    import torch

    return torch.where(scales > 1e-30, scales, torch.ones_like(scales))
