"""Make the course's pictures anew: `python -m tests.browser.pictures`; with `--dark FOLDER`, to look at the dark theme.

Each is a screenshot of the real thing in a real JupyterLab, with the real model's answers.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import nbformat

from labkit.base import assets
from labkit.front.demos import served
from tests.browser import moves
from tests.browser.jupyterlab import Lab, jupyterlab, learners_folder

TALL = 5000  # pixels: the whole notebook at once
START = (
    "from functools import partial\n\nimport labkit\nlab = labkit.start('04')\nmodel, tokenizer = labkit.local.load()"
)
WIDGETS = {
    "token_explorer": "labkit.widgets.token_explorer(tokenizer)",
    "sampling_playground": "labkit.widgets.sampling_playground(model, tokenizer, 'Once upon a time')",
    "chat": "labkit.widgets.chat(model, tokenizer)",
    "quantization_explorer": "labkit.widgets.quantization_explorer(model.model.layers[10].mlp.down_proj.weight[:256])",
    "memory_planner": "labkit.widgets.memory_planner('mistral-7b', free_gb=16)",
    "lora_explorer": "labkit.widgets.lora_explorer('llama-2-7b', rank=64)",
    "licence_explorer": "labkit.widgets.licence_explorer(use='train_another_model_on_outputs')",
    "break_even": "labkit.widgets.break_even()",
    "router_view": "labkit.widgets.router_view(labkit.families.as_mixtral(model), tokenizer)",
    "search_map": "labkit.widgets.search_map()",
    "hub_search": "labkit.widgets.hub_search(free_gb=8)",
    "api_playground": (
        "from huggingface_hub import InferenceClient\n"
        "labkit.widgets.api_playground(InferenceClient(provider='auto'), lab.model.repo_id)"
    ),
    "arena": (
        "cool = partial(labkit.local.stream, model=model, tokenizer=tokenizer, max_new_tokens=60)\n"
        "warm = partial(cool, temperature=1.5, seed=1)\n"
        "labkit.widgets.arena({'temperature 0': cool, 'temperature 1.5': warm}, seed=4)"
    ),
}


def place(name: str) -> str:
    """Where the widget of this name is on a page, as a selector."""
    titles = {demo.file.removesuffix(".ipynb"): demo.title for demo in served.demos()}
    return f".labkit-{titles[name].lower().replace(' ', '-')}"


def widget_notebook(file: Path) -> None:
    """A notebook with each widget in a cell of its own."""
    cells = [nbformat.v4.new_code_cell(source) for source in (START, *WIDGETS.values())]
    kernel = {"name": "python3", "display_name": "Python 3"}  # without it JupyterLab asks which one
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), file)


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
    with lab.page("widgets.ipynb", width=1000, height=TALL) as page:
        lab.run_all(page)
        views = {name: page.locator(place(name)) for name in WIDGETS}
        views["token_explorer"].get_by_text("Compare the cost of languages").click()
        moves.press(views["sampling_playground"], 1, "ArrowRight", 8)  # top-k 8, so that the picture shows a cut
        moves.ask(views["chat"], "What is the capital of France?")
        moves.shows(views["chat"], "done:", timeout=moves.SLOW)
        views["api_playground"].get_by_role("button", name="Ask both").click()
        views["api_playground"].get_by_text("if it were gpt-4o").nth(1).wait_for(timeout=moves.SLOW)
        for choice in ("Left is better", "Right is better", "Tie"):
            views["arena"].get_by_role("button", name="Ask both").click()
            moves.shows(views["arena"], "Which one is better?", timeout=moves.SLOW)
            views["arena"].get_by_role("button", name=choice).click()
            moves.shows(views["arena"], "You chose")
        time.sleep(1)
        for name, view in views.items():
            view.screenshot(path=target / f"widget-{name.replace('_', '-')}.png")


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
