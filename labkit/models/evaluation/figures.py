"""Figures of this machine: memory and speed with their spread, and a table of GGUF files as llama.cpp runs them here.

Speed and memory depend on the machine and the minute: each is measured several times, and reported as the median with
the lowest and the highest. Knows llama.cpp's server. Knows nothing of how a file was made.
"""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.base import machine
from labkit.base.progress_bar import bar
from labkit.models.evaluation import losses
from labkit.models.evaluation.llama import ask, llama_losses

if TYPE_CHECKING:
    import pandas as pd

_PROMPT, _NEW = 128, 32  # tokens read and written for a measurement of speed


def spread(name: str, values: list[float], unit: str) -> dict[str, float]:
    """The median of values, under `name` and its unit, with the lowest and the highest.

    >>> spread("decode", [9.0, 7.0, 8.0], "tokens_per_s")
    {'decode_tokens_per_s': 8.0, 'decode_low': 7.0, 'decode_high': 9.0}
    """
    return {f"{name}_{unit}": statistics.median(values), f"{name}_low": min(values), f"{name}_high": max(values)}


def resident_mb(pid: int) -> float:
    """What a process holds in memory now, in MB."""
    import psutil

    return psutil.Process(pid).memory_info().rss / 1e6


def peak_mb(pid: int) -> float | None:
    """The most that a process has held so far, in MB; None where the system does not record it."""
    import psutil

    peak = getattr(psutil.Process(pid).memory_info(), "peak_wset", None)
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        lines = status.read_text(encoding="utf-8").splitlines()
        peak = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), None)
    return peak / 1e6 if peak else None


def llama_figures(file: Path, documents: Any, *, repeats: int = 3, quiet: bool = False) -> dict[str, Any]:
    """Size, memory, speed and llama.cpp's own perplexity of one GGUF on `documents`, measured here and now.

    Starts a model server for the file, and stops it unless another kernel uses it. LabError when it cannot be loaded.
    """
    from labkit.world import services
    from labkit.world.model_server.service import model_server

    service = model_server(file, context=1024)
    try:
        body = {"prompt": list(range(100, 100 + _PROMPT)), "n_predict": _NEW, "temperature": 0, "ignore_eos": True}
        timings, held = [], []
        for _ in range(repeats + 1):  # the first one pays for warming up
            answer = ask(service.url, service.key, "/completion", body | {"cache_prompt": False})
            timings.append(answer["timings"])
            held.append(resident_mb(service.pid))
        found: dict[str, Any] = {"disk_MB": file.stat().st_size / 1e6} | spread("memory", held[1:], "MB")
        found |= {"peak_MB": peak_mb(service.pid)}
        found |= spread("prefill", [one["prompt_per_second"] for one in timings[1:]], "tokens_per_s")
        found |= spread("decode", [one["predicted_per_second"] for one in timings[1:]], "tokens_per_s")
        lost = llama_losses(service.url, service.key, documents, quiet=quiet)
        return found | {"tokens": len(lost), "llama_perplexity": losses.from_losses(lost, 512).value}
    finally:
        services.leave(service.name)
        if not services.users(service.name):
            services.stop(service.name)


def llama_table(files: Mapping[str, Path], documents: Any, *, repeats: int = 3, quiet: bool = False) -> pd.DataFrame:
    """A row of `llama_figures` for each file, smallest first, in the form that `save` and `merge` know.

    `perplexity` and `kl` are empty: they are measured on de-quantized weights in PyTorch, llama.cpp's perplexity here.
    """
    import pandas as pd

    rows = []
    today, here = datetime.date.today().isoformat(), machine.detect().cpu
    for name, file in bar(files.items(), "Measuring files", quiet=quiet):
        row = {"machine": here, "date": today, "method": f"GGUF {name}", "perplexity": None, "kl": None}
        rows.append(row | llama_figures(file, documents, repeats=repeats, quiet=True))
    return pd.DataFrame(rows).sort_values("disk_MB", ignore_index=True)
