"""The course's data sets: rebuilt byte for byte, nothing of one split in another, answers that are right."""

from __future__ import annotations

import datetime
import json
import re
import runpy
import subprocess
import sys

import pytest

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.facts import teaching_data
from labkit.models import capstone
from tests.rows import every

NOTES = ("train", "validation", "test", "template")


@pytest.mark.parametrize("name", ["notes", "tone"])
def test_make_writes_the_files_again_byte_for_byte(name, tmp_path):
    subprocess.run([sys.executable, str(assets.path("data", name, "make.py")), str(tmp_path)], check=True, timeout=60)
    assert sorted(file.stem for file in tmp_path.iterdir()) == teaching_data.splits(name)
    for file in tmp_path.iterdir():
        assert file.read_bytes() == teaching_data.file(name, file.stem).read_bytes()


def values(split: str) -> dict[str, set]:
    rows = [(row, json.loads(row["answer"])) for row in teaching_data.load("notes", split)]
    days = [
        re.search(r"\d+ (?:January|February|Ma|April|Ju|August|Sept|Oct|Nov|Dec)\w*", row["note"])[0] for row, _ in rows
    ]
    return {
        "first names": {answer["name"].split()[0] for _, answer in rows},
        "family names": {answer["name"].split()[1] for _, answer in rows},
        "amounts": {answer["amount"] for _, answer in rows},
        "days": set(days),
        "notes": {row["note"] for row, _ in rows},
    }


@every(NOTES)
def test_no_value_of_a_split_stands_in_another(split):
    own = values(split)
    for other in set(NOTES) - {split}:
        for kind, found in values(other).items():
            assert own[kind].isdisjoint(found), f"{kind} of {split} are in {other} too"


def test_the_held_out_sentences_are_in_no_other_split():
    templates = {split: {row["template"] for row in teaching_data.load("notes", split)} for split in NOTES}
    held_out = templates.pop("template")
    assert len(held_out) == 3 and all(held_out.isdisjoint(found) for found in templates.values())
    assert all(len(found) == 12 for found in templates.values())


def test_there_is_enough_of_every_difficulty():
    rows = {split: teaching_data.load("notes", split) for split in NOTES}
    assert {split: len(found) for split, found in rows.items()} == {
        "train": 240, "validation": 60, "test": 200, "template": 100
    }  # fmt: skip
    for found in rows.values():
        levels = [row["level"] for row in found]
        assert all(levels.count(level) >= len(found) // 3 - 1 for level in ("easy", "medium", "hard"))
        assert len({row["id"] for row in found}) == len({row["note"] for row in found}) == len(found)


MONTHS = [datetime.date(2026, month, 1).strftime("%B") for month in range(1, 13)]


@every(NOTES)
def test_every_answer_is_what_the_note_says(split):
    for row in teaching_data.load("notes", split):
        answer = json.loads(row["answer"])
        assert list(answer) == ["name", "amount", "date"]
        day, month = map(int, answer["date"].split("/"))
        assert f"{day} {MONTHS[month - 1]}" in row["note"] and answer["name"] in row["note"]
        assert re.search(rf"(?<![\d.]){re.escape(str(answer['amount']))} (euros|dollars|pounds)", row["note"])
        assert json.dumps(answer) == row["answer"]


def test_pairs_differ_in_tone_and_not_in_help():
    rows = {split: teaching_data.load("tone", split) for split in ("train", "test")}
    assert sum(map(len, rows.values())) >= 150
    everything = [row for found in rows.values() for row in found]
    assert all(row["chosen"] != row["rejected"] and "{" not in row["chosen"] + row["prompt"] for row in everything)
    assert {row["prompt"] for row in rows["train"]}.isdisjoint(row["prompt"] for row in rows["test"])
    for found in rows.values():
        assert len({(row["prompt"], row["chosen"]) for row in found}) == len(found)
        assert {row["kind"] for row in found} == {"late", "broken", "wrong", "charged", "question", "part"}


@pytest.mark.parametrize(("split", "other"), [("train", "test"), ("test", "train")])
def test_the_things_of_the_tone_pairs_are_in_one_split_only(split, other):
    things = runpy.run_path(str(assets.path("data", "tone", "make.py")))["THINGS"]
    for row in teaching_data.load("tone", split):
        words = set(re.findall(r"\w+", f"{row['prompt']} {row['chosen']} {row['rejected']}".lower()))
        assert words & set(things[split]) and not words & set(things[other])


def test_no_message_to_be_judged_is_nearly_one_that_was_learnt():
    learn, judge = capstone.split(capstone.read(teaching_data.file("messages", "all")))
    words = [[set(re.findall(r"\w+", row["message"].lower())) for row in rows] for rows in (learn, judge)]
    assert max(len(one & other) / len(one | other) for one in words[0] for other in words[1]) < 0.5


def test_general_questions_have_answers():
    rows = teaching_data.load("general", "test")
    assert len(rows) >= 30 and len({row["question"] for row in rows}) == len(rows)
    assert all(row["answers"] and all(answer.strip() for answer in row["answers"]) for row in rows)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def test_every_question_is_answered_by_its_passage_alone_and_copies_no_four_words_of_it():
    passages = {row["id"]: row["text"] for row in teaching_data.load("documents", "passages")}
    questions = teaching_data.load("documents", "try") + teaching_data.load("documents", "test")
    assert len(passages) >= 150 and len({row["passage"] for row in questions}) == len(questions) >= 160
    assert len(set(passages.values())) == len(passages)
    for row in questions:
        holders = [name for name, text in passages.items() if row["answer"].lower() in text.lower()]
        assert holders == [row["passage"]], row
        assert row["answer"].lower() not in row["question"].lower()
        asked, said = words(row["question"]), f" {' '.join(words(passages[row['passage']]))} "
        assert not any(f" {' '.join(asked[at : at + 4])} " in said for at in range(len(asked) - 3)), row


def test_what_nothing_answers_is_asked_of_a_document_that_is_there():
    titles = {row["document"] for row in teaching_data.load("documents", "passages")}
    asked = teaching_data.load("documents", "unanswerable") + teaching_data.load("documents", "unanswerable_try")
    assert {row["document"] for row in asked} == titles and len(asked) == 30
    answered = {row["question"] for split in ("try", "test") for row in teaching_data.load("documents", split)}
    assert answered.isdisjoint(row["question"] for row in asked)


@every(teaching_data.names())
def test_each_set_has_a_data_sheet(name):
    sheet = teaching_data.sheet(name)
    for said in ("Made by", "CC BY 4.0", "Known limits", "Fields", "Language"):
        assert said in sheet
    for split in teaching_data.splits(name):
        assert f"`{split}`" in sheet and str(len(teaching_data.load(name, split))) in sheet
        assert len(teaching_data.sha256(name, split)) == 64


def test_what_is_not_there_is_told():
    with pytest.raises(LabError, match="there are documents, general, messages, notes, tone"):
        teaching_data.load("letters", "train")
    with pytest.raises(LabError, match="it has test, train"):
        teaching_data.load("tone", "validation")
    with pytest.raises(LabError):
        teaching_data.load("../catalogue", "train")
