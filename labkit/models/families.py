"""The course's model families on real weights: a Llama model, the same in Mistral's class, and copied into Mixtral's.

Configurations come from the catalogue's published shapes; weights are shared with the model that is given, and never
changed. Knows three classes of transformers. Knows nothing of where weights come from (`world.weights`).
Upcycling: Komatsuzaki et al. 2022, https://arxiv.org/abs/2212.05055. Mixtral: Jiang et al. 2024, arXiv:2401.04088.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from labkit.base.errors import LabError
from labkit.facts import catalogue, memory

if TYPE_CHECKING:
    import pandas
    import torch
    from transformers import LlamaForCausalLM, MistralForCausalLM, MixtralForCausalLM, PreTrainedConfig

# What differs between the configurations of the three families; the rest has the same names in all.
_OWN = ("architectures", "model_type", "transformers_version", "attention_bias", "mlp_bias", "pretraining_tp")


def config(name: str) -> PreTrainedConfig:
    """The transformers configuration with the published shape of a model of the catalogue.

    Enough to build it on the meta device, where tensors have shapes and no numbers. Of a model that reads pictures or
    sound too, the configuration of its language model. LabError for an unknown name.
    """
    entry = catalogue.get(name)
    if entry.config is not None:
        from transformers import AutoConfig

        published = {
            key: value for key, value in entry.config.items() if key not in ("model_type", "quantization_config")
        }
        return AutoConfig.for_model(entry.value("model_type"), **published).get_text_config()
    return config_of(entry.value("model_type"), entry.shape, max_position_embeddings=entry.context)


def config_of(family: str, shape: memory.Shape, **options: Any) -> PreTrainedConfig:
    """A configuration of that `model_type` and shape: the opposite of `memory.shape_of`."""
    from transformers import AutoConfig

    options |= {
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.hidden,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "intermediate_size": shape.intermediate,
        "vocab_size": shape.vocab,
        "tie_word_embeddings": shape.tied,
    }
    if shape.head_dim * shape.heads != shape.hidden or family in ("qwen3", "gemma3_text"):
        options["head_dim"] = shape.head_dim
    if shape.experts > 1:
        options |= {"num_local_experts": shape.experts, "num_experts_per_tok": shape.experts_active}
    if family in ("mistral", "mixtral", "phi3", "gemma3_text"):
        options["sliding_window"] = shape.window
    if family in ("phi3", "gemma3_text", "olmo2"):
        options |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return AutoConfig.for_model(family, **options)


def as_mistral(model: LlamaForCausalLM, *, window: int | None = None) -> MistralForCausalLM:
    """The same weights in Mistral's class, without a copy: the logits are the same to the last bit.

    `window` is Mistral's sliding window in tokens (None: every token sees all before it). LabError unless `model` is a
    LlamaForCausalLM without biases, and for a window below 1.
    """
    from transformers import MistralConfig, MistralForCausalLM

    if window is not None and window < 1:
        raise LabError(f"A window of {window} tokens sees nothing: give 1 or more, or None for no window.")

    options = _options(model)
    return _filled(MistralForCausalLM, MistralConfig(**options, sliding_window=window), model.state_dict())


def as_mixtral(model: LlamaForCausalLM, *, experts: int = 4, active: int = 2, seed: int = 0) -> MixtralForCausalLM:
    """The same weights in Mixtral's class ("upcycled"): every expert of a layer is that layer's MLP.

    The experts of a layer are views of one tensor, so that memory grows by one copy of the gate and up matrices,
    however many experts there are. The routers are small random numbers from `seed`. As the experts are equal and their
    shares add up to 1, the answers are those of `model` up to rounding. No parameter is trainable yet.
    LabError unless 1 <= active <= experts.
    """
    import torch
    from transformers import MixtralConfig, MixtralForCausalLM

    if not 1 <= active <= experts:
        raise LabError(f"active must be from 1 to the number of experts ({experts}), not {active}.")
    numbers = {"num_local_experts": experts, "num_experts_per_tok": active, "sliding_window": None}
    weights = {name: value for name, value in model.state_dict().items() if ".mlp." not in name}
    draw = torch.Generator().manual_seed(seed)
    for place, layer in enumerate(model.model.layers):
        prefix, mlp = f"model.layers.{place}.mlp.", layer.mlp
        both = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]).detach()
        router = torch.randn(experts, both.shape[1], generator=draw) * model.config.initializer_range
        weights[prefix + "gate.weight"] = router.to(both)
        weights[prefix + "experts.gate_up_proj"] = both.expand(experts, -1, -1)
        weights[prefix + "experts.down_proj"] = mlp.down_proj.weight.detach().expand(experts, -1, -1)
    mixtral = _filled(MixtralForCausalLM, MixtralConfig(**_options(model), **numbers), weights)
    # Faster implementations may copy all experts in memory; this one uses only those that are needed.
    mixtral.set_experts_implementation("eager")
    return mixtral.requires_grad_(False)


def _options(model: Any) -> dict[str, Any]:
    settings = model.config
    if settings.model_type != "llama" or settings.attention_bias or settings.mlp_bias:
        raise LabError(f"Only a Llama model without biases can change its family, not {type(model).__name__}.")
    return {name: value for name, value in settings.to_dict().items() if name not in _OWN}


def _filled(kind: Callable[[Any], Any], settings: Any, weights: dict[str, torch.Tensor]) -> Any:
    """A model whose parameters are the given tensors themselves: built on the meta device, so nothing is copied."""
    import torch

    with torch.device("meta"):
        model = kind(settings)
    model.load_state_dict(weights, assign=True)
    # The tables of rotary positions are computed, not loaded.
    rotary, some = model.model.rotary_emb, next(iter(weights.values()))
    model.model.rotary_emb = type(rotary)(settings).to(some.device)
    model.tie_weights()
    return model.eval()


def perturb(mixtral: MixtralForCausalLM, layer: int, *, scale: float, seed: int = 0) -> None:
    """Make the experts of one layer different, in place: noise of `scale` times the weights' own standard deviation.

    Only this layer's experts become memory of their own. LabError when there is no such layer.
    """
    import torch

    experts = _block(mixtral, layer).experts
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, values in list(experts.named_parameters()):
            noise = torch.randn(values.shape, generator=draw).to(values) * values[0].std() * scale
            setattr(experts, name, torch.nn.Parameter(noise.add_(values), requires_grad=False))


def train_router(
    mixtral: MixtralForCausalLM, layer: int, ids: torch.Tensor, *, steps: int = 10, learning_rate: float = 0.01
) -> list[float]:
    """Train the router of one layer, and nothing else, to predict `ids` (shape (batch, tokens)); the loss at each step.

    The loss is the mean negative log-likelihood of the next token, in nats. Plain AdamW. LabError for no such layer.
    """
    import torch

    router = _block(mixtral, layer).gate.weight.requires_grad_(True)
    optimizer, losses = torch.optim.AdamW([router], lr=learning_rate, weight_decay=0.0), []
    for _ in range(steps):
        loss = mixtral(ids, labels=ids, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    router.requires_grad_(False)
    return losses


def router_choices(
    mixtral: MixtralForCausalLM, tokenizer: Any, text: str, layers: int | Sequence[int] | None = None
) -> pandas.DataFrame:
    """Which experts each layer (or those named) sends each token of `text` to, the strongest first.

    Columns layer, position, token, experts (a tuple of numbers from 0) and shares (a tuple that sums to 1). LabError
    for an empty text, a layer that is not there, and a model without experts.
    """
    import pandas
    import torch

    from labkit.facts.tokens import describe

    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    if not ids.numel():
        raise LabError("There is no text: write at least one word.")
    wanted = range(len(mixtral.model.layers)) if layers is None else [layers] if isinstance(layers, int) else layers
    if not all(hasattr(_block(mixtral, layer), "experts") for layer in wanted):
        raise LabError("This model has no experts to choose from: `families.as_mixtral(model)` makes one that has.")
    with torch.inference_mode():
        output = mixtral(ids.to(mixtral.device), output_router_logits=True, use_cache=False)
    names = [describe(token, tokenizer).text for token in ids[0].tolist()]
    rows = []
    for layer in wanted:
        shares = output.router_logits[layer].float().softmax(-1).topk(mixtral.config.num_experts_per_tok)
        parts = shares.values / shares.values.sum(-1, keepdim=True)
        for place, name in enumerate(names):
            chosen, part = tuple(shares.indices[place].tolist()), tuple(round(p, 3) for p in parts[place].tolist())
            rows.append((layer, place, name, chosen, part))
    return pandas.DataFrame(rows, columns=["layer", "position", "token", "experts", "shares"])


def _block(mixtral: Any, layer: int) -> Any:
    layers = mixtral.model.layers
    if not 0 <= layer < len(layers):
        raise LabError(f"There is no layer {layer}: this model has layers 0 to {len(layers) - 1}.")
    return layers[layer].mlp
