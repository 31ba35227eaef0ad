"""A run that was made once and stored: what happens when a model sees few notes far too often.

Too long for a lesson, so the lesson reads the numbers and `labkit bench finetuning` makes them again. The file names
the hashes of the data and of its own numbers: one that was edited, or belongs to other data, is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.facts import teaching_data
from labkit.models import local
from labkit.models.finetuning import chat, lesson, loop, scoring

_SPLITS = (("notes", "train"), ("notes", "validation"), ("general", "test"))
_NOTES, _CHECKED = 4, 30
# A learning rate above the lesson's, so that 80 steps show what a gentler one does in hundreds.
SETTINGS = loop.Settings(learning_rate=5e-3, batch=2, epochs=40, seed=0)
_LOOKS = (0, 4, 8, 16, 32, 80)


@dataclass(frozen=True)
class Stored:
    """`losses`, one a step, on the training notes; `points`: at some `step`, the mean loss on `validation` notes, the
    share of them answered exactly (`exact`), and the share of `general` questions answered."""

    losses: list[float]
    points: list[dict[str, float]]

    def table(self) -> Any:
        """The points as a pandas table."""
        import pandas

        return pandas.DataFrame(self.points)


def overfitting(*, quiet: bool = False) -> Stored:
    """Make the run: 4 notes, 40 times, with a look at new notes and at general questions now and then (minutes)."""
    model, tokenizer = local.load(dtype="fp32")
    model = lesson.adapter(model, seed=SETTINGS.seed)
    checked = teaching_data.load("notes", "validation")[:_CHECKED]
    encoded = lesson.examples("validation", tokenizer, _CHECKED)
    points: list[dict[str, float]] = []

    def look(step: int) -> None:
        if step in _LOOKS:
            loss = chat.mean_loss(model, encoded, pad=tokenizer.pad_token_id)
            exact = sum(scoring.reproduced(model, tokenizer, checked)) / len(checked)
            general = scoring.general(model, tokenizer).share
            points.append({"step": step, "validation": loss, "exact": exact, "general": general})

    look(0)
    data = lesson.examples("train", tokenizer, _NOTES)
    history = loop.train(model, data, SETTINGS, pad=tokenizer.pad_token_id, quiet=quiet, watch=look)
    return Stored(history.losses, points)


def save(stored: Stored, file: Path) -> None:
    """Write a run with its hashes."""
    from labkit.base import cache

    body = dataclasses.asdict(stored)
    content = {**_made_with(), "sha256": _hash(body), **body}
    cache.write_atomically(file, json.dumps(content, indent=1) + "\n")


def load(name: str = "overfitting", file: Path | None = None) -> Stored:
    """The stored run. LabError when its numbers were changed, or its data is not the data of today."""
    file = file or assets.path("runs", f"{name}.json")
    content = json.loads(file.read_text(encoding="utf-8"))
    stored = Stored(content["losses"], content["points"])
    if content["sha256"] != _hash(dataclasses.asdict(stored)):
        raise LabError(f"The numbers in {file.name} are not those that were stored: restore the file.")
    if any(content.get(name) != value for name, value in _made_with().items()):
        raise LabError(f"The run in {file.name} belongs to other data or settings: make it again (see assets/runs).")
    return stored


def _made_with() -> dict[str, dict[str, Any]]:
    """What a stored run must agree with: the data by its hashes, the settings, and the adapter that learnt."""
    data = {f"{name}/{split}": teaching_data.sha256(name, split) for name, split in _SPLITS}
    adapter = {"rank": lesson.RANK, "alpha": lesson.ALPHA, "first_layer": lesson.FIRST_LAYER}
    return {"data": data, "settings": dataclasses.asdict(SETTINGS), "adapter": adapter}


def _hash(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
