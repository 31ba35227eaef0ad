"""Linear layers of a real model: what goes into them, all of them quantized by hand, and GPTQ's idea on one of them.

Knows `torch.nn.Linear`. Knows nothing of files, nor of other libraries' quantized layers (`methods`).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from labkit.base import machine
from labkit.base.errors import LabError
from labkit.base.progress_bar import bar
from labkit.models.quantization.blocks import Quantized, absmax

if TYPE_CHECKING:
    import torch


Quantizer = Callable[["torch.Tensor"], Quantized]


def linears(model: Any, skip: tuple[str, ...] = ("lm_head",)) -> dict[str, torch.nn.Linear]:
    """The linear layers of a model by name, without those in `skip`; in the course model 210 of them.

    The output layer is left out, as bitsandbytes and torchao leave it out: in the course model it is the embedding.
    """
    import torch

    kinds = torch.nn.Linear
    return {n: part for n, part in model.named_modules() if isinstance(part, kinds) and n.split(".")[-1] not in skip}


@contextlib.contextmanager
def quantized_linears(model: Any, quantizer: Quantizer, *, quiet: bool = False) -> Iterator[dict[str, Quantized]]:
    """Inside the block every linear layer works with weights that went through `quantizer`; after it all is as before.

    A layer de-quantizes its codes each time it is used, as libraries do on a CPU. Yields the quantized weights by
    layer. The original weights are not copied.

        with quantized_linears(model, lambda weights: nf4(weights, 64)) as layers:
            perplexity(model, ids)
    """
    changed, kept = linears(model), {}
    machine.release_memory()
    if not changed:
        raise LabError("This model has no linear layers to quantize (are they quantized already?).")
    try:
        for place, (name, layer) in enumerate(bar(changed.items(), "Quantizing", quiet=quiet)):
            kept[name] = quantizer(layer.weight.detach())
            layer.forward = functools.partial(_forward, kept[name], layer)
            if place % 16 == 15:
                machine.release_memory()
        yield kept
    finally:
        for layer in changed.values():
            layer.__dict__.pop("forward", None)
        del kept
        machine.release_memory()


def _forward(quantized: Quantized, layer: torch.nn.Linear, inputs: torch.Tensor) -> torch.Tensor:
    import torch

    weights = quantized.dequantize().to(inputs.dtype)
    return torch.nn.functional.linear(inputs, weights, layer.bias)


def layer_inputs(model: Any, name: str, ids: torch.Tensor) -> torch.Tensor:
    """What the linear layer `name` gets while the model reads `ids`: (tokens, columns of its weight), fp32.

    LabError when the model has no such layer.
    """
    import torch

    layers = linears(model, skip=())
    if name not in layers:
        raise LabError(f"The model has no linear layer {name!r}: an example is {next(iter(layers), 'none at all')!r}.")
    seen: list[torch.Tensor] = []
    hook = layers[name].register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().float()))
    try:
        with torch.no_grad():
            model(ids.reshape(1, -1).to(model.device), use_cache=False, logits_to_keep=1)
    finally:
        hook.remove()
    return seen[0].reshape(-1, seen[0].shape[-1])


def output_error(weights: torch.Tensor, restored: torch.Tensor, inputs: torch.Tensor) -> float:
    """How far a layer's outputs move, relative to their length: the error that GPTQ makes small."""
    from labkit.models.quantization.blocks import relative_error

    return relative_error(inputs @ weights.T, inputs @ restored.T)


def gptq(
    weights: torch.Tensor, inputs: torch.Tensor, bits: int = 4, damping: float = 0.01, *, quiet: bool = False
) -> torch.Tensor:
    """GPTQ's error feedback: quantize column after column, and let the columns to come make up for each error.

    `weights` (rows, columns) get one scale a row, as `absmax(weights, bits, "channel")` gives them; the result is
    de-quantized, and every number in it is one that round-to-nearest could have chosen, too. `inputs` (tokens, columns)
    are what the layer meets: columns that go together in them can stand in for each other. Without them, or where no
    two columns go together, this is round-to-nearest. LabError when the two do not fit.
    Source: Frantar et al. 2022, section 3, https://arxiv.org/abs/2210.17323 (seen 2026-11-23)
    """
    import torch

    if weights.dim() != 2 or inputs.dim() != 2 or weights.shape[1] != inputs.shape[1]:
        shapes = f"{list(weights.shape)} and {list(inputs.shape)}"
        raise LabError(f"Weights and inputs have the shapes {shapes}: (rows, columns) and (tokens, columns) fit.")
    scales = absmax(weights, bits, "channel").scale()[:, 0]
    largest = 2 ** (bits - 1) - 1
    # How the columns go together, with a little added to the diagonal so that it can be inverted.
    together = inputs.double().T @ inputs.double()
    together += torch.eye(len(together)) * (damping * together.diagonal().mean().clamp(min=1e-12))
    feedback = torch.linalg.cholesky(torch.linalg.inv(together), upper=True).float()
    left, result = weights.detach().float().clone(), torch.empty_like(weights, dtype=torch.float32)
    for column in bar(range(weights.shape[1]), "Rounding columns", quiet=quiet):
        codes = (left[:, column] / scales).round().clamp(-largest, largest)
        result[:, column] = codes * scales
        error = (left[:, column] - result[:, column]) / feedback[column, column]
        left[:, column + 1 :] -= torch.outer(error, feedback[column, column + 1 :])
    return result
