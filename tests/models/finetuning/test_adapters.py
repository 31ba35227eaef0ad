"""Adapters: peft's own round trips, and the merged model in llama.cpp with the same answers."""

from __future__ import annotations

import pytest
import tiny
import torch

from labkit.base.errors import LabError
from labkit.facts import teaching_data
from labkit.models import evaluation, finetuning, local
from labkit.models.evaluation import llama
from labkit.models.finetuning import adapters
from labkit.models.quantization import gguf_files
from tests.sharing import at


def logits(model):
    with torch.no_grad():
        return model(torch.tensor([[5, 9, 13, 21]])).logits


def test_save_load_switch_combine_merge(tmp_path):
    from peft import PeftModel

    base = logits(tiny.model())
    first, second = (tiny.filled(tiny.adapted(), seed) for seed in (1, 2))
    wanted = {"one": logits(first), "two": logits(second)}
    first.save_pretrained(tmp_path / "one")
    second.save_pretrained(tmp_path / "two")
    assert not list(tmp_path.rglob("*.bin"))
    model = PeftModel.from_pretrained(tiny.model(), tmp_path / "one", adapter_name="one")
    model.load_adapter(tmp_path / "two", adapter_name="two")
    for name in ("one", "two", "one"):
        model.set_adapter(name)
        torch.testing.assert_close(logits(model), wanted[name])
    with model.disable_adapter():
        torch.testing.assert_close(logits(model), base)
    model.add_weighted_adapter(["one", "two"], [1.0, 0.0], "mixed", combination_type="cat")
    model.set_adapter("mixed")
    torch.testing.assert_close(logits(model), wanted["one"], rtol=1e-4, atol=1e-4)
    model.set_adapter("two")
    torch.testing.assert_close(logits(model.merge_and_unload()), wanted["two"], rtol=1e-4, atol=1e-4)


def test_the_same_seed_makes_the_same_adapter_and_leaves_the_callers_numbers_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, other = (adapters.with_adapter(tiny.model(seed=3), rank=4, seed=1) for _ in range(2))
    for (_, a), (_, b) in zip(one.named_parameters(), other.named_parameters(), strict=True):
        assert torch.equal(a, b)
    torch.manual_seed(7)
    adapters.with_adapter(tiny_model := tiny.model(), rank=4, seed=1)
    del tiny_model
    torch.manual_seed(7)
    assert torch.equal(torch.rand(3), expected)


def test_layers_below_the_first_get_no_adapter_and_the_gradient_ends_there():
    model = adapters.with_adapter(tiny.model(), first_layer=1)
    count = model.config.num_hidden_layers
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {int(name.split(".layers.")[1].split(".")[0]) for name in trained} == set(range(1, count))
    hidden = model(input_ids=torch.tensor([[1, 2, 3]]), output_hidden_states=True).hidden_states
    # Entry n is what goes into layer n: nothing below the first adapter is kept for a way back.
    assert not hidden[1].requires_grad and hidden[2].requires_grad


@pytest.mark.parametrize("first_layer", [-1, 99])
def test_a_first_layer_that_the_model_lacks_is_refused(first_layer):
    with pytest.raises(LabError, match=f"first_layer={first_layer} is none of this model's layers: it has layers 0 to"):
        adapters.with_adapter(tiny.model(), first_layer=first_layer)


def test_a_second_adapter_is_refused_before_minutes_of_training():
    model = adapters.with_adapter(tiny.model())
    with pytest.raises(LabError, match="has an adapter already"):
        adapters.with_adapter(model)
    adapters.with_adapter(model.unload())


@pytest.fixture(scope="module")
def merged_course_model(_cache_with_model):
    """A course model of this module's own with random numbers from an adapter in it: the file must hold them too."""
    with at(_cache_with_model):
        model, tokenizer = local.load(dtype="fp32")
    weight = model.model.layers[3].self_attn.q_proj.weight
    before = weight.detach().clone()
    merged = tiny.filled(adapters.with_adapter(model), seed=1, scale=0.02).merge_and_unload()
    assert not torch.allclose(weight, before, atol=1e-4), "the adapter changed nothing: the test would show nothing"
    return merged, tokenizer


@pytest.mark.parametrize(("file_type", "bytes_a_weight", "tolerance"), [("F16", 2, 6e-4), ("Q8_0", 1.0625, 1e-2)])
def test_the_file_holds_the_merged_weights(
    course_cache, merged_course_model, tmp_path, file_type, bytes_a_weight, tolerance
):
    merged, _ = merged_course_model
    file = finetuning.to_gguf(merged, tmp_path / "merged.gguf", file_type=file_type)
    assert file.stat().st_size / merged.num_parameters() == pytest.approx(bytes_a_weight, rel=0.02)
    expected = merged.state_dict()
    for name, values in gguf_files.dequantized(file, quiet=True).items():
        assert (values - expected[name]).abs().max() < tolerance * expected[name].abs().max(), name


@pytest.mark.slow
def test_the_merged_model_answers_the_same_in_llama_cpp(course_cache, merged_course_model, tmp_path):
    """With examples in the conversation the course model is sure of each token, so rounding decides nothing."""
    from labkit.world import services
    from labkit.world.model_server.service import model_server

    merged, tokenizer = merged_course_model
    file = finetuning.to_gguf(merged, tmp_path / "merged.gguf")
    shots = [m for row in teaching_data.load("notes", "train")[:4] for m in finetuning.messages(row)[1:]]
    rows = [row for row in teaching_data.load("notes", "train")[4:12] if row["level"] != "hard"][:4]
    conversations = [
        [{"role": "system", "content": finetuning.INSTRUCTION}, *shots, {"role": "user", "content": row["note"]}]
        for row in rows
    ]
    ours = evaluation.answers(merged, tokenizer, conversations, new_tokens=32)
    service = model_server(file, context=1024)
    try:
        bodies = [{"messages": messages, "max_tokens": 32, "temperature": 0} for messages in conversations]
        found = [llama.ask(service.url, service.key, "/v1/chat/completions", body) for body in bodies]
    finally:
        services.stop(service.name)
    theirs = [answer["choices"][0]["message"]["content"] for answer in found]
    assert all('{"name": ' in text for text in ours)
    assert sum(a.strip() == b.strip() for a, b in zip(ours, theirs, strict=True)) >= 3, (ours, theirs)


def test_what_cannot_be_exported_is_told(course_cache, tmp_path):
    with pytest.raises(LabError, match="choose one of Q8_0"):
        finetuning.to_gguf(tiny.model(), tmp_path / "x.gguf", file_type="Q9_0")
    with pytest.raises(LabError, match="merge_and_unload"):
        finetuning.to_gguf(tiny.adapted(), tmp_path / "x.gguf")
    with pytest.raises(LabError, match="export only the model that the file is of"):
        finetuning.to_gguf(tiny.model(), tmp_path / "x.gguf")
    assert list(tmp_path.iterdir()) == []
