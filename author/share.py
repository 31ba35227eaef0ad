"""How much of a notebook is compared: which of the code cells with output are, and how many must be.

Also the negative control: changed outputs, which the comparison must notice. Knows no pytest.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass

from nbformat import NotebookNode

from author.canonical import IGNORED, canonical_outputs, sanitizer_patterns

FLOOR = 0.80  # the share below which a lesson fails
_MOST_CHANGES = 200  # tried per cell; where there are more places, they are spread evenly


@dataclass(frozen=True)
class Share:
    """`compared` of `with_output` code cells that show something have it compared with the stored one."""

    compared: int
    with_output: int

    def __str__(self) -> str:
        return f"{self.compared} of {self.with_output} code cells with output compared ({self.percent} %)"

    @property
    def percent(self) -> int:
        """Rounded down: 79.9 % is not 80 %."""
        return 100 * self.compared // self.with_output if self.with_output else 100


def share(notebook: NotebookNode) -> Share:
    """Count the cells of a notebook. A cell that shows only a picture has output, and nothing that is compared."""
    shown = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.outputs]
    return Share(sum(is_compared(cell) for cell in shown), len(shown))


def is_compared(cell: NotebookNode) -> bool:
    """Whether a change in what this code cell prints would be noticed."""
    if {IGNORED, "nbval-skip"} & set(cell.metadata.get("tags", [])):
        return False
    return any(text.strip() for _, _, text in _texts(cell.outputs))


def changes(outputs: list[NotebookNode]) -> Iterator[tuple[str, list[NotebookNode], bool]]:
    """Every output of a cell with one printed number or word changed.

    Yields what was changed, the changed outputs, and whether a rule of the sanitizer allows it to go unnoticed.
    """
    outputs = canonical_outputs(outputs)
    places = []
    for number, key, text in _texts(outputs):
        allowed = [match.span() for rule, _ in sanitizer_patterns() for match in re.finditer(rule, text)]
        for match in re.finditer(r"\d+|[^\W\d_]{2,}", text):
            hidden = any(start <= match.start() and match.end() <= end for start, end in allowed)
            places.append((number, key, text, match, hidden))
    step = max(1, len(places) // _MOST_CHANGES)
    for number, key, text, match, hidden in places[::step]:
        word = match[0]
        other = word[:-1] + (str((int(word[-1]) + 1) % 10) if word.isdecimal() else "x" if word[-1] != "x" else "y")
        changed = copy.deepcopy(outputs)
        _put(changed[number], key, text[: match.start()] + other + text[match.end() :])
        yield f"{word!r} instead of {other!r}", changed, hidden


def _texts(outputs: list[NotebookNode]) -> Iterator[tuple[int, str, str]]:
    """(index of the output, key, text) of all that is compared in outputs, without the names of pictures."""
    for number, output in enumerate(outputs):
        if output.output_type == "stream":
            yield number, "text", output.text
        elif output.output_type == "error":
            yield number, "ename", output.ename
            yield number, "evalue", output.evalue
        else:
            picture = any(mime.startswith("image/") for mime in output.data)
            for mime, value in output.data.items():
                if isinstance(value, str) and not mime.startswith("image/") and not (picture and mime == "text/plain"):
                    yield number, mime, value


def _put(output: NotebookNode, key: str, text: str) -> None:
    (output.data if "/" in key else output)[key] = text
