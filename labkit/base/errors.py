"""The one exception that a learner is meant to read.

Its message is a single sentence that says what is wrong and what to do. The command line prints it and exits; a
notebook shows it without the traceback, which would only point into `labkit`.
"""

from __future__ import annotations


class LabError(Exception):
    """A failure that the reader can mend. `str(error)` is the whole explanation, in one sentence."""

    def _render_traceback_(self) -> list[str]:
        """What IPython (7 to 9) prints in place of the traceback."""
        return [f"LabError: {self}"]
