"""What the widgets share: a view with a readable name, labelled controls, errors in words, colours for any theme.

A widget is a thin view over a plain function that the lesson also calls. Only what ipywidgets 7.7.1 (Colab) and 8 have
in common is used: no custom JavaScript, nothing from the web. Text from a learner or a model is always escaped.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import ipywidgets

from labkit.base.errors import LabError

# Half-transparent colours and the page's own text colour read well on light and dark pages and in print.
TEXT = "color:var(--jp-content-font-color1,inherit);font-family:var(--jp-content-font-family,sans-serif)"
# Browsers leave backgrounds out when they print: here they are the bars and the chips.
PRINTED = "-webkit-print-color-adjust:exact;print-color-adjust:exact"
MONO = "font-family:var(--jp-code-font-family,monospace)"
TINTS = ("rgba(66,133,244,.22)", "rgba(251,140,0,.22)", "rgba(15,157,88,.22)")
FAINT = "opacity:.7"
_WIDE = {"description_width": "initial"}


class View(ipywidgets.VBox):
    """A column of controls and output. Where widgets cannot live (GitHub, print) its name stands in their place."""

    def __init__(self, name: str, children: Sequence[ipywidgets.Widget], **parts: ipywidgets.Widget) -> None:
        super().__init__([*children, _announcer(parts.values())])
        self.add_class("labkit-view")
        self.add_class(f"labkit-{name.lower().replace(' ', '-')}")
        self._name = name
        self.parts = parts  # the controls by name, for tests and for curious learners

    def __repr__(self) -> str:
        return f"<{getattr(self, '_name', 'widget')}: run this cell to use it>"


def _announcer(parts: Iterable[ipywidgets.Widget]) -> ipywidgets.HTML:
    """A place of one pixel that tells a screen reader which slider was moved, and where to.

    The handle of an ipywidgets slider has no name, and says its position in the list, or the exponent, for the value.
    """
    place = ipywidgets.HTML(layout=ipywidgets.Layout(width="1px", height="1px", margin="0", overflow="hidden"))
    for part in parts:
        if "Slider" in type(part).__name__:
            part.observe(lambda change: setattr(place, "value", _spoken(change["owner"])), "value")
    return place


def _spoken(slider: Any) -> str:
    words = {value: label for label, value in getattr(slider, "_options_full", ())}
    said = words.get(slider.value, slider.value)
    said = f"{said:,.2f}".removesuffix(".00") if isinstance(said, float) else said
    return f'<span role="status" aria-live="polite">{escape(f"{slider.description}: {said}")}</span>'


def control(kind: type, description: str, value: Any, **options: Any) -> Any:
    """An input with its whole label visible, as wide as its place."""
    layout = ipywidgets.Layout(width="98%")
    return kind(value=value, description=description, style=_WIDE, layout=layout, **options)


def panel() -> ipywidgets.HTML:
    """A place for output."""
    return ipywidgets.HTML(layout=ipywidgets.Layout(width="98%"))


def block(inner: str, style: str = "") -> str:
    """HTML in the page's own type; a screen reader announces its changes."""
    return f'<div style="{TEXT};{PRINTED};{style}" aria-live="polite">{inner}</div>'


def escape(text: str, *, visible_spaces: bool = False) -> str:
    """Text as HTML that can be nothing but text. `visible_spaces` shows spaces and line ends as characters."""
    if visible_spaces:
        text = text.replace(" ", "\u00b7").replace("\n", "\u23ce").replace("\t", "\u21e5")
    return html.escape(text)


def problem(error: BaseException) -> str:
    """An exception as a sentence in a box."""
    text = str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
    style = "border-left:4px solid #d93025;padding:4px 10px;margin:4px 0"
    return block(f"<b>That did not work.</b> {escape(text)}", style)


def working(output: ipywidgets.HTML) -> None:
    """Say that an answer takes a moment. It is on the page before the work begins, which then keeps the kernel busy."""
    output.value = block(f'<p style="{FAINT}">working ...</p>')


def require_short(text: str, tokenizer: Any, most: int) -> None:
    """LabError for a text that would keep the kernel, and so the widget, busy for long: nothing could stop it."""
    count = len(tokenizer(text)["input_ids"])
    if count > most:
        raise LabError(f"This text has {count:,} tokens, and the widget takes {most:,} at most: shorten it.")


def refresh(output: ipywidgets.HTML, render: Callable[[], str]) -> Callable[..., None]:
    """A callback that puts what `render` returns into `output`, or what went wrong, in words."""

    def update(*_: Any) -> None:
        try:
            output.value = render()
        except Exception as error:
            output.value = problem(error)

    return update
