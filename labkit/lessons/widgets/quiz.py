"""The quiz as buttons: one of a question's choices is clicked, and its reason appears at once.

A view of `labkit.exercises.lesson(...).quiz`, whose `check` takes letters and says the same. It has no function in
`labkit.widgets`: the quiz shows itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import ipywidgets

from labkit.lessons.widgets import base

if TYPE_CHECKING:
    from labkit.lessons.exercises.questions import Question, Quiz

# A choice may be longer than a line, which the buttons of ipywidgets are not made for.
_STYLE = (
    "<style>.labkit-quiz .widget-radio-box label{display:flex;align-items:baseline;gap:6px;height:auto;width:auto;"
    "max-width:100%;line-height:1.4;padding:2px 0;white-space:normal}"
    ".labkit-quiz .widget-radio-box input{flex:none;margin:0}</style>"
)
_LOOKS = {True: ("\u2713", "rgba(15,157,88,.22)"), False: ("\u2717", "rgba(217,48,37,.18)")}


def quiz_view(quiz: Quiz) -> base.View:
    """The questions with their choices. The result counts in the progress once every question has an answer."""
    result = base.panel()
    rows = [_row(place, question) for place, question in enumerate(quiz.questions, start=1)]
    chosen = [buttons for _, buttons, _ in rows]

    def judge(*_: object) -> None:
        letters = [buttons.value for buttons in chosen]
        status, message = quiz.judge(letters)
        if all(letters):
            message = quiz.recorded(status, message).message
        right, *rest = message.splitlines()
        lost = [line for line in rest if not line.startswith("  ")]  # that the progress could not be saved
        result.value = base.block(f"<p><b>{base.escape(' '.join([right, *lost]))}</b></p>")

    for buttons in chosen:
        buttons.observe(judge, "value")
    title = ipywidgets.HTML(f'{_STYLE}<p style="{base.TEXT}"><b>{base.escape(quiz.title)}</b></p>')
    return base.View("Quiz", [title, *(part for row in rows for part in row), result], result=result)


def _row(place: int, question: Question) -> tuple[ipywidgets.HTML, ipywidgets.RadioButtons, ipywidgets.HTML]:
    """What is asked, the buttons for its choices, and the place for what is said of the one that was clicked."""
    asked = ipywidgets.HTML(f'<p style="{base.TEXT};margin-top:8px">{place}. {_marked(question.ask)}</p>')
    choices = [(f"{letter}) {text}", letter) for letter, (text, _) in question.choices.items()]
    buttons = ipywidgets.RadioButtons(options=choices, value=None, layout=ipywidgets.Layout(width="98%"))
    said = base.panel()

    def show(change: dict) -> None:
        sign, tint = _LOOKS[change["new"] == question.answer]
        text = _marked(f"{sign} {question.verdict(change['new'])}")
        said.value = base.block(f'<p style="background:{tint};padding:4px 10px;border-radius:2px">{text}</p>')

    buttons.observe(show, "value")
    return asked, buttons, said


def _marked(text: str) -> str:
    """Text as HTML, with the two marks that quizzes use: *emphasis* and `code`."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", re.sub(r"\*(\w[^*]*)\*", r"<em>\1</em>", base.escape(text)))
