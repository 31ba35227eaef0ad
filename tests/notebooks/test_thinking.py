"""No cell takes a text, or a count of tokens, for granted: a thinking model behind `LABKIT_ENDPOINT` gives neither."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.base import assets
from labkit.world import services

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)

SCRIPT = Path(__file__).with_name("thinking_endpoint.py")


@pytest.mark.slow
def test_lesson_04_and_the_capstone_with_a_model_that_only_thinks(course_cache, tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"PYTHONPATH": str(assets.CHECKOUT), "MPLBACKEND": "agg"}
    try:
        done = subprocess.run(
            [sys.executable, str(SCRIPT)], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=280
        )
    finally:
        for name in services.records.instances():
            if name.startswith("gateway"):
                services.stop(name)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["failed"] == []
    assert "'Let me think.' ...\n  content: None" in report["shown"], "the stand-in was asked"
    assert report["score"] == [0, 1]
