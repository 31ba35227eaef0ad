"""Checkpoints from which a killed run resumes: small, never incomplete, and of one run only.

accelerate saves and loads the optimizer, the schedule and the random states; of the model only what is trained is kept
(4 MB for an adapter, not 540). A checkpoint is a folder `step-000016`, made under another name and renamed when it is
complete; the one before it is deleted after that. Knows nothing of losses or batches (`loop`).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from labkit.base import cache
from labkit.base.errors import LabError

_RECORD = "run.json"
_WEIGHTS = "trained.safetensors"
_BEST = "best.safetensors"


class Checkpoints:
    """The checkpoints of one run in `folder`. `identity` is what makes it this run: settings and data.

    LabError when the folder holds checkpoints of a run with another identity; `fresh` deletes all that are there.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], *, fresh: bool = False) -> None:
        self.folder, self.identity = Path(folder), identity
        if fresh:
            for old in self._all():
                shutil.rmtree(old, ignore_errors=True)
        if (found := self.newest()) and (there := self._record(found)["identity"]) != identity:
            differs = sorted(key for key in identity.keys() | there.keys() if identity.get(key) != there.get(key))
            raise LabError(
                f"The folder {self.folder} holds a run that differs in {', '.join(differs)}: "
                "give another folder, or fresh=True to begin anew there."
            )

    def newest(self) -> Path | None:
        """The newest complete checkpoint."""
        return max(self._all(), default=None, key=lambda path: path.name)

    def save(self, accelerator: Any, model: Any, step: int, state: dict[str, Any], best: dict[str, Any] | None) -> None:
        """Write the checkpoint of `step`, in one step, and then delete the older ones."""
        from safetensors.torch import save_file

        target = self.folder / f"step-{step:06d}"
        self.folder.mkdir(parents=True, exist_ok=True)
        # The weights twice (now and the best) and AdamW's two averages. torch's error for a full disk is unreadable.
        needed = 5 * sum(4 * value.numel() for value in trained(model).values()) + 1_000_000
        cache.require_space(self.folder, needed, "A checkpoint")
        hook = accelerator.register_save_state_pre_hook(lambda models, weights, _: weights.clear())
        try:
            with cache.replacing(target) as part:
                accelerator.save_state(str(part))
                save_file(trained(model), part / _WEIGHTS)
                if best:
                    save_file(best, part / _BEST)
                record = {"identity": self.identity, "step": step, **state}
                (part / _RECORD).write_text(json.dumps(record), encoding="utf-8")
        finally:
            hook.remove()
        for old in self._all():
            if old != target:
                shutil.rmtree(old, ignore_errors=True)

    def load(self, accelerator: Any, model: Any) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
        """Put the newest checkpoint back into model, optimizer, schedule and random states.

        Returns what `save` was given as `state`, with its `step`, and the best weights; None without a checkpoint.
        """
        from safetensors.torch import load_file

        if (folder := self.newest()) is None:
            return None
        hook = accelerator.register_load_state_pre_hook(lambda models, _: models.clear())
        try:
            accelerator.load_state(str(folder))
        finally:
            hook.remove()
        restore(model, load_file(folder / _WEIGHTS))
        best = load_file(folder / _BEST) if (folder / _BEST).exists() else None
        return self._record(folder), best

    def _all(self) -> list[Path]:
        return [path for path in self.folder.glob("step-*") if (path / _RECORD).is_file()]

    def _record(self, checkpoint: Path) -> dict[str, Any]:
        try:
            return json.loads((checkpoint / _RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            raise LabError(f"The checkpoint {checkpoint} cannot be read ({problem}): delete that folder.") from None


def trained(model: Any) -> dict[str, Any]:
    """A copy of each parameter that is trained, by name."""
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


def restore(model: Any, weights: dict[str, Any]) -> None:
    """Put such copies back. LabError when the model trains other parameters."""
    import torch

    there = {name: value for name, value in model.named_parameters() if value.requires_grad}
    if there.keys() != weights.keys():
        raise LabError("These weights belong to another model or adapter: build it as it was when they were saved.")
    with torch.no_grad():
        for name, value in there.items():
            value.copy_(weights[name])
