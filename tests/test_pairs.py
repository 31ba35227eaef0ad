"""A learner's own pairs: what is good comes through, what would spoil a run is told with its line."""

from __future__ import annotations

import json

import pytest

from labkit import pairs, teaching_data
from labkit.errors import LabError


def many(count: int) -> list[dict[str, str]]:
    return [{"prompt": f"message {number}", "answer": "ab"[number % 2]} for number in range(count)]


def written(folder, *lines: str | dict, encoding: str = "utf-8"):
    file = folder / "my_pairs.jsonl"
    text = "\n".join(line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    file.write_bytes(text.encode(encoding))
    return file


def test_a_file_and_lists_give_the_same_pairs(tmp_path):
    good = [{"prompt": "Wo ist der Schlüssel?", "answer": "Büro"}, {"prompt": "No light\u2028here", "answer": "lights"}]
    assert pairs.read(written(tmp_path, good[0], "", {**good[1], "id": 7})) == good
    assert pairs.read(str(written(tmp_path, *good, encoding="utf-8-sig"))) == good
    assert pairs.read(written(tmp_path, *good).with_name("my_pairs.jsonl")) == good
    assert pairs.read([(" Wo ist der Schlüssel?\n", "Büro "), list(good[1].values())]) == good
    assert pairs.read(iter(good)) == good


def test_windows_line_ends_are_fine(tmp_path):
    file = tmp_path / "windows.jsonl"
    file.write_bytes(b'{"prompt": "a", "answer": "b"}\r\n{"prompt": "c", "answer": "d"}\r\n')
    assert [pair["prompt"] for pair in pairs.read(file)] == ["a", "c"]


def test_the_same_pair_is_kept_once_and_a_contradiction_is_refused():
    assert len(pairs.read([("It leaks.", "water"), ("it   LEAKS.", "water")])) == 1
    with pytest.raises(LabError, match=r"Pair 3 asks the same as Pair 1 .*'roads', not 'water'"):
        pairs.read([("It leaks.", "water"), ("x", "y"), ("it  leaks.", "roads")])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("prompt,answer", "Line 2 of my_pairs.jsonl is not JSON"),
        ("[" * 100_000, "Line 2 of my_pairs.jsonl is not JSON"),
        ('["a", "b", "c"]', "Line 2 needs a prompt and an answer"),
        ("7", "Line 2 needs a prompt and an answer: it is '7'"),
        ("{}", "it has nothing"),
        ('{"question": "a", "answer": "b"}', "it has question, answer"),
        ('{"prompt": "a", "answer": 3}', "Line 2: the answer must be a text"),
        ('{"prompt": " ", "answer": "b"}', "Line 2: the prompt must be a text with something in it"),
        ('{"prompt": null, "answer": "b"}', "Line 2: the prompt must be a text"),
        (json.dumps({"prompt": "a" * 3001, "answer": "b"}), "has 3,001 letters"),
    ],
)
def test_what_is_no_pair_is_told_with_its_line(tmp_path, line, said):
    with pytest.raises(LabError, match=said.replace("(", r"\(")):
        pairs.read(written(tmp_path, {"prompt": "good", "answer": "one"}, line))


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(LabError, match=r"no file nothing\.jsonl in the folder"):
        pairs.read(tmp_path / "nothing.jsonl")
    with pytest.raises(LabError, match="in this folder"):
        pairs.read("nothing.jsonl")
    with pytest.raises(LabError, match=r"is no \.jsonl file"):
        pairs.read(tmp_path / "table.csv")
    with pytest.raises(LabError, match="encoding UTF-8"):
        pairs.read(written(tmp_path, {"prompt": "Müll", "answer": "waste"}, encoding="latin-1"))
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(LabError, match="cannot be read"):
        pairs.read(tmp_path / "folder.jsonl")
    with pytest.raises(LabError, match="DATA is a int"):
        pairs.read(3)


def test_what_was_held_out_stays_so_when_pairs_are_added():
    few, more = pairs.split(many(60)), pairs.split(many(300)[::-1])
    for before, after in zip(few, more, strict=True):
        assert all(pair in after for pair in before)
    assert len(few[0]) + len(few[1]) == 60
    assert 0.2 < len(more[1]) / 300 < 0.4
    shouted = [{**pair, "prompt": pair["prompt"].upper()} for pair in many(60)]
    assert [pair["prompt"].lower() for pair in pairs.split(shouted)[1]] == [pair["prompt"] for pair in few[1]]


def test_too_few_pairs_are_told():
    with pytest.raises(LabError, match=r"8 pairs leave \d to train on, and 20"):
        pairs.split(many(8))
    with pytest.raises(LabError, match=r"60 pairs leave \d to test with, and 10"):
        pairs.split(many(60), share=0.02)
    with pytest.raises(LabError, match="between 0 and 1"):
        pairs.split(many(60), share=30)


def test_choices_are_few_answers_that_come_again():
    assert pairs.choices(many(10)) == ["a", "b"]
    assert pairs.choices([*many(10), {"prompt": "once", "answer": "c"}]) == []
    assert pairs.choices([{"prompt": str(n), "answer": str(n // 2)} for n in range(60)]) == []


def test_the_example_is_fit_for_use():
    rows = pairs.read(teaching_data.file("desks", "messages"))
    assert len(rows) == 200 and pairs.choices(rows) == ["lights", "parks", "roads", "waste", "water"]
    answers = [row["answer"] for row in rows]
    assert {answers.count(desk) for desk in set(answers)} == {40}
    train, test = pairs.split(rows)
    assert all(sum(row["answer"] == desk for row in test) >= 10 for desk in set(answers))
    # No message of the test is one of the training part with a word or two exchanged.
    for row in test:
        words = set(row["prompt"].lower().split())
        for other in train:
            theirs = set(other["prompt"].lower().split())
            assert len(words & theirs) / len(words | theirs) < 0.6, (row, other)
