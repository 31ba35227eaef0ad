"""Other people's packages that would stop a lesson are looked past; those that would not are left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TINY = TESTS / "models" / "finetuning"

ADAPTER = """
import sys
sys.path.insert(0, {tests!r})
import tiny
from labkit.base import workarounds
if {stepping}:
    workarounds.apply()
    workarounds.apply()
from labkit.models.finetuning import lora
from peft import LoraConfig, get_peft_model
import importlib.util
get_peft_model(tiny.model(), LoraConfig(r=2, target_modules=list(lora.ATTENTION)))
print("an adapter;", "torchao is seen" if importlib.util.find_spec("torchao") else "no torchao")
"""


@pytest.fixture
def beside(tmp_path):
    """Runs a program beside a torchao of some version, which is only a name and a number."""

    def run(version: str, *, stepping: bool = True) -> str:
        (tmp_path / "torchao").mkdir()
        (tmp_path / "torchao" / "__init__.py").write_text(f"__version__ = '{version}'", encoding="utf-8")
        info = tmp_path / f"torchao-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torchao\nVersion: {version}\n", encoding="utf-8")
        program = ADAPTER.format(tests=str(TINY), stepping=stepping)
        path = os.pathsep.join([str(tmp_path), str(TESTS.parent)])
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
        )
        return (done.stdout + done.stderr).strip()

    return run


@pytest.mark.slow
def test_an_old_torchao_does_not_stop_an_adapter(beside):
    assert beside("0.10.0") == "an adapter; no torchao"


@pytest.mark.slow
def test_without_stepping_around_it_would(beside):
    """When this fails, peft goes on with an old torchao, and the way around it is not needed any more."""
    assert "ImportError: Found an incompatible version of torchao" in beside("0.10.0", stepping=False)


def test_a_newer_torchao_is_left_alone(monkeypatch):
    from labkit.base import workarounds

    monkeypatch.setattr(workarounds.metadata, "version", lambda name: "0.18.0")
    monkeypatch.delitem(sys.modules, "torchao", raising=False)
    workarounds.apply()
    assert "torchao" not in sys.modules
    monkeypatch.setattr(workarounds.metadata, "version", lambda name: "0.10.0")
    workarounds.apply()
    assert sys.modules.pop("torchao") is None


def test_the_renamed_cache_is_not_mentioned_in_a_lesson_and_other_words_are():
    program = """
import logging, torch
from labkit.base import workarounds
workarounds.apply()
workarounds.apply()
import tiny
output = tiny.model()(torch.arange(5)[None], use_cache=True)
tiny.model()(torch.arange(1)[None], past_key_values=output.past_key_values)
logging.getLogger("transformers.utils.generic").warning("another word")
"""
    path = os.pathsep.join([str(TINY), str(TESTS.parent)])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0 and "past_key_values" not in done.stderr, done.stderr
    assert "another word" in done.stderr
