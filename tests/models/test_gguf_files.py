"""GGUF files made here: llama.cpp and transformers load them and expect nearly the same, a kill leaves nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from labkit.base.errors import LabError
from labkit.models import evaluation
from labkit.models.quantization import gguf_files
from labkit.world import services, weights
from labkit.world.model_server.service import model_server

needs_quantizer = pytest.mark.skipif(gguf_files.ggml() is None, reason="this llama.cpp does not show its quantizer")


def test_rows_of_576_fall_back_and_rows_of_1536_do_not(course_cache):
    plan = gguf_files.plan("Q8_0")
    assert len(plan) == 272 and not plan.fell_back.any()
    if gguf_files.ggml() is None:
        pytest.skip("this llama.cpp does not show its quantizer")
    plan = gguf_files.plan("Q4_K")
    matrices = plan[plan.type != "F32"]
    assert set(matrices[matrices.fell_back]["columns"]) == {576}
    assert matrices[~matrices.fell_back]["tensor"].str.contains("ffn_down").all()
    assert matrices.groupby("type").size().to_dict() == {"Q4_K": 30, "Q5_0": 180, "Q8_0": 1}


def test_types_follow_llama_cpps_rules():
    kinds = {
        kind: gguf_files.tensor_type("blk.4.ffn_down.weight", [1536, 576], kind, 30)[0] for kind in gguf_files.TYPES
    }
    assert kinds == {kind: kind for kind in gguf_files.TYPES} | {"Q4_K_M": "Q4_K"}
    more = [gguf_files.tensor_type(f"blk.{n}.ffn_down.weight", [1536, 576], "Q4_K_M", 30)[0] for n in range(30)]
    assert [n for n, kind in enumerate(more) if kind == "Q6_K"] == [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29]
    assert gguf_files.tensor_type("token_embd.weight", [4096, 32000], "Q2_K", 32) == ("Q6_K", False)
    assert gguf_files.tensor_type("blk.0.attn_norm.weight", [576], "Q2_K", 30) == ("F32", False)
    assert gguf_files.tensor_type("blk.0.attn_q.weight", [576, 576], "Q2_K", 30) == ("Q4_0", True)


def test_what_cannot_be_made_is_said(course_cache, tmp_path, monkeypatch):
    with pytest.raises(LabError, match="choose one of Q8_0, Q6_K"):
        gguf_files.make("Q1_0")
    with pytest.raises(LabError, match="cannot be cut into blocks of 256"):
        gguf_files.quantize_rows(np.zeros((2, 576), np.float32), "Q4_K")
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + b"\xff" * 99)
    with pytest.raises(LabError, match="broken.gguf cannot be read as GGUF"):
        gguf_files.make("Q8_0", tmp_path / "new.gguf", source=tmp_path / "broken.gguf")
    assert [file.name for file in tmp_path.iterdir()] == ["broken.gguf"]
    # As on a system whose library hides its functions: it can be planned, not made.
    monkeypatch.setattr(gguf_files, "ggml", lambda: None)
    assert gguf_files.possible() == ("Q8_0", "Q4_0") and len(gguf_files.plan("Q4_K_M")) == 272
    with pytest.raises(LabError, match="Q4_K files cannot be made here.*Q8_0 or Q4_0"):
        gguf_files.make("Q4_K")
    rows = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    assert gguf_files.quantize_rows(rows, "Q4_0").shape == (4, 36)


@needs_quantizer
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "apart"), [("Q8_0", 0.15), ("Q4_K_M", 0.15), ("Q2_K", 0.4)])
def test_both_engines_load_it_and_expect_nearly_the_same(pair, kind, apart):
    file = gguf_files.make(kind, quiet=True)
    assert file.stat().st_size == pytest.approx(gguf_files.plan(kind).bytes.sum(), abs=4e6)  # the rest is the tokenizer
    model = gguf_files.load(file)
    documents = evaluation.course_text(pair[1], 112)
    ours = evaluation.token_losses(model, documents)
    service = model_server(file, context=1024)
    theirs = evaluation.llama_losses(service.url, service.key, documents, quiet=True)
    services.leave(service.name)
    assert len(ours) == len(theirs) == 105
    # llama.cpp multiplies 8-bit activations: tokens differ by a tenth of a nat, the whole by a few percent. What 2 bits
    # have left of the model is less sure of itself, and moves more.
    assert (ours - theirs).abs().mean() < apart
    assert evaluation.from_losses(theirs, 512).value == pytest.approx(evaluation.from_losses(ours, 512).value, rel=0.1)


@pytest.mark.slow
def test_transformers_own_reader_gives_the_same_weights(course_cache):
    """Q4_K_M, where it can be made, because five types are in it."""
    from transformers import AutoModelForCausalLM

    file = gguf_files.make("Q4_K_M" if "Q4_K_M" in gguf_files.possible() else "Q8_0", quiet=True)
    options = {}
    try:
        from transformers import GgufConfig

        options["quantization_config"] = GgufConfig(dequantize=True)
    except ImportError:
        pass  # transformers 5.15 always de-quantizes
    theirs = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32, **options)
    expected = theirs.state_dict()
    for name, values in gguf_files.dequantized(file).items():
        assert torch.equal(values, expected[name]), name


@pytest.mark.slow
def test_the_shipped_file_reads_as_the_course_model(pair):
    """The unquantized side of the comparison: the same perplexity through both ways of loading it."""
    model, tokenizer = pair
    documents = evaluation.course_text(tokenizer, 280)
    expected = evaluation.token_losses(model, documents)
    assert torch.equal(evaluation.token_losses(gguf_files.load(weights.gguf_file()), documents), expected)


MAKE = """
import sys
from pathlib import Path
from labkit.models.quantization import gguf_files
print("began", flush=True)
gguf_files.make("Q8_0", Path(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of a terminal are a matter of POSIX")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_the_middle_it_leaves_no_half_file(course_cache, tmp_path, how):
    target = tmp_path / "new.gguf"
    process = subprocess.Popen(
        [sys.executable, "-c", MAKE, str(target)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "began\n"
    deadline = time.monotonic() + 60
    while not any(file.stat().st_size > 20e6 for file in tmp_path.rglob("*.gguf")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode != 0 and not target.exists()
    gguf_files.make("Q8_0", target, quiet=True)  # the next writer clears away what a kill left
    assert [file.name for file in Path(tmp_path).iterdir()] == ["new.gguf"]
