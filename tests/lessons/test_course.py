"""The list of lessons is that of the notebooks, the exercises and the quizzes: no lesson is half there."""

from pathlib import Path

from labkit.base import assets
from labkit.front import lesson_list
from labkit.lessons import exercises
from labkit.lessons.course import LESSONS


def test_every_lesson_is_in_every_place():
    modules = Path(exercises.__file__).parent.glob("lesson[0-9][0-9].py")
    assert list(LESSONS) == [lesson.number for lesson in lesson_list.lessons()]
    assert list(LESSONS) == sorted(file.stem.removeprefix("lesson") for file in modules)
    assert list(LESSONS) == sorted(file.stem for file in assets.path("quizzes").glob("*.toml"))
