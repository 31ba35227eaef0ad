"""A small toolkit for the course's drawings: boxes, words, arrows and cells, as one SVG file without anything outside.

A drawing brings its own background, and colours for a light and a dark screen, so that it can be read on any page: an
SVG in a notebook knows what the reader's system prefers, not which theme Jupyter shows. Colour is never the only sign:
what differs also differs in its words, or has a dashed border. Knows nothing of what is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

# (fill, border) on a light and on a dark background. Text on each fill keeps a contrast of 7 to 1 or more.
_LIGHT = {
    "page": ("#ffffff", "#d0d7de"),
    "plain": ("#f6f8fa", "#57606a"),
    "blue": ("#dbeafe", "#1d4ed8"),
    "orange": ("#ffedd5", "#c2410c"),
    "green": ("#dcfce7", "#15803d"),
    "ghost": ("none", "#8c959f"),
}
_DARK = {
    "page": ("#161b22", "#3d444d"),
    "plain": ("#262c36", "#9198a1"),
    "blue": ("#16315f", "#79a8ff"),
    "orange": ("#552a10", "#ff9d5c"),
    "green": ("#123d22", "#56d37c"),
    "ghost": ("none", "#9198a1"),
}
_INK = {"light": ("#1f2328", "#4d5660"), "dark": ("#f0f3f6", "#b7bfc8")}  # words, and words of less weight


class Drawing:
    """A picture of `width` times `height` points, made piece by piece; coordinates count from the upper left corner."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self._parts: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, words: str = "", kind: str = "plain") -> None:
        """A rectangle with its words in the middle, a line each. The kind `ghost` is dashed: something not there."""
        self._parts.append(f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5"/>')
        lines = words.splitlines()
        for number, line in enumerate(lines):
            middle = y + height / 2 + 5 + 18 * (number - (len(lines) - 1) / 2)
            self.text(x + width / 2, middle, line, faint=number > 0)

    def text(self, x: float, y: float, words: str, *, anchor: str = "middle", bold=False, faint=False) -> None:
        """One line of words; `anchor` says what of them is at x: start, middle or end."""
        look = f"{'faint' if faint else 'ink'}{' bold' if bold else ''}"
        self._parts.append(f'<text class="{look}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>')

    def lines(self, x: float, y: float, words: Iterable[str], *, faint: bool = True) -> None:
        """Several lines of words, one below the other, which begin at x."""
        for number, line in enumerate(words):
            self.text(x, y + 18 * number, line, anchor="start", faint=faint)

    def arrow(self, *points: tuple[float, float], dashed: bool = False) -> None:
        """An arrow through the points; the head is at the last."""
        path = " ".join(f"{'L' if number else 'M'}{x:g} {y:g}" for number, (x, y) in enumerate(points))
        look = "line dashed" if dashed else "line"
        self._parts.append(f'<path class="{look}" d="{path}" marker-end="url(#head)"/>')

    def plus(self, x: float, y: float) -> None:
        """The sign for a sum."""
        self._parts.append(f'<circle class="plain" cx="{x:g}" cy="{y:g}" r="11"/>')
        self.text(x, y + 5, "+", bold=True)

    def svg(self) -> str:
        """The file's text."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" role="img">\n<title>{escape(self.title)}</title>\n'
            f"<style>\n{_style()}</style>\n"
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>\n'
            f'<rect class="page" x="0.5" y="0.5" width="{self.width - 1}" height="{self.height - 1}" rx="8"/>\n'
            + "\n".join(self._parts)
            + "\n</svg>\n"
        )


def _style() -> str:
    shared = (
        "text{font:14px system-ui,'Segoe UI',Helvetica,Arial,sans-serif}.bold{font-weight:600}"
        "rect,circle{stroke-width:1.3}.ghost,.dashed{stroke-dasharray:5 4}.line{fill:none;stroke-width:1.5}\n"
    )
    return f"{shared}{_colours(_LIGHT, 'light')}@media (prefers-color-scheme:dark){{{_colours(_DARK, 'dark')}}}\n"


def _colours(kinds: dict[str, tuple[str, str]], ground: str) -> str:
    ink, faint = _INK[ground]
    boxes = "".join(f".{name}{{fill:{fill};stroke:{border}}}" for name, (fill, border) in kinds.items())
    return f"{boxes}.ink{{fill:{ink}}}.faint,.tip{{fill:{faint}}}.line{{stroke:{faint}}}\n"
