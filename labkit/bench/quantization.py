"""Quantization methods side by side: size, memory, speed and quality, each measured in a process of its own.

A GGUF has two processes: llama.cpp with the file itself (size, memory, speed, its own perplexity), and transformers
with the de-quantized weights (perplexity and the rest, comparable with all other rows).
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from labkit import cache, machine
from labkit.bars import bar
from labkit.bench import Section, ratio
from labkit.errors import LabError

_KEYS = (
    *("method", "disk_MB", "memory_MB", "peak_MB", "prefill_tokens_per_s", "decode_tokens_per_s", "decode_low"),
    *("decode_high", "perplexity", "perplexity_low", "perplexity_high", "llama_perplexity", "kl", "kl_low", "kl_high"),
    *("same_first", "same_text", "exact_match", "valid_json", "note"),
)


def run(quick: bool) -> Section:
    """A row for every method; one that does not work here says why. Also kept as CSV, for `evaluation.merge`."""
    from labkit.quantization import methods

    with contextlib.suppress(LabError):  # its rows say so
        methods.fetch_torchao(quiet=True)
    tokens, repeats = (512, 3) if quick else (2048, 5)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in bar(methods.METHODS, "Methods"):
            rows.append(_row(name, Path(folder), tokens, repeats))
            kept = save(rows)  # minutes of work each: what is there survives an interruption
    protocol = (
        f"course text, about {tokens} tokens in 7 registers, window 512, each token once; KL and first choices against "
        f"fp32 on 252 tokens; same_text: 24 greedy tokens after 48, until they differ; speed: batch 1, 32 tokens, "
        f"median of {repeats} with lowest and highest; memory after writing; *_low, *_high: two standard errors; "
        f"CSV: {kept}"
    )
    found = {row["method"]: row["decode_tokens_per_s"] for row in rows if row["decode_tokens_per_s"] is not None}
    ratios = [
        ratio(f"decode speed of {name} to fp32", [found[name]], [found["fp32"]])
        for name in ("bitsandbytes NF4", "GGUF Q4_0")
        if name in found and "fp32" in found
    ]
    shown = [{key: "" if value is None else value for key, value in row.items()} for row in rows]
    return Section("quantization", protocol, shown, ratios)


def save(rows: list[dict[str, Any]]) -> Path:
    """The rows as a CSV file with this machine and today's date, in the course cache."""
    import pandas as pd

    from labkit import evaluation

    table = pd.DataFrame(rows)
    table.insert(0, "date", datetime.date.today().isoformat())
    table.insert(0, "machine", machine.detect().cpu)
    return evaluation.save(table, cache.subfolder("bench") / "quantization.csv")


def _row(name: str, folder: Path, tokens: int, repeats: int) -> dict[str, Any]:
    from labkit.quantization import methods

    row: dict[str, Any] = dict.fromkeys(_KEYS) | {"method": name, "note": methods.why_not(name)}
    if row["note"]:
        return row
    parts = ["engine", "quality"] if name.startswith("GGUF") else ["both"]
    for part in parts:
        command = [
            sys.executable,
            "-m",
            "labkit.bench.quantization",
            name,
            part,
            str(folder),
            str(tokens),
            str(repeats),
        ]
        run = subprocess.run(command, capture_output=True, text=True, env=_environment(name), encoding="utf-8")
        if run.returncode:
            return row | {"note": (run.stderr.strip().splitlines() or ["ended without a word"])[-1]}
        row |= json.loads(run.stdout.splitlines()[-1])
    return row


def _environment(name: str) -> dict[str, str]:
    """Only torchao's own processes see torchao: it prints warnings wherever it is seen."""
    from labkit import assets
    from labkit.quantization import methods

    folders = [str(methods.torchao_folder())] if name.startswith("torchao") else []
    folders += [str(assets.PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders)), "PYTHONUTF8": "1"}


# --- what runs in a process of its own


def main(arguments: list[str]) -> int:
    """Measure one method and print one line of JSON."""
    name, part, folder, tokens, repeats = arguments
    if part == "engine":
        found = _engine(name.removeprefix("GGUF "), int(tokens), int(repeats))
    else:
        found = _transformers(name, part == "both", Path(folder), int(tokens), int(repeats))
    print(json.dumps(found))
    return 0


def _transformers(name: str, with_speed: bool, folder: Path, tokens: int, repeats: int) -> dict[str, Any]:
    from labkit import local
    from labkit.quantization import methods

    model, tokenizer = methods.load(name, quiet=True)
    found: dict[str, Any] = {}
    if with_speed:
        local.measure(model)  # the first one pays for warming up
        speeds = [local.measure(model, prompt_tokens=128) for _ in range(repeats)]
        found = _speed([s.prefill_tokens_per_s for s in speeds], [s.decode_tokens_per_s for s in speeds])
        found |= _memory(os.getpid())
    found |= _quality(name, model, tokenizer, folder, tokens)
    # Last: bitsandbytes 0.50 keeps 4-bit weights in another order for some CPUs, and saving puts them out of it.
    return found | ({"disk_MB": _disk_bytes(model) / 1e6} if with_speed else {})


def _quality(name: str, model: Any, tokenizer: Any, folder: Path, tokens: int) -> dict[str, Any]:
    """Perplexity and tasks, and the distance to what the first method, fp32, left in `folder`."""
    import torch
    from safetensors.torch import load_file, save_file

    from labkit import evaluation

    documents = evaluation.course_text(tokenizer, tokens)
    measured = evaluation.perplexity(model, documents)
    found = {"perplexity": measured.value, "perplexity_low": measured.low, "perplexity_high": measured.high}
    own = torch.cat([evaluation.distributions(model, ids, tokens=36) for ids in documents.values()])
    written = evaluation.continuations(model, documents)
    kept = folder / "fp32.safetensors"
    if name == "fp32":
        save_file({"distributions": own, "written": torch.tensor(written)}, kept)
    if kept.exists():
        full = load_file(kept)
        distance = evaluation.kl_divergence(full["distributions"], own)
        found |= {"kl": distance.kl, "kl_low": distance.low, "kl_high": distance.high}
        found |= {"same_first": distance.same_first}
        found |= {"same_text": evaluation.agreement(full["written"].tolist(), written)}
    found["exact_match"] = evaluation.exact_match(model, tokenizer).share
    return found | {"valid_json": evaluation.json_validity(model, tokenizer).share}


def _engine(kind: str, tokens: int, repeats: int) -> dict[str, Any]:
    """llama.cpp with the file, in this process."""
    from transformers import AutoTokenizer

    from labkit import evaluation, models
    from labkit.classroom.server import model_server
    from labkit.evaluation.llama import ask
    from labkit.quantization import gguf_files

    file = gguf_files.make(kind, quiet=True)
    service = model_server(file, context=1024)
    body = {"prompt": list(range(100, 228)), "n_predict": 32, "temperature": 0, "cache_prompt": False}
    timings = [ask(service.url, service.key, "/completion", body | {"ignore_eos": True}) for _ in range(repeats + 1)]
    speeds = [answer["timings"] for answer in timings[1:]]
    found = _speed([s["prompt_per_second"] for s in speeds], [s["predicted_per_second"] for s in speeds])
    found |= _memory(service.pid) | {"disk_MB": file.stat().st_size / 1e6}
    documents = evaluation.course_text(AutoTokenizer.from_pretrained(models.ensure(quiet=True)), tokens)
    losses = evaluation.llama_losses(service.url, service.key, documents, quiet=True)
    return found | {"llama_perplexity": evaluation.from_losses(losses, 512).value}


def _speed(prefill: list[float], decode: list[float]) -> dict[str, float]:
    middle = {"prefill_tokens_per_s": statistics.median(prefill), "decode_tokens_per_s": statistics.median(decode)}
    return middle | {"decode_low": min(decode), "decode_high": max(decode)}


def _memory(pid: int) -> dict[str, float | None]:
    """What a process holds, and held at the most, in MB; the peak is None where the system does not keep it."""
    import psutil

    process = psutil.Process(pid)
    peak = getattr(process.memory_info(), "peak_wset", None)
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        lines = status.read_text(encoding="utf-8").splitlines()
        peak = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), None)
    return {"memory_MB": process.memory_info().rss / 1e6, "peak_MB": peak / 1e6 if peak else None}


def _disk_bytes(model: Any) -> int:
    """The bytes of the weights as `save_pretrained` writes them."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return sum(file.stat().st_size for file in Path(folder).iterdir() if file.suffix in (".safetensors", ".bin"))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LabError as problem:
        sys.exit(str(problem))
