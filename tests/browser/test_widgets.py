"""Each widget moved in a real browser, and its output seen to change; the real model answers."""

import pytest

from tests.browser.jupyterlab import jupyterlab, learners_folder
from tests.browser.pictures import QUESTION_HERE, ask, widget_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_widgets_answer_the_learner(chromium, course_cache, tmp_path):
    folder = learners_folder(tmp_path / "course", [])
    widget_notebook(folder / "work" / "widgets.ipynb")
    with jupyterlab(folder, chromium) as lab, lab.page("widgets.ipynb", width=1000, height=3200) as page:
        lab.run_all(page)
        tokens(page)
        sampling(page)
        chat(page)
        explorer(page)
        planner(page)
        lora(page)
        break_even(page)
        licences(page)
        router(page)
        hub_search(page)
        api_playground(page)
        assert lab.outside() == []


def tokens(page) -> None:
    page.get_by_text("17 tokens").wait_for()
    field = page.locator(".labkit-view textarea").first
    field.fill("<b>two</b> 🙂")
    page.get_by_text("12 characters").wait_for()  # shown as text, not as bold
    page.get_by_text("Show the bytes of each token").click()
    page.get_by_text("20 f0 9f 99 82").wait_for()


def sampling(page) -> None:
    page.get_by_text("49,152 of 49,152 tokens can be drawn").wait_for()
    top_k = page.get_by_role("slider").nth(1)
    top_k.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.get_by_text("3 of 49,152 tokens can be drawn").wait_for()
    assert page.get_by_text("cut", exact=True).count() == 9
    prompt = page.get_by_label("Prompt (press Enter)")
    prompt.fill("The capital of France is")
    prompt.press("Enter")
    page.get_by_text("·Paris").wait_for()
    prompt.fill("")
    prompt.press("Enter")
    page.get_by_text("The prompt is empty: write at least one word.").wait_for()


def chat(page) -> None:
    ask(page, "What is the capital of France?")
    page.get_by_text("The capital of France is Paris.").wait_for(timeout=60_000)
    page.get_by_text("done: 6 words").wait_for(timeout=60_000)
    ask(page, "Tell me a very long story about the sea.")
    page.get_by_text("▌").wait_for()
    page.get_by_role("button", name="Stop").first.click()
    page.get_by_text("stopped:").wait_for(timeout=30_000)
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("No messages yet.").wait_for()
    # With the keyboard alone: from the field, Tab leads to Send.
    page.get_by_placeholder(QUESTION_HERE).focus()
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent") == "Send"


def explorer(page) -> None:
    page.get_by_text("absmax(weights, 4, 64)").wait_for()
    page.get_by_label("Codes", exact=True).select_option("NF4")
    page.get_by_text("nf4(weights, 64)").wait_for()


def planner(page) -> None:
    page.get_by_text("7,241,732,096 parameters, 16 GB free").wait_for()
    page.get_by_label("Model", exact=True).first.select_option("LLaMA-2-70B")
    page.get_by_text("68,976,648,192 parameters").wait_for()
    free = page.get_by_label("Free memory (GB)").first
    free.fill("64")
    free.press("Enter")
    page.get_by_text("64 GB free").wait_for()
    assert page.get_by_text("does not fit", exact=True).count() == 3


def lora(page) -> None:
    page.get_by_text("67,108,864 trained").wait_for()
    page.get_by_label("Matrices").select_option("all linear")
    page.get_by_text("159,907,840 trained").wait_for()
    page.get_by_label("Merged into the weights").check()
    page.get_by_text("0 more").wait_for()


def break_even(page) -> None:
    page.get_by_text("10,000 requests a month", exact=True).wait_for()
    rent = page.get_by_label("Rented GPU (USD an hour)")
    rent.fill("0.1")
    rent.press("Enter")
    page.get_by_text("273 USD").wait_for()  # 73 for the month and 200 for the hands
    rent.fill("-1")
    rent.press("Enter")
    page.get_by_text("gpu_usd_per_hour cannot be -1").wait_for()


def licences(page) -> None:
    page.get_by_text("section 1.b.v").wait_for()
    page.get_by_label("Licence, or a model").select_option("MIT License")
    page.get_by_text("not legal advice").wait_for()
    page.get_by_text("Train another model on its outputs? Yes.").wait_for()


def router(page) -> None:
    page.get_by_text("Layer 0", exact=True).wait_for()
    layer = page.get_by_role("slider").nth(-5)  # the last four are the playground's
    layer.focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("Layer 1", exact=True).wait_for()
    text = page.get_by_label("Text (press Enter)")
    text.fill("")
    text.press("Enter")
    page.get_by_text("There is no text: write at least one word.").wait_for()


def hub_search(page) -> None:
    page.get_by_text("HuggingFaceTB/SmolLM2-135M-Instruct").first.wait_for()
    licence = page.get_by_label("Licence", exact=True)
    licence.select_option("Gemma")
    page.get_by_text("google/gemma-3-1b-it").wait_for()
    field = page.get_by_label("Name contains (press Enter)")
    field.fill("<b>nobody</b>")
    field.press("Enter")
    page.get_by_text("No model is like that: ask for less.").wait_for()


def api_playground(page) -> None:
    page.get_by_role("button", name="Ask both").click()
    page.get_by_text("if it were gpt-4o").nth(1).wait_for(timeout=60_000)
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("Tell me a very long story about the sea.")
    page.get_by_role("slider").last.focus()
    page.keyboard.press("End")
    page.get_by_role("button", name="Ask both").click()
    page.get_by_text("writing ...").first.wait_for(timeout=30_000)
    page.get_by_role("button", name="Stop").last.click()
    page.get_by_text("usage not told").first.wait_for(timeout=30_000)
