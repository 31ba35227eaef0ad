"""Several processes: the same curve as one, parameters dealt out; and the arithmetic for several devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.facts import catalogue, memory
from labkit.models import local
from labkit.models.finetuning import distributed, scaling


def page() -> str:
    if assets.checkout() is None:
        pytest.skip("docs are in a checkout")
    return (assets.CHECKOUT / "docs" / "scaling.md").read_text(encoding="utf-8")


def said(call: str) -> list[float]:
    """The numbers of a row of the page's table, by the call in its first column."""
    row = next(line for line in page().splitlines() if line.startswith(f"| `{call}`"))
    return [float(number.replace(",", "")) for number in row.split("|")[2].split("; ")]


@pytest.mark.slow
def test_two_processes_give_the_loss_curve_of_one_and_the_page_shows_it():
    one, two = distributed.losses(1), distributed.losses(2)
    assert len(one) == 6 and one[-1] < one[0]
    assert two == pytest.approx(one, rel=1e-5)
    assert said("losses(1)") == said("losses(2)") == pytest.approx(one, abs=2e-3)


@pytest.mark.slow
def test_the_pages_script_trains_with_two_processes_and_saves_an_adapter(course_cache, tmp_path):
    from peft import PeftModel

    script = page().split("```python\n")[1].split("```")[0]
    (tmp_path / "train.py").write_text(script, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py"]
    path = os.pathsep.join(filter(None, [str(assets.PACKAGE.parent), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=280)
    assert done.returncode == 0, done.stderr
    losses = json.loads(done.stdout.strip().splitlines()[-1])
    assert len(losses) == 4 and losses[-1] < losses[0]
    model = PeftModel.from_pretrained(local.load(dtype="fp32")[0], tmp_path / "notes-adapter")
    learnt = [value for name, value in model.named_parameters() if "lora_B" in name]
    assert learnt and all(value.abs().max() > 0 for value in learnt)


@pytest.mark.slow
def test_each_of_two_processes_holds_half_of_the_parameters():
    found = distributed.shards(2)
    assert said("shards(2)") == [rank["parameters"] for rank in found]
    whole = sum(parameter.numel() for parameter in distributed.small_model().parameters())
    assert [rank["rank"] for rank in found] == [0, 1]
    assert [rank["of"] for rank in found] == [whole, whole]
    assert sum(rank["parameters"] for rank in found) == whole and found[0]["parameters"] == whole // 2


def test_what_cannot_be_shared_is_told():
    with pytest.raises(LabError, match="cannot be shared equally by 3"):
        distributed.losses(3, batch=4)
    with pytest.raises(LabError, match="1 or more"):
        distributed.shards(0)


@pytest.mark.parametrize("name", scaling.MODELS)
def test_one_device_holds_what_memory_counts(name):
    shape = catalogue.get(name).shape
    assert scaling.per_device_bytes(shape) == sum(memory.training_bytes(shape).values())
    assert scaling.per_device_bytes(shape) == 16 * memory.parameter_count(shape)


@pytest.mark.parametrize("method", scaling.METHODS)
def test_more_devices_hold_less_each_but_never_less_than_a_layer(method):
    shape = catalogue.get("llama-2-70b").shape
    held = [scaling.per_device_bytes(shape, devices=count, method=method) for count in (2, 4, 8, 16, 100_000)]
    assert held == sorted(held, reverse=True)
    # One layer of 80, and the embedding and output matrices and the last norm, which stay in 16 bits.
    outside = 2 * shape.vocab * shape.hidden + shape.hidden
    layer = (memory.parameter_count(shape) - outside) // 80
    gathered = (4.5 / 8 if method == "qlora" else 2) * layer + 2 * outside
    assert gathered < held[-1] < 1.02 * gathered


@pytest.mark.skipif(assets.checkout() is None, reason="docs are in a checkout")
@pytest.mark.parametrize("machines", ["one-machine", "two-machines"])
def test_the_configuration_files_are_accelerates(machines):
    import yaml
    from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
    from accelerate.utils import FullyShardedDataParallelPlugin

    file = assets.CHECKOUT / "docs" / f"fsdp-{machines}.yaml"
    config = load_config_from_file(str(file))
    assert isinstance(config, ClusterConfig) and config.num_processes == 8 * config.num_machines
    assert set(yaml.safe_load(file.read_text(encoding="utf-8"))) <= set(vars(config))
    known = vars(FullyShardedDataParallelPlugin()).keys() | {"offload_params", "version"}
    given = {name.removeprefix("fsdp_") for name in config.fsdp_config}
    assert given - {"offload_params", "version"} <= known, given - known


def test_the_page_on_scaling_has_the_computed_numbers():
    text = page()
    for method in scaling.METHODS:
        for name, row in scaling.table(method=method).iterrows():
            line = f"| {catalogue.get(name).title} | " + " | ".join(f"{value:,.1f}" for value in row) + " |"
            assert line in text, line


def test_an_unknown_method_is_told():
    with pytest.raises(LabError, match="full, lora, qlora"):
        scaling.per_device_bytes(catalogue.get("mistral-7b").shape, method="dpo")
