"""The API playground: one prompt, two settings, two streamed answers with their tokens and what they would cost."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Iterator
from typing import Any

import ipywidgets

from labkit.lessons.widgets import base, streaming
from labkit.world import inference_client

_WORDS = {"waiting": "waiting ...", "writing": "writing ...", "stopped": "stopped", "done": "done"}


def api_playground(
    client: Any,
    model: str,
    prompt: str = "Explain in one sentence why the sky is blue.",
    *,
    priced_as: tuple[str, str] = ("openai", "gpt-4o"),
) -> base.View:
    """Ask `client` (an `InferenceClient`) the same with two settings; each answer is one
    `client.chat_completion([{"role": "user", "content": prompt}], model=model, stream=True, ...)`.

    `priced_as` is (provider, model) as genai-prices names them: what the same tokens would cost there.
    """
    return _Playground(client, model, prompt, priced_as).view


class _Side:
    """One column: its settings, its panel, and the state of its answer."""

    def __init__(self, name: str, temperature: float) -> None:
        slider, layout = {"readout_format": ".1f", "step": 0.1}, ipywidgets.Layout(width="50%")
        self.temperature = base.control(
            ipywidgets.FloatSlider, f"Temperature {name}", temperature, min=0.0, max=2.0, **slider
        )
        self.max_tokens = base.control(ipywidgets.IntSlider, f"Most tokens {name}", 60, min=5, max=300)
        self.output = base.panel()
        self.box = ipywidgets.VBox([self.temperature, self.max_tokens, self.output], layout=layout)
        self.text, self.state, self.note = "", "", ""

    def draw(self) -> None:
        style = f"background:{base.TINTS[0]};border-radius:6px;padding:6px 10px;margin:4px 0;white-space:pre-wrap"
        cursor = " ▌" if self.state == "writing" else ""
        shown = f'<div style="{style}">{base.escape(self.text)}{cursor}</div>' if self.text or cursor else ""
        note = " · ".join(filter(None, [_WORDS.get(self.state, ""), self.note]))
        self.output.value = base.block(f'{shown}<p style="font-size:85%;{base.FAINT}">{base.escape(note)}</p>')


class _Playground:
    """Two answers at once, each written by a thread of its own."""

    def __init__(self, client: Any, model: str, prompt: str, priced_as: tuple[str, str]) -> None:
        self._client, self._model, self._priced_as = client, model, priced_as
        inference_client.cost_usd({"prompt_tokens": 1, "completion_tokens": 1}, *priced_as)  # a wrong name is said now
        self._sides = [_Side("A", 0.0), _Side("B", 1.0)]
        self._prompt = base.control(ipywidgets.Textarea, "Prompt", prompt, rows=2)
        self._run = ipywidgets.Button(description="Ask both", tooltip="Ask with both settings", button_style="primary")
        halt = ipywidgets.Button(description="Stop", tooltip="Stop both answers", disabled=True)
        self._runs = streaming.Runs(self._run, halt)
        self._run.on_click(self._ask)
        parts = {"prompt": self._prompt, "run": self._run, "stop": halt}
        for name, side in zip("ab", self._sides, strict=True):
            parts |= {f"temperature_{name}": side.temperature, f"max_tokens_{name}": side.max_tokens}
            parts[f"output_{name}"] = side.output
        columns = ipywidgets.HBox([side.box for side in self._sides])
        buttons = ipywidgets.HBox([self._run, halt])
        self.view = base.View("API playground", [self._prompt, buttons, columns], **parts)

    def _ask(self, _: Any = None) -> None:
        with self._runs.lock:
            prompt = self._prompt.value.strip()
            if self._runs.busy:
                return
            if not prompt:
                for side in self._sides:
                    side.text, side.state, side.note = "", "", "The prompt is empty: write at least one word."
                    side.draw()
                return
            for side in self._sides:
                side.text, side.state, side.note = "", "waiting", ""
                side.draw()
            works = [functools.partial(self._answer, side, prompt) for side in self._sides]
            self._runs.start(works, lambda *_: None)

    def _answer(self, side: _Side, prompt: str, stop: threading.Event) -> None:
        try:
            self._stream(side, prompt, stop)
        except Exception as error:
            side.state, side.text = "", ""
            side.output.value = base.problem(error)

    def _stream(self, side: _Side, prompt: str, stop: threading.Event) -> None:
        began, first, usage = time.monotonic(), None, None
        chunks = self._client.chat_completion(
            [{"role": "user", "content": prompt}],
            model=self._model,
            stream=True,
            stream_options={"include_usage": True},
            temperature=side.temperature.value,
            max_tokens=side.max_tokens.value,
        )

        def pieces() -> Iterator[str]:
            nonlocal first, usage
            with contextlib.closing(chunks):
                for chunk in chunks:
                    usage = getattr(chunk, "usage", None) or usage
                    text = chunk.choices[0].delta.content if chunk.choices else None
                    if text:
                        first = first or time.monotonic() - began
                        side.state = "writing"
                    yield text or ""

        def draw(text: str) -> None:
            side.text = text
            side.draw()

        side.text = streaming.write(pieces(), stop, draw)
        side.state = "stopped" if stop.is_set() else "done"
        side.note = self._account(usage, first, time.monotonic() - began)
        side.draw()

    def _account(self, usage: Any, first: float | None, seconds: float) -> str:
        """Tokens, seconds and cost, as far as they are known: a stream that was stopped does not say its usage."""
        waited = [] if first is None else [f"first token after {first:.2f} s"]
        if usage is None:
            return ", ".join([*waited, f"{seconds:.2f} s in all, usage not told"])
        tokens = f"{usage.prompt_tokens} tokens read, {usage.completion_tokens} written"
        usd = inference_client.cost_usd(usage, *self._priced_as)
        price = f"{usd:.6f} USD if it were {self._priced_as[1]}"
        return ", ".join([*waited, f"{seconds:.2f} s in all, {tokens}", price])
