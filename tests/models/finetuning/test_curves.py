"""The stored run: whole, of today's data, and refused when it is not; and the bench around the lesson's run."""

from __future__ import annotations

import json
import math

import pytest
import tiny

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.front.bench import finetuning as bench
from labkit.models import finetuning
from labkit.models.finetuning import curves, lesson


def test_the_stored_run_shows_overfitting():
    stored = curves.load("overfitting")
    table = stored.table()
    assert list(table.columns) == ["step", "validation", "exact", "general"]
    assert len(stored.losses) == curves.SETTINGS.epochs * curves._NOTES // 2 == table.step.iloc[-1]
    # The training notes are learnt by heart, and the loss on new ones has turned.
    assert sum(stored.losses[-8:]) / 8 < 0.01
    assert table.validation.iloc[-1] > table.validation.min() > 0
    assert table.validation.iloc[0] > table.validation.min()
    assert table[["exact", "general"]].stack().between(0, 1).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content["points"][1].update(exact=1.0), "not those that were stored"),
        (lambda content: content["losses"].pop(), "not those that were stored"),
        (lambda content: content["data"].update({"notes/train": "0" * 64}), "other data or settings"),
        (lambda content: content["settings"].update(learning_rate=1.0), "other data or settings"),
        (lambda content: content["adapter"].update(first_layer=0), "other data or settings"),
    ],
)
def test_a_run_that_was_changed_is_refused(tmp_path, change, said):
    content = json.loads(assets.path("runs", "overfitting.json").read_text(encoding="utf-8"))
    change(content)
    (tmp_path / "x.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(LabError, match=said):
        curves.load(file=tmp_path / "x.json")


def test_what_is_saved_is_what_is_loaded(tmp_path):
    stored = curves.Stored([1.0, 0.5], [{"step": 0, "validation": 1.5, "exact": 0.0, "general": 0.25}])
    curves.save(stored, tmp_path / "x.json")
    assert curves.load(file=tmp_path / "x.json") == stored


def test_the_benchs_bare_loop_does_what_train_does():
    settings = finetuning.Settings(learning_rate=0.01, batch=2, accumulation=2)
    model = tiny.adapted()
    before = finetuning.mean_loss(model, tiny.examples(), pad=2)
    assert bench.bare_loop(model, tiny.examples() * 6, settings, 2) > 0
    assert finetuning.mean_loss(model, tiny.examples(), pad=2) < before


def test_the_worse_of_both_sets_counts():
    rows = [
        {"test_%": 96.0, "template_%": 99.0},
        {"test_%": 94.0, "template_%": 81.0},
        {"test_%": 97.0, "template_%": 92.0},
    ]
    found = bench._exactness(rows)
    assert (found.median, found.low, found.high, found.pairs) == (0.92, 0.81, 0.96, 3)


def test_the_run_made_again_is_compared_number_by_number():
    stored = bench._columns(curves.load("overfitting"))
    same = bench._repeated({"stored": stored, "again": stored})
    assert [(one.median, one.low, one.high) for one in same] == [(1, 1, 1), (1, 1, 1), (0, 0, 0), (0, 0, 0)]
    assert [one.pairs for one in same] == [16, 6, 6, 6]
    other = {**stored, "validation": [2 * stored["validation"][0], *stored["validation"][1:]]}
    other["general"] = [*stored["general"][:-1], stored["general"][-1] - 0.25]
    found = bench._repeated({"stored": stored, "again": other})
    assert (found[1].low, found[1].high) == (1, 2) and found[3].low == pytest.approx(-0.25)


def test_a_failing_run_is_told_in_one_sentence():
    with pytest.raises(LabError, match="The run seed x failed: ValueError"):
        bench._child("seed", "x")


def test_the_lessons_run_has_the_steps_that_it_says(pair):
    examples = lesson.examples("train", pair[1], lesson.NOTES)
    assert len(examples) == lesson.NOTES
    assert math.prod([lesson.SETTINGS.batch, lesson.SETTINGS.accumulation]) == 2
    assert max(len(one["input_ids"]) for one in examples) < 90, "longer notes would cost memory and time"
