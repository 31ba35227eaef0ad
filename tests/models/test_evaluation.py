"""Evaluation: the protocol against the library's own loss, the same tokens in two engines, tables that fit together."""

import math

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.models import evaluation, local, quantization
from labkit.models.evaluation import losses, results, tasks
from tests.rows import every


@given(st.integers(2, 60), st.integers(2, 20), st.integers(1, 20))
def test_each_token_is_scored_once_with_what_its_window_holds(length, window, stride):
    stride = min(stride, window - 1)
    ids, scored = torch.arange(length), []
    for inputs, first in losses.windows(ids, window, stride):
        assert 2 <= len(inputs) <= window
        scored += inputs[first + 1 :].tolist()
        # All but the first window have the context that the stride leaves.
        assert inputs[0] == 0 or first + 1 >= window - stride
    assert scored == list(range(1, length))


def test_the_text_has_what_its_data_sheet_says(pair):
    documents = evaluation.course_text(pair[1], 2048)
    assert list(documents) == list(losses.REGISTERS) and {len(ids) for ids in documents.values()} == {292}
    whole = {
        name: len(pair[1](assets.path("evaluation", "text", f"{name}.txt").read_text(encoding="utf-8"))["input_ids"])
        for name in losses.REGISTERS
    }
    assert sum(whole.values()) >= 5000 and min(whole.values()) >= 800
    sheet = assets.path("evaluation", "README.md").read_text(encoding="utf-8")
    assert all(f"| {name} | {count:,} |" in sheet for name, count in whole.items())
    with pytest.raises(LabError, match="ask for 14 to"):
        evaluation.course_text(pair[1], 100_000)


def test_it_is_the_loss_of_the_library(pair):
    model, tokenizer = pair
    ids = evaluation.course_text(tokenizer, 1400)["letters"]
    with torch.inference_mode():
        expected = model(ids[None], labels=ids[None]).loss.item()
        half = model(ids[None, :101], labels=ids[None, :101]).loss.item()
    found = evaluation.perplexity(model, ids)
    assert found.value == pytest.approx(math.exp(expected), rel=1e-4) and found.tokens == 199
    assert found.low < found.value < found.high
    assert evaluation.token_losses(model, ids)[:100].mean().item() == pytest.approx(half, abs=1e-3)
    # Less to read before each token, more loss; windows of one token less do not change what fits into them.
    assert evaluation.perplexity(model, ids, window=32).value > found.value
    assert evaluation.perplexity(model, {"a": ids, "b": ids}).value == pytest.approx(found.value, rel=1e-6)


def test_distance(pair):
    model, tokenizer = pair
    ids = evaluation.course_text(tokenizer, 700)["code"]
    full = evaluation.distributions(model, ids, tokens=64)
    assert full.shape == (64, 49_152) and torch.allclose(full.exp().sum(-1), torch.ones(64), atol=1e-4)
    same = evaluation.kl_divergence(full, full)
    assert same.kl == pytest.approx(0, abs=1e-6) and same.same_first == 1
    found = {}
    for bits in (8, 4):
        with quantization.quantized_linears(model, lambda w, b=bits: quantization.absmax(w, b, 64), quiet=True):
            found[bits] = evaluation.kl_divergence(full, evaluation.distributions(model, ids, tokens=64))
    assert 0 < found[8].kl < 0.05 < found[4].kl and found[4].same_first < found[8].same_first
    with pytest.raises(LabError, match="not of the same tokens"):
        evaluation.kl_divergence(full, full[:10])


def test_divergence_of_two_coins():
    fair, loaded_coin = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
    expected = 0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75)
    assert evaluation.kl_divergence(fair, loaded_coin).kl == pytest.approx(expected, rel=1e-5)


def test_what_cannot_be_scored_is_said(pair):
    model = pair[0]
    for refused in (
        lambda: evaluation.perplexity(model, torch.tensor([1])),
        lambda: evaluation.perplexity(model, []),
        lambda: evaluation.perplexity(model, torch.arange(9), window=1),
        lambda: evaluation.perplexity(model, torch.arange(9), window=9000),
        lambda: evaluation.perplexity(model, torch.arange(9), window=8, stride=9),
    ):
        with pytest.raises(LabError, match="nothing to score|do not work"):
            refused()


def test_progress_is_shown_unless_it_is_quiet(pair, capsys):
    model, tokenizer = pair
    documents = evaluation.course_text(tokenizer, 112)
    evaluation.perplexity(model, documents)
    evaluation.continuations(model, documents, prompt=8, new_tokens=3)
    evaluation.exact_match(model, tokenizer, tasks.data("exact_match")[:1])
    shown = capsys.readouterr().err
    assert all(f"{what}: 100%" in shown for what in ("Scoring the text", "Writing on", "Asking the model"))
    assert "3/3" in shown
    evaluation.perplexity(model, documents, quiet=True)
    evaluation.continuations(model, documents, prompt=8, new_tokens=3, quiet=True)
    evaluation.exact_match(model, tokenizer, tasks.data("exact_match")[:1], quiet=True)
    assert capsys.readouterr().err == ""


# --- scores and tasks


@every([(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (180, 200, 0.8506, 0.9343)])
def test_wilsons_interval(row):
    correct, total, low, high = row
    assert evaluation.wilson(correct, total) == pytest.approx((low, high), abs=1e-4)


def test_wilsons_interval_solves_its_equation():
    """Its ends are the shares that a test of the score at 1.96 errors just does not reject."""
    for correct, total in ((3, 17), (38, 40), (99, 100)):
        for end in evaluation.wilson(correct, total):
            assert abs(correct / total - end) == pytest.approx(1.96 * (end * (1 - end) / total) ** 0.5)


@every([(-1, 3), (4, 3), (0, 0)])
def test_what_is_no_share_is_told(row):
    with pytest.raises(LabError, match="is no share"):
        evaluation.wilson(*row)


@pytest.mark.slow
def test_batches_do_not_change_answers_and_keep_their_order(pair):
    model, tokenizer = pair
    questions = ["What is the capital of France?", "What is frozen water called?", "How many days are there in a week?"]
    conversations = [[{"role": "user", "content": text}] for text in questions]
    alone = [local.chat(c, model=model, tokenizer=tokenizer, max_new_tokens=12) for c in conversations]
    assert evaluation.answers(model, tokenizer, conversations, new_tokens=12, batch=3) == alone
    assert evaluation.answers(model, tokenizer, conversations, new_tokens=12, batch=1) == alone


def test_a_tokenizer_without_padding_is_told():
    class Bare:
        pad_token_id = None

    with pytest.raises(LabError, match="no padding token"):
        evaluation.answers(None, Bare(), [])


def test_tasks_score_what_the_model_writes(pair):
    model, tokenizer = pair
    items = [
        {"question": "What is the capital of France?", "answers": ["paris."]},
        {"question": "What is the capital of Spain?", "answers": ["Lisbon"]},
    ]
    score = evaluation.exact_match(model, tokenizer, items)
    assert (score.correct, score.total) == (1, 2) and score.rows["answered"].tolist() == ["Paris", "Madrid"]
    assert repr(score) == "1 of 2: 50% (95 % interval 9% to 91%)"
    found = evaluation.json_validity(model, tokenizer, tasks.data("json_validity")[:2])
    assert found.correct == 2 and found.rows["values_right"].tolist() == [True, True]


@every(
    [
        ('{"name": "A"}', {"name": "A"}),
        (' {"name": "A"}\n', {"name": "A"}),
        ('Sure! {"name": "A"}', None),
        ('{"name": 3}', None),
        ('["name"]', None),
        ('{"name": "A"', None),
        ("", None),
    ]
)
def test_json_is_strict(row):
    text, parsed = row
    assert tasks._json(text) == parsed


def test_the_data_is_well_formed():
    exact, sentences = tasks.data("exact_match"), tasks.data("json_validity")
    assert len(exact) == len({item["question"] for item in exact}) == 32
    assert all(item["answers"] and all(isinstance(text, str) for text in item["answers"]) for item in exact)
    assert len(sentences) == 12 and all(item[key] in item["sentence"] for item in sentences for key in ("name", "city"))


def test_continuations_are_greedy_and_agree_with_themselves(pair):
    model, tokenizer = pair
    documents = evaluation.course_text(tokenizer, 700)
    written = evaluation.continuations(model, documents, prompt=32, new_tokens=6)
    assert [len(one) for one in written] == [6] * 7
    with torch.inference_mode():
        first = model(documents["story"][None, :32]).logits[0, -1].argmax().item()
    assert written[0][0] == first
    assert evaluation.agreement(written, written) == 1
    assert evaluation.agreement([[1, 2]], [[3, 2]]) == 0
    with pytest.raises(LabError, match="fewer than 200 tokens"):
        evaluation.continuations(model, documents, prompt=200)


# --- tables


def table(machine="mine", **changes):
    row = {"machine": machine, "date": "2026-11-23", "method": "fp32", "disk_MB": 538.1, "memory_MB": 900.0}
    row |= {"decode_tokens_per_s": 13.0, "perplexity": 24.3, "kl": 0.0}
    return pd.DataFrame([row | changes])


def test_a_class_puts_its_tables_together(tmp_path):
    one = evaluation.save(table(), tmp_path / "one.csv")
    other = evaluation.save(table(note='é, "quoted"'), tmp_path / "other.csv")
    merged = evaluation.merge({"Ana": one, "Bo": other})
    assert merged["machine"].tolist() == ["Ana", "Bo"] and merged["note"].iloc[1] == 'é, "quoted"'
    assert len(evaluation.merge([one, one])) == 1  # the same file twice counts once
    assert evaluation.merge([one])["perplexity"].tolist() == [24.3]


def test_a_file_that_does_not_fit_is_named(tmp_path):
    good = evaluation.save(table(), tmp_path / "good.csv")
    (tmp_path / "empty.csv").write_text("", encoding="utf-8")
    (tmp_path / "short.csv").write_text("machine,method\na,b\n", encoding="utf-8")
    edited = tmp_path / "edited.csv"
    edited.write_text(good.read_text(encoding="utf-8").replace("24.3", "24,3?").replace("24,3?", "about 24"), "utf-8")
    for name, message in (
        ("empty", "cannot be read"),
        ("short", "lacks the columns"),
        ("edited", "text where numbers"),
    ):
        with pytest.raises(LabError, match=f"{name}.csv .*{message}"):
            evaluation.merge([good, tmp_path / f"{name}.csv"])
    with pytest.raises(LabError, match="missing.csv cannot be read"):
        evaluation.merge([tmp_path / "missing.csv"])
    with pytest.raises(LabError, match="at least one"):
        evaluation.merge([])
    with pytest.raises(LabError, match="lacks the columns kl"):
        evaluation.save(table().drop(columns="kl"), tmp_path / "new.csv")
    assert not (tmp_path / "new.csv").exists()
    assert results.COLUMNS[0] == "machine"


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12))
def test_the_front_is_what_nothing_beats(points):
    sizes, errors = (pd.Series(values, index=range(5, 5 + len(points))) for values in zip(*points, strict=True))
    front = evaluation.pareto_front(sizes, errors)
    assert front.index.equals(sizes.index)
    beaten = [any((a <= x and b < y) or (a < x and b <= y) for a, b in points) for x, y in points]
    assert not any(on and lost for on, lost in zip(front, beaten, strict=True))
    kept = {point for point, on in zip(points, front, strict=True) if on}
    assert kept == {point for point, lost in zip(points, beaten, strict=True) if not lost}
    assert sum(front) == len(kept)  # of equal ones the first


def test_the_chart_names_the_front(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    rows = [
        table(method=name, disk_MB=size, perplexity=value) for name, size, value in (("a", 1.0, 30.0), ("b", 2, 40))
    ]
    axes = evaluation.chart(pd.concat([*rows, table(method="c", perplexity=None)], ignore_index=True))
    assert [text.get_text() for text in axes.texts] == ["a"]
    assert {len(line.get_xdata()) for line in axes.lines} == {1}  # one on the front, one beaten, one left out
    plt.close(axes.figure)


@pytest.mark.slow
def test_files_are_measured_where_they_are(pair, own_course_cache, tmp_path):
    """Size, memory, speed and llama.cpp's perplexity, in the form that a class puts together."""
    from labkit.world import services, weights

    documents = evaluation.course_text(pair[1], 112)
    found = evaluation.llama_table({"Q4_1": weights.gguf_file()}, documents, repeats=2)
    row = evaluation.merge([evaluation.save(found, tmp_path / "mine.csv")]).iloc[0]
    assert row["method"] == "GGUF Q4_1" and row["tokens"] == 105 and row["disk_MB"] == pytest.approx(98.4, abs=0.1)
    assert 100 < row["memory_low"] <= row["memory_MB"] <= row["memory_high"] <= row["peak_MB"] < 600
    assert row["prefill_low"] <= row["prefill_tokens_per_s"] <= row["prefill_high"]
    expected = evaluation.perplexity(pair[0], documents, quiet=True).value
    assert row["llama_perplexity"] == pytest.approx(expected, rel=0.1)
    assert not services.records.instances(), "it was stopped, or it would take the memory of the next one"


def test_the_stored_table_has_every_method():
    from labkit.models.quantization import methods

    table = evaluation.stored()
    assert table["method"].tolist() == list(methods.METHODS) and table["date"].notna().all()
    measured = table[table["perplexity"].notna()].set_index("method")
    assert len(measured) == 15 and measured.loc["fp32", "kl"] == 0
    assert (measured["perplexity"] >= measured.loc["fp32", "perplexity"]).all()
