"""The quiz as buttons, without a browser: a choice is made, its reason read, the result counted when all are made."""

import ipywidgets

from labkit.lessons import exercises, progress
from labkit.lessons.widgets.quiz import quiz_view


def parts(quiz):
    view = quiz_view(quiz)
    buttons = [part for part in view.children if isinstance(part, ipywidgets.RadioButtons)]
    said = [view.children[view.children.index(part) + 1] for part in buttons]
    return view, buttons, said


def test_a_click_shows_the_reason_of_that_choice_and_nothing_is_chosen_before():
    quiz = exercises.lesson("00").quiz
    _, buttons, said = parts(quiz)
    assert all(part.value is None for part in buttons) and not any(part.value for part in said)
    for letter, (_, why) in quiz.questions[0].choices.items():
        buttons[0].value = letter
        verdict = "✓ b) Right" if letter == "b" else f"✗ {letter}) Not yet"
        assert verdict in said[0].value and why.split("*")[0] in said[0].value


def test_the_result_counts_once_every_question_has_an_answer():
    quiz = exercises.lesson("00").quiz
    view, buttons, _ = parts(quiz)
    for place, question in enumerate(quiz.questions[:-1], start=1):
        buttons[place - 1].value = question.answer
        assert f"{place} of 3 right" in view.parts["result"].value
    assert "00.3" not in progress.load()["items"]
    buttons[-1].value = quiz.questions[-1].answer
    assert progress.load()["items"]["00.3"]["status"] == "correct"


def test_a_notebook_shows_buttons_and_keeps_the_words(capsys, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    quiz = exercises.lesson("00").quiz
    quiz._ipython_display_()
    assert shown[0]["text/plain"] == repr(quiz) and "a) a word" in repr(quiz)
    assert shown[0]["application/vnd.jupyter.widget-view+json"]["model_id"]
