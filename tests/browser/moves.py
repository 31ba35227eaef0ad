"""What a learner does with each widget, and what must be seen to change: the same in JupyterLab and in Voila.

A move takes the widget's own place on the page (`.labkit-view`), so that it does not matter what else is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SLOW = 120_000  # ms: where the model answers, on a busy machine
QUESTION_HERE = "Ask something, then press Enter"


def put(view: Any, label: str, text: str) -> None:
    """Type into a field and press Enter."""
    field = view.get_by_label(label, exact=True)
    field.fill(text)
    field.press("Enter")


def shows(view: Any, text: str, *, timeout: int = SLOW, exact: bool = False) -> None:
    view.get_by_text(text, exact=exact).first.wait_for(timeout=timeout)


def press(view: Any, slider: int, key: str, times: int = 1) -> None:
    """Move a slider by the keyboard alone."""
    handle = view.get_by_role("slider").nth(slider)
    handle.focus()
    for _ in range(times):
        view.page.keyboard.press(key)


def ask(view: Any, question: str) -> None:
    """Type a question into the chat and press Enter."""
    entry = view.get_by_placeholder(QUESTION_HERE)
    entry.fill(question)
    entry.press("Enter")


def token_explorer(view: Any) -> None:
    shows(view, "17 tokens")
    view.get_by_role("textbox").fill("<b>two</b> 🙂")
    shows(view, "12 characters")  # shown as text, not as bold
    view.get_by_text("Show the bytes of each token").click()
    shows(view, "20 f0 9f 99 82")
    view.get_by_text("Compare the cost of languages").click()
    shows(view, "4.4 times the cost")


def sampling_playground(view: Any) -> None:
    shows(view, "49,152 of 49,152 tokens can be drawn")
    press(view, 1, "ArrowRight", 3)
    shows(view, "3 of 49,152 tokens can be drawn")
    assert view.get_by_text("cut", exact=True).count() == 9
    put(view, "Prompt (press Enter)", "The capital of France is")
    shows(view, "·Paris")
    put(view, "Prompt (press Enter)", "")
    shows(view, "The prompt is empty: write at least one word.")


def chat(view: Any) -> None:
    ask(view, "What is the capital of France?")
    shows(view, "The capital of France is Paris.")
    shows(view, "done: 6 words")
    ask(view, "Tell me a very long story about the sea.")
    shows(view, "▌")
    view.get_by_role("button", name="Stop").click()
    shows(view, "stopped:")
    view.get_by_role("button", name="Clear").click()
    shows(view, "No messages yet.")
    # With the keyboard alone: from the field, Tab leads to Send.
    view.get_by_placeholder(QUESTION_HERE).focus()
    view.page.keyboard.press("Tab")
    assert view.page.evaluate("() => document.activeElement.textContent") == "Send"


def quantization_explorer(view: Any) -> None:
    shows(view, "absmax(weights, 4, 64)")
    before = view.get_by_role("img").nth(1).get_attribute("aria-label")
    press(view, 0, "ArrowLeft", 2)
    shows(view, "absmax(weights, 2, 64)")
    assert view.get_by_role("img").nth(1).get_attribute("aria-label") != before
    view.get_by_label("Codes", exact=True).select_option("NF4")
    shows(view, "nf4(weights, 64)")


def memory_planner(view: Any) -> None:
    shows(view, "7,241,732,096 parameters")
    view.get_by_label("Model", exact=True).select_option("LLaMA-2-70B")
    shows(view, "68,976,648,192 parameters")
    put(view, "Free memory (GB)", "64")
    shows(view, "64 GB free")
    assert view.get_by_text("does not fit", exact=True).count() == 3


def lora_explorer(view: Any) -> None:
    shows(view, "67,108,864 trained")
    view.get_by_label("Matrices").select_option("all linear")
    shows(view, "159,907,840 trained")
    view.get_by_label("Merged into the weights").check()
    shows(view, "0 more")


def break_even(view: Any) -> None:
    shows(view, "10,000 requests a month", exact=True)
    put(view, "Rented GPU (USD an hour)", "0.1")
    shows(view, "273 USD")  # 73 for the month and 200 for the hands
    put(view, "Rented GPU (USD an hour)", "-1")
    shows(view, "gpu_usd_per_hour cannot be -1")


def licence_explorer(view: Any) -> None:
    view.get_by_label("May I ...").select_option("Train another model on its outputs?")
    shows(view, "section 1.b.v")
    view.get_by_label("Licence, or a model").select_option("MIT License")
    shows(view, "not legal advice")
    shows(view, "Train another model on its outputs? Yes.")


def router_view(view: Any) -> None:
    shows(view, "Layer 0", exact=True)
    press(view, 0, "ArrowRight")
    shows(view, "Layer 1", exact=True)
    put(view, "Text (press Enter)", "")
    shows(view, "There is no text: write at least one word.")


def hub_search(view: Any) -> None:
    shows(view, "HuggingFaceTB/SmolLM2-135M-Instruct")
    view.get_by_label("Licence", exact=True).select_option("Gemma")
    shows(view, "google/gemma-3-1b-it")
    put(view, "Name contains (press Enter)", "<b>nobody</b>")
    shows(view, "No model is like that: ask for less.")


def search_map(view: Any) -> None:
    view.get_by_text("cosine").first.wait_for(timeout=SLOW)
    put(view, "Question (press Enter)", "How many bar do city tyres need?")
    shows(view, "shared words: bar city tyres")
    press(view, 0, "ArrowLeft", 2)
    view.get_by_text("2. ").wait_for(state="detached", timeout=SLOW)
    put(view, "Question (press Enter)", "")
    shows(view, "There is no question: write at least one word.")


def api_playground(view: Any) -> None:
    view.get_by_role("button", name="Ask both").click()
    view.get_by_text("if it were gpt-4o").nth(1).wait_for(timeout=SLOW)
    view.get_by_label("Prompt", exact=True).fill("Tell me a very long story about the sea.")
    press(view, 3, "End")
    view.get_by_role("button", name="Ask both").click()
    shows(view, "writing ...")
    view.get_by_role("button", name="Stop").click()
    shows(view, "usage not told")


def arena(view: Any) -> None:
    vote = view.get_by_role("button", name="Left is better")
    assert vote.is_disabled()
    view.get_by_label("Prompt", exact=True).fill("What is the capital of France?")
    view.get_by_role("button", name="Ask both").press("Enter")
    shows(view, "Which one is better?")
    vote.press("Enter")  # by the keyboard alone
    shows(view, "You chose")
    shows(view, "1 round:")
    view.get_by_label("Prompt", exact=True).fill("Tell me a very long story about the sea.")
    view.get_by_role("button", name="Ask both").click()
    shows(view, "writing ...")
    view.get_by_role("button", name="Stop").click()
    shows(view, "This round was stopped and does not count.")


# By the name of the function that makes the widget, which is also the name of its demo.
MOVES: dict[str, Callable[[Any], None]] = {
    move.__name__: move
    for move in (token_explorer, sampling_playground, chat, quantization_explorer, memory_planner, lora_explorer)
    + (break_even, licence_explorer, router_view, hub_search, search_map, api_playground, arena)
}
