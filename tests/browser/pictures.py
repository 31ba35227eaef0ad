"""Make the course's pictures anew: `python -m tests.browser.pictures`; with `--dark FOLDER`, to look at the dark theme.

Each is a screenshot of the real thing in a real JupyterLab, with the real model's answers.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat

from labkit import assets
from tests.browser.jupyterlab import Lab, jupyterlab, learners_folder

START = (
    "import labkit, labkit.families, labkit.widgets\nlab = labkit.start('04')\nmodel, tokenizer = labkit.local.load()"
)
QUESTION_HERE = "Ask something, then press Enter"
WIDGETS = {
    "widget-token-explorer": "labkit.widgets.token_explorer(tokenizer)",
    "widget-sampling-playground": "labkit.widgets.sampling_playground(model, tokenizer, 'Once upon a time')",
    "widget-chat": "labkit.widgets.chat(model, tokenizer)",
    "widget-quantization-explorer": (
        "labkit.widgets.quantization_explorer(model.model.layers[10].mlp.down_proj.weight[:256])"
    ),
    "widget-memory-planner": "labkit.widgets.memory_planner('mistral-7b', free_gb=16)",
    "widget-lora-explorer": "labkit.widgets.lora_explorer('llama-2-7b', rank=64)",
    "widget-licence-explorer": "labkit.widgets.licence_explorer(use='train_another_model_on_outputs')",
    "widget-break-even": "labkit.widgets.break_even()",
    "widget-router-view": "labkit.widgets.router_view(labkit.families.as_mixtral(model), tokenizer)",
    "widget-hub-search": "labkit.widgets.hub_search(free_gb=8)",
    "widget-api-playground": (
        "from huggingface_hub import InferenceClient\n"
        "labkit.widgets.api_playground(InferenceClient(provider='auto'), lab.model.repo_id)"
    ),
}


def widget_notebook(file: Path) -> None:
    """A notebook with each widget in a cell of its own."""
    cells = [nbformat.v4.new_code_cell(source) for source in (START, *WIDGETS.values())]
    kernel = {"name": "python3", "display_name": "Python 3"}  # without it JupyterLab asks which one
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), file)


def ask(page: Any, question: str) -> None:
    """Type a question into the chat and press Enter."""
    entry = page.get_by_placeholder(QUESTION_HERE)
    entry.scroll_into_view_if_needed()
    entry.fill(question)
    entry.press("Enter")


def main(arguments: list[str]) -> int:
    dark = "--dark" in arguments
    places = [Path(item) for item in arguments if not item.startswith("--")]
    target = places[0] if places else assets.path("figures")
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as place:
        folder = learners_folder(Path(place) / "course", sorted(assets.notebook_dir().glob("*.ipynb")))
        widget_notebook(folder / "work" / "widgets.ipynb")
        with jupyterlab(folder, executable, theme="JupyterLab Dark" if dark else "JupyterLab Light") as lab:
            _widgets(lab, target)
            _course(lab, target)
    return 0


def _widgets(lab: Lab, target: Path) -> None:
    with lab.page("widgets.ipynb", width=1000, height=3200) as page:
        lab.run_all(page)
        page.get_by_role("slider").first.wait_for()
        page.get_by_placeholder(QUESTION_HERE).wait_for()
        for _ in range(8):
            page.get_by_role("slider").nth(1).press("ArrowRight")  # top-k 8, so that the picture shows a cut
        ask(page, "What is the capital of France?")
        page.get_by_text("done:").wait_for(timeout=60_000)
        page.get_by_role("button", name="Ask both").click()
        page.get_by_text("if it were gpt-4o").nth(1).wait_for(timeout=60_000)
        time.sleep(1)
        for name, view in zip(WIDGETS, page.locator(".labkit-view").all(), strict=True):
            view.screenshot(path=target / f"{name}.png")


def _course(lab: Lab, target: Path) -> None:
    with lab.page("00_start_here.ipynb", width=1280, height=1060) as page:
        lab.run_all(page)
        page.keyboard.press("Control+b")  # more room for the lesson
        heading = page.get_by_role("heading", name="2. Talk to an open model").first
        heading.scroll_into_view_if_needed()
        heading.evaluate("node => node.scrollIntoView({block: 'start'})")
        time.sleep(1)
        page.screenshot(path=target / "course.png")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
