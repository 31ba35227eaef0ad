"""Fine-tuning: chat format and loss mask, adapters and what they cost, one training loop, scores, preferences, scaling.

A lesson calls torch, peft and accelerate themselves; here is what stands around them.
"""

from labkit.base import contents

__getattr__, __dir__, __all__ = contents.of(
    __name__,
    {
        "adapters": ("to_gguf", "with_adapter"),
        "chat": ("INSTRUCTION", "answer_loss", "collate", "encode", "log_probabilities", "mean_loss", "messages"),
        "lora": ("ALL_LINEAR", "ATTENTION", "parameters", "spectrum", "table"),
        "loop": ("History", "Run", "Settings", "accelerator", "train"),
        "live": ("curve_svg",),
        "preferences": ("accuracy", "encode_pair", "train_dpo"),
        "scoring": ("FULL_INSTRUCTION", "exact_match", "general", "same_json"),
        ".evaluation.scores": ("wilson",),  # where lessons look for it
    },
)
