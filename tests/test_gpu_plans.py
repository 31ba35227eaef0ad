"""What is decided for a GPU: dtype, 4 bits, what goes where. By values, on any machine; tests/test_gpu.py has the GPU.

The GPUs are those that learners meet: Colab's T4 (15,360 MiB as nvidia-smi says), two of them, an L4, an A100.
"""

from __future__ import annotations

import dataclasses
import functools

import pytest

from labkit.base import machine
from labkit.base.errors import LabError
from labkit.base.machine import Gpu
from labkit.facts import catalogue, memory, planning
from labkit.models import families, local
from labkit.world import weights

T4, L4 = Gpu("Tesla T4", 15360 * 2**20, "cuda", (7, 5)), Gpu("NVIDIA L4", 23034 * 2**20, "cuda", (8, 9))
A100, SMALL = Gpu("NVIDIA A100", 80 * 2**30, "cuda", (8, 0)), Gpu("GTX 1650", 4096 * 2**20, "cuda", (7, 5))
APPLE = Gpu("Apple M2", 16 * 2**30, "mps")
SEEDS = ("mistral-7b-instruct", "llama-2-7b-chat", "llama-2-13b-chat")


@pytest.fixture(autouse=True)
def _with_bitsandbytes(monkeypatch):
    """As on the machines that these are about; a Mac has none."""
    monkeypatch.setattr(planning, "_has_bitsandbytes", lambda: True)


def computer(*gpus: Gpu) -> machine.Machine:
    """This machine, with other GPUs, and with a processor that has units for bf16."""
    first, *more = gpus or (None,)
    return dataclasses.replace(machine.detect(), gpu=first, more_gpus=tuple(more), cpu_has_bf16=True)


@pytest.mark.parametrize(
    ("gpus", "precisions"),
    [
        ([T4], ["int4", "int4", "int4"]),
        ([T4, T4], ["fp16", "fp16", "int4"]),
        ([L4], ["bf16", "bf16", "int4"]),
        ([A100], ["bf16", "bf16", "bf16"]),
        ([SMALL], ["fp16", "fp16", "fp16"]),  # holds none of them: they are refused, not squeezed
        ([APPLE], ["fp16", "fp16", "fp16"]),
        ([], ["bf16", "bf16", "bf16"]),
    ],
)
def test_four_bits_where_a_gpu_holds_a_model_only_so(gpus, precisions):
    here = computer(*gpus)
    assert [weights.precision_for(catalogue.get(name), here) for name in SEEDS] == precisions
    course = weights.precision_for(catalogue.get(catalogue.DEFAULT), here)
    assert course == (here.dtype if gpus else "fp32") and course != "int4"


def test_without_bitsandbytes_there_are_no_4_bits(monkeypatch):
    monkeypatch.setattr(planning, "_has_bitsandbytes", lambda: False)
    assert weights.precision_for(catalogue.get("mistral-7b-instruct"), computer(T4)) == "fp16"
    assert "mistral" not in planning.offer("05", "fp16", computer(T4))


def test_a_t4_is_offered_the_seeds_in_4_bits():
    sentence = planning.offer("07", "fp16", computer(T4))
    asks = "4 bits, after its maker's permission"
    assert sentence == (
        f"This GPU has room for more: mistral-7b-instruct (4 bits), llama-2-7b-chat ({asks}), llama-2-13b-chat "
        f'({asks}). Restart the kernel and write labkit.start("07", model="mistral-7b-instruct").'
    )
    assert "mistral-7b-instruct (16 bits)" in planning.offer("07", "bf16", computer(A100))
    assert [planning.offer("07", "bf16", computer(*gpus)) for gpus in ((), (SMALL,), (APPLE,))] == ["", "", ""]


def test_4_bits_have_to_fit_the_gpu_and_16_may_go_over_into_main_memory():
    mixtral, here = catalogue.get("mixtral-8x7b-instruct"), computer(T4)
    with pytest.raises(LabError, match=r"in 4 bits needs 9\d\.\d GB of memory and 14\.4 GB are free: .* experts"):
        planning.require_memory(mixtral, "int4", here)
    assert planning.free_bytes(here) > planning.gpu_bytes(here)
    assert planning.require_memory(mixtral, "int4", computer(A100, A100)) is None
    with pytest.raises(LabError, match=r"LLaMA-2-70B in 4 bits .*: close other programs"):
        planning.require_memory(catalogue.get("llama-2-70b"), "int4", computer(T4, T4))
    assert planning.require_memory(catalogue.get("llama-2-70b"), "int4", computer(T4, T4, T4, T4)) is None


@pytest.mark.parametrize(
    ("gpu", "precision", "computed"),
    [(T4, "int4", "float16"), (L4, "int4", "bfloat16"), (T4, "fp16", "float16"), (A100, "bf16", "bfloat16")],
)
def test_what_from_pretrained_is_given_on_a_gpu(gpu, precision, computed):
    import torch

    if precision == "int4":
        pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    given = local.options(precision, computer(gpu))
    assert given["dtype"] == getattr(torch, computed) and given["device_map"] == "auto"
    if precision == "int4":
        settings = given["quantization_config"]
        assert settings.load_in_4bit and settings.bnb_4bit_quant_type == "nf4"
        assert settings.bnb_4bit_compute_dtype == getattr(torch, computed)
    else:
        assert "quantization_config" not in given


def test_without_an_nvidia_gpu_nothing_is_mapped_and_a_mac_has_no_4_bits():
    for here in (computer(), computer(APPLE)):
        assert list(local.options("fp16", here)) == ["dtype"]
    with pytest.raises(LabError, match="4-bit weights need an NVIDIA GPU or a CPU"):
        local.options("int4", computer(APPLE))


@functools.cache
def on_meta(name: str):
    """A model of the catalogue without numbers: shapes only."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(families.config(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mistral-7b-instruct", "llama-2-13b-chat"])
@pytest.mark.parametrize("gpus", [[T4], [T4, T4], [L4], [A100]], ids=["T4", "2 x T4", "L4", "A100"])
def test_the_plan_and_accelerates_device_map_agree(name, gpus):
    """What we say fits in 16 bits, accelerate deals out over the GPUs alone; what does not, partly elsewhere."""
    import torch
    from accelerate import infer_auto_device_map

    entry, here, model = catalogue.get(name), computer(*gpus), on_meta(name)
    room = {place: int(planning.GPU_SHARE * gpu.memory_bytes) for place, gpu in enumerate(gpus)}
    # What the plan counts beside the weights is taken from the first GPU.
    plan = memory.inference_bytes(entry.shape, dtype=here.dtype, tokens=2048, all_logits=False)
    room[0] -= plan.total - plan.weights
    settings = {"no_split_module_classes": model._no_split_modules, "dtype": torch.float16}
    places = set(infer_auto_device_map(model, max_memory={**room, "cpu": 10**12}, **settings).values())
    assert ("cpu" not in places) == (weights.precision_for(entry, here) != "int4")
    assert (1 in places) == (len(gpus) > 1 and plan.weights > room[0])


@pytest.mark.slow
def test_the_call_for_a_t4_works_on_a_cpu_too(course_cache):
    """bitsandbytes computes on a processor, too; tests/models/test_quantization.py measures how well NF4 answers."""
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    from bitsandbytes.nn import Linear4bit

    model, _ = local.load(dtype="int4")
    assert sum(isinstance(layer, Linear4bit) for layer in model.modules()) == 7 * 30
    assert model.get_memory_footprint() < 0.5 * catalogue.get(catalogue.DEFAULT).size_bytes("fp32")


def test_a_lab_gives_lessons_the_configuration_only_where_it_is_needed(course_cache):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    from labkit.lessons.session import Lab

    entry = catalogue.get("mistral-7b-instruct")
    for here, wanted in ((computer(T4), True), (computer(A100), False), (computer(), False)):
        lab = Lab("07", "local", here, entry, course_cache, "float16", weights.precision_for(entry, here))
        assert (lab.quantization is not None) == wanted and lab.memory_dtype == "fp16"
