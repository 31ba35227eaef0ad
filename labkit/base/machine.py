"""What this machine is: platform, cores, memory, GPU, and which number formats are fast on it.

Reads the operating system, without torch and without the network. Nothing here raises: what cannot be found out is
reported as absent. Container limits count, because a notebook in a 2 GB container has 2 GB, whatever the host has.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h

# The threads of torch and llama.cpp wait for each other by spinning. That costs most of the speed while another program
# uses the cores: on 2 cores, torch wrote 6 tokens/s instead of 16 beside one busy process, and llama.cpp less than 1
# instead of 18 beside several. Sleeping at once makes training a quarter slower. A thousand turns before sleeping keep
# both: 16 tokens/s, and 0.80 s per step instead of 1.07; llama.cpp alone on the machine 72 instead of 67 (2026-11).
# libgomp reads both when it is loaded (GCC's manual of libgomp, "Environment Variables"); other OpenMP libraries know
# only the first.
PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}


@dataclass(frozen=True)
class Gpu:
    """A graphics processor that torch can compute on. `capability` is CUDA's compute capability, for example (7, 5)."""

    name: str
    memory_bytes: int
    kind: str  # "cuda" or "mps"
    capability: tuple[int, int] | None = None


@dataclass(frozen=True)
class Machine:
    """The facts that lessons and `doctor` need. `cores` and `memory_bytes` are what this process may use."""

    platform: str  # "colab", "binder", "jupyterhub", "ci" or "local"
    system: str  # "Linux", "Darwin" or "Windows"
    architecture: str
    python: str
    cpu: str
    cores: int
    memory_bytes: int
    gpu: Gpu | None
    cpu_has_bf16: bool = False
    more_gpus: tuple[Gpu, ...] = ()  # beside `gpu`, which is the first
    idle_gpu: Gpu | None = None  # a GPU that the installed build of torch cannot use

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """All graphics processors that torch can compute on."""
        return (self.gpu, *self.more_gpus) if self.gpu else ()

    @property
    def device(self) -> str:
        """What torch calls the place to compute: "cuda", "mps" or "cpu"."""
        return self.gpu.kind if self.gpu else "cpu"

    @property
    def dtype(self) -> str:
        """The number format that is fast here and safe for inference: fp32, bf16 or fp16."""
        return self._dtype_and_reason()[0]

    @property
    def dtype_reason(self) -> str:
        """Why, in one clause."""
        return self._dtype_and_reason()[1]

    def _dtype_and_reason(self) -> tuple[str, str]:
        if self.gpu and self.gpu.kind == "mps":
            return "fp16", "Apple GPUs compute 16-bit numbers at full speed"
        if self.gpu:
            if (self.gpu.capability or (0, 0)) >= (8, 0):
                return "bf16", "this GPU has bf16 units, and bf16 has the range of fp32"
            return "fp16", "this GPU is older than Ampere and has fast units for fp16 only"
        if self.cpu_has_bf16:
            return "bf16", "this CPU has bf16 instructions"
        return "fp32", "without bf16 instructions a CPU reads prompts several times slower in 16 bits"

    def available_bytes(self) -> int:
        """Memory that can be taken now, within the container's limit."""
        import psutil

        free = psutil.virtual_memory().available
        limit, used = cgroup_memory()
        return max(0, min(free, limit - used)) if limit is not None else free

    def summary(self) -> str:
        """One line, for example `2 cores, 23.4 GB free of 25.3 GB, no GPU`."""
        gpu = ", ".join(f"{each.name} with {each.memory_bytes / 1e9:.1f} GB" for each in self.gpus) or "no GPU"
        free = f"{self.available_bytes() / 1e9:.1f} GB free of {self.memory_bytes / 1e9:.1f} GB"
        return f"{self.cores} core{'s' if self.cores != 1 else ''}, {free}, {gpu}"


@functools.lru_cache(maxsize=1)
def detect() -> Machine:
    """This machine, looked at once per process: well under 0.2 s unless an NVIDIA driver has to be asked."""
    import psutil

    total = psutil.virtual_memory().total
    limit, _ = cgroup_memory()
    gpus = _gpus(total)
    usable = not gpus or gpus[0].kind == "mps" or torch_has_cuda() is not False
    return Machine(
        platform=hosted_on(os.environ),
        system=platform.system(),
        architecture=platform.machine(),
        python=platform.python_version(),
        cpu=_cpu_name(),
        cores=usable_cores(),
        memory_bytes=min(total, limit) if limit is not None else total,
        gpu=gpus[0] if gpus and usable else None,
        cpu_has_bf16=_cpu_has_bf16(),
        more_gpus=tuple(gpus[1:]) if usable else (),
        idle_gpu=gpus[0] if gpus and not usable else None,
    )


def hosted_on(environment: Mapping[str, str]) -> str:
    """The kind of place that this is, by the environment variables that each one sets."""
    if "COLAB_RELEASE_TAG" in environment or "google.colab" in sys.modules:
        return "colab"
    if "BINDER_SERVICE_HOST" in environment or "BINDER_LAUNCH_HOST" in environment:
        return "binder"
    if "JUPYTERHUB_USER" in environment:
        return "jupyterhub"
    return "ci" if environment.get("CI", "").lower() in ("1", "true") else "local"


def usable_cores(root: Path = CGROUP) -> int:
    """Cores that this process may use: its affinity, and a container's quota rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(root)
    return max(1, min(cores, -int(-quota // 1))) if quota is not None else cores


def _quota(root: Path) -> float | None:
    """Cores that cgroup v2 (`cpu.max`) or v1 (`cpu.cfs_quota_us`) allows, or None."""
    quotas = []
    for folder in cgroup_folders(root, "cpu"):
        text = _read(folder / "cpu.max").split() or [
            _read(folder / "cpu.cfs_quota_us"),
            _read(folder / "cpu.cfs_period_us"),
        ]
        if len(text) == 2 and text[0].isdigit() and text[1].isdigit() and int(text[1]):
            quotas.append(int(text[0]) / int(text[1]))
    return min(quotas, default=None)


def cgroup_memory(root: Path = CGROUP) -> tuple[int | None, int]:
    """The tightest memory limit over this process, in bytes, and what is used of it; (None, 0) without a limit."""
    tightest: tuple[int | None, int] = (None, 0)
    for folder in cgroup_folders(root, "memory"):
        limit = _read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes")
        used = _read(folder / "memory.current") or _read(folder / "memory.usage_in_bytes")
        # cgroup v1 writes "no limit" as a number near 2^63.
        if limit.isdigit() and int(limit) < 1 << 60 and (tightest[0] is None or int(limit) < tightest[0]):
            # Files that the kernel can drop at once are not memory in use.
            droppable = next((w[1] for w in _lines(folder / "memory.stat") if w[0] == "inactive_file"), "0")
            tightest = int(limit), max(0, int(used or 0) - int(droppable))
    return tightest


def cgroup_folders(root: Path, controller: str) -> list[Path]:
    """The cgroup folders that limit this process: its own and all above it, in v2 and in v1."""
    folders = [root, root / controller]
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if controllers and controller not in controllers.split(","):
            continue
        base = root / controller if controllers else root
        inner = base / path.lstrip("/")
        folders += [inner, *(parent for parent in inner.parents if base in parent.parents)]
    return folders


def _lines(file: Path) -> list[list[str]]:
    return [words for line in _read(file).splitlines() if len(words := line.split()) == 2]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _run(*command: str) -> str:
    """What a system tool prints within two seconds, or nothing."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=2, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _cpu_name() -> str:
    if platform.system() == "Darwin":
        return _run("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor()
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() in ("model name", "hardware"):
            return value.strip()
    return platform.processor() or platform.machine()


def _cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 numbers itself: AVX-512 BF16 or AMX on x86, BF16 on ARM."""
    if platform.system() == "Darwin":
        return _run("sysctl", "-n", "hw.optional.arm.FEAT_BF16") == "1"
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        if line.lower().startswith(("flags", "features")):
            return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(line.split()))
    return False


def _gpus(memory_bytes: int) -> list[Gpu]:
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return [Gpu(_cpu_name(), memory_bytes, "mps")]
    if not shutil.which("nvidia-smi"):
        return []
    query = "--query-gpu=name,memory.total,compute_cap"
    found = parse_nvidia(_run("nvidia-smi", query, "--format=csv,noheader,nounits"))
    return visible(found, os.environ.get("CUDA_VISIBLE_DEVICES"))


def visible(gpus: list[Gpu], setting: str | None) -> list[Gpu]:
    """The GPUs that `CUDA_VISIBLE_DEVICES` leaves to torch: CUDA reads numbers or UUIDs up to the first other word.

    >>> two = parse_nvidia("Tesla T4, 15360, 7.5\\nTesla P100, 16384, 6.0")
    >>> [gpu.name for setting in (None, "1", "", "-1") for gpu in visible(two, setting)]
    ['Tesla T4', 'Tesla P100', 'Tesla P100']
    """
    if setting is None:
        return gpus
    left = []
    for place, word in enumerate(word.strip() for word in setting.split(",")):
        number = int(word) if word.isdigit() else place if word.startswith(("GPU-", "MIG-")) else -1
        if not 0 <= number < len(gpus):
            break
        left.append(gpus[number])
    return left


def torch_has_cuda() -> bool | None:
    """Whether the installed torch was built for CUDA; None without a torch that says so. Does not import it.

    On Windows the plain `pip install torch` is a build without, and its metadata does not tell.
    """
    found = importlib.util.find_spec("torch")
    for folder in (found.submodule_search_locations if found else None) or []:
        if said := re.search(r"^cuda\b[^=\n]*=\s*(\S+)", _read(Path(folder) / "version.py"), re.MULTILINE):
            return said[1] != "None"
    return None


def parse_nvidia(text: str) -> list[Gpu]:
    """The GPUs in the answer of nvidia-smi.

    >>> parse_nvidia("Tesla T4, 15360, 7.5")
    [Gpu(name='Tesla T4', memory_bytes=16106127360, kind='cuda', capability=(7, 5))]
    """
    return [gpu for line in text.splitlines() if (gpu := _nvidia(line))]


def _nvidia(line: str) -> Gpu | None:
    fields = [field.strip() for field in line.split(",")]
    if len(fields) != 3 or not fields[1].isdigit():
        return None
    major, _, minor = fields[2].partition(".")
    capability = (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None
    return Gpu(fields[0], int(fields[1]) * 2**20, "cuda", capability)


def release_memory() -> None:
    """Return freed memory to the system, now and from now on.

    glibc keeps freed memory that lies between blocks in use: 0.6 GB after the course model was quantized, 0.2 GB after
    it was trained (2026-11-23). From now on blocks of a megabyte or more are mapped on their own, and so given back.
    Other systems do this by themselves.
    """
    with contextlib.suppress(OSError, AttributeError):
        system = ctypes.CDLL(None)
        system.mallopt(_MMAP_THRESHOLD, 1 << 20)
        system.malloc_trim(0)
