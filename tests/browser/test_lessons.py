"""Lessons opened in JupyterLab and run with Run All, as a learner does it: 00 always, the others once a week."""

import re

import pytest

from labkit.base import assets
from labkit.front import lesson_list
from tests.browser.jupyterlab import jupyterlab, learners_folder

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]


ALWAYS = "00"
NUMBERS = [
    pytest.param(lesson.number, marks=() if lesson.number == ALWAYS else pytest.mark.weekly)
    for lesson in lesson_list.lessons()
]


@pytest.mark.parametrize("number", NUMBERS)
def test_run_all_works_in_a_real_browser(number, chromium, course_cache, tmp_path):
    (lesson,) = assets.notebook_dir().glob(f"{number}_*.ipynb")
    folder = learners_folder(tmp_path / "course", [lesson])
    with jupyterlab(folder, chromium) as lab, lab.page(lesson.name, height=3000) as page:
        lab.run_all(page)
        cells = [cell for cell in lab.cells(page) if cell["cell_type"] == "code"]
        assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
        shown = [output.get("data", {}).get("text/plain", "") for cell in cells for output in cell["outputs"]]
        widgets = [text for text in shown if "run this cell to use it" in "".join(text)]
        page.locator(".labkit-view").nth(len(widgets) - 1).wait_for(timeout=60_000)
        assert page.locator(".labkit-view").count() == len(widgets)
        # The quiz by the keyboard alone: the first choice, and one further down.
        quiz = page.locator(".labkit-quiz")
        quiz.get_by_role("radio").first.press("Space")
        quiz.get_by_text(re.compile("a\\) (Right|Not yet): ")).wait_for(timeout=20_000)
        page.keyboard.press("ArrowDown")
        quiz.get_by_text(re.compile("b\\) (Right|Not yet): ")).wait_for(timeout=20_000)
        assert not page.get_by_text(re.compile("Error displaying widget|Loading widget")).count()
        for picture in page.locator(".jp-RenderedMarkdown img").all():
            assert picture.evaluate("image => image.naturalWidth") > 0
        assert lab.outside() == []
