"""The published shapes at their real size, on a real GPU: what a model takes there is what `memory` computes.

Its weights are random numbers: for memory and speed they are as good as trained ones, and nobody has to fetch 140 GB.
What is measured is printed (`pytest -s`). Skipped, with the reason, where a GPU is missing or too small.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
import json
import math
import shutil
import time

import pytest

from labkit.base import machine
from labkit.facts import catalogue, memory
from labkit.models import families, finetuning, local
from labkit.models.finetuning import adapters, lora

pytestmark = [pytest.mark.gpu, pytest.mark.slow, pytest.mark.timeout(420)]
pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
TOKENS = 2048
# The GPU, in GB, that lesson 07 names for QLoRA.
GPU_GB = {"mistral-7b-instruct": 16, "llama-2-7b-chat": 16, "llama-2-13b-chat": 16, "llama-2-70b": 48}


class Taken:
    """Bytes of the GPU's memory that a test takes: what was there before it is not counted."""

    def __init__(self, cuda):
        self._cuda, self._before = cuda, cuda.memory_allocated()

    def now(self) -> int:
        return self._cuda.memory_allocated() - self._before

    def peak(self) -> int:
        """Since the last call of `peak` or the beginning."""
        found = self._cuda.max_memory_allocated() - self._before
        self._cuda.reset_peak_memory_stats()
        return found


@pytest.fixture(autouse=True)
def taken(cuda):
    """What this test takes, counted from here; what earlier tests left is given back first."""
    gc.collect()
    cuda.cuda.empty_cache()
    cuda.cuda.reset_peak_memory_stats()
    return Taken(cuda.cuda)


def require(needed: float) -> None:
    if needed > machine.detect().gpu.memory_bytes:
        pytest.skip(f"this GPU has less than {needed / 1e9:.0f} GB")


def random_model(name: str, dtype: str, layers: int | None = None):
    """A model of the published shape on the GPU, filled with random numbers: in 16 bits or, one by one, in NF4."""
    import torch
    from bitsandbytes.nn import Params4bit
    from transformers import AutoModelForCausalLM
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear

    config = families.config(name)
    config.num_hidden_layers = layers or config.num_hidden_layers
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    if dtype == "int4":
        how = local.four_bits(machine.detect())
        model = replace_with_bnb_linear(model, modules_to_not_convert=["lm_head"], quantization_config=how)
        model.is_loaded_in_4bit, model.is_quantized, model.config.quantization_config = True, True, how
    draw = functools.partial(torch.randn, device="cuda", dtype=torch.bfloat16)
    for module in list(model.modules()):
        for part, value in list(module.named_parameters(recurse=False)):
            if isinstance(value, Params4bit):
                numbers = draw(module.out_features, module.in_features) * 0.02
                new = Params4bit(numbers, requires_grad=False, **value.__dict__).to("cuda")
            else:
                numbers = torch.ones_like(value, device="cuda") if value.dim() == 1 else draw(value.shape) * 0.02
                new = torch.nn.Parameter(numbers, requires_grad=False)
            setattr(module, part, new)
    model.model.rotary_emb = type(model.model.rotary_emb)(config).to("cuda")
    return model.eval()


def examples(config, count: int = 8, width: int = 200) -> list[dict[str, list[int]]]:
    """Texts of that many tokens with answers of 40, as long as a note with a chat template is."""
    rows = [[(7 * row + place) % config.vocab_size for place in range(width)] for row in range(count)]
    return [{"input_ids": ids, "labels": [-100] * (width - 40) + ids[-40:]} for ids in rows]


def read(model, taken) -> dict[str, float]:
    """Tokens a second after a first, slower time; the peak is that of the second."""
    local.measure(model, prompt_tokens=TOKENS)
    taken.peak()
    speed = local.measure(model, prompt_tokens=TOKENS)
    return {"prefill": speed.prefill_tokens_per_s, "decode": speed.decode_tokens_per_s}


def against(plan: memory.Plan, held: int, reading: int) -> dict[str, float]:
    """What was measured beside what was computed, in GB. The libraries of the plan are not in the GPU."""
    planned = plan.total - plan.overhead
    pairs = {"weights": held, "computed": plan.weights, "reading": reading, "planned": planned}
    return {f"{name}_gb": size / 1e9 for name, size in pairs.items()}


def told(**figures) -> None:
    print("\nMEASURED " + json.dumps(figures))


@pytest.mark.parametrize("name", GPU_GB)
def test_qlora_at_real_size_fits_the_gpu_that_lesson_07_names(taken, name):
    """Reading 2,048 tokens, then four steps of lesson 07's loop on an adapter of rank 16."""
    shape, limit = catalogue.get(name).shape, GPU_GB[name] * 1e9
    require(limit)
    model = random_model(name, "int4")
    held, speed, reading = taken.now(), read(model, taken), taken.peak()
    model = adapters.with_adapter(model, rank=16)
    settings = finetuning.Settings(epochs=1, batch=2, gradient_checkpointing=name == "llama-2-70b")
    history = finetuning.train(model, examples(model.config), settings, quiet=True)
    training = taken.peak()
    plan = memory.inference_bytes(shape, dtype="nf4", tokens=TOKENS + 32, all_logits=False)
    states = memory.training_bytes(shape, trainable=lora.parameters(shape, 16), dtype="nf4")
    told(
        model=name,
        **against(plan, held, reading),
        training_gb=training / 1e9,
        states_gb=sum(states.values()) / 1e9,
        **speed,
        training_tokens_per_s=history.tokens / history.seconds,
    )
    assert held == pytest.approx(plan.weights, rel=0.01)
    assert reading < plan.total
    assert sum(states.values()) < training < 0.9 * limit
    assert len(history.losses) == 4 and all(map(math.isfinite, history.losses))


@pytest.mark.parametrize("name", ["mistral-7b-instruct", "llama-2-7b-chat", "llama-2-13b-chat"])
def test_16_bits_at_real_size_take_what_was_computed(taken, name):
    plan = memory.inference_bytes(catalogue.get(name).shape, dtype="bf16", tokens=TOKENS + 32, all_logits=False)
    require(plan.total / 0.9)
    model = random_model(name, "bf16")
    held, speed, peak = taken.now(), read(model, taken), taken.peak()
    told(model=name, **against(plan, held, peak), **speed)
    assert held == pytest.approx(plan.weights, rel=0.001)
    assert peak < plan.total


@pytest.mark.parametrize(("name", "layers"), [("mistral-7b-instruct", 32), ("mixtral-8x7b-instruct", 2)])
def test_a_checkpoint_loaded_in_4_bits_stays_within_a_t4(taken, tmp_path, name, layers):
    """The learner's own call on 14.5 GB of files; the peak while it loads counts. Of Mixtral's 32 layers, two."""
    import torch
    from transformers import AutoModelForCausalLM

    shape = dataclasses.replace(catalogue.get(name).shape, layers=layers)
    require(24e9)
    if shutil.disk_usage(tmp_path).free < 20e9:
        pytest.skip("this machine has less than 20 GB of disk free")
    random_model(name, "bf16", layers).save_pretrained(tmp_path, max_shard_size="5GB")
    torch.cuda.empty_cache()
    taken.peak()
    began = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(tmp_path, **local.options("int4", machine.detect()))
    seconds, peak, held = time.perf_counter() - began, taken.peak(), taken.now()
    shutil.rmtree(tmp_path)
    told(loaded=name, layers=layers, seconds=seconds, peak_gb=peak / 1e9, held_gb=held / 1e9)
    assert model.device.type == "cuda"
    assert held == pytest.approx(memory.nf4_bytes(shape), rel=0.01)
    assert peak < 0.9 * 15360 * 2**20
