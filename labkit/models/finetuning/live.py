"""What a training run shows: in a notebook a bar and the loss curve, drawn anew at each step; in a terminal a bar.

The picture is plain SVG from a plain function. Knows numbers. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 460, 150, 40, 18


def curve_svg(losses: Sequence[float], checks: Sequence[tuple[int, float]] = (), *, steps: int | None = None) -> str:
    """The loss of each step as a line, and the validation losses `(step, loss)` as dots, as an SVG picture.

    `steps` is how long the run will be: the line then ends where the run is. Empty text without a loss.
    """
    if not losses:
        return ""
    top = max([*losses, *(loss for _, loss in checks)]) or 1.0
    last = max(steps or 0, len(losses), 2)

    def place(step: int, loss: float) -> tuple[float, float]:
        across = _LEFT + (step - 1) / (last - 1) * (_WIDTH - _LEFT - 6)
        return round(across, 1), round(6 + (1 - loss / top) * (_HEIGHT - _BOTTOM - 6), 1)

    line = " ".join(",".join(map(str, place(step, loss))) for step, loss in enumerate(losses, start=1))
    dots = "".join('<circle cx="{}" cy="{}" r="3.5" fill="#fb8c00"/>'.format(*place(*check)) for check in checks)
    floor = _HEIGHT - _BOTTOM
    said = f"Training loss, {losses[0]:.3f} at step 1 and {losses[-1]:.3f} at step {len(losses)}"
    return (
        f'<svg role="img" aria-label="{said}" width="{_WIDTH}" height="{_HEIGHT}" font-size="10" fill="currentColor">'
        f'<line x1="{_LEFT}" y1="{floor}" x2="{_WIDTH}" y2="{floor}" stroke="currentColor" opacity=".4"/>'
        f'<text x="2" y="14">{top:.2f}</text><text x="2" y="{floor}">0</text>'
        f'<text x="{_WIDTH - 60}" y="{_HEIGHT - 4}">step {last}</text>'
        f'<polyline points="{line}" fill="none" stroke="#4285f4" stroke-width="1.5"/>{dots}</svg>'
    )


class Live:
    """Shows a run: a picture in a notebook, a bar of text on the error stream elsewhere, nothing when `quiet`."""

    def __init__(self, steps: int, *, done: int = 0, quiet: bool = False) -> None:
        self._steps, self._shown = steps, None
        self._handle, self._bar = None, None
        if quiet:
            return
        if _in_notebook():
            from IPython.display import HTML, display

            self._html = HTML
            self._handle = display(HTML("<i>The first step is computed.</i>"), display_id=True)
        else:
            from tqdm import tqdm

            self._bar = tqdm(total=steps, initial=done, desc="Training", ncols=80)

    def update(self, losses: Sequence[float], checks: Sequence[tuple[int, float]]) -> None:
        """Show the run as it is after its newest step."""
        if self._handle is not None:
            said = f"Step {len(losses)} of {self._steps}: loss {losses[-1]:.3f}"
            said += f", on validation data {checks[-1][1]:.3f} (dots)" if checks else ""
            bar = f'<progress style="width:{_WIDTH}px" max="{self._steps}" value="{len(losses)}"></progress>'
            picture = curve_svg(losses, checks, steps=self._steps)
            self._handle.update(self._html(f"<div>{said}</div>{bar}<div>{picture}</div>"))
        if self._bar is not None:
            self._bar.update(1)
            self._bar.set_postfix(loss=f"{losses[-1]:.3f}")

    def close(self) -> None:
        """The run has ended, well or not."""
        if self._bar is not None:
            self._bar.close()


def _in_notebook() -> bool:
    import sys

    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")
