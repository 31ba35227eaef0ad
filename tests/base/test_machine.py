"""What the machine says of itself, from samples of the files and tools that say it, and against the real one."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from labkit.base import machine
from labkit.base.machine import Gpu, Machine


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
    assert machine.parse_nvidia(two) == [Gpu("NVIDIA H200", 143771 * 2**20, "cuda", (9, 0))] * 2
    assert machine.parse_nvidia("Quadro K600, 1024, [N/A]") == [Gpu("Quadro K600", 2**30, "cuda", None)]
    for text in ("", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", "a, b, c"):
        assert machine.parse_nvidia(text) == []


@pytest.mark.parametrize(
    ("setting", "left"),
    [
        (None, "ABC"),
        ("", ""),
        ("-1", ""),
        ("2,0", "CA"),
        ("1, 9, 0", "B"),
        ("0,-1,1", "A"),
        ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "A"),
    ],
)
def test_what_is_hidden_from_cuda_is_not_counted(setting, left):
    three = machine.parse_nvidia("A, 1024, 7.5\nB, 1024, 8.0\nC, 1024, 9.0")
    assert "".join(gpu.name for gpu in machine.visible(three, setting)) == left


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """An nvidia-smi that knows two T4, and a machine that was not looked at yet."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'Tesla T4, 15360, 7.5'\necho 'Tesla T4, 15360, 7.5'\n", encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    machine.detect.cache_clear()
    yield
    machine.detect.cache_clear()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pretends an NVIDIA driver for Linux")
@pytest.mark.parametrize(("built", "device"), [("'12.8'", "cuda"), ("None", "cpu")])
def test_a_gpu_counts_only_for_a_torch_that_can_use_it(driver, tmp_path, monkeypatch, built, device):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('only looked at')", encoding="utf-8")
    (tmp_path / "torch" / "version.py").write_text(f"cuda: Optional[str] = {built}\n", encoding="utf-8")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    here = machine.detect()
    assert (here.device, len(here.gpus)) == (device, 2 if device == "cuda" else 0)
    assert (here.idle_gpu is None) == (device == "cuda")
    assert ("2" if device == "cuda" else "no GPU") in here.summary().replace("Tesla T4 with", "2")


def test_what_the_installed_torch_was_built_for():
    import torch

    assert machine.torch_has_cuda() == (torch.version.cuda is not None)


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


def test_the_tightest_of_several_limits_counts(tmp_path):
    write(tmp_path, memory__max="3000", memory__current="1")
    write(tmp_path / "memory", memory__max="2000", memory__current="700", memory__stat="inactive_file 900")
    assert machine.cgroup_memory(tmp_path) == (2000, 0), "what can be dropped may be more than what is counted"
    write(tmp_path / "memory", memory__max="4000")
    assert machine.cgroup_memory(tmp_path) == (3000, 1)


@pytest.mark.parametrize(
    ("said", "folders"),
    [
        ("0::/user.slice/a.scope", ["user.slice/a.scope", "user.slice"]),
        ("5:cpu,cpuacct:/job/1\n4:memory:/other", ["cpu/job/1", "cpu/job"]),
        ("0::/", [""]),
    ],
)
def test_the_folders_that_limit_this_process(monkeypatch, tmp_path, said, folders):
    monkeypatch.setattr(machine, "_read", {Path("/proc/self/cgroup"): said}.get)
    assert machine.cgroup_folders(tmp_path, "cpu") == [tmp_path / place for place in ("", "cpu", *folders)]


@pytest.mark.parametrize(
    ("limit", "left"), [((9000, 4000), 5000), ((1000, 2000), 0), ((10**18, 0), 10**9), ((None, 0), 10**9)]
)
def test_no_more_is_free_than_the_container_leaves(monkeypatch, limit, left):
    monkeypatch.setattr(machine, "cgroup_memory", lambda: limit)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**9))
    assert a_machine().available_bytes() == left


@pytest.mark.parametrize(
    ("said", "name", "has_bf16"),
    [
        ("model name\t: AMD EPYC 9B14\nflags\t\t: fpu sse avx512_bf16\n", "AMD EPYC 9B14", True),
        ("model name\t: Intel(R) Xeon(R)\nflags\t\t: fpu sse avx512f\n", "Intel(R) Xeon(R)", False),
        ("Features\t: fp asimd bf16\nHardware\t: BCM2835\n", "BCM2835", True),
        ("", "arm64", False),
    ],
)
def test_what_linux_says_of_its_processor(monkeypatch, said, name, has_bf16):
    pretend(monkeypatch, system="Linux", machine="arm64", processor="")
    monkeypatch.setattr(machine, "_read", {Path("/proc/cpuinfo"): said}.get)
    assert (machine._cpu_name(), machine._cpu_has_bf16()) == (name, has_bf16)


@pytest.mark.parametrize(("architecture", "said", "gpus"), [("arm64", "1", 1), ("x86_64", "", 0)])
def test_what_a_mac_says_of_its_processor(monkeypatch, architecture, said, gpus):
    pretend(monkeypatch, system="Darwin", machine=architecture)
    answers = {"machdep.cpu.brand_string": "Apple M2", "hw.optional.arm.FEAT_BF16": said}
    monkeypatch.setattr(machine, "_run", lambda tool, flag, key: answers[key])
    monkeypatch.setattr(machine.shutil, "which", lambda tool: None)
    assert (machine._cpu_name(), machine._cpu_has_bf16()) == ("Apple M2", bool(said))
    assert machine._gpus(16 * 2**30) == [Gpu("Apple M2", 16 * 2**30, "mps")] * gpus


def pretend(monkeypatch, **facts):
    for name, fact in facts.items():
        monkeypatch.setattr(machine.platform, name, lambda fact=fact: fact)


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
