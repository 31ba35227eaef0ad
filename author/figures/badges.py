"""The two badges that open a lesson elsewhere: files of the course, so that they are there without a network, too."""

from __future__ import annotations

from author.figures.drawing import Drawing


def badge(words: str, width: int) -> Drawing:
    """A small button with words."""
    drawing = Drawing(width, 24, words)
    drawing.text(width / 2, 17, words, bold=True)
    return drawing


def drawings() -> dict[str, Drawing]:
    """The badges by the names of their files."""
    return {"open-in-colab": badge("▶ Open in Colab", 140), "open-in-binder": badge("▶ Open in Binder", 146)}
