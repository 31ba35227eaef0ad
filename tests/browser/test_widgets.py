"""Each widget moved in a real JupyterLab, and its output seen to change; the real model answers."""

import pytest

import labkit.widgets
from tests.browser.jupyterlab import jupyterlab, learners_folder
from tests.browser.moves import MOVES
from tests.browser.pictures import TALL, WIDGETS, place, widget_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]


def test_every_widget_has_a_move_and_a_picture():
    assert set(MOVES) == set(WIDGETS) == set(labkit.widgets.__all__)


def test_the_widgets_answer_the_learner(chromium, course_cache, tmp_path):
    folder = learners_folder(tmp_path / "course", [])
    widget_notebook(folder / "work" / "widgets.ipynb")
    with jupyterlab(folder, chromium) as lab, lab.page("widgets.ipynb", width=1000, height=TALL) as page:
        lab.run_all(page)
        for name in WIDGETS:
            MOVES[name](page.locator(place(name)))
        assert lab.outside() == []
