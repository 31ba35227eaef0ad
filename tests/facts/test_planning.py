"""Models against machines: what fits, and what is said where it does not."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from labkit.base.errors import LabError
from labkit.facts import catalogue, memory, planning


def computer(free: float, gpu: float = 0) -> SimpleNamespace:
    """What `require_memory` asks of a machine."""
    cards = (SimpleNamespace(memory_bytes=int(gpu)),) if gpu else ()
    return SimpleNamespace(device="cuda" if gpu else "cpu", gpus=cards, available_bytes=lambda: int(free))


def test_enough_memory_is_enough():
    entry = catalogue.get("mistral-7b")
    needed = memory.inference_bytes(entry.shape, dtype="bf16", tokens=512).total
    assert planning.require_memory(entry, "bf16", computer(needed)) is None
    assert planning.require_memory(entry, "bf16", computer(2e9, gpu=needed)) is None
    with pytest.raises(LabError):
        planning.require_memory(entry, "bf16", computer(needed - 1))
    with pytest.raises(LabError):
        planning.require_memory(entry, "bf16", computer(needed), tokens=4096)


@pytest.mark.parametrize("free_gb", [1.2, 2, 4, 9, 17, 30, 120])
def test_too_little_memory_names_a_model_that_fits(free_gb):
    with pytest.raises(LabError) as failure:
        planning.require_memory(catalogue.get("llama-2-70b"), "bf16", computer(free_gb * 1e9))
    message = str(failure.value)
    needed, free = re.match(
        r"LLaMA-2-70B in bf16 needs ([\d.]+) GB of memory and ([\d.]+) GB are free: ", message
    ).groups()
    exact = memory.inference_bytes(catalogue.get("llama-2-70b").shape, dtype="bf16", tokens=512).total / 1e9
    assert exact <= float(needed) < exact + 0.1 and float(free) == free_gb
    fits = [
        entry
        for entry in catalogue.all()
        if memory.inference_bytes(entry.shape, dtype="bf16", tokens=512).total <= free_gb * 1e9
        and entry.value("chat")
        and not entry.value("gated")
    ]
    largest = max(entry.parameters for entry in fits)
    assert catalogue.get(message.split('model="')[1].split('"')[0]).parameters == largest


def test_so_little_memory_that_nothing_fits():
    with pytest.raises(LabError, match="close other programs and notebooks, then try again.$"):
        planning.require_memory(catalogue.get(catalogue.DEFAULT), "fp32", computer(0.5e9))


def test_the_table_is_the_plan_in_gb():
    table = planning.table("mistral-7b", tokens=4096, batch=2, free=16e9)
    assert list(table.index) == ["fp32", "bf16", "int8", "int4"]
    assert table.fits.tolist() == [False, False, True, True]
    plan = memory.inference_bytes(
        catalogue.get("mistral-7b").shape, dtype="int8", tokens=4096, batch=2, all_logits=False
    )
    row = table.loc["int8"]
    assert row.total_gb == pytest.approx(plan.total / 1e9)
    assert row.weights_gb + row.kv_cache_gb + row.rest_gb == pytest.approx(row.total_gb)


def test_the_table_refuses_what_cannot_be():
    with pytest.raises(LabError, match="no model"):
        planning.table("gpt-4", tokens=1, free=1)
    with pytest.raises(LabError, match="tokens cannot be -1"):
        planning.table("mistral-7b", tokens=-1, free=1)
