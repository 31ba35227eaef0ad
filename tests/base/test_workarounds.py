"""Packages that would stop a lesson are hidden from it; those that would not are left alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.commands import python

TINY = Path(__file__).parents[1] / "models" / "finetuning"

ADAPTER = """
import sys
sys.path.insert(0, {tests!r})
import tiny
from labkit.base import workarounds
if {applied}:
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

    def run(version: str, *, applied: bool = True) -> str:
        (tmp_path / "torchao").mkdir()
        (tmp_path / "torchao" / "__init__.py").write_text(f"__version__ = '{version}'", encoding="utf-8")
        info = tmp_path / f"torchao-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torchao\nVersion: {version}\n", encoding="utf-8")
        done = python(ADAPTER.format(tests=str(TINY), applied=applied), folder=tmp_path)
        return (done.stdout + done.stderr).strip()

    return run


@pytest.mark.slow
def test_an_old_torchao_does_not_stop_an_adapter(beside):
    assert beside("0.10.0") == "an adapter; no torchao"


@pytest.mark.slow
def test_without_the_workaround_it_would(beside):
    """When this fails, peft goes on with an old torchao, and the workaround is not needed any more."""
    assert "ImportError: Found an incompatible version of torchao" in beside("0.10.0", applied=False)


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
    done = python(program, folder=TINY)
    assert done.returncode == 0 and "past_key_values" not in done.stderr, done.stderr
    assert "another word" in done.stderr
