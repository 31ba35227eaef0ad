"""What pip and uv complain of, in one sentence that says what to do."""

import sys

import pytest

from labkit import LabError
from labkit.base import pip

COMPLAINTS = {
    "WARNING: Retrying\nERROR: No matching distribution found for x\nWARNING: old": "do that (No matching distribution",
    "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device": "make room",
    "OSError: [Errno 122] Disk quota exceeded": "make room",
    "/usr/bin/python: No module named pip": "-m ensurepip`, then",
    "SSLError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate')\nERROR: No matching": "set PIP_CERT to",
    "  × No solution found\n  ╰─▶ Because x was not found, we can conclude that y.\n": "(Because x was not found",
    "": "do that (no reason given).",
}


@pytest.mark.parametrize(("said", "told"), COMPLAINTS.items())
def test_a_complaint_is_one_sentence(said, told):
    program = "import sys; sys.stderr.buffer.write(sys.stdin.buffer.read()); sys.exit(1)"
    with pytest.raises(LabError) as problem:
        pip.run([sys.executable, "-c", program], failed="It failed", cure="do that", text=said)
    assert str(problem.value).startswith("It failed: ") and told in str(problem.value)
    assert "\n" not in str(problem.value)


def test_what_it_prints_is_given_back():
    assert pip.run([*pip.PIP, "--version"], failed="", cure="").startswith("pip ")
