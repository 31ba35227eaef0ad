"""The generated cells follow from the project's settings, and the set-up cell installs nothing unasked."""

from __future__ import annotations

import builtins
import importlib.util
import sys
import types

import pytest
from IPython.core.inputtransformer2 import TransformerManager

import labkit
from author import template
from author.template import Source
from labkit.base import assets
from labkit.base.errors import LabError
from labkit.front import lesson_list

FORK = Source("open-models-lab", "someone/fork", "spring")


def test_badges_lead_to_this_file_of_this_repository():
    badges = template.badges("notebooks/05_topic.ipynb", FORK)
    assert "https://colab.research.google.com/github/someone/fork/blob/spring/notebooks/05_topic.ipynb" in badges
    assert "https://mybinder.org/v2/gh/someone/fork/spring?urlpath=lab%2Ftree%2Fnotebooks%2F05_topic.ipynb" in badges


def test_the_settings_are_those_of_pyproject():
    assert template.source().distribution == "open-models-lab"
    where = template.source()
    assert where.release == f"v{labkit.__version__}"  # never a branch that moves under a class
    assert f"{where.repository}@{where.release}" in template.setup_cell("05")


def test_the_readme_leads_to_every_lesson_of_this_repository_and_of_a_fork():
    root = assets.checkout()
    if root is None:
        pytest.skip("needs a checkout")
    text = (root / template.README).read_text(encoding="utf-8")
    assert template.pointed(text) == text
    moved = template.pointed(text, FORK)
    for lesson in lesson_list.lessons():
        assert all(address in text for address in template.addresses(lesson.file))
        assert all(address in moved for address in template.addresses(lesson.file, FORK))
    assert template.source().repository not in "".join(line for line in moved.splitlines() if "colab." in line)


def test_only_lessons_have_a_number():
    assert template.number_of("05_running_locally.ipynb") == "05"
    for name in ("5_topic.ipynb", "05_Topic.ipynb", "05topic.ipynb", "05_topic.py"):
        with pytest.raises(LabError, match="is not a lesson's name"):
            template.number_of(name)


def installs(monkeypatch, *, colab: bool, labkit_there: bool) -> list[str]:
    """What the set-up cell hands to %pip in such a place."""
    asked: list[str] = []
    shell = types.SimpleNamespace(run_line_magic=lambda name, line: asked.append(f"{name} {line}"))
    monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    if colab:
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if labkit_there else None)
    course = types.ModuleType("labkit")
    course.start, course.____ = lambda lesson: lesson, "blank"
    course.exercises = types.SimpleNamespace(lesson=lambda lesson: f"exercises of {lesson}")
    monkeypatch.setitem(sys.modules, "labkit", course)
    names: dict = {}
    exec(TransformerManager().transform_cell(template.setup_cell("05", FORK)), names)
    assert (names["lab"], names["q"], names["____"]) == ("05", "exercises of 05", "blank")
    return asked


def test_only_colab_without_the_course_installs_it(monkeypatch):
    expected = 'pip install --quiet "open-models-lab @ git+https://github.com/someone/fork@spring"'
    assert installs(monkeypatch, colab=True, labkit_there=False) == [expected]
    assert installs(monkeypatch, colab=True, labkit_there=True) == []
    assert installs(monkeypatch, colab=False, labkit_there=False) == []
