"""The search map shows what `nearest` says, as text and never as HTML, and a wrong question in words."""

import pytest

import labkit
from labkit.models import retrieval

PASSAGES = [
    {"id": "a-01", "document": "Pool: rules", "text": "The slide is <b>62</b> metres long."},
    {"id": "a-02", "document": "Pool: rules", "text": "Dogs stay outside."},
    {"id": "b-01", "document": "Hut: guide", "text": "Bread is baked on Wednesdays."},
]


@pytest.fixture
def view(course_cache):
    return labkit.widgets.search_map(retrieval.Search(PASSAGES), "How long is the slide?")


def test_it_shows_what_nearest_says_and_follows_its_controls(view):
    html = view.parts["output"].value
    assert html.index("1. a-01") < html.index("2. ") < html.index("3. ") and "shared words: long slide" in html
    assert "&lt;b&gt;62" in html and "<b>62" not in html
    view.parts["count"].value = 1
    assert "2. " not in view.parts["output"].value
    view.parts["question"].value = "baked"
    assert "1. b-01" in view.parts["output"].value and "nearest: b-01" in view.parts["output"].value


def test_an_empty_question_is_a_sentence(view):
    view.parts["question"].value = " "
    assert "There is no question: write at least one word." in view.parts["output"].value
