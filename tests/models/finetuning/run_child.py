"""A training run in a process of its own: `run_child.py FOLDER RESULT [KILL_AT]`. With KILL_AT it never ends itself:
at that step it writes nothing more, says so, and waits to be killed."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import tiny

from labkit.models import finetuning
from labkit.models.finetuning import checkpoints

SETTINGS = finetuning.Settings(
    learning_rate=0.01, batch=2, accumulation=2, epochs=3, save_every=3, check_every=4, patience=9, seed=5
)


def main(folder: str, result: str, kill_at: str = "0") -> None:
    model = tiny.adapted(lora_dropout=0.1)

    def watch(step: int) -> None:
        if step == int(kill_at):
            print("kill me", flush=True)
            time.sleep(600)

    data = {"validation": tiny.examples(6, seed=9), "folder": Path(folder)}
    history = finetuning.train(model, tiny.examples(), SETTINGS, **data, watch=watch, quiet=False, pad=2)
    weights = {name: value.tolist() for name, value in checkpoints.trained(model).items()}
    Path(result).write_text(
        json.dumps({"losses": history.losses, "checks": history.checks, "weights": weights}), encoding="utf-8"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
