"""A Llama with random weights that trains in milliseconds, and examples for it."""

from __future__ import annotations

import random

VOCABULARY = 64


def model(seed: int = 0, *, layers: int = 2, vocabulary: int = VOCABULARY):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": layers, "vocab_size": vocabulary}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    return LlamaForCausalLM(LlamaConfig(**sizes, **heads, **special)).eval()


def adapted(seed: int = 0, **options):
    """The same with an adapter of peft on its attention."""
    from peft import LoraConfig, get_peft_model

    base, attention = model(seed), ["q_proj", "k_proj", "v_proj", "o_proj"]
    settings = {"r": 4, "lora_alpha": 8, "target_modules": attention, "task_type": "CAUSAL_LM"}
    return get_peft_model(base, LoraConfig(**(settings | options)))


def filled(model, seed: int = 1, scale: float = 0.2):
    """`model` with random numbers in all that is trained: at the start B is zero, which would hide mistakes."""
    import torch

    torch.manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter) * scale
    return model


def examples(count: int = 32, seed: int = 0) -> list[dict[str, list[int]]]:
    """Prompts of random tokens whose answer is their first tokens again, of different lengths."""
    draw, found = random.Random(seed), []
    for _ in range(count):
        prompt = [draw.randrange(3, VOCABULARY) for _ in range(draw.randrange(4, 9))]
        answer = [*prompt[: draw.randrange(2, 4)], 2]
        found.append({"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer})
    return found
