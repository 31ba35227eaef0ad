"""Each widget moved in a real JupyterLab, and its output seen to change; the real model answers.

The cells are those of the demos, so that these are run here too: once for all, in one kernel.
"""

import nbformat
import pytest

import labkit
from labkit.base import assets
from tests.browser.jupyterlab import jupyterlab, learners_folder
from tests.browser.moves import MOVES
from tests.browser.pictures import TALL, WIDGETS, place

# The services of lesson 04 for all; and one model, where each demo alone would load its own.
FIRST = """import functools, labkit

labkit.start("04")
labkit.local.load = functools.cache(labkit.local.load)"""
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]


def test_every_widget_has_a_move_and_a_picture():
    assert set(MOVES) == set(WIDGETS) == set(labkit.widgets.__all__)


def shown(cell: dict) -> str:
    """What stands in the place of the widget where there is no browser."""
    return "".join(next(output["data"]["text/plain"] for output in cell["outputs"] if "data" in output))


def test_the_widgets_answer_the_learner(chromium, course_cache, tmp_path):
    folder = learners_folder(tmp_path / "course", [])
    demos = {name: nbformat.read(assets.notebook_dir() / "demos" / f"{name}.ipynb", 4) for name in sorted(MOVES)}
    stored = {name: next(cell for cell in demo.cells if cell.cell_type == "code") for name, demo in demos.items()}
    cells = [nbformat.v4.new_code_cell(source) for source in (FIRST, *(cell.source for cell in stored.values()))]
    kernel = {"name": "python3", "display_name": "Python 3"}  # without it JupyterLab asks which one
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "work" / "widgets.ipynb"
    )
    with jupyterlab(folder, chromium) as lab, lab.page("widgets.ipynb", width=1000, height=TALL) as page:
        lab.run_all(page)
        for (name, was), cell in zip(stored.items(), lab.cells(page)[1:], strict=True):
            assert shown(cell) == shown(was), name
            MOVES[name](page.locator(place(name)))
        assert lab.outside() == []
