"""`labkit.start()`: the first cell of every lesson. It sets the world once, so that no later cell asks where it runs.

Local is the default: nothing is needed, and outputs match the text. Live is asked for, with `mode="live"` or
`LABKIT_MODE`. The lesson then uses the real libraries unchanged. Knows nothing of what a lesson teaches.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.base import cache, machine, network, workarounds
from labkit.base.errors import LabError
from labkit.facts import catalogue, planning
from labkit.lessons.course import LESSONS
from labkit.world import hub_client, hub_settings, weights

MODES = ("local", "live")

# What the libraries read when they are first imported. No telemetry, no update checks, no progress bars for files that
# are here already.
_QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

_TORCH_NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}

_started: Lab | None = None


@dataclass
class Lab:
    """What `start` returns: where the lesson runs, and with which model."""

    lesson: str
    mode: str
    machine: machine.Machine
    model: catalogue.Entry
    path: Path
    dtype: str  # as torch spells it: "float32", "bfloat16" or "float16"
    precision: str = ""  # of the weights: fp32, bf16, fp16 or int4
    _began: float = field(default_factory=time.monotonic, repr=False)

    @property
    def memory_dtype(self) -> str:
        """`dtype` as `labkit.memory` spells it: fp32, bf16 or fp16."""
        return next(short for short, name in _TORCH_NAMES.items() if name == self.dtype)

    @property
    def quantization(self) -> Any:
        """The `quantization_config` for `from_pretrained`: 4 bits where the model fits the GPU only so, else None."""
        from labkit.models import local

        return local.four_bits(self.machine) if self.precision == "int4" else None

    def cost(self) -> str:
        """What the lesson took up to here: seconds, and the kernel's memory at its peak. Depends on the machine."""
        minutes, seconds = divmod(round(time.monotonic() - self._began), 60)
        return f"{minutes} min {seconds} s since the set-up cell, {_peak_bytes() / 1e9:.1f} GB of memory at the peak"

    def finish(self) -> None:
        """End the lesson: save the progress, leave the services, give the memory of `labkit`'s own models back."""
        from labkit.lessons import progress

        if "labkit.models.local" in sys.modules:
            from labkit.models import local

            local.unload()
        if "labkit.world.services" in sys.modules:
            from labkit.world import services

            services.leave_all()
        print(progress.finish(self.lesson, seconds=time.monotonic() - self._began))


def start(lesson: str, *, model: str | None = None, mode: str | None = None) -> Lab:
    """Set the world for `lesson` ("00" to "09"), fetch the model if it is not here yet, print one line about it all.

    `model` is a catalogue name (`LABKIT_MODEL`, else the course model); `mode` is "local" or "live" (`LABKIT_MODE`,
    else local). Safe to call again. Raises LabError when a name is unknown, when the model does not fit this machine
    or cannot be fetched, and when a library that reads its settings at import was imported before.
    """
    global _started
    lesson, mode = _checked(lesson, mode)
    if _started is None and "huggingface_hub.constants" in sys.modules:
        raise LabError(
            "huggingface_hub was imported before labkit.start(): restart the kernel, then run this cell first."
        )
    note = ""
    if mode == "live" and LESSONS[lesson].gateway and not hub_settings.has_token():
        mode, note = "local", " (providers ask for a Hugging Face token, and there is none)"
    elif mode == "live" and (reason := network.trouble(hub_settings.endpoint())):
        mode, note = "local", f" (the Hub {reason})"
    here = machine.detect()
    entry = catalogue.get(model or os.environ.get("LABKIT_MODEL") or catalogue.DEFAULT)
    os.environ.update(_settings(mode, entry))
    workarounds.apply()
    if mode == "local":
        network.leave_unusable_proxies()
        _connect(lesson)
    else:
        os.environ.update(hub_settings.readable_token())
    dtype, precision = weights.dtype_for(entry, here), weights.precision_for(entry, here)
    if _started is None or _started.model.name != entry.name:
        # Once it is loaded, it would have to fit a second time.
        planning.require_memory(entry, precision, here)
    lab = Lab(lesson, mode, here, entry, weights.ensure(entry.name), _TORCH_NAMES[dtype], precision)
    if LESSONS[lesson].embedder:
        weights.ensure(catalogue.EMBEDDER)
    _started = lab
    spoken = f"{dtype}, weights in 4 bits" if precision == "int4" else dtype
    print(f"Lesson {lesson} · {mode} world{note} · {_describe(here, spoken)} · {entry.title}")
    if LESSONS[lesson].bigger and entry.name == catalogue.DEFAULT and (offer := planning.offer(lesson, dtype, here)):
        print(offer)
    if here.platform == "colab" and not (cache.root() / "progress.json").exists():
        print("This is a new machine: labkit.progress.upload() brings your earlier progress back.")
    return lab


def _connect(lesson: str) -> None:
    """Send the libraries to the services of the local world that the lesson needs."""
    if LESSONS[lesson].gateway:
        from labkit.world import inference_client

        inference_client.connect_local()
    elif LESSONS[lesson].hub:
        hub_client.connect()


def _checked(lesson: str, mode: str | None) -> tuple[str, str]:
    lesson = f"{int(lesson):02d}" if str(lesson).isdigit() else str(lesson)
    if lesson not in LESSONS:
        raise LabError(f"There is no lesson {lesson!r}: the course has lessons {min(LESSONS)} to {max(LESSONS)}.")
    mode = mode or os.environ.get("LABKIT_MODE") or "local"
    if mode not in MODES:
        raise LabError(f"Unknown mode {mode!r}: choose local or live.")
    return lesson, mode


def _settings(mode: str, entry: catalogue.Entry) -> Mapping[str, str]:
    settings = {"LABKIT_MODEL": entry.name} | network.no_proxy()
    settings |= {name: os.environ.get(name, value) for name, value in machine.PATIENT_THREADS.items()}
    if mode == "local":
        settings |= _QUIET
    if entry.name != catalogue.DEFAULT:
        # Gigabytes are worth a progress bar.
        settings["HF_HUB_DISABLE_PROGRESS_BARS"] = "0"
    return settings


def _peak_bytes() -> int:
    """The largest amount of memory that this process has held."""
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return psutil.Process().memory_info().peak_wset
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB


def _describe(here: machine.Machine, dtype: str) -> str:
    device = {"cpu": "CPU", "cuda": here.gpu.name if here.gpu else "GPU", "mps": "Apple GPU"}[here.device]
    cores = f"{here.cores} core{'s' if here.cores != 1 else ''}"
    free, total = here.available_bytes() / 1e9, here.memory_bytes / 1e9
    return f"{device} ({cores}), {dtype} · {free:.1f} GB of {total:.1f} GB memory free"
