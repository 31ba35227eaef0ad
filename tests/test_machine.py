"""What the machine says of itself, from samples of the files and tools that say it, and against the real one."""

import os
import sys

import psutil
import pytest

from labkit import machine
from labkit.machine import Gpu, Machine


def a_machine(**changes) -> Machine:
    facts = {"platform": "local", "system": "Linux", "architecture": "x86_64", "python": "3.11.7", "cpu": "a CPU"}
    return Machine(**{**facts, "cores": 2, "memory_bytes": 8 * 10**9, "gpu": None, **changes})


@pytest.mark.parametrize(
    ("gpu", "cpu_has_bf16", "device", "dtype"),
    [
        (None, False, "cpu", "fp32"),
        (None, True, "cpu", "bf16"),
        (Gpu("Tesla T4", 16 * 2**30, "cuda", (7, 5)), True, "cuda", "fp16"),
        (Gpu("NVIDIA A100", 40 * 2**30, "cuda", (8, 0)), False, "cuda", "bf16"),
        (Gpu("NVIDIA unknown", 8 * 2**30, "cuda", None), False, "cuda", "fp16"),
        (Gpu("Apple M2", 16 * 2**30, "mps"), True, "mps", "fp16"),
    ],
)
def test_the_dtype_is_the_one_that_is_fast_there_and_says_why(gpu, cpu_has_bf16, device, dtype):
    here = a_machine(gpu=gpu, cpu_has_bf16=cpu_has_bf16)
    assert (here.device, here.dtype) == (device, dtype)
    assert len(here.dtype_reason.split()) > 3


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"COLAB_RELEASE_TAG": "release-colab"}, "colab"),
        ({"BINDER_SERVICE_HOST": "10.0.0.1", "JUPYTERHUB_USER": "jovyan"}, "binder"),
        ({"JUPYTERHUB_USER": "ann"}, "jupyterhub"),
        ({"CI": "true"}, "ci"),
        ({"CI": "false"}, "local"),
        ({}, "local"),
    ],
)
def test_where_this_is(variables, place):
    assert machine.hosted_on(variables) == place


def test_what_nvidia_smi_says():
    two = "NVIDIA H200, 143771, 9.0\nNVIDIA H200, 143771, 9.0"
    assert machine.parse_nvidia(two) == Gpu("NVIDIA H200", 143771 * 2**20, "cuda", (9, 0))
    assert machine.parse_nvidia("Quadro K600, 1024, [N/A]") == Gpu("Quadro K600", 2**30, "cuda", None)
    for text in ("", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", "a, b, c"):
        assert machine.parse_nvidia(text) is None


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")


def test_a_container_limit_in_cgroup_v2(tmp_path):
    write(
        tmp_path,
        memory__max="2147483648\n",
        memory__current="500000000\n",
        memory__stat="anon 1\ninactive_file 100000000\n",
        cpu__max="150000 100000\n",
    )
    assert machine.cgroup_memory(tmp_path) == (2**31, 400_000_000)
    assert machine.usable_cores(tmp_path) == min(
        2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    )


def test_a_container_limit_in_cgroup_v1(tmp_path):
    write(tmp_path / "memory", memory__limit_in_bytes="1000000000", memory__usage_in_bytes="1000")
    write(tmp_path / "cpu", cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    assert machine.cgroup_memory(tmp_path) == (10**9, 1000)
    assert machine.usable_cores(tmp_path) == 1


def test_no_limit_is_no_limit(tmp_path):
    write(tmp_path, memory__max="max", cpu__max="max 100000")
    write(tmp_path / "memory", memory__limit_in_bytes=str(2**63 - 4096), memory__usage_in_bytes="7")
    write(tmp_path / "cpu", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    assert machine.cgroup_memory(tmp_path) == (None, 0)
    assert machine.usable_cores(tmp_path) >= 1


def test_the_real_machine():
    here = machine.detect()
    assert 1 <= here.cores <= os.cpu_count()
    assert 0 < here.available_bytes() <= here.memory_bytes <= psutil.virtual_memory().total
    assert here.python == sys.version.split()[0]
    assert f"{here.cores} core" in here.summary()
    assert machine.detect() is here
