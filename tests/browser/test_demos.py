"""Demos opened in Voila: the widget moved, its output seen to change, nothing asked of any other machine.

One demo always, the others once a week: JupyterLab runs the same cells and moves the same widgets (test_widgets.py).
"""

import pytest

from labkit.base import assets
from tests.browser import voila
from tests.browser.jupyterlab import browser
from tests.browser.moves import MOVES

pytest.importorskip("voila", reason="the extra demos is not installed")
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]
NAMES = sorted(file.stem for file in (assets.notebook_dir() / "demos").glob("*.ipynb"))
ALWAYS = "licence_explorer"


@pytest.fixture(scope="module")
def demos(_cache_with_model, chromium):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_CACHE", str(_cache_with_model))
        with voila.demos() as running:
            yield running


@pytest.fixture(scope="module")
def context(chromium):
    with browser(chromium) as opened:
        yield opened


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == ALWAYS else pytest.mark.weekly) for name in NAMES]
)
def test_a_demo_answers_its_visitor(name, demos, context):
    with voila.page(context, demos, f"voila/render/{name}.ipynb") as page:
        view = page.locator(".labkit-view")
        view.wait_for(timeout=voila.READY)
        assert not page.get_by_text("There was an error when executing cell").count()
        assert page.get_by_role("link", name="All demos").count() == 1 and not page.locator("img").count()
        MOVES[name](view)
    assert demos.outside() == [] and demos.complaints == []


def test_every_widget_has_a_demo():
    assert set(NAMES) == set(MOVES)


def test_the_list_leads_to_each_demo_in_both_themes(demos, context):
    with voila.page(context, demos) as page:
        assert page.locator("main li").count() == len(NAMES)
        links = [link.get_attribute("href") for link in page.locator("main a").all()]
        assert {link.split("/")[-1].split(".")[0] for link in links} == set(NAMES)
        assert page.locator("img").evaluate_all("pictures => pictures.every(one => one.naturalWidth > 0)")
        dark = "document.querySelector('meta[name=color-scheme]').content == 'dark'"
        assert not page.evaluate(dark)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # the first thing that the keyboard reaches: the other theme
        page.get_by_role("link", name="Light theme").wait_for()
        assert page.evaluate(dark)
        page.get_by_role("link", name="Licence explorer").click()
        page.locator("body.theme-dark .labkit-view").wait_for(timeout=voila.READY)
    assert demos.outside() == []


def test_who_leaves_a_page_ends_its_kernel(demos, context):
    before = demos.kernels()
    with voila.page(context, demos, "voila/render/licence_explorer.ipynb") as page:
        page.locator(".labkit-view").wait_for(timeout=voila.READY)
        (kernel,) = set(demos.kernels()) - set(before)
        page.get_by_role("link", name="All demos").click()
        page.get_by_role("heading", name="Open Models Lab: demos").wait_for()
        kernel.wait(timeout=60)


def test_a_demo_that_is_not_there_is_said_with_a_way_back(demos, context):
    with voila.page(context, demos, "voila/render/nobody.ipynb") as page:
        page.get_by_text("This demo cannot be shown.").wait_for()
    assert demos.outside() == []
