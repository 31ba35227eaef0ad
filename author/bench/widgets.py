"""How soon a widget answers: from the change of a control to the new output, and from Ask to the first piece of text.

Measured in the kernel, without a browser: a page adds its own way there and back, the same for all.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from labkit.base import processes
from labkit.base.errors import LabError
from labkit.front.bench import Section

REACTS_MS, FIRST_TOKEN_MS = 300, 1000
_PROGRAM = "from author.bench import widgets; widgets.measure({})"
_ANSWER_SECONDS = 120


def run(quick: bool) -> Section:
    """Median and highest milliseconds, one row per widget and control, in a process that uses the course's Hub."""
    moves = 6 if quick else 30
    rows = processes.child_json("The widgets could not be measured: ", "-c", _PROGRAM.format(moves))
    protocol = f"{moves} moves of a control; {max(3, moves // 5)} new prompts to the first piece of text; no browser"
    return Section("widgets", protocol, rows)


def measure(moves: int) -> None:
    """What runs in the process of its own: prints the rows as JSON."""
    import labkit

    lab = labkit.start("04")
    model, tokenizer = labkit.local.load()
    rows = [_reaction(*case, moves) for case in _controls(model, tokenizer)]
    rows += [_first_token(*case, max(3, moves // 5)) for case in _asked(lab, model, tokenizer)]
    print(json.dumps(rows))


def _controls(model: Any, tokenizer: Any) -> Iterator[tuple[Any, str, list[Any]]]:
    """(view, control, values to move it to); each widget is made when it is its turn."""
    from labkit.lessons import widgets
    from labkit.models import families

    yield widgets.token_explorer(tokenizer), "text", ["Every child reads. " * 20, "Jedes Kind liest. " * 20]
    yield widgets.sampling_playground(model, tokenizer), "temperature", [0.5, 1.5]
    matrix = model.model.layers[10].mlp.down_proj.weight.detach()[:256].clone()
    yield widgets.quantization_explorer(matrix), "bits", [2, 8]
    yield widgets.memory_planner("mistral-7b"), "tokens", [512, 32_768]
    yield widgets.lora_explorer("mistral-7b"), "rank", [8, 64]
    yield widgets.licence_explorer(), "use", ["military", "commercial_product"]
    yield widgets.break_even(), "requests_per_month", [1e3, 1e6]
    yield widgets.router_view(families.as_mixtral(model), tokenizer), "layer", [3, 20]
    search = widgets.hub_search(free_gb=8)
    yield search, "dtype", ["int4", "bf16"]
    yield search, "licence", ["apache-2.0", "mit"]


def _reaction(view: Any, control: str, values: list[Any], moves: int) -> dict[str, Any]:
    """Milliseconds of assignments to a control: its observers run inside them, so the page waits as long."""
    times = []
    for turn in range(moves + 1):
        before = view.parts["output"].value
        began = time.perf_counter()
        view.parts[control].value = values[turn % len(values)]
        times.append((time.perf_counter() - began) * 1000)
        assert view.parts["output"].value != before, f"{view!r} does not show {control}"
    return _row(view, control, times[1:], f"at most {REACTS_MS} ms")  # the first move pays for imports


def _asked(lab: Any, model: Any, tokenizer: Any) -> Iterator[tuple[Any, str, str, list[str]]]:
    """(view, field of the prompt, button, outputs in which an answer begins)."""
    from huggingface_hub import InferenceClient

    from labkit.lessons import widgets
    from labkit.models import local

    yield widgets.chat(model, tokenizer, max_new_tokens=8), "text", "send", ["output"]
    reply = partial(local.stream, model=model, tokenizer=tokenizer, max_new_tokens=8)
    yield widgets.arena({"one": reply, "other": reply}), "prompt", "ask", ["output_left", "output_right"]
    client = InferenceClient(provider="auto")
    yield widgets.api_playground(client, lab.model.repo_id), "prompt", "run", ["output_a", "output_b"]


def _first_token(view: Any, field: str, button: str, outputs: list[str], prompts: int) -> dict[str, Any]:
    times = []
    for turn in range(prompts + 1):
        view.parts[field].value = f"Question {turn}: how many days has a week, and why?"  # new, so that no cache helps
        times.append(_until_written(view, view.parts[button].click, outputs) * 1000)
        if "clear" in view.parts:
            view.parts["clear"].click()
        _until(lambda: not view.parts[button].disabled)
    return _row(view, "first text", times[1:], f"at most {FIRST_TOKEN_MS} ms")


def _until_written(view: Any, press: Callable[[], None], outputs: list[str]) -> float:
    """Seconds from pressing the button until one of the outputs shows written text."""
    written = threading.Event()

    def look(change: dict[str, Any]) -> None:
        if "writing ..." in change["new"]:
            written.set()

    for name in outputs:
        view.parts[name].observe(look, "value")
    began = time.perf_counter()
    press()
    if not written.wait(_ANSWER_SECONDS):
        raise LabError(f"{view!r} did not answer within {_ANSWER_SECONDS} s.")
    seconds = time.perf_counter() - began
    for name in outputs:
        view.parts[name].unobserve(look, "value")
    return seconds


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _ANSWER_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def _row(view: Any, what: str, times: list[float], aim: str) -> dict[str, Any]:
    name = repr(view).strip("<").partition(":")[0]
    return {"widget": name, "what": what, "median_ms": statistics.median(times), "highest_ms": max(times), "aim": aim}
