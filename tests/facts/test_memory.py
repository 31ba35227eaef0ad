"""The arithmetic of memory, held against transformers, torch and the course model."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.base.errors import LabError
from labkit.facts import catalogue, memory
from labkit.facts.memory import Shape
from labkit.models import families
from labkit.models.families import config_of
from tests.rows import every

ENTRIES = catalogue.all()
SHAPES = {(entry.value("model_type"), entry.shape): entry for entry in ENTRIES}  # one of those that are alike

TINY = {
    "llama": Shape(2, 64, 4, 4, 16, 160, 96, tied=False),
    "mistral": Shape(2, 64, 4, 2, 16, 224, 96, tied=False, window=16),
    "mixtral": Shape(2, 64, 4, 2, 16, 128, 96, tied=False, experts=4, experts_active=2),
    "qwen2": Shape(2, 64, 4, 2, 16, 160, 96, tied=True, qkv_bias=True),
    "qwen3": Shape(2, 64, 4, 2, 32, 160, 96, tied=True, qk_norm="head"),
    "olmo2": Shape(2, 64, 4, 4, 16, 160, 96, tied=False, qk_norm="full"),
    "phi3": Shape(2, 64, 4, 2, 16, 160, 96, tied=True),
    "gemma3_text": Shape(6, 64, 4, 1, 32, 128, 96, tied=True, window=16, global_every=6, norms=4, qk_norm="head"),
}
tiny_families = pytest.mark.parametrize("family", TINY)


def model_of(family: str, shape: Shape, **options):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(config_of(family, shape), **options).eval()


# --- parameters


@every(ENTRIES, lambda entry: entry.name)
def test_the_counts_of_the_catalogue(entry):
    assert memory.parameter_count(entry.shape) == entry.parameters
    assert memory.active_parameter_count(entry.shape) == entry.active_parameters


@every(SHAPES.values(), lambda entry: entry.name)
def test_the_counts_of_transformers(entry):
    """The real architecture at its real size, on the meta device: all shapes, no numbers."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(families.config(entry.name))
    assert type(model).__name__ == entry.architecture
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters
    assert memory.shape_of(model.config) == entry.shape
    assert memory.shape_of(json.loads(model.config.to_json_string(use_diff=False))) == entry.shape


def test_config_json_as_it_is_published():
    """Files of the Hub leave out what is the default, and keep windows that are switched off."""
    sizes = {"hidden_size": 5120, "num_hidden_layers": 40, "num_attention_heads": 40, "intermediate_size": 13824}
    old = memory.shape_of({"model_type": "llama", "vocab_size": 32000, **sizes})
    assert old == catalogue.get("llama-2-13b").shape
    switched_off = {"sliding_window": 131072, "use_sliding_window": False, "num_key_value_heads": 8}
    assert memory.shape_of({"model_type": "qwen2", "vocab_size": 9, **sizes, **switched_off}).window is None
    gemma = {"head_dim": 256, "sliding_window": 512, "sliding_window_pattern": 6, "num_key_value_heads": 1}
    shape = memory.shape_of({"model_type": "gemma3_text", "vocab_size": 9, **sizes, **gemma})
    assert (shape.window, shape.global_every, shape.tied) == (512, 6, True)


@pytest.mark.parametrize("strange", [{"model_type": "mamba"}, {}, {"model_type": "llama", "attention_bias": True}])
def test_an_unknown_architecture_is_refused(strange):
    with pytest.raises(LabError, match="arithmetic of this .* model is not known: it covers llama, mistral"):
        memory.shape_of(strange)


# --- weights


@given(st.integers(0, 10**12))
def test_fewer_bits_are_fewer_bytes(parameters):
    sizes = [memory.weights_bytes(parameters, dtype) for dtype in ("int4", "int8", "bf16", "fp32")]
    # A last block that is hardly begun counts whole: that shows in the smallest numbers.
    assert sizes == sorted(sizes) or parameters < 3 * memory.INT4_BLOCK
    assert sizes[2] == memory.weights_bytes(parameters, "fp16") == 2 * parameters


def test_int4_is_the_size_of_llama_cpps_blocks():
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    assert GGML_QUANT_SIZES[GGMLQuantizationType.Q4_0] == (memory.INT4_BLOCK, memory.INT4_BLOCK_BYTES)
    assert memory.BITS["int4"] * memory.INT4_BLOCK / 8 == memory.INT4_BLOCK_BYTES


@pytest.mark.slow
@tiny_families
def test_nf4_is_what_bitsandbytes_stores(family, tmp_path):
    """Numbers of 4 bits with their scales, and what transformers leaves in 16 bits: the experts of a mixture too."""
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    import torch
    from transformers import AutoModelForCausalLM

    from labkit.base import machine
    from labkit.models import local

    model_of(family, TINY[family]).to(torch.bfloat16).save_pretrained(tmp_path)
    how = local.four_bits(machine.detect())
    model = AutoModelForCausalLM.from_pretrained(tmp_path, quantization_config=how, dtype=torch.bfloat16)
    stored = {id(part): part for part in model.parameters()}.values()
    scales = sum(4 * part.quant_state.absmax.numel() for part in stored if hasattr(part, "quant_state"))
    assert sum(part.numel() * part.element_size() for part in stored) + scales == memory.nf4_bytes(TINY[family])


@pytest.mark.parametrize("dtype", ["int3", "FP32", "float32", ""])
def test_an_unknown_dtype_is_named(dtype):
    with pytest.raises(LabError, match=f"Unknown dtype '{dtype}': choose one of fp32, bf16, fp16, int8, int4"):
        memory.weights_bytes(1, dtype)


def test_negative_numbers_are_refused():
    for refused in (
        lambda: memory.weights_bytes(-1, "fp32"),
        lambda: memory.kv_cache_bytes(TINY["llama"], -1),
        lambda: memory.kv_cache_bytes(TINY["llama"], 1, batch=-1),
        lambda: memory.activation_bytes(TINY["llama"], -1),
        lambda: memory.optimizer_bytes(-1),
    ):
        with pytest.raises(LabError, match="cannot be -1"):
            refused()


# --- cache


def cache_held(model, ids) -> int:
    import torch

    with torch.no_grad():
        cache = model(ids, use_cache=True).past_key_values
    return sum(part.nbytes for layer in cache.layers for part in (layer.keys, layer.values))


@tiny_families
@pytest.mark.parametrize("tokens", [1, 15, 40])
def test_the_cache_of_transformers(family, tokens):
    import torch

    shape = TINY[family]
    held = cache_held(model_of(family, shape), torch.ones((2, tokens), dtype=torch.long))
    computed = memory.kv_cache_bytes(shape, tokens, batch=2, dtype="fp32")
    if shape.window and tokens >= shape.window:
        # The newest token completes the window at the next step: transformers keeps one less in each such layer.
        windowed = shape.layers - (shape.layers // shape.global_every if shape.global_every else 0)
        computed -= 2 * windowed * shape.kv_heads * shape.head_dim * 2 * 4
    assert held == computed


@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 10**5))
def test_a_window_limits_the_cache(tokens, batch, window):
    whole = memory.kv_cache_bytes(TINY["llama"], tokens, batch=batch)
    limited = memory.kv_cache_bytes(TINY["llama"], tokens, batch=batch, window=window)
    assert whole == batch * tokens * memory.kv_cache_bytes(TINY["llama"], 1)
    assert limited == min(whole, batch * window * memory.kv_cache_bytes(TINY["llama"], 1))


# --- activations and training


def peak_allocated(run) -> int:
    """The largest sum of bytes that torch holds at once, for tensors made while `run` runs."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = run()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    del result
    return peak


WIDE = {
    "llama": Shape(3, 512, 8, 8, 64, 1376, 1000, tied=False),
    "mistral": Shape(3, 512, 8, 2, 64, 1792, 1000, tied=False, window=4096),
    "mixtral": Shape(3, 256, 4, 1, 64, 896, 1000, tied=False, experts=8, experts_active=2),
    "qwen2": Shape(3, 512, 8, 2, 64, 1376, 1000, tied=True, qkv_bias=True),
    "qwen3": Shape(3, 256, 8, 4, 128, 768, 1000, tied=True, qk_norm="head"),
    "gemma3_text": Shape(6, 320, 4, 1, 128, 1024, 1000, tied=True, window=512, global_every=6, norms=4, qk_norm="head"),
}


@pytest.mark.parametrize("family", WIDE)
def test_activations_are_estimated_from_above(family):
    import torch

    shape, ids = WIDE[family], torch.ones((1, 384), dtype=torch.long)
    model = model_of(family, shape)
    model(ids[:, :4])  # whatever is built once
    cache = memory.kv_cache_bytes(shape, 384, dtype="fp32")
    measured = peak_allocated(lambda: model(ids, use_cache=True, logits_to_keep=1)) - cache
    assert measured <= memory.activation_bytes(shape, 384, dtype="fp32", all_logits=False) <= 1.25 * measured


def test_the_logits_of_a_whole_prompt_count():
    import torch

    shape, ids = Shape(2, 64, 4, 4, 16, 160, 50_000, tied=True), torch.ones((1, 128), dtype=torch.long)
    model = model_of("llama", shape)
    model(ids[:, :4])
    cache = memory.kv_cache_bytes(shape, 128, dtype="fp32")
    measured = peak_allocated(lambda: model(ids, use_cache=True)) - cache
    computed = memory.activation_bytes(shape, 128, dtype="fp32")
    assert 128 * 50_000 * 4 < measured <= computed <= 1.01 * measured
    assert memory.activation_bytes(shape, 128, dtype="fp32", all_logits=False) < computed / 20


def test_what_adamw_adds():
    import torch

    model = model_of("llama", TINY["llama"])
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones((1, 4), dtype=torch.long)).logits.sum().backward()
    optimizer.step()
    added = sum(parameter.grad.nbytes for parameter in model.parameters())
    added += sum(state[key].nbytes for state in optimizer.state.values() for key in ("exp_avg", "exp_avg_sq"))
    assert memory.optimizer_bytes(memory.parameter_count(TINY["llama"])) == added


# --- plans


def test_a_plan_adds_up_and_reads_well():
    plan = memory.inference_bytes(catalogue.get("llama-2-7b").shape, dtype="int4", tokens=4096)
    assert plan.total == plan.weights + plan.kv_cache + plan.activations + plan.overhead
    assert plan.kv_cache == 2 * 2**30  # weights in 4 bits, cache in 16
    lines = str(plan).splitlines()
    assert len(lines) == 5 and len({len(line) for line in lines}) == 1
    assert lines[-1].split() == ["total", f"{plan.total / 1e6:,.0f}", "MB"]


# --- the course model

MEASURE = """
import sys, json, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
with torch.no_grad():
    out = model(torch.randint(5, 40000, (1, 512)), use_cache=True)
cache = sum(part.nbytes for layer in out.past_key_values.layers for part in (layer.keys, layer.values))
weights = sum(parameter.nbytes for parameter in model.parameters())
try:
    lines = open("/proc/self/status").read().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
except OSError:
    peak = None
print(json.dumps([weights, cache, peak]))
"""


@pytest.mark.slow
def test_predicted_and_measured_for_the_course_model(course_cache):
    """Weights and cache to the byte; the peak of the whole process, which is an estimate, within a tenth (on Linux)."""
    from labkit.world import weights

    folder = weights.ensure(quiet=True)
    shape = memory.shape_of(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    assert shape == catalogue.get(catalogue.DEFAULT).shape
    run = subprocess.run([sys.executable, "-c", MEASURE, str(folder)], capture_output=True, text=True, check=True)
    held, cached, peak = json.loads(run.stdout.splitlines()[-1])
    plan = memory.inference_bytes(shape, dtype="fp32", tokens=512)
    assert (plan.weights, plan.kv_cache) == (held, cached)
    if sys.platform == "linux":
        assert 0.9 * peak < plan.total < 1.1 * peak, f"planned {plan.total:,}, measured {peak:,}"


def test_training_states():
    """Every number in fp32 takes 16 bytes with AdamW; an adapter costs its own 16 and the frozen weights."""
    shape = catalogue.get("llama-2-7b").shape
    assert sum(memory.training_bytes(shape).values()) == 16 * 6_738_415_616
    adapter = memory.training_bytes(shape, trainable=1_000, dtype="bf16")
    assert adapter == {"weights": 2 * 6_738_415_616, "adapter": 4_000, "gradients": 4_000, "AdamW": 8_000}


def test_the_facts_need_no_torch():
    code = "import sys; from labkit import catalogue; catalogue.all(); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
