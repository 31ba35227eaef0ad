"""Fine-tuning as in lesson 07: five seeds, each in a process of its own; the loop against a bare one; stored curves.

`python -m labkit.front.bench.finetuning JOB` is such a process and prints one JSON object: `seed N`, `pair`, or
`curves`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from labkit.base import processes
from labkit.base.errors import LabError
from labkit.facts import teaching_data
from labkit.front.bench import Ratio, Section, ratio
from labkit.models import local

SEEDS = (0, 1, 2, 3, 4)
_PAIR_STEPS = 24  # a third of the lesson's: what a run costs once, 0.3 s of memory handed back, must not weigh more


def run(quick: bool) -> Section:
    """One row a seed, the ratio to a bare loop, and whether the stored curves were found again (not when `quick`)."""
    rows, pairs = [], []
    for seed in SEEDS[:1] if quick else SEEDS:
        rows.append(_child("seed", str(seed)))
        _say(rows[-1])
    for _ in range(1 if quick else 3):
        pairs += _child("pair")["pairs"]
    ratios = [ratio("finetuning.train to a bare peft loop, tokens/s", *zip(*pairs, strict=True), aim="at least 0.98")]
    if not quick:
        ratios.append(_exactness(rows))
        ratios += _repeated(_child("curves"))
    return Section(
        "finetuning",
        f"{_notes()} notes, {_threads()} threads, fp32; exact match on all 200 test notes and 100 of unseen sentences, "
        "95 % intervals (Wilson); aim: median at least 90 %, worst at least 80 %, 75 s and 1,500 MB",
        rows,
        ratios,
    )


def _notes() -> int:
    from labkit.models.finetuning import lesson

    return lesson.NOTES


def _exactness(rows: list[dict[str, Any]]) -> Ratio:
    found = [min(row["test_%"], row["template_%"]) / 100 for row in rows]
    name = "exact match, the worse of both sets"
    return Ratio(name, statistics.median(found), min(found), max(found), len(found), "0.90, lowest 0.80")


def _repeated(found: dict[str, Any]) -> list[Ratio]:
    """The stored run made again: each loss over the stored one, and the shares, which may differ by an item or two."""
    again, stored, title, ratios = found["again"], found["stored"], "stored run made again", []
    for name in ("training", "validation"):
        ratios.append(ratio(f"{title}, {name} loss", again[name], stored[name], aim="1, to rounding"))
    for name in ("exact", "general"):
        away = [a - b for a, b in zip(again[name], stored[name], strict=True)]
        said = f"{title}, difference in the share {name}"
        ratios.append(Ratio(said, statistics.median(away), min(away), max(away), len(away), "0"))
    return ratios


def _child(*job: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "labkit.front.bench.finetuning", *job]
    done = subprocess.run(command, capture_output=True, text=True, env=processes.child_environment())
    if done.returncode:
        raise LabError(f"The run {' '.join(job)} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def _say(row: dict[str, Any]) -> None:
    print(json.dumps(row), file=sys.stderr, flush=True)


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def seed_row(seed: int) -> dict[str, Any]:
    """Train with one seed and judge the result; times and peak are of the training alone."""
    from labkit.base.process_memory import Peak
    from labkit.models.evaluation.scores import wilson
    from labkit.models.finetuning import lesson, scoring

    model, tokenizer = local.load(dtype="fp32")
    watcher = Peak(os.getpid())
    watcher.start()
    cpu, began = time.process_time(), time.perf_counter()
    model, history = lesson.run(model, tokenizer, seed=seed, quiet=True)
    seconds, cpu, peak = time.perf_counter() - began, time.process_time() - cpu, watcher.stop()
    model = model.merge_and_unload()
    speed = history.tokens / history.seconds
    row = {"seed": seed, "seconds": seconds, "cpu_s": cpu, "peak_MB": peak / 1e6, "tokens_per_s": speed}
    for split in ("test", "template"):
        rows = teaching_data.load("notes", split)
        right = sum(scoring.reproduced(model, tokenizer, rows))
        low, high = wilson(right, len(rows))
        row |= {f"{split}_%": 100 * right / len(rows), f"{split}_low_%": 100 * low, f"{split}_high_%": 100 * high}
    general = scoring.general(model, tokenizer)
    return row | {"general_%": 100 * general.share}


def pair_row() -> dict[str, Any]:
    """Tokens a second of `train` and of a bare loop, in turn, three times: who is first changes.

    Each begins with the same adapter: a model that is sure of its answers computes with numbers so small that the CPU
    is slow with them (denormals; 8 % here, 2026-11-26).
    """
    from labkit.models.finetuning import checkpoints, lesson, loop

    model, tokenizer = local.load(dtype="fp32")
    model = lesson.adapter(model, seed=0)
    examples = lesson.examples("train", tokenizer)[: _PAIR_STEPS * lesson.SETTINGS.per_step]
    same_order = [examples[index] for index in loop.order(len(examples), lesson.SETTINGS)]
    pad, pairs = tokenizer.pad_token_id, []
    untrained = checkpoints.trained(model)

    def ours() -> float:
        checkpoints.restore(model, untrained)
        began = time.perf_counter()
        history = loop.train(model, examples, lesson.SETTINGS, pad=pad, quiet=True)
        return history.tokens / (time.perf_counter() - began)

    def bare() -> float:
        checkpoints.restore(model, untrained)
        return bare_loop(model, same_order, lesson.SETTINGS, pad)

    for turn in range(4):
        speeds = {measure: measure() for measure in ((ours, bare) if turn % 2 else (bare, ours))}
        # The first round pays for warming up.
        if turn:
            pairs.append([speeds[ours], speeds[bare]])
    return {"pairs": pairs}


def bare_loop(model: Any, examples: Any, settings: Any, pad: int) -> float:
    """What a user of peft and torch writes, without any of labkit around the loop; tokens a second."""
    import torch
    from transformers import get_linear_schedule_with_warmup

    from labkit.models.finetuning import chat

    began, tokens = time.perf_counter(), 0
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(optimizer, settings.warmup, len(examples) // settings.per_step)
    model.train()
    for start in range(0, len(examples), settings.per_step):
        for part in range(settings.accumulation):
            at = start + part * settings.batch
            batch = chat.collate(examples[at : at + settings.batch], pad=pad)
            (chat.answer_loss(model, batch) / settings.accumulation).backward()
            tokens += int(batch["attention_mask"].sum())
        torch.nn.utils.clip_grad_norm_(trained, settings.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return tokens / (time.perf_counter() - began)


def curves_row() -> dict[str, Any]:
    """Make the stored run again: what is stored and what was found, by name. LabError when its data has changed."""
    from labkit.models.finetuning import curves

    stored, again = curves.load("overfitting"), curves.overfitting(quiet=True)
    return {"stored": _columns(stored), "again": _columns(again)}


def _columns(run: Any) -> dict[str, list[float]]:
    """The first 16 losses, before roundings add up, and each column of the points."""
    names = ("validation", "exact", "general")
    return {"training": run.losses[:16], **{name: [point[name] for point in run.points] for name in names}}


def main() -> int:
    """The child process of `run`."""
    job, *rest = sys.argv[1:]
    jobs = {"seed": lambda: seed_row(int(rest[0])), "pair": pair_row, "curves": curves_row}
    print(json.dumps(jobs[job]()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
