"""The widgets without a browser: their values set, their buttons clicked, their HTML read."""

import threading
import time

import pytest

import labkit
from labkit.base.errors import LabError
from labkit.facts import tokens
from labkit.lessons.widgets import base


def test_token_explorer_follows_the_text(pair):
    view = labkit.widgets.token_explorer(pair[1], text="one two")
    assert "<b>2 tokens</b> · 2 words · 7 characters" in view.parts["output"].value
    view.parts["text"].value = "<script>alert(1)</script>"
    html = view.parts["output"].value
    assert "<script" not in html and "&lt;" in html
    view.parts["details"].value = True
    assert "3c" in view.parts["output"].value
    view.parts["text"].value = ""
    assert "<b>0 tokens</b>" in view.parts["output"].value


def test_token_explorer_compares_the_cost_of_languages(pair):
    view = labkit.widgets.token_explorer(pair[1], text="one two")
    assert "times the cost" not in view.parts["output"].value
    view.parts["languages"].value = True
    html = view.parts["output"].value
    for language, row in tokens.by_language(pair[1]).iterrows():
        assert f">{language}</td>" in html and f"<b>{row.times:.1f} times the cost</b>" in html
    view.parts["text"].value = "three"
    assert "<b>1 token</b>" in view.parts["output"].value and "times the cost" in view.parts["output"].value


def test_a_text_that_would_take_long_is_said_at_once(pair, monkeypatch):
    view = labkit.widgets.sampling_playground(*pair)
    monkeypatch.setattr(type(pair[0]), "forward", lambda *_, **__: pytest.fail("the model ran"))
    view.parts["prompt"].value = "sea " * 501
    assert "tokens, and the widget takes 500 at most: shorten it." in view.parts["output"].value


def test_work_is_announced_before_it_begins(pair, monkeypatch):
    view, seen = labkit.widgets.sampling_playground(*pair), []
    view.parts["output"].observe(lambda change: seen.append(change["new"]), "value")
    view.parts["prompt"].value = "Once upon a time"
    assert len(seen) == 2 and "working ..." in seen[0] and "tokens can be drawn" in seen[1]


def test_an_unknown_name_is_a_sentence_with_what_there_is():
    with pytest.raises(LabError, match="no model 'gpt-4' in the catalogue: did you mean"):
        labkit.widgets.memory_planner("gpt-4")
    with pytest.raises(LabError, match="no use 'sell' here: choose one of"):
        labkit.widgets.licence_explorer(use="sell")
    with pytest.raises(LabError, match=r"write billions=\(0, 2\)"):
        labkit.hub.search(billions=2)


def test_a_moved_slider_says_its_name_and_value():
    view = labkit.widgets.memory_planner("mistral-7b", free_gb=16)
    view.parts["tokens"].value = 32_768
    assert "Tokens a conversation: 32,768<" in view.children[-1].value
    view.parts["batch"].value = 4
    assert "Conversations at once: 4<" in view.children[-1].value
    view = labkit.widgets.break_even()
    view.parts["requests_per_month"].value = 1e6
    assert "Requests a month: 1e+06" not in view.children[-1].value
    assert "Requests a month: 1,000,000<" in view.children[-1].value


def test_what_is_drawn_is_printed_and_announced():
    assert "print-color-adjust:exact" in base.block("x") and 'aria-live="polite"' in base.block("x")


def test_a_very_long_text_is_cut_in_the_view_only(pair):
    view = labkit.widgets.token_explorer(pair[1], text="sea " * 3000)
    assert "more</p>" in view.parts["output"].value and "3,000 words" in view.parts["output"].value


def test_sampling_playground_obeys_its_sliders(pair):
    view = labkit.widgets.sampling_playground(*pair)
    assert "49,152 of 49,152 tokens can be drawn" in view.parts["output"].value
    view.parts["top_k"].value = 3
    html = view.parts["output"].value
    assert "<b>3 of 49,152" in html and html.count(">cut<") == 9 and "top_k=3" in html
    view.parts["temperature"].value = 0.0
    assert "<b>1 of 49,152" in view.parts["output"].value
    view.parts["prompt"].value = "Once upon a time, there was a"
    assert "small" in view.parts["output"].value


def test_a_slider_runs_the_model_no_more(pair, monkeypatch):
    view = labkit.widgets.sampling_playground(*pair)
    monkeypatch.setattr(type(pair[0]), "forward", lambda *_, **__: pytest.fail("the model ran again"))
    view.parts["top_p"].value = 0.5
    assert "top_p=0.5" in view.parts["output"].value


def test_an_error_is_a_sentence_in_the_widget(pair):
    view = labkit.widgets.sampling_playground(*pair)
    view.parts["prompt"].value = ""
    assert "That did not work.</b> The prompt is empty" in view.parts["output"].value
    view.parts["prompt"].value = "Hello"
    assert "tokens can be drawn" in view.parts["output"].value


def wait(view: base.View) -> None:
    deadline = time.monotonic() + 60
    while view.parts["send"].disabled and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not view.parts["send"].disabled


def say(view: base.View, text: str) -> None:
    view.parts["text"].value = text
    view.parts["send"].click()


def test_chat_answers_with_the_real_model_and_remembers(pair):
    view = labkit.widgets.chat(*pair)
    say(view, "What is the capital of France?")
    wait(view)
    html = view.parts["output"].value
    assert "<b>You:</b> What is the capital of France?" in html and "The capital of France is Paris." in html
    assert "done: 6 words" in html and view.parts["text"].value == ""


def test_chat_passes_the_whole_conversation_and_the_system_message():
    seen = []

    def reply(messages, stop):
        seen.append([message["role"] for message in messages])
        yield "yes"

    view = labkit.widgets.chat(reply=reply, system="Be brief.")
    for question in ("one", "two"):
        say(view, question)
        wait(view)
    assert seen == [["system", "user"], ["system", "user", "assistant", "user"]]
    view.parts["clear"].click()
    say(view, "three")
    wait(view)
    assert seen[-1] == ["system", "user"]


def test_chat_stops_when_asked():
    def reply(messages, stop):
        while not stop.is_set():
            yield "again "
            time.sleep(0.01)

    view = labkit.widgets.chat(reply=reply)
    say(view, "go on")
    time.sleep(0.3)
    assert not view.parts["stop"].disabled
    say(view, "a second question is ignored while an answer runs")
    view.parts["stop"].click()
    wait(view)
    for thread in [thread for thread in threading.enumerate() if thread.name == "labkit-widget"]:
        thread.join(timeout=5)
    assert "stopped:" in view.parts["output"].value
    assert not [thread for thread in threading.enumerate() if thread.name == "labkit-widget"]


@pytest.mark.parametrize("fails", [False, True])
def test_clear_does_not_wait_and_what_comes_later_is_dropped(fails):
    may_go_on, ended = threading.Event(), threading.Event()

    def reply(messages, stop):
        if messages[-1]["content"] != "old":
            yield "new answer"
            return
        try:
            may_go_on.wait(timeout=20)
            if fails:
                raise LabError("too late")
            yield "old answer"
        finally:
            ended.set()

    view = labkit.widgets.chat(reply=reply)
    say(view, "old")
    began = time.monotonic()
    view.parts["clear"].click()
    assert time.monotonic() - began < 10  # the answer would take twice as long
    assert "No messages yet." in view.parts["output"].value
    say(view, "new")
    wait(view)
    shown = view.parts["output"].value
    may_go_on.set()
    assert ended.wait(timeout=20)
    time.sleep(0.2)
    assert "new answer" in shown and view.parts["output"].value == shown


def test_enter_sends():
    view = labkit.widgets.chat(reply=lambda messages, stop: iter(["hello"]))
    view.parts["text"].value = "hi"
    view.parts["text"]._submission_callbacks(view.parts["text"])
    wait(view)
    assert "hello" in view.parts["output"].value


@pytest.mark.parametrize("error", [LabError("The model went home."), ValueError("<b>no</b>")])
def test_a_failed_answer_is_told_and_its_question_handed_back(error):
    def reply(messages, stop):
        yield "half"
        raise error

    view = labkit.widgets.chat(reply=reply)
    say(view, "hi")
    wait(view)
    html = view.parts["output"].value
    assert "That did not work." in html and "<b>no</b>" not in html
    assert "No messages yet." in html and view.parts["text"].value == "hi", "the question can be sent again"


def test_empty_questions_are_not_sent():
    view = labkit.widgets.chat(reply=lambda messages, stop: pytest.fail("sent"))
    say(view, "   ")
    assert not view.parts["send"].disabled


def test_where_widgets_cannot_live_their_name_stands():
    view = labkit.widgets.chat(reply=lambda messages, stop: iter(()))
    assert repr(view) == "<Chat: run this cell to use it>"
