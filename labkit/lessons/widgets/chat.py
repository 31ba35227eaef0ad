"""A chat with a model: the answer appears as it is written, and can be stopped."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets

from labkit.lessons.widgets import base

_REDRAW_S = 0.08  # how often a running answer is shown anew


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
    """The conversation, its controls, and the thread that writes the answer in hand.

    An answer is known by its own stop event. `_current` is the one that may still speak: Clear forgets it at once, and
    what a slow thread brings later is dropped.
    """

    def __init__(self, reply: Callable[..., Iterator[str]], system: str | None) -> None:
        self._reply = reply
        self._first = [{"role": "system", "content": system}] if system else []
        self._messages: list[dict[str, str]] = list(self._first)
        self._current: threading.Event | None = None
        self._lock = threading.RLock()
        self._entry = base.control(ipywidgets.Text, "You", "", placeholder="Ask something, then press Enter")
        self._send = ipywidgets.Button(description="Send", tooltip="Send the question", button_style="primary")
        self._halt = ipywidgets.Button(description="Stop", tooltip="Stop the answer", disabled=True)
        self._clear = ipywidgets.Button(description="Clear", tooltip="Forget this conversation")
        self._output = base.panel()
        self._send.on_click(self._ask)
        self._halt.on_click(self._stop)
        self._clear.on_click(self._forget)
        with warnings.catch_warnings():
            # ipywidgets 8 would rather have `observe`, which also fires when the field merely loses the focus.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._entry.on_submit(self._ask)
        buttons = ipywidgets.HBox([self._send, self._halt, self._clear])
        parts = {"text": self._entry, "send": self._send, "stop": self._halt, "clear": self._clear}
        self.view = base.View("Chat", [self._output, self._entry, buttons], output=self._output, **parts)
        self._draw()

    def _ask(self, _: Any = None) -> None:
        question = self._entry.value.strip()
        with self._lock:
            if not question or self._current:
                return
            self._entry.value = ""
            self._messages.append({"role": "user", "content": question})
            stop = self._current = threading.Event()
            self._busy(True)
        arguments = (list(self._messages), stop)
        threading.Thread(target=self._answer, args=arguments, daemon=True, name="labkit-chat").start()

    def _answer(self, messages: list[dict[str, str]], stop: threading.Event) -> None:
        """Runs in the thread: the page stays alive, and Stop is heard."""
        text, began, drawn = "", time.monotonic(), 0.0
        self._show(stop, "", "reading ...")
        try:
            for piece in self._reply(messages, stop=stop):
                text += piece
                if self._current is not stop:
                    return
                if time.monotonic() - drawn > _REDRAW_S:
                    drawn = time.monotonic()
                    self._show(stop, text, "writing ...")
        except Exception as error:
            self._end(stop, None, failure=base.problem(error))
        else:
            ending = "stopped" if stop.is_set() else "done"
            self._end(stop, text, note=f"{ending}: {len(text.split())} words in {time.monotonic() - began:.1f} s")

    def _show(self, stop: threading.Event, unfinished: str, note: str) -> None:
        with self._lock:
            if self._current is stop:
                self._draw(unfinished, note)

    def _end(self, stop: threading.Event, text: str | None, note: str = "", failure: str = "") -> None:
        """Keep the answer, or, where it failed, forget the question too: the next starts from what worked."""
        with self._lock:
            if self._current is not stop:
                return
            self._current = None
            if text is None:
                self._messages.pop()
            else:
                self._messages.append({"role": "assistant", "content": text})
            self._busy(False)
            self._draw(note=note, failure=failure)

    def _stop(self, _: Any) -> None:
        with self._lock:
            if self._current:
                self._current.set()

    def _forget(self, _: Any) -> None:
        with self._lock:
            if self._current:
                self._current.set()
            self._current = None
            self._messages = list(self._first)
            self._busy(False)
            self._draw()

    def _busy(self, busy: bool) -> None:
        self._send.disabled, self._halt.disabled = busy, not busy

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
