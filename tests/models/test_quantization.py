"""Quantization by hand: its bounds hold for any numbers, and it agrees with the libraries on the same input."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from labkit.base.errors import LabError
from labkit.models import quantization
from labkit.models.quantization import gguf_files, layouts, methods

# Sizes of weights and far beyond; fp32 itself rounds below about 1e-38, where nothing can be promised.
NUMBERS = st.floats(-1e6, 1e6, width=32, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-20)
TENSORS = arrays(np.float32, array_shapes(min_dims=1, max_dims=3, max_side=40), elements=NUMBERS).map(torch.from_numpy)
BLOCKS = st.sampled_from([None, "channel", 1, 7, 32, 64])
MATRIX = torch.randn(192, 1536, generator=torch.Generator().manual_seed(6)) * 0.1


def errors(weights, quantized, block):
    """Each weight's error, and the bound of its block, both in blocks."""
    from labkit.models.quantization.blocks import in_blocks

    return in_blocks(quantized.dequantize() - weights, block).abs(), quantized.max_error()


# --- bounds


@settings(deadline=None)
@given(TENSORS, st.integers(2, 8), BLOCKS)
def test_no_weight_moves_further_than_half_a_step(weights, bits, block):
    from labkit.models.quantization.blocks import in_blocks

    blocks = in_blocks(weights, block)
    largest, reach = blocks.abs().amax(1, keepdim=True), blocks.clamp(min=0).amax(1, keepdim=True)
    reach = reach - blocks.clamp(max=0).amin(1, keepdim=True)
    promised = {
        quantization.absmax: largest / (2 ** (bits - 1) - 1) / 2,
        quantization.zero_point: reach / (2**bits - 1) / 2,
    }
    for function, half_a_step in promised.items():
        quantized = function(weights, bits, block)
        moved, bound = errors(weights, quantized, block)
        assert torch.allclose(bound[largest > 0], half_a_step[largest > 0], rtol=1e-5)
        # The largest code times the rounding of fp32 comes on top of the bound.
        assert bool((moved <= bound * (1 + 2 ** (bits - 20)) + 1e-30).all()), function.__name__
        assert quantized.dequantize().shape == weights.shape
        assert int(quantized.codes.max()) - int(quantized.codes.min()) <= 2**bits - 1


@settings(deadline=None)
@given(TENSORS, BLOCKS)
def test_nf4_keeps_to_its_widest_gap(weights, block):
    quantized = quantization.nf4(weights, block)
    moved, bound = errors(weights, quantized, block)
    assert bool((moved <= bound * (1 + 1e-5) + 1e-30).all())
    largest = weights.abs().max()
    assert torch.isclose(quantized.dequantize().abs().max(), largest, rtol=1e-6)  # -1 and 1 are levels


@settings(deadline=None)
@given(TENSORS, st.integers(2, 8), BLOCKS)
def test_zero_stays_zero_and_signs_do_not_turn(weights, bits, block):
    for quantized in (quantization.absmax(weights, bits, block), quantization.zero_point(weights, bits, block)):
        restored = quantized.dequantize()
        assert bool((restored[weights == 0] == 0).all())
        assert bool((restored * weights >= 0).all())


@settings(deadline=None)
@given(arrays(np.float32, (8, 64), elements=st.floats(-10, 10, width=32)).map(torch.from_numpy))
def test_the_bounds_of_llama_cpps_blocks(weights):
    """fp16 scales lose 2^-11 of each number, or 2^-25 where they are smallest; Q4_0 has no code for plus 8."""
    q8, q4 = quantization.q8_0(weights), quantization.q4_0(weights)
    largest = weights.reshape(-1, 32).abs().amax(1, keepdim=True)
    for quantized, steps, most in ((q8, 127, 0.5), (q4, 8, 1.0)):
        moved, _ = errors(weights, quantized, 32)
        assert bool((moved <= largest / steps * most + largest * 2**-10 + 127 * 2**-24).all())


@settings(deadline=None)
@given(st.lists(st.integers(0, 15), max_size=99))
def test_packing_loses_nothing(codes):
    packed = quantization.pack(torch.tensor(codes, dtype=torch.int64))
    assert len(packed) == (len(codes) + 1) // 2 and packed.dtype == torch.uint8
    assert quantization.unpack(packed, len(codes)).tolist() == codes


def test_smaller_blocks_are_never_worse_on_real_weights(pair):
    weights = quantization.linears(pair[0])["model.layers.3.mlp.up_proj"].weight
    table = quantization.error_table(weights, bits=(8, 4), blocks=(None, "channel", 64, 32))
    assert (table.diff(axis=1).iloc[:, 1:] < 0).all(axis=None) and (table.loc[8] < table.loc[4] / 5).all()


def test_an_outlier_ruins_a_tensor_and_hardly_a_block():
    table = quantization.outlier_table(MATRIX)
    assert table.loc["tensor", "with"] > 10 * table.loc["tensor", "without"]
    assert table.loc["32", "with"] < 1.2 * table.loc["32", "without"]


def test_what_it_costs():
    assert quantization.absmax(MATRIX, 8, "channel").bits_per_weight == 8 + 32 / 1536
    assert quantization.q4_0(MATRIX).nbytes * 8 / MATRIX.numel() == pytest.approx(4.5 + 4 / 32)  # GGUF's 8 is implied
    assert quantization.nf4(MATRIX, 64).bits_per_weight == 4.5
    double = quantization.double_quantize(quantization.nf4(MATRIX, 64))
    assert double.bits_per_weight == pytest.approx(4 + 8 / 64 + 32 / 64 / 256, abs=0.001)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quantization.absmax(MATRIX, 1), "choose 2 to 8"),
        (lambda: quantization.absmax(MATRIX, 4.0), "choose 2 to 8"),
        (lambda: quantization.absmax(MATRIX, 4, 0), "how many weights share a scale"),
        (lambda: quantization.zero_point(MATRIX, 4, "row"), "how many weights share a scale"),
        (lambda: quantization.nf4(torch.tensor([1.0, float("inf")])), "not finite"),
        (lambda: quantization.absmax(torch.tensor([])), "empty"),
        (lambda: quantization.pack(torch.tensor([16])), "from 0 to 15"),
        (lambda: quantization.pack(torch.tensor([-1])), "from 0 to 15"),
        (lambda: quantization.gptq(MATRIX, MATRIX.T), r"\(tokens, columns\) fit"),
        (lambda: quantization.double_quantize(quantization.double_quantize(quantization.nf4(MATRIX))), "done once"),
        (lambda: quantization.load("int8"), "There is no method 'int8': choose one of fp32"),
        (lambda: quantization.load("GPTQ"), "no GPTQ checkpoint of the course model: name a folder or a repository"),
        (lambda: quantization.load("fp32", checkpoint="a/b"), "checkpoint= is for GPTQ and AWQ"),
    ],
)
def test_what_cannot_be_is_said(call, message):
    with pytest.raises(LabError, match=message):
        call()


# --- the libraries, on the same input


def bitsandbytes():
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    methods.configuration("bitsandbytes NF4")  # keeps its first import quiet
    import bitsandbytes.functional

    return bitsandbytes.functional


def test_the_levels_are_bitsandbytes_own():
    table = bitsandbytes().get_4bit_type("nf4", device="cpu")
    assert torch.allclose(quantization.nf4_levels(), table, atol=5e-7, rtol=0)


@pytest.mark.parametrize("block", [64, 128])
def test_nf4_is_bitsandbytes_nf4(block):
    functional = bitsandbytes()
    packed, state = functional.quantize_4bit(MATRIX, blocksize=block, quant_type="nf4")
    own = quantization.nf4(MATRIX, block)
    assert torch.equal(quantization.pack(own.codes), packed.flatten())
    assert torch.equal(own.scales.flatten(), state.absmax)
    assert torch.allclose(own.dequantize(), functional.dequantize_4bit(packed, state), atol=1e-6)


def test_double_quantization_is_as_good_as_bitsandbytes():
    """Not the same: equal steps here, a table there. Each is within 1 % of plain NF4's error."""
    functional = bitsandbytes()
    packed, state = functional.quantize_4bit(MATRIX, blocksize=64, quant_type="nf4", compress_statistics=True)
    plain = quantization.nf4(MATRIX, 64)
    own = quantization.double_quantize(plain)
    assert torch.equal(quantization.pack(own.codes), packed.flatten())
    error = quantization.relative_error(MATRIX, plain.dequantize())
    for restored in (own.dequantize(), functional.dequantize_4bit(packed, state)):
        assert quantization.relative_error(MATRIX, restored) == pytest.approx(error, rel=0.01)
    assert torch.allclose(own.scale().flatten(), plain.scales.flatten(), rtol=0.01)


def test_int8_is_bitsandbytes_int8():
    codes, largest, _ = bitsandbytes().int8_vectorwise_quant(MATRIX)
    own = quantization.absmax(MATRIX, 8, "channel")
    # Multiplying by 127 / largest and dividing by largest / 127 round differently, half-way between codes.
    apart = (own.codes.int() - codes.int()).abs()
    assert apart.max() <= 1 and apart.float().mean() < 1e-4
    assert torch.allclose(own.scales.flatten() * 127, largest, rtol=1e-6)


TORCHAO = """
import sys, torch
from torchao.quantization import Int8WeightOnlyConfig, quantize_
layer = torch.nn.Linear(1536, 192, bias=False)
layer.weight.data = torch.load(sys.argv[1])
quantize_(layer, Int8WeightOnlyConfig())
torch.save([layer.weight.qdata, layer.weight.scale, layer.weight.dequantize()], sys.argv[2])
"""


@pytest.mark.slow
def test_int8_is_torchaos_int8_but_for_half_a_step(course_cache, tmp_path):
    """torchao divides by 127.5 where `absmax` divides by 127: no weight of one is a whole scale from the other's."""
    if not (folder := methods.torchao_folder()).is_dir():
        pytest.skip("torchao is not in its folder: run `python -m labkit bench quantization --quick` once")
    torch.save(MATRIX, tmp_path / "in.pt")
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", TORCHAO, str(tmp_path / "in.pt"), str(tmp_path / "out.pt")]
    subprocess.run(command, env=environment, check=True, timeout=120, capture_output=True)
    codes, scales, restored = torch.load(tmp_path / "out.pt")
    largest = MATRIX.abs().amax(1, keepdim=True)
    assert torch.allclose(scales, largest / 127.5, rtol=1e-5)
    apart = (codes.int() - (MATRIX / scales).round().clamp(-128, 127).int()).abs()
    assert apart.max() <= 1 and apart.float().mean() < 1e-4
    own = quantization.absmax(MATRIX, 8, "channel")
    assert bool(((own.dequantize() - restored).abs() <= own.scale()).all())
    difference = quantization.relative_error(own.dequantize(), restored)
    assert difference < 2 * quantization.relative_error(MATRIX, restored)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_llama_cpps_blocks_to_the_byte(kind):
    """By hand, by the gguf package, and by llama.cpp's own library where it can be called."""
    from gguf import GGMLQuantizationType, quants

    own = {"Q8_0": quantization.q8_0, "Q4_0": quantization.q4_0}[kind](MATRIX)
    codes = own.codes.view(torch.uint8)
    if kind == "Q4_0":  # llama.cpp puts weight 16 beside weight 0
        codes = codes[:, :16] | codes[:, 16:] << 4
    by_hand = torch.cat([own.scales.view(torch.uint8), codes], 1).reshape(192, -1).numpy()
    number = GGMLQuantizationType[kind]
    assert np.array_equal(by_hand, quants.quantize(MATRIX.numpy(), number))
    assert np.array_equal(by_hand, gguf_files.quantize_rows(MATRIX.numpy(), kind))
    assert np.array_equal(own.dequantize().numpy(), quants.dequantize(by_hand, number))


@settings(deadline=None, max_examples=50)
@given(arrays(np.uint8, (3, layouts.Q4_K_BYTES)))
def test_any_bytes_of_q4_k_are_read_as_gguf_reads_them(raw):
    from gguf import GGMLQuantizationType, quants

    raw[:, 1] &= 0x7B  # the two scales of fp16: not infinite
    raw[:, 3] &= 0x7B
    own = quantization.read_q4_k(torch.from_numpy(raw))
    with np.errstate(all="ignore"):
        library = quants.dequantize(raw, GGMLQuantizationType.Q4_K)
    assert np.allclose(own.numpy(), library, rtol=1e-5, atol=1e-3)


def test_q4_k_is_read_as_gguf_reads_it():
    from gguf import GGMLQuantizationType, quants

    if gguf_files.ggml() is None:
        pytest.skip("this llama.cpp does not show its quantizer")
    raw = gguf_files.quantize_rows(MATRIX.numpy(), "Q4_K")
    own = quantization.read_q4_k(torch.from_numpy(raw.reshape(-1, layouts.Q4_K_BYTES)))
    library = quants.dequantize(raw, GGMLQuantizationType.Q4_K).reshape(-1, 256)
    assert np.allclose(own.numpy(), library, atol=1e-6)
    assert quantization.relative_error(MATRIX.reshape(-1, 256), own) < 0.08


# --- layers of the real model


def test_a_model_by_hand_and_as_it_was(pair):
    model, tokenizer = pair
    ids = tokenizer("The tide comes in twice a day.", return_tensors="pt").input_ids

    def logits():
        with torch.inference_mode():
            return model(ids).logits

    before = logits()
    with quantization.quantized_linears(model, lambda w: quantization.absmax(w, 8, "channel"), quiet=True) as layers:
        inside = logits()
        assert len(layers) == 210
    assert torch.equal(logits(), before)
    with pytest.raises(ZeroDivisionError), quantization.quantized_linears(model, lambda w: 1 / 0, quiet=True):
        pass
    assert torch.equal(logits(), before)
    assert 0 < quantization.relative_error(before, inside) < 0.1


UNQUANTIZED = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from labkit import evaluation, weights
from labkit.models.quantization import methods
skip = ("model", "lm_head")
folder = weights.ensure()
config = methods.configuration(sys.argv[1], skip)
model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=config, dtype=torch.float32).eval()
documents = evaluation.course_text(AutoTokenizer.from_pretrained(folder), 280)
torch.save(evaluation.token_losses(model, documents), sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bitsandbytes NF4", "torchao int8"])
def test_on_the_unquantized_model_every_tool_has_the_same_perplexity(pair, tmp_path, name):
    """Loaded through each tool with no layer quantized: the same tokens, the same protocol, the same losses."""
    from labkit.base import assets
    from labkit.models import evaluation

    folder = methods.torchao_folder()
    if name.startswith("torchao") and not folder.is_dir():
        pytest.skip("torchao is not in its folder: run `python -m labkit bench quantization --quick` once")
    if name.startswith("bitsandbytes"):
        bitsandbytes()
    paths = [str(assets.PACKAGE.parent), *([str(folder)] if name.startswith("torchao") else [])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", UNQUANTIZED, name, str(tmp_path / "losses.pt")]
    run = subprocess.run(command, env=environment, timeout=250, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    expected = evaluation.token_losses(pair[0], evaluation.course_text(pair[1], 280))
    assert torch.allclose(torch.load(tmp_path / "losses.pt"), expected, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_nf4_by_hand_and_bitsandbytes_give_a_model_of_the_same_quality(pair):
    from labkit.models import evaluation

    bitsandbytes()
    documents = evaluation.course_text(pair[1], 280)
    with quantization.quantized_linears(pair[0], quantization.nf4, quiet=True):
        by_hand = evaluation.perplexity(pair[0], documents).value
    model, _ = quantization.load("bitsandbytes NF4")
    assert evaluation.perplexity(model, documents).value == pytest.approx(by_hand, rel=0.02)
    assert by_hand > 1.1 * evaluation.perplexity(pair[0], documents).value


def test_gptq_beats_rounding_on_text_that_it_has_not_seen(pair):
    from labkit.models import evaluation

    model, tokenizer = pair
    documents, name = evaluation.course_text(tokenizer, 1400), "model.layers.10.self_attn.q_proj"
    weights = quantization.linears(model)[name].weight.detach()
    seen = torch.cat(
        [quantization.layer_inputs(model, name, documents[part]) for part in ("story", "letters", "report")]
    )
    unseen = quantization.layer_inputs(model, name, documents["dialogue"])
    rounded = quantization.absmax(weights, 4, "channel")
    better = quantization.gptq(weights, seen)
    assert quantization.relative_error(weights, better) > quantization.relative_error(weights, rounded.dequantize())
    error = quantization.output_error(weights, rounded.dequantize(), unseen)
    assert quantization.output_error(weights, better, unseen) < 0.7 * error
    codes = better / rounded.scales  # every number is one that rounding could have chosen
    assert torch.allclose(codes, codes.round(), atol=1e-4) and codes.abs().max() <= 7 + 1e-4


def test_gptq_is_rounding_where_no_columns_go_together():
    inputs = torch.eye(64) * 3
    weights = MATRIX[:8, :64]
    rounded = quantization.absmax(weights, 4, "channel").dequantize()
    assert torch.allclose(quantization.gptq(weights, inputs), rounded, atol=1e-6)


def test_an_unknown_layer_is_named(pair):
    with pytest.raises(LabError, match="no linear layer 'q_proj': an example is 'model.layers.0"):
        quantization.layer_inputs(pair[0], "q_proj", torch.tensor([1, 2]))


# --- what works where


def test_the_table_says_what_works_here_and_why_not(course_cache):
    table = quantization.table()
    assert table.loc["fp32", "not_here"] == "" and table.loc["GGUF Q8_0", "not_here"] == ""
    for name, row in table.iterrows():
        assert row["not_here"].count(". ") == 0 and "Traceback" not in row["not_here"], name
    assert not table.loc[["GPTQ", "AWQ"], ["CPU", "Apple"]].any(axis=None)


def test_a_checkpoint_without_a_gpu_is_refused_in_a_sentence(course_cache, monkeypatch):
    from labkit.base import machine

    if machine.detect().device == "cpu":
        with pytest.raises(LabError, match="^AWQ needs CUDA; this machine computes on a CPU.$"):
            quantization.load("AWQ", checkpoint="somebody/model-AWQ")
    # As on a machine with a GPU that lacks the packages.
    monkeypatch.setattr(machine.Machine, "device", "cuda")
    for name, packages in (("GPTQ", "gptqmodel optimum"), ("AWQ", "gptqmodel")):
        if not importlib.util.find_spec("gptqmodel"):
            assert quantization.why_not(name).endswith(f"run `pip install {packages}`.")


@pytest.mark.gpu
@pytest.mark.network
@pytest.mark.parametrize(
    ("name", "checkpoint"),
    [("GPTQ", "Qwen/Qwen2.5-0.5B-Instruct-GPTQ-Int4"), ("AWQ", "Qwen/Qwen2.5-0.5B-Instruct-AWQ")],
)
def test_checkpoints_of_others_load_where_a_gpu_is(course_cache, name, checkpoint):
    from labkit.models import evaluation

    if quantization.why_not(name):
        pytest.skip(quantization.why_not(name))
    model, tokenizer = quantization.load(name, checkpoint=checkpoint)
    assert evaluation.perplexity(model, evaluation.course_text(tokenizer, 280)).value < 100


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["bitsandbytes int8", "bitsandbytes NF4"])
def test_bitsandbytes_on_a_gpu(course_cache, name):
    from labkit.models import evaluation

    if methods.why_not(name):
        pytest.skip(methods.why_not(name))
    model, tokenizer = quantization.load(name)
    assert model.device.type == "cuda"
    assert evaluation.perplexity(model, evaluation.course_text(tokenizer, 280)).value < 100
