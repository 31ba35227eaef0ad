"""The list of lessons is read from the notebooks, and a wrong number is answered with the right ones."""

from __future__ import annotations

import json

import pytest

from labkit.base.errors import LabError
from labkit.front import lesson_list
from labkit.front.lesson_list import LessonInfo


def test_a_lesson_describes_itself(lesson):
    file = lesson()
    assert lesson_list.lessons(file.parent) == [LessonInfo("05", "A topic", "05_topic.ipynb", 45)]


def test_what_is_no_lesson_is_not_listed(lesson):
    file = lesson()
    (file.parent / "draft.ipynb").write_text("{}", encoding="utf-8")
    assert len(lesson_list.lessons(file.parent)) == 1


def test_a_lesson_that_says_nothing_of_itself_is_listed_by_its_file(tmp_path):
    (tmp_path / "07_quiet.ipynb").write_text(json.dumps({"cells": []}), encoding="utf-8")
    assert lesson_list.lessons(tmp_path) == [LessonInfo("07", "07_quiet", "07_quiet.ipynb", None)]


@pytest.mark.parametrize("text", ["", "[]", "{half", '{"cells": [1]}'])
def test_a_broken_file_is_one_sentence(tmp_path, text):
    (tmp_path / "07_broken.ipynb").write_text(text, encoding="utf-8")
    with pytest.raises(LabError, match=r"07_broken\.ipynb is not a readable notebook"):
        lesson_list.lessons(tmp_path)


def test_lessons_are_found_by_number_and_by_path(lesson):
    file = lesson()
    for word in ("5", "05", str(file)):
        assert lesson_list.find([word], file.parent) == [file]
    assert lesson_list.find([], file.parent) == [file]
    for word in ("6", "five", "none.ipynb", "-5", ""):
        with pytest.raises(LabError, match="this version of the course has 05"):
            lesson_list.find([word], file.parent)


def test_a_course_without_lessons_is_said(tmp_path):
    with pytest.raises(LabError, match="There are no lessons"):
        lesson_list.find([], tmp_path)
