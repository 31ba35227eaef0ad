"""A chat with a model: the answer appears as it is written, and can be stopped."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets

from labkit.widgets import base

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
        from labkit import local

        def reply(messages: list[dict[str, str]], stop: threading.Event) -> Iterator[str]:
            return local.stream(messages, model=model, tokenizer=tokenizer, max_new_tokens=max_new_tokens, stop=stop)

    return _Chat(reply, system).view


class _Chat:
    """The conversation, its controls, and the one thread that writes an answer."""

    def __init__(self, reply: Callable[..., Iterator[str]], system: str | None) -> None:
        self._reply = reply
        self._first = [{"role": "system", "content": system}] if system else []
        self._messages: list[dict[str, str]] = list(self._first)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._entry = base.control(ipywidgets.Text, "You", "", placeholder="Ask something, then press Enter")
        self._send = ipywidgets.Button(description="Send", tooltip="Send the question", button_style="primary")
        self._halt = ipywidgets.Button(description="Stop", tooltip="Stop the answer", disabled=True)
        self._clear = ipywidgets.Button(description="Clear", tooltip="Forget this conversation")
        self._output = base.panel()
        self._send.on_click(self._ask)
        self._halt.on_click(lambda _: self._stop.set())
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
        if not question or (self._thread and self._thread.is_alive()):
            return
        self._entry.value = ""
        self._messages.append({"role": "user", "content": question})
        self._stop.clear()
        self._send.disabled, self._halt.disabled = True, False
        self._thread = threading.Thread(target=self._answer, daemon=True, name="labkit-chat")
        self._thread.start()

    def _answer(self) -> None:
        """Runs in the thread: the page stays alive, and Stop is heard."""
        text, pieces, began, drawn = "", 0, time.monotonic(), 0.0
        self._draw("", "reading ...")
        try:
            for piece in self._reply(list(self._messages), stop=self._stop):
                text, pieces = text + piece, pieces + 1
                if time.monotonic() - drawn > _REDRAW_S:
                    drawn = time.monotonic()
                    self._draw(text, "writing ...")
            seconds = time.monotonic() - began
            self._messages.append({"role": "assistant", "content": text})
            ending = "stopped" if self._stop.is_set() else "done"
            self._draw(note=f"{ending}: {len(text.split())} words in {seconds:.1f} s")
        except Exception as error:
            # The question goes as well: the next one starts from the conversation that worked.
            self._messages.pop()
            self._draw(failure=base.problem(error))
        finally:
            self._send.disabled, self._halt.disabled = False, True

    def _forget(self, _: Any) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join(timeout=10)
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
