"""pip for a program: what it could not do becomes one sentence. uv complains in the same way, so it may be run too.

Knows what they say when something fails. Knows nothing of what is fetched, or why.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from labkit.base.errors import LabError

PIP = [sys.executable, "-m", "pip"]
# What stands in a complaint, what it means, and what helps better than what the caller would say.
_KNOWN = (
    (("No space left", "quota exceeded"), "the disk is full", "make room, then try again"),
    (("No module named pip",), "this Python has no pip", f"run `{sys.executable} -m ensurepip`, then try again"),
    (
        ("CERTIFICATE_VERIFY_FAILED", "invalid peer certificate"),
        "the certificate of the package index is not trusted",
        "set PIP_CERT to the certificate file of your school or company, then try again",
    ),
)


def run(
    command: list[str],
    *,
    failed: str,
    cure: str,
    show: bool = False,
    text: str = "",
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run pip or uv, with `text` as its input; what it prints, unless that is to `show` on the terminal.

    LabError in one sentence when that fails: `failed` says what could not be done, `cure` what to do.
    """
    output = None if show else subprocess.PIPE
    done = subprocess.run(
        command, input=text, stdout=output, stderr=subprocess.PIPE, text=True, errors="replace", env=environment
    )
    if done.returncode == 0:
        return done.stdout or ""
    for words, meaning, better in _KNOWN:
        if any(word in done.stderr for word in words):
            raise LabError(f"{failed}: {better} ({meaning}).")
    raise LabError(f"{failed}: {cure} ({_last(done.stderr)}).")


def _last(complaint: str) -> str:
    """The last line that says why."""
    lines = [line.strip(" ×╰─▶│") for line in complaint.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("WARNING")]
    errors = [line for line in said if line.startswith("ERROR")]
    last = (errors or said or ["no reason given"])[-1]
    return last.removeprefix("ERROR: ").rstrip(".")[:300]
