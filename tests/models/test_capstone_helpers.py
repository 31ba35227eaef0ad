"""A learner's own file: read with care, split the same way everywhere, asked in the same words by both engines."""

from __future__ import annotations

import csv
import json

import pytest

from labkit.base.errors import LabError
from labkit.facts import teaching_data
from labkit.models import capstone

GOOD = [{"message": f"message {number}", "answer": "ab"[number % 2]} for number in range(60)]


def jsonl(folder, rows):
    file = folder / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_jsonl_and_csv_say_the_same(tmp_path):
    table = tmp_path / "mine.csv"
    lines = ["message,answer,note", *(f'"{row["message"]}", {row["answer"]} ,x' for row in GOOD)]
    table.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")  # as a spreadsheet saves it
    assert capstone.read(table) == capstone.read(jsonl(tmp_path, GOOD)) == GOOD


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"message": "a", "label": "b"}], "line 1 needs the fields message and answer"),
        ([*GOOD, {"message": "", "answer": "a"}], "line 61: the message has 0 characters"),
        ([*GOOD, {"message": "x" * 3000, "answer": "a"}], "line 61: the message has 3000 characters"),
        ([*GOOD, {"message": "message 0", "answer": "b"}], "line 61: this message stands there before"),
        ([*GOOD, ["a", "b"]], "line 61 needs the fields"),
        (GOOD[:39], "39 different messages"),
        (GOOD[:20] * 3, "20 different messages"),
        ([{**row, "answer": "a"} for row in GOOD], "one answer only"),
        (
            [{**row, "answer": "aA"[number % 2]} for number, row in enumerate(GOOD)],
            "the answers 'A' and 'a': write them",
        ),
    ],
)
def test_what_cannot_be_learnt_from_is_told_with_its_line(tmp_path, rows, said):
    with pytest.raises(LabError, match=said):
        capstone.read(jsonl(tmp_path, rows))


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_spreadsheets_csv_is_read_whole(tmp_path, capsys, mark):
    """Any country's separator, capitals in the header, line breaks and the separator itself within quotes."""
    rows = [dict(row) for row in GOOD]
    rows[3]["message"] = f'two{mark} said "he"\non two lines'
    file = tmp_path / "mine.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["Answer", "when", "Message "], delimiter=mark)
        writer.writeheader()
        writer.writerows({"Answer": row["answer"], "when": "today", "Message ": row["message"]} for row in rows)
    assert capstone.read(file) == rows
    assert ("stand between the fields" in capsys.readouterr().out) == (mark != ",")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["message,answer", "one, two,a"], "line 2 has more fields than the first line: a text with commas in it"),
        (["message,answer", '"one\ntwo",a', "three, four,a"], "line 4 has more fields"),
        (["message,answer", "one"], "line 2 needs the fields"),
        (["text;label", "one;a"], "has the columns text, label: two of them must be named"),
    ],
)
def test_a_csv_that_would_be_cut_in_silence_is_refused_by_line(tmp_path, lines, said):
    (tmp_path / "mine.csv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(LabError, match=said):
        capstone.read(tmp_path / "mine.csv")


def test_rare_characters_within_a_text_end_no_line(tmp_path):
    rows = [{**row, "message": row["message"] + " \u2028\u0085\x0c."} for row in GOOD]
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    assert capstone.read(file) == rows


def test_files_that_are_no_files(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"\xff\xfe{")
    (tmp_path / "b.jsonl").write_text('{"message": ', encoding="utf-8")
    for name, said in (
        ("a.jsonl", "UTF-8"),
        ("b.jsonl", "line 1 is no JSON"),
        ("c.jsonl", "is it there"),
        ("d.xlsx", "neither"),
    ):
        with pytest.raises(LabError, match=said):
            capstone.read(tmp_path / name)


def test_the_split_is_the_same_in_any_order_and_balanced():
    rows = capstone.read(teaching_data.file("messages", "all"))
    learn, judge = capstone.split(rows)
    assert (learn, judge) == capstone.split(rows[::-1])
    assert (len(learn), len(judge)) == (125, 75)
    assert {row["message"] for row in learn}.isdisjoint(row["message"] for row in judge)
    answers = [row["answer"] for row in judge]
    assert {answers.count(answer) for answer in answers} == {15}


def test_answers_that_never_repeat_are_split_too():
    rows = [{"message": f"m{number}", "answer": f"a{number}"} for number in range(50)]
    learn, judge = capstone.split(rows, share=0.2)
    assert (len(learn), len(judge)) == (40, 10)
    with pytest.raises(LabError, match="between 0 and 1"):
        capstone.split(rows, share=1.0)


def test_a_conversation_holds_instruction_examples_and_message():
    found = capstone.conversation("Sort.", "three", shots=GOOD[:2])
    assert [turn["role"] for turn in found] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert found[-1]["content"] == "three"
    assert capstone.conversation("Sort.", "three", answer="a")[-1] == {"role": "assistant", "content": "a"}


@pytest.mark.slow
def test_both_engines_are_asked_the_same(pair):
    from labkit.world.model_server.service import model_server

    rows = [
        {"message": "What is the capital of France?", "answer": "Paris"},
        {"message": "What is the capital of Italy?", "answer": "a city that is not there"},
    ]
    instruction = "Answer with one word and nothing else."
    shots = [{"message": "What is the capital of Spain?", "answer": "Madrid"}]
    model, tokenizer = pair
    score = capstone.evaluate(model, tokenizer, rows, instruction, shots=shots)
    assert list(score.rows.right) == [True, False] and score.rows.answered[0].strip() == "Paris"
    served, seconds = capstone.evaluate_server(model_server(), rows, instruction)
    assert (served.total, served.correct in (0, 1)) == (2, True) and seconds > 0
    assert "Paris" in served.rows.answered[0] and not served.rows.right[1]
