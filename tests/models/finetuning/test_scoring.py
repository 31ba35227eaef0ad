"""Scores: notes answered exactly, reading in the place of writing, general questions."""

from __future__ import annotations

import json

import pytest

from labkit.facts import teaching_data
from labkit.models import evaluation, finetuning
from labkit.models.finetuning import scoring
from tests.rows import every


def rows(count, split="test"):
    return [row for row in teaching_data.load("notes", split) if row["level"] == "easy"][:count]


WANTED = '{"name": "Ann Lee", "amount": 12.5, "date": "9/4"}'


@every([WANTED, f"  {WANTED}\n", WANTED.replace(": ", ":"), '{"date":"9/4","amount":12.50,"name":"Ann Lee"}'])
def test_the_same_json_however_it_is_spaced(text):
    assert scoring.same_json(text, WANTED)


@every(
    [
        *("", "null", "[]", "12", '"x"', "[" * 100_000, f"```json\n{WANTED}\n```", f"JSON: {WANTED}", WANTED + WANTED),
        *(WANTED.replace("12.5", '"12.5"'), WANTED.replace("12.5", "true"), WANTED.replace("12.5", "NaN")),
        *(WANTED.replace("Lee", "lee"), WANTED[:-1] + ', "more": 1}', '{"name": "X", ' + WANTED[1:]),
    ]
)
def test_anything_else_is_wrong(text):
    assert scoring.same_json(text, WANTED) is False


def test_true_is_not_one():
    assert not scoring.same_json('{"a": true}', '{"a": 1}') and scoring.same_json('{"a": 1.0}', '{"a": 1}')


@every(
    [
        (["carbon dioxide"], "Plants take Carbon-Dioxide.", True),
        (["two"], "Twofold", False),
        (["H2O"], "It is H2O", True),
        (["Paris"], "", False),
    ]
)
def test_accepted_answers_stand_as_words(row):
    accepted, text, right = row
    assert scoring.accepts(accepted, text) is right


@pytest.mark.slow
def test_before_training_few_notes_are_exact_and_examples_help(pair):
    model, tokenizer = pair
    notes = rows(8)
    plain = finetuning.exact_match(model, tokenizer, notes)
    asked = finetuning.exact_match(model, tokenizer, notes, instruction=finetuning.FULL_INSTRUCTION)
    shots = rows(4, "train")
    shown = finetuning.exact_match(model, tokenizer, notes, shots=shots)
    assert plain.correct == 0 and asked.correct <= 1
    json_texts = [text for text in shown.rows.answered if text.startswith('{"name": ')]
    assert len(json_texts) >= 6, "with examples the form is right, whatever the values"
    assert list(shown.rows.asked) == [row["note"] for row in notes] and shown.total == 8
    assert repr(plain).startswith("0 of 8: 0% (95 % interval 0% to ")


@pytest.mark.slow
def test_reading_says_what_writing_would(pair):
    """The model's own greedy answers are reproduced; the same answers with one letter changed are not."""
    model, tokenizer = pair
    notes = rows(4)
    conversations = [finetuning.messages({"note": row["note"]}) for row in notes]
    written = evaluation.answers(model, tokenizer, conversations, new_tokens=60, batch=2)
    short = [len(tokenizer(text)["input_ids"]) < 50 for text in written]
    ended = [{**row, "answer": text} for row, text, ends in zip(notes, written, short, strict=True) if ends]
    assert ended, "no answer ended by itself: nothing would be tested"
    assert scoring.reproduced(model, tokenizer, ended, batch=2) == [True] * len(ended)
    changed = [{**row, "answer": row["answer"].replace("e", "o", 1)} for row in ended]
    assert scoring.reproduced(model, tokenizer, changed, batch=2) == [False] * len(ended)


@pytest.mark.slow
def test_general_questions_are_partly_answered(pair):
    model, tokenizer = pair
    score = finetuning.general(model, tokenizer, teaching_data.load("general", "test")[:10])
    assert 3 <= score.correct <= 10
    assert json.loads(score.rows.to_json())["wanted"]["0"] == "Paris"
