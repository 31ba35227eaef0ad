"""The blind arena: two contestants answer, you choose a side, and only then learn who stood there."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ipywidgets

from labkit.base.errors import LabError
from labkit.lessons.widgets import base, streaming
from labkit.models import judging

_SIDES = ("left", "right")
Reply = Callable[..., Iterator[str]]


def arena(
    contestants: Mapping[str, Reply], prompt: str = "Describe the sea in one sentence.", *, seed: int | None = None
) -> base.View:
    """Judge two contestants blind; the votes are counted by `labkit.judging.tally(votes)`.

    `contestants` are two names, each with a function `reply(messages, stop=event)` that yields pieces of text, such as
    `functools.partial(labkit.local.stream, model=model, tokenizer=tokenizer, temperature=1.2)`. Who stands left is
    drawn anew for each round (`seed` makes it repeatable) and told after the vote. LabError unless there are two.
    """
    if len(contestants) != 2:
        raise LabError(
            f"An arena has two contestants, and this has {len(contestants)}: give two names with a function."
        )
    return _Arena(contestants, prompt, seed).view


class _Arena:
    """Rounds, one after the other: asked, answered, judged, revealed.

    Both answers, left and then right, come from one thread, so that neither slows the other down.
    """

    def __init__(self, contestants: Mapping[str, Reply], prompt: str, seed: int | None) -> None:
        self._names, self._replies = list(contestants), list(contestants.values())
        self._places, self._votes = judging.places(seed), []
        self._first_is_left = True
        self._prompt = base.control(ipywidgets.Textarea, "Prompt", prompt, rows=2)
        self._ask_both = ipywidgets.Button(
            description="Ask both", tooltip="Let both answer the prompt", button_style="primary"
        )
        halt = ipywidgets.Button(description="Stop", tooltip="Stop this round; it does not count", disabled=True)
        self._runs = streaming.Runs(self._ask_both, halt)
        words = {"left": "Left is better", "tie": "Tie", "right": "Right is better"}
        self._choose = {
            choice: ipywidgets.Button(description=words[choice], tooltip=f"Vote: {words[choice]}", disabled=True)
            for choice in judging.CHOICES
        }
        self._panels, self._result = {side: base.panel() for side in _SIDES}, base.panel()
        self._ask_both.on_click(self._ask)
        for choice, button in self._choose.items():
            button.on_click(lambda _, choice=choice: self._vote(choice))
        half = ipywidgets.Layout(width="50%")
        columns = ipywidgets.HBox([ipywidgets.VBox([self._panels[side]], layout=half) for side in _SIDES])
        buttons = ipywidgets.HBox([self._ask_both, halt])
        votes = ipywidgets.HBox(list(self._choose.values()), layout=ipywidgets.Layout(flex_flow="row wrap"))
        parts = {"prompt": self._prompt, "ask": self._ask_both, "stop": halt, **self._choose}
        parts |= {f"output_{side}": panel for side, panel in self._panels.items()}
        children = [self._prompt, buttons, columns, votes, self._result]
        self.view = base.View("Blind arena", children, output=self._result, **parts)
        for side in _SIDES:
            self._draw(side, "", "")
        self._tell("Ask both, read, and choose a side. Who stood where is told after the vote.")

    def _ask(self, _: Any = None) -> None:
        prompt = self._prompt.value.strip()
        with self._runs.lock:
            if self._runs.busy:
                return
            if not prompt:
                self._tell("The prompt is empty: write at least one word.")
                return
            self._first_is_left = next(self._places)
            self._voting(False)
            for side in _SIDES:
                self._draw(side, "", "waiting ...")
            self._tell("Both answers first, then your vote.")
            self._runs.start([functools.partial(self._round, prompt)], self._end)

    def _round(self, prompt: str, stop: threading.Event) -> bool:
        return all(self._answer(side, prompt, stop) for side in _SIDES)

    def _end(self, stop: threading.Event, results: list[bool]) -> None:
        if all(results):
            self._voting(True)
            self._tell("Which one is better?")
        else:
            said = "stopped" if stop.is_set() else "not finished"
            self._tell(f"This round was {said} and does not count.")

    def _answer(self, side: str, prompt: str, stop: threading.Event) -> bool:
        """One contestant's answer, written into its side; whether it came to its end."""
        reply = self._replies[0 if (side == "left") == self._first_is_left else 1]
        self._draw(side, "", "stopped" if stop.is_set() else "reading ...")
        if stop.is_set():
            return False
        try:
            pieces = reply([{"role": "user", "content": prompt}], stop=stop)
            text = streaming.write(pieces, stop, lambda text: self._draw(side, f"{text} ▌", "writing ..."))
        except Exception as error:
            self._panels[side].value = base.problem(error)
            return False
        self._draw(side, text, "stopped" if stop.is_set() else "done")
        return not stop.is_set()

    def _vote(self, choice: str) -> None:
        with self._runs.lock:
            if self._runs.busy or self._choose[choice].disabled:
                return
            vote = judging.Vote(self._first_is_left, choice)
            self._votes.append(vote)
            self._voting(False)
            left, right = self._names if self._first_is_left else reversed(self._names)
            chosen = {"left": left, "right": right, "tie": "neither"}[choice]
            self._tell(f"You chose {chosen}: left was {left}, right was {right}.", strong=True)

    def _voting(self, possible: bool) -> None:
        for button in self._choose.values():
            button.disabled = not possible

    def _draw(self, side: str, text: str, note: str) -> None:
        tint = base.TINTS[_SIDES.index(side)]
        style = f"background:{tint};border-radius:6px;padding:6px 10px;margin:4px 0;white-space:pre-wrap;min-height:3em"
        small = f'<p style="font-size:85%;{base.FAINT}">{base.escape(note)}</p>' if note else ""
        head = f"<b>{side.capitalize()}</b>"
        self._panels[side].value = base.block(f'{head}<div style="{style}">{base.escape(text)}</div>{small}')

    def _tell(self, text: str, *, strong: bool = False) -> None:
        """What to do or what was, and the count so far."""
        said = f"<b>{base.escape(text)}</b>" if strong else base.escape(text)
        lines = judging.report(judging.tally(self._votes), *self._names) if self._votes else []
        counted = "".join(f"<li>{base.escape(line)}</li>" for line in lines)
        self._result.value = base.block(f"<p>{said}</p>" + (f"<ul>{counted}</ul>" if counted else ""))
