"""The standard that every exercise of every lesson is held to; a new lesson's module is found by its name."""

import re
from pathlib import Path

import nbformat
import pytest

import labkit
from labkit.base import assets
from labkit.lessons import exercises
from labkit.lessons.exercises import ____, coded
from labkit.lessons.exercises.coded import Coded
from labkit.lessons.exercises.questions import Open, Quiz
from tests.rows import every

LESSONS = sorted(re.findall(r"lesson(\d\d)\.py", " ".join(f.name for f in Path(exercises.__file__).parent.iterdir())))
ALL = [exercise for lesson in LESSONS for _, exercise in exercises.lesson(lesson)]
CODED = [item for item in ALL if isinstance(item, Coded)]
QUIZZES = [item for item in ALL if isinstance(item, Quiz)]
OPEN = [item for item in ALL if isinstance(item, Open)]


def number(exercise: coded.Exercise) -> str:
    return exercise.number


def answer(exercise: Coded, source: str) -> coded.Outcome:
    """Run a source as a learner's cell, and check the names that it defines."""
    cell: dict = {"____": ____}
    exec(source, cell)
    return exercise.check(**{name: cell[name] for name in exercise.names})


def test_there_are_lessons_to_hold():
    assert {"00", "05"} <= set(LESSONS)


@every(LESSONS)
def test_a_lesson_has_three_to_five_of_all_kinds_and_uses_each(lesson):
    found = dict(exercises.lesson(lesson))
    assert 3 <= len(found) <= 5
    assert {Coded, Quiz, Open} == {kind for kind in (Coded, Quiz, Open) for e in found.values() if isinstance(e, kind)}
    assert [exercise.number for exercise in found.values()] == [f"{lesson}.{n}" for n in range(1, len(found) + 1)]
    (notebook,) = assets.notebook_dir().glob(f"{lesson}_*.ipynb")
    code = "\n".join(cell.source for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code")
    assert all(f"q.{name}.check(" in code for name in found if name != "quiz") and code.count("\nq.quiz\n") == 1


@every(ALL, number)
def test_hints_escalate_and_stay_at_the_last(exercise):
    assert len(exercise.hints) >= 2
    given = [str(exercise.hint()) for _ in range(len(exercise.hints) + 1)]
    assert len(set(given)) == len(exercise.hints) and given[-1] == given[-2]
    assert str(exercise.hint(1)) == given[0]
    with pytest.raises(labkit.LabError, match="ask for 1 to"):
        exercise.hint(99)


@pytest.mark.usefixtures("course_cache")  # lesson 00 asks the real tokenizer
@every(CODED, number)
def test_the_reference_solution_is_correct_and_explained(exercise):
    outcome = answer(exercise, exercise.code)
    assert outcome.status == "correct", outcome
    assert exercise.code.strip() in str(exercise.solution()) and exercise.why in str(exercise.solution())


@pytest.mark.usefixtures("course_cache")  # lesson 00 asks the real tokenizer
@every(CODED, number)
def test_another_correct_way_is_accepted(exercise):
    assert exercise.also_correct
    for source in exercise.also_correct:
        assert answer(exercise, source).status == "correct", source


@pytest.mark.usefixtures("course_cache")  # lesson 00 asks the real tokenizer
@every(CODED, number)
def test_plausible_mistakes_are_rejected_and_named(exercise):
    assert len(exercise.mistakes) >= 3
    for source, piece in exercise.mistakes:
        outcome = answer(exercise, source)
        assert outcome.status == "wrong", (source, outcome)
        assert piece in outcome.message, (source, outcome)


@every(CODED, number)
def test_untouched_is_not_wrong(exercise):
    values = dict.fromkeys(exercise.names, ____)
    assert exercise.check(**values).status == "unattempted"
    assert exercise.check(*values.values()).message.startswith("Not attempted yet: replace each ____")
    assert exercise.check(wrong_name=1).status == "error"


@every(QUIZZES, number)
def test_a_quiz_explains_every_choice_of_three_to_six_questions(exercise):
    assert 3 <= len(exercise.questions) <= 6 and len({q.ask for q in exercise.questions}) == len(exercise.questions)
    right = [question.answer for question in exercise.questions]
    for place, question in enumerate(exercise.questions):
        assert 3 <= len(question.choices) <= 6 and question.ask in repr(exercise)
        explanations = [why for _, why in question.choices.values()]
        assert len(set(explanations)) == len(explanations) and all(len(why.split()) > 5 for why in explanations)
        for letter, (text, why) in question.choices.items():
            outcome = exercise.check(*right[:place], f" {letter.upper()}) ", *right[place + 1 :])
            assert outcome.status == ("correct" if letter == question.answer else "wrong")
            assert f"{place + 1}. {letter})" in outcome.message and why in outcome.message and text in repr(exercise)
        assert question.choices[question.answer][1] in str(exercise.solution())


@every(QUIZZES, number)
def test_a_quiz_can_be_answered_in_part_and_names_what_it_cannot_read(exercise):
    right = [question.answer for question in exercise.questions]
    blank = [____] * len(right)
    assert exercise.check(____).status == exercise.check(*blank).status == exercise.check().status == "unattempted"
    part = exercise.check(right[0], *blank[1:])
    assert part.status == "unattempted" and f"1 of {len(right)} right" in part.message and "still open" in part.message
    assert exercise.check("z", *right[1:]).status == "error"
    assert "one letter for each" in exercise.check("a").message


def test_the_right_letter_is_not_always_the_same_one():
    letters = [question.answer for item in QUIZZES for question in item.questions]
    assert all(letters.count(letter) < len(letters) / 2 for letter in set(letters))


@every(OPEN, number)
def test_an_open_question_takes_an_answer_and_shows_its_rubric(exercise):
    assert len(exercise.rubric) >= 3
    assert exercise.check(____).status == exercise.check("  ").status == "unattempted"
    assert exercise.check("Yes.").status == exercise.check("llama " * 10).status == "wrong"
    assert exercise.check(3).status == "error"
    taken = exercise.check(exercise.example)
    assert taken.status == "written" and all(point in taken.message for point in exercise.rubric)
    assert exercise.example in str(exercise.solution()) and exercise.question in repr(exercise)
