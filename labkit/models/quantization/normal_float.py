"""NF4: four bits whose 16 levels lie where the weights are, and scales that are quantized themselves.

Source: Dettmers et al. 2023, sections 2 and 3, https://arxiv.org/abs/2305.14314 (seen 2026-11-23). The exact quantiles
follow bitsandbytes, whose table tests/models/test_quantization.py compares.
"""

from __future__ import annotations

import dataclasses
from statistics import NormalDist
from typing import TYPE_CHECKING

from labkit.base.errors import LabError
from labkit.models.quantization.blocks import Quantized, absmax, in_blocks

if TYPE_CHECKING:
    import torch


def nf4_levels() -> torch.Tensor:
    """The 16 levels of NormalFloat4, from -1 to 1: quantiles of the normal distribution, one of them exactly zero.

    Equally likely values get equally many levels: dense around zero, where most weights are. Seven are below zero
    and eight above it. The outermost quantile stands half a level's share from the end, where the normal
    distribution has no last value.

    >>> [round(level, 3) for level in nf4_levels().tolist()][6:10]
    [-0.091, 0.0, 0.08, 0.161]
    """
    import torch

    outermost = 1 - (1 / 32 + 1 / 30) / 2
    quantile = NormalDist().inv_cdf
    below = [-quantile(0.5 + (outermost - 0.5) * step / 7) for step in range(7, 0, -1)]
    above = [quantile(0.5 + (outermost - 0.5) * step / 8) for step in range(1, 9)]
    return torch.tensor([*below, 0.0, *above], dtype=torch.float64).div(above[-1]).float()


def nf4(weights: torch.Tensor, block: int | str | None = 64) -> Quantized:
    """Each block is divided by its largest weight, and each weight becomes the number of the nearest level.

    No weight moves further than half the widest gap, 0.152 of the block's largest weight.
    """
    import torch

    levels = nf4_levels()
    blocks = in_blocks(weights, block)
    largest = blocks.abs().amax(1, keepdim=True)
    scales = torch.where(largest > 1e-30, largest, torch.ones_like(largest))
    between = (levels[1:] + levels[:-1]) / 2
    codes = torch.bucketize(blocks / scales, between).to(torch.uint8)
    return Quantized(codes, scales, 4, tuple(weights.shape), levels=levels)


def double_quantize(quantized: Quantized, block: int = 256) -> Quantized:
    """The same codes with scales in 8 bits: 32 bits a block of 64 weights become 8 and a little.

    Scales are all positive, so their mean is taken off first. bitsandbytes does the same with a table of 256 levels of
    its own in place of equal steps.
    """
    if isinstance(quantized.scales, Quantized):
        raise LabError("These scales are quantized already: double quantization is done once.")
    mean = quantized.scales.mean().item()
    return dataclasses.replace(quantized, scales=absmax(quantized.scales - mean, 8, block), offset=mean)
