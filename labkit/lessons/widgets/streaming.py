"""Answers that appear as they are written, and can be stopped: what chat, arena and API playground share.

Knows threads and two buttons. Knows nothing of what is asked, or of how an answer looks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets

_REDRAW_S = 0.08  # how often a running answer is shown anew


class Runs:
    """Runs of work in threads, one after the other, so that the page stays alive and Stop is heard.

    A run is known by its own stop event. The current one may still speak: `forget` drops it at once, and nothing that a
    slow thread of it brings later is heard. While it lasts, `begin` is disabled and `halt` is not.
    """

    def __init__(self, begin: ipywidgets.Button, halt: ipywidgets.Button) -> None:
        self.lock = threading.RLock()
        self._begin, self._halt = begin, halt
        self._current: threading.Event | None = None
        halt.on_click(lambda _: self.stop())

    def start(self, works: list[Callable[..., Any]], ended: Callable[..., None]) -> None:
        """Let each of `works`, called with the stop event, run in a thread of its own; then `ended(stop, results)`."""
        stop, results = threading.Event(), []

        def work(one: Callable[..., Any]) -> None:
            result = one(stop)
            with self.lock:
                results.append(result)
                if len(results) == len(works) and self.is_current(stop):
                    self._set(None)
                    ended(stop, results)

        with self.lock:
            self._set(stop)
        for one in works:
            threading.Thread(target=work, args=(one,), daemon=True, name="labkit-widget").start()

    @property
    def busy(self) -> bool:
        """Whether a run is under way."""
        return self._current is not None

    def is_current(self, stop: threading.Event) -> bool:
        return self._current is stop

    def stop(self) -> None:
        """Ask the current run to end, if there is one."""
        with self.lock:
            if self._current:
                self._current.set()

    def forget(self) -> None:
        """Stop the current run, and hear no more of it."""
        with self.lock:
            self.stop()
            self._set(None)

    def _set(self, stop: threading.Event | None) -> None:
        self._current = stop
        self._begin.disabled, self._halt.disabled = stop is not None, stop is None


def write(pieces: Iterator[str], stop: threading.Event, draw: Callable[[str], None]) -> str:
    """The pieces as one text, up to the end or the stop; `draw(text)` shows it every now and then."""
    text, drawn = "", 0.0
    for piece in pieces:
        text += piece
        if stop.is_set():
            break
        if time.monotonic() - drawn > _REDRAW_S:
            drawn = time.monotonic()
            draw(text)
    if hasattr(pieces, "close"):  # a generator can let go of its connection now
        pieces.close()
    return text
