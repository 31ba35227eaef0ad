"""The shape of a model from its configuration: families whose layers are alike here, the others in `layered`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.base.errors import LabError
from labkit.facts.memory import layered
from labkit.facts.memory.layer_parts import Settings
from labkit.facts.memory.shapes import Shape

# What a transformers configuration does not say, because its code does.
_FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {},
    "ministral3": {},
    "mixtral": {},
    "phi3": {},
    "smollm3": {},
    "granite": {},
    "qwen2": {"qkv_bias": True},
    "qwen3": {"qk_norm": "head"},
    "olmo2": {"qk_norm": "full"},
    "olmo3": {"qk_norm": "full"},
    "gemma3_text": {"qk_norm": "head", "norms": 4},
}
_TIED = ("gemma3_text", "smollm3")  # unless the configuration says otherwise
_PATTERN = {"gemma3_text": 6, "olmo3": 4}  # every n-th layer sees everything, unless it says otherwise


def text_config(config: Any) -> dict[str, Any]:
    """The part of a configuration that describes the language model, as a dict: the whole, or the `text_config` of a
    model that reads pictures or sound too. Takes a transformers configuration or the content of config.json."""
    whole = dict(config) if isinstance(config, Mapping) else config.to_dict()
    text = whole.get("text_config")
    if text is None:
        return whole
    text = dict(text) if isinstance(text, Mapping) else text.to_dict()
    outer = {"tie_word_embeddings": whole["tie_word_embeddings"]} if "tie_word_embeddings" in whole else {}
    return outer | text


def context_of(config: Any) -> int:
    """How many tokens the model reads at most, by its configuration.

    >>> context_of({"model_type": "mistral3", "text_config": {"max_position_embeddings": 131072}})
    131072
    """
    return text_config(config)["max_position_embeddings"]


def shape_of(config: Any) -> Shape:
    """The shape of the language model in a transformers configuration (object, or config.json as a dict).

    Of a model that reads pictures or sound too, the part that does so is left out. LabError for unknown families.
    """
    text = text_config(config)
    family = text.get("model_type")
    biased = any(text.get(name) for name in ("attention_bias", "mlp_bias", "mamba_proj_bias"))
    if family in layered.FAMILIES and not (biased and family not in layered.WITH_BIASES):
        return layered.FAMILIES[family](Settings(text))
    if family not in _FAMILIES or biased:
        known = ", ".join([*_FAMILIES, *layered.FAMILIES])
        raise LabError(f"The arithmetic of this {family!r} model is not known: it covers {known} without biases.")
    return _alike(text, family)


def _alike(text: dict[str, Any], family: str) -> Shape:
    heads, hidden, experts = text["num_attention_heads"], text["hidden_size"], text.get("num_local_experts") or 1
    window = text.get("sliding_window") if text.get("use_sliding_window", True) else None
    kinds = text.get("layer_types") or []
    every = kinds.index("full_attention") + 1 if {"full_attention", "sliding_attention"} <= set(kinds) else None
    if every is None and family in _PATTERN:
        every = text.get("sliding_window_pattern") or _PATTERN[family]
    elif set(kinds) == {"full_attention"}:
        window = None
    return Shape(
        layers=text["num_hidden_layers"],
        hidden=hidden,
        heads=heads,
        kv_heads=text.get("num_key_value_heads") or heads,
        head_dim=text.get("head_dim") or hidden // heads,
        intermediate=text["intermediate_size"],
        vocab=text["vocab_size"],
        tied=bool(text.get("tie_word_embeddings", family in _TIED)),
        experts=experts,
        experts_active=text["num_experts_per_tok"] if experts > 1 else 1,
        window=window,
        global_every=every if window else None,
        **_FAMILIES[family],
    )
