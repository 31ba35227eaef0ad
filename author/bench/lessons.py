"""Each lesson run end to end by the canonical executor, as CI runs it: seconds, and the peak of its process tree."""

from __future__ import annotations

from labkit.base import assets
from labkit.front.bench import Section


def run(quick: bool) -> Section:
    """One run a lesson. The notebooks on disk are not changed."""
    from author import executor

    rows = []
    for file in sorted(assets.notebook_dir().glob("*.ipynb")):
        report = executor.execute(file)
        rows.append({"lesson": file.stem, "seconds": report.seconds, "peak_MB": report.peak_bytes / 1e6})
    return Section("lessons", "kernel and children, memory sampled ten times a second; budget 180 s and 1,500 MB", rows)
