"""Fine-tuning: LoRA by hand, chat format and loss mask, one training loop, scores, adapters, preferences, scaling out.

A lesson calls torch, peft and accelerate themselves; here is what stands around them. Nothing is imported, torch least
of all, before it is used.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "adapters": ("to_gguf", "with_adapter"),
    "chat": (
        "IGNORED",
        "INSTRUCTION",
        "answer_loss",
        "collate",
        "encode",
        "log_probabilities",
        "mean_loss",
        "messages",
        "shown",
    ),
    "lora": ("ALL_LINEAR", "ATTENTION", "add", "full_parameters", "lora_linear", "parameters", "spectrum", "table"),
    "loop": ("History", "Run", "Settings", "accelerator", "train"),
    "live": ("curve_svg",),
    "preferences": ("accuracy", "dpo_loss", "encode_pair", "train_dpo"),
    "scaling": ("per_device_bytes",),
    "scoring": ("FULL_INSTRUCTION", "exact_match", "general", "reproduced", "same_json"),
    ".evaluation.scores": ("wilson",),  # where lessons look for it
}
_NAMES = {name: module for module, names in _HOMES.items() for name in names}
__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'labkit.models.finetuning' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_NAMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
