"""What becomes of an adapter: onto a model, into its weights, and as one GGUF file into llama.cpp.

Saving, loading, switching and combining are peft's own calls (`save_pretrained`, `load_adapter`, `set_adapter`,
`add_weighted_adapter`, `merge_and_unload`), which lessons make themselves. `world.conversion` knows how llama.cpp names
and orders a Llama's weights, `quantization.gguf_files` how its files are written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.base import cache, machine, workarounds
from labkit.base.errors import LabError
from labkit.facts import catalogue
from labkit.models.finetuning import lora
from labkit.models.quantization import gguf_files
from labkit.world import conversion, weights

if TYPE_CHECKING:
    import torch


def with_adapter(
    model: Any,
    *,
    rank: int = 8,
    alpha: int = 16,
    targets: Sequence[str] = lora.ATTENTION,
    first_layer: int = 0,
    seed: int = 0,
) -> Any:
    """`model` with a new adapter of peft, as lesson 07 makes it: the same numbers at the start for the same seed.

    Layers below `first_layer` get none, and the gradient ends there. Leaving out a third of the layers saves a sixth of
    the work, since the forward pass stays, and the memory of what those layers computed. LabError when the model has no
    such layer, or has an adapter already: a second one could not be merged.
    """
    workarounds.apply()  # a process of torchrun has no set-up cell that did it
    import torch
    from peft import LoraConfig, get_peft_model

    if hasattr(model, "peft_config"):
        raise LabError("This model has an adapter already: load it anew, or take `model.unload()`, then add another.")
    count = model.config.get_text_config().num_hidden_layers
    if not 0 <= first_layer < count:
        raise LabError(f"first_layer={first_layer} is none of this model's layers: it has layers 0 to {count - 1}.")
    layers = list(range(first_layer, count)) if first_layer else None
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        places = {"target_modules": list(targets), "layers_to_transform": layers}
        return get_peft_model(model, LoraConfig(r=rank, lora_alpha=alpha, task_type="CAUSAL_LM", **places))


def to_gguf(model: Any, target: Path, *, file_type: str = "Q8_0", name: str | None = None) -> Path:
    """Write a merged transformers model as a GGUF file for llama.cpp, in one step; `target`.

    The shipped GGUF of the course model (or of the catalogue's `name`) is the template: its tokenizer, chat template
    and sizes are copied, its tensors replaced. `file_type` is F16 or one of `quantization.gguf_files.TYPES`.
    LabError when the adapter is not merged yet, the model is not of the template's shape, or there is no such type.
    """
    if file_type != "F16":
        gguf_files.require(file_type)
    state, config = model.state_dict(), model.config
    if any("lora_" in key for key in state):
        raise LabError("This model still has its adapter beside its weights: call merge_and_unload() first.")
    template = weights.gguf_file(name or catalogue.DEFAULT, quiet=True)
    names = conversion.transformers_names(config.num_hidden_layers)
    cache.require_space(Path(target).resolve().parent, 2 * model.num_parameters(), "The GGUF file")
    with cache.replacing(Path(target)) as part:
        values = partial(_tensor, names, state, config)
        gguf_files.write(template, part, file_type, values, quiet=True)
    machine.release_memory()
    return Path(target)


def _tensor(names: Mapping[str, str], state: Mapping[str, torch.Tensor], config: Any, tensor: Any) -> Any:
    """The model's numbers for one tensor of the template, in fp32 and llama.cpp's order."""
    name = names.get(tensor.name, tensor.name)
    if name not in state or list(state[name].shape) != [int(size) for size in reversed(tensor.shape)]:
        raise LabError(f"The model has no {name} of the template's size: export only the model that the file is of.")
    values = state[name].detach().float().cpu()
    values = conversion.rotary_order(tensor.name, values, config.num_attention_heads, config.num_key_value_heads)
    return values.contiguous().numpy()
