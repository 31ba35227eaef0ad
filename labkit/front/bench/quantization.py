"""Quantization methods side by side: size, memory, speed and quality, each measured in a process of its own.

A GGUF has two processes: llama.cpp with the file itself (size, memory, speed, its own perplexity), and transformers
with the de-quantized weights (perplexity and the rest, comparable with all other rows). A GGUF that cannot be made here
gets the row of the course's own table, with the machine and the date of that table.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from labkit.base import cache, machine, processes
from labkit.base.errors import LabError
from labkit.base.progress_bar import bar
from labkit.front.bench import Section, ratio, scratch

_KEYS = (
    *("machine", "date", "method", "disk_MB", "memory_MB", "memory_low", "memory_high", "peak_MB"),
    *("prefill_tokens_per_s", "prefill_low", "prefill_high", "decode_tokens_per_s", "decode_low", "decode_high"),
    *("tokens", "perplexity", "perplexity_low", "perplexity_high", "llama_perplexity", "kl", "kl_low", "kl_high"),
    *("same_first", "same_text", "exact_match", "exact_match_low", "exact_match_high", "valid_json", "note"),
)


def run(quick: bool) -> Section:
    """A row for every method; one that does not work here says why. Also kept as CSV, for `evaluation.merge`."""
    from labkit.models.quantization import methods

    with contextlib.suppress(LabError):  # its rows say so
        methods.fetch_torchao()
    tokens, repeats = (512, 3) if quick else (2048, 5)
    rows: list[dict[str, Any]] = []
    with scratch() as folder:
        for name in bar(methods.METHODS, "Methods"):
            rows.append(_row(name, folder, tokens, repeats))
            kept = save(rows, quick)  # minutes of work each: what is there survives an interruption
    protocol = (
        f"course text, about {tokens} tokens in 7 registers, window 512, each token once; KL and first choices against "
        f"fp32 on 252 tokens; same_text: 24 greedy tokens after 48, until they differ; speed: batch 1, 128 tokens read "
        f"and 32 written; speed and memory: median of {repeats}, *_low and *_high the lowest and the highest; "
        f"perplexity and kl: *_low and *_high are two standard errors off; exact_match: the 95 % interval; CSV: {kept}"
    )
    found = {row["method"]: row["decode_tokens_per_s"] for row in rows if row["decode_tokens_per_s"] is not None}
    ratios = [
        ratio(f"decode speed of {name} to fp32", [found[name]], [found["fp32"]])
        for name in ("bitsandbytes NF4", "GGUF Q4_0")
        if name in found and "fp32" in found
    ]
    shown = [{key: "" if row[key] is None else row[key] for key in _KEYS[2:]} for row in rows]
    return Section("quantization", protocol, shown, ratios)


def save(rows: list[dict[str, Any]], quick: bool = False) -> Path:
    """The rows as a CSV file in the course cache, each with its machine and date; quick ones in a file of their own.

    Rows of an earlier run stay until this one has measured their method: stopped early, it takes nothing away.
    """
    import pandas as pd

    from labkit.models import evaluation
    from labkit.models.quantization import methods

    file = cache.subfolder("bench") / f"quantization{'-quick' if quick else ''}.csv"
    table = pd.DataFrame(rows)
    if file.exists():
        with contextlib.suppress(LabError):  # a file that was spoiled by hand is replaced
            earlier = evaluation.merge([file])
            earlier = earlier[~earlier["method"].isin(table["method"]) & earlier["method"].isin(list(methods.METHODS))]
            table = pd.concat([table.dropna(axis=1, how="all"), earlier]).reindex(columns=_KEYS)
    return evaluation.save(table, file)


def _row(name: str, folder: Path, tokens: int, repeats: int) -> dict[str, Any]:
    from labkit.models.quantization import methods

    row: dict[str, Any] = dict.fromkeys(_KEYS) | {"method": name, "note": methods.why_not(name)}
    row |= {"machine": machine.detect().cpu, "date": datetime.date.today().isoformat()}
    if row["note"]:
        return _stored_row(row) if name.startswith("GGUF") else row
    parts = ["engine", "quality"] if name.startswith("GGUF") else ["both"]
    for part in parts:
        command = [
            sys.executable,
            "-m",
            "labkit.front.bench.quantization",
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


def _stored_row(row: dict[str, Any]) -> dict[str, Any]:
    """The course's own row for a file that cannot be made here, labelled as what it is."""
    from labkit.models import evaluation

    table = evaluation.stored().set_index("method", drop=False)
    found = table.reindex(columns=_KEYS).loc[row["method"]]
    kept = {key: None if value != value else value for key, value in found.items()}
    return kept | {"note": f"Not measured here, but on {kept['machine']} on {kept['date']}. {row['note']}"}


def _environment(name: str) -> dict[str, str]:
    """Only torchao's own processes see torchao: it prints warnings wherever it is seen."""
    from labkit.models.quantization import methods

    folders = [methods.torchao_folder()] if name.startswith("torchao") else []
    return processes.child_environment(*folders, PYTHONUTF8="1")


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
    from labkit.models import local
    from labkit.models.evaluation import figures
    from labkit.models.quantization import methods

    model, tokenizer = methods.load(name, quiet=True)
    found: dict[str, Any] = {}
    if with_speed:
        local.measure(model)  # the first one pays for warming up
        speeds, held = [], []
        for _ in range(repeats):
            speeds.append(local.measure(model, prompt_tokens=128))
            held.append(figures.resident_mb(os.getpid()))
        found = figures.spread("prefill", [s.prefill_tokens_per_s for s in speeds], "tokens_per_s")
        found |= figures.spread("decode", [s.decode_tokens_per_s for s in speeds], "tokens_per_s")
        found |= figures.spread("memory", held, "MB") | {"peak_MB": figures.peak_mb(os.getpid())}
    found |= _quality(name, model, tokenizer, folder, tokens)
    # Last: bitsandbytes 0.50 keeps 4-bit weights in another order for some CPUs, and saving puts them out of it.
    return found | ({"disk_MB": _disk_bytes(model) / 1e6} if with_speed else {})


def _quality(name: str, model: Any, tokenizer: Any, folder: Path, tokens: int) -> dict[str, Any]:
    """Perplexity and tasks, and the distance to what the first method, fp32, left in `folder`."""
    import torch
    from safetensors.torch import load_file, save_file

    from labkit.models import evaluation

    documents = evaluation.course_text(tokenizer, tokens)
    measured = evaluation.perplexity(model, documents, quiet=True)
    found: dict[str, Any] = {"tokens": measured.tokens, "perplexity": measured.value}
    found |= {"perplexity_low": measured.low, "perplexity_high": measured.high}
    own = torch.cat([evaluation.distributions(model, ids, tokens=36) for ids in documents.values()])
    written = evaluation.continuations(model, documents, quiet=True)
    kept = folder / "fp32.safetensors"
    if name == "fp32":
        save_file({"distributions": own, "written": torch.tensor(written)}, kept)
    if kept.exists():
        full = load_file(kept)
        distance = evaluation.kl_divergence(full["distributions"], own)
        found |= {"kl": distance.kl, "kl_low": distance.low, "kl_high": distance.high}
        found |= {"same_first": distance.same_first}
        found |= {"same_text": evaluation.agreement(full["written"].tolist(), written)}
    score = evaluation.exact_match(model, tokenizer, quiet=True)
    found["exact_match"] = score.share
    found["exact_match_low"], found["exact_match_high"] = score.interval
    return found | {"valid_json": evaluation.json_validity(model, tokenizer, quiet=True).share}


def _engine(kind: str, tokens: int, repeats: int) -> dict[str, Any]:
    """llama.cpp with the file itself."""
    from transformers import AutoTokenizer

    from labkit.models import evaluation
    from labkit.models.quantization import gguf_files
    from labkit.world import weights

    file = gguf_files.make(kind, quiet=True)
    documents = evaluation.course_text(AutoTokenizer.from_pretrained(weights.ensure(quiet=True)), tokens)
    return evaluation.llama_figures(file, documents, repeats=repeats, quiet=True)


def _disk_bytes(model: Any) -> int:
    """The bytes of the weights as `save_pretrained` writes them."""
    with scratch() as folder:
        model.save_pretrained(folder)
        return sum(file.stat().st_size for file in folder.iterdir() if file.suffix in (".safetensors", ".bin"))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LabError as problem:
        sys.exit(str(problem))
