"""A chat with a model."""

from __future__ import annotations

import functools
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets

from labkit.lessons.widgets import base, streaming


def chat(
    model: Any = None,
    tokenizer: Any = None,
    *,
    system: str | None = None,
    max_new_tokens: int = 200,
    reply: Callable[..., Iterator[str]] | None = None,
) -> base.View:
    """Talk to a model. Each answer comes from `labkit.local.stream(messages, model=model, tokenizer=tokenizer)`.

    `reply(messages, stop=event)` may be any function that yields pieces of text, for example one that asks a server.
    """
    if reply is None:
        from labkit.models import local

        def reply(messages: list[dict[str, str]], stop: threading.Event) -> Iterator[str]:
            return local.stream(messages, model=model, tokenizer=tokenizer, max_new_tokens=max_new_tokens, stop=stop)

    return _Chat(reply, system).view


class _Chat:
    """The conversation, its controls, and the answer in hand."""

    def __init__(self, reply: Callable[..., Iterator[str]], system: str | None) -> None:
        self._reply = reply
        self._first = [{"role": "system", "content": system}] if system else []
        self._messages: list[dict[str, str]] = list(self._first)
        self._entry = base.control(ipywidgets.Text, "You", "", placeholder="Ask something, then press Enter")
        self._send = ipywidgets.Button(description="Send", tooltip="Send the question", button_style="primary")
        halt = ipywidgets.Button(description="Stop", tooltip="Stop the answer", disabled=True)
        self._runs = streaming.Runs(self._send, halt)
        self._clear = ipywidgets.Button(description="Clear", tooltip="Forget this conversation")
        self._output = base.panel()
        self._send.on_click(self._ask)
        self._clear.on_click(self._forget)
        with warnings.catch_warnings():
            # ipywidgets 8 would rather have `observe`, which also fires when the field merely loses the focus.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._entry.on_submit(self._ask)
        buttons = ipywidgets.HBox([self._send, halt, self._clear])
        parts = {"text": self._entry, "send": self._send, "stop": halt, "clear": self._clear}
        self.view = base.View("Chat", [self._output, self._entry, buttons], output=self._output, **parts)
        self._draw()

    def _ask(self, _: Any = None) -> None:
        question = self._entry.value.strip()
        with self._runs.lock:
            if not question or self._runs.busy:
                return
            self._entry.value = ""
            self._messages.append({"role": "user", "content": question})
            self._runs.start([functools.partial(self._answer, list(self._messages))], self._end)

    def _answer(self, messages: list[dict[str, str]], stop: threading.Event) -> tuple[str, str] | Exception:
        began = time.monotonic()
        self._show(stop, "", "reading ...")
        try:
            text = streaming.write(self._reply(messages, stop=stop), stop, lambda text: self._show(stop, text))
        except Exception as error:
            return error
        ending = "stopped" if stop.is_set() else "done"
        return text, f"{ending}: {len(text.split())} words in {time.monotonic() - began:.1f} s"

    def _show(self, stop: threading.Event, unfinished: str, note: str = "writing ...") -> None:
        with self._runs.lock:
            if self._runs.is_current(stop):
                self._draw(unfinished, note)

    def _end(self, _: threading.Event, results: list[tuple[str, str] | Exception]) -> None:
        """Keep the answer. Where it failed, hand the question back: the next starts from what worked."""
        (result,) = results
        if isinstance(result, Exception):
            question = self._messages.pop()["content"]
            self._entry.value = self._entry.value or question
            self._draw(failure=base.problem(result))
        else:
            self._messages.append({"role": "assistant", "content": result[0]})
            self._draw(note=result[1])

    def _forget(self, _: Any) -> None:
        with self._runs.lock:
            self._runs.forget()
            self._messages = list(self._first)
            self._draw()

    def _draw(self, unfinished: str | None = None, note: str = "", failure: str = "") -> None:
        lines = [_line(message["role"], message["content"]) for message in self._messages]
        if unfinished is not None:
            lines.append(_line("assistant", unfinished + " ▌"))
        empty = "" if lines else f'<p style="{base.FAINT}">No messages yet.</p>'
        small = f'<p style="font-size:85%;{base.FAINT}">{base.escape(note)}</p>' if note else ""
        self._output.value = base.block("".join(lines) + empty + small) + failure


def _line(role: str, content: str) -> str:
    who, tint = {"user": ("You", base.TINTS[0]), "assistant": ("Model", base.TINTS[2])}.get(role, (role, base.TINTS[1]))
    style = f"background:{tint};border-radius:6px;padding:6px 10px;margin:4px 0;white-space:pre-wrap"
    return f'<div style="{style}"><b>{who}:</b> {base.escape(content)}</div>'
