"""On a real GPU: the choices of `machine` and `planning` are the ones that torch can carry out. Skipped without one."""

from __future__ import annotations

import pytest

from labkit.base import machine
from labkit.facts import planning
from labkit.models import local

pytestmark = [pytest.mark.gpu, pytest.mark.slow]
QUESTION = "What is the capital of France?"


def test_what_we_say_of_the_gpu_is_what_torch_says(cuda):
    here = machine.detect()
    assert (here.device, len(here.gpus)) == ("cuda", cuda.cuda.device_count())
    assert here.gpu.capability == cuda.cuda.get_device_capability(0)
    assert here.gpu.memory_bytes == pytest.approx(cuda.cuda.get_device_properties(0).total_memory, rel=0.06)
    # torch counts emulated bf16 as supported unless told not to: a T4 has it only so.
    assert (here.dtype == "bf16") == cuda.cuda.is_bf16_supported(including_emulation=False)


def test_the_course_model_runs_there_in_the_fast_dtype(cuda, course_cache):
    model, tokenizer = local.load()
    assert model.device.type == "cuda" and model.dtype == local.torch_dtype(machine.detect().dtype)
    assert "Paris" in local.chat(QUESTION, model=model, tokenizer=tokenizer, max_new_tokens=12)


def test_4_bit_weights_take_less_and_answer(cuda, course_cache):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    bytes_of = {}
    for precision in (machine.detect().dtype, "int4"):
        model, tokenizer = local.load(dtype=precision)
        bytes_of[precision] = model.get_memory_footprint()
        assert model.device.type == "cuda"
        assert "Paris" in local.chat(QUESTION, model=model, tokenizer=tokenizer, max_new_tokens=12)
    assert bytes_of["int4"] < 0.6 * bytes_of[machine.detect().dtype]


def test_what_does_not_fit_goes_into_main_memory_and_the_answer_stays(cuda, course_cache):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from labkit.world import weights

    folder = weights.ensure()
    options = local.options(machine.detect().dtype, machine.detect()) | {"max_memory": {0: "160MB", "cpu": "4GB"}}
    model = AutoModelForCausalLM.from_pretrained(folder, **options).eval()
    assert set(map(str, model.hf_device_map.values())) == {"0", "cpu"}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    whole, _ = local.load()
    answers = [local.chat(QUESTION, model=each, tokenizer=tokenizer, max_new_tokens=8) for each in (model, whole)]
    assert answers[0] == answers[1]


def test_layers_are_dealt_out_over_several_gpus(cuda, course_cache):
    if cuda.cuda.device_count() < 2:
        pytest.skip("this machine has one GPU")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from labkit.world import weights

    folder = weights.ensure()
    options = local.options(machine.detect().dtype, machine.detect()) | {"device_map": "balanced"}
    model = AutoModelForCausalLM.from_pretrained(folder, **options).eval()
    assert len(set(model.hf_device_map.values())) == cuda.cuda.device_count()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert "Paris" in local.chat(QUESTION, model=model, tokenizer=tokenizer, max_new_tokens=12)


def test_training_and_the_plan_stay_within_the_gpu(cuda, course_cache):
    """An adapter over 4-bit weights, as lesson 07 offers it: it learns, in less memory than the plan gives the GPU."""
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    from labkit.facts import teaching_data
    from labkit.models import finetuning
    from labkit.models.finetuning import adapters

    model, tokenizer = local.load(dtype="int4")
    model = adapters.with_adapter(model, rank=8)
    rows = teaching_data.load("notes", "train")[:24]
    examples = [finetuning.encode(finetuning.messages(row), tokenizer) for row in rows]
    settings = finetuning.Settings(learning_rate=5e-4, epochs=2)
    history = finetuning.train(model, examples, settings, quiet=True, pad=tokenizer.pad_token_id)
    assert sum(history.losses[-3:]) < sum(history.losses[:3])
    assert cuda.cuda.max_memory_allocated() < planning.gpu_bytes(machine.detect())


@pytest.mark.parametrize("width", [57, 64, 192])
def test_padding_to_any_width_leaves_the_loss_a_number(cuda, course_cache, width):
    """cuDNN's attention fails at 64 and 192 (`workarounds.avoid_cudnn_attention`); `train` has to get round it."""
    from labkit.models import finetuning
    from labkit.models.finetuning import adapters

    model, _ = local.load(dtype="fp32")
    ids = list(range(1000, 1000 + width))
    rows = [{"input_ids": ids[cut:], "labels": [-100] * (width - cut - 4) + ids[-4:]} for cut in (0, 6)]
    settings = finetuning.Settings(batch=2, epochs=3)
    history = finetuning.train(adapters.with_adapter(model), rows, settings, quiet=True)
    assert len(history.losses) == 3 and history.losses[-1] < history.losses[0]
