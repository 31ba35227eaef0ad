"""The cells of lesson 09 from the card on, run as they are.

Small files stand in the place of the trained weights, and the scores of the stored lesson in the place of new ones.

`python capstone_cells.py` publishes with them on the course's Hub, in a process whose libraries were sent there as a
lesson sends them, and prints what it saw as one JSON object.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat


class Lesson:
    """The lesson up to the card, as training would have left it; `run` runs a cell and returns what it printed.

    `project` is put below the lesson's first cell: what a learner writes there in the place of ours.
    """

    def __init__(self, folder: Path, project: str = "") -> None:
        import labkit
        from labkit.base import assets
        from labkit.facts import catalogue

        os.chdir(folder)
        notebook = nbformat.read(assets.notebook_dir() / "09_capstone.ipynb", 4)
        self.cells = {cell.id: cell.source for cell in notebook.cells}
        self.cells["project"] += f"\n{project}\nrows = project.read(FILE)"
        (shown,) = next(cell.outputs for cell in notebook.cells if cell.id == "compare")
        # As the stored lesson has them: {"Q8_0": (right, of, interval), ...}
        pattern = r"^(.+?) +(\d+) of (\d+): \d+% \(95 % interval (.+?)\)"
        found = re.findall(pattern, shown.text, flags=re.MULTILINE)
        self.stored = {name: (int(right), int(total), interval) for name, right, total, interval in found}
        lab = SimpleNamespace(model=catalogue.get(catalogue.DEFAULT), mode="local")
        self.space: dict[str, Any] = {"labkit": labkit, "lab": lab, "Path": Path}
        self.run("project")
        self.run("split")
        self._trained()

    def run(self, cell: str) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            exec(compile(self.cells[cell], cell, "exec"), self.space)
        return shown.getvalue()

    def _trained(self) -> None:
        import pandas

        from labkit.models.evaluation import Score

        name, total = self.space["NAME"], len(self.space["judge"])
        folder = Path(name)
        folder.mkdir()
        base = self.space["lab"].model.repo_id
        (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}), "utf-8")
        (folder / "adapter_model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
        (folder / f"{name}-Q8_0.gguf").write_bytes(b"GGUF" + bytes(range(256)) * 40)
        (folder / f"{name}-Q4_K_M.gguf").write_bytes(b"GGUF, not to be sent")
        rows = pandas.DataFrame({"right": [True] * total})
        scores = {name: Score(right * total // of, total, rows) for name, (right, of, _) in self.stored.items()}
        self.space |= {"folder": folder, "scores": scores, "before": scores["instruction"]}


def publish(folder: Path) -> dict[str, Any]:
    """Check, dry run, publish, publish again; fetch both by their commits."""
    from labkit.world import hub_client

    hub_client.connect()
    from huggingface_hub import HfApi, hf_hub_download

    lesson, api = Lesson(folder), HfApi()
    lesson.run("head")
    lesson.run("card")
    seen: dict[str, Any] = {"checked": lesson.run("check"), "listed": lesson.run("dry-run")}
    repo_id, file = lesson.space["repo_id"], f"{lesson.space['NAME']}-Q8_0.gguf"
    seen |= {"there after the dry run": api.repo_exists(repo_id), "published": lesson.run("publish")}
    first, info = lesson.space["commit"].oid, api.model_info(repo_id)
    seen |= {"commit": first, "files": sorted(api.list_repo_files(repo_id)), "licence": info.card_data.license}
    (result,) = info.card_data.eval_results
    seen["result"] = [result.task_type, result.dataset_type, result.metric_type, result.metric_value]
    seen |= {"without a token": api.repo_exists(repo_id, token=False), "private": info.private}
    (folder / lesson.space["NAME"] / file).write_bytes(b"GGUF, trained again")
    lesson.run("publish")
    for name, commit in (("first", first), ("second", lesson.space["commit"].oid)):
        seen[name] = Path(hf_hub_download(repo_id, file, revision=commit)).read_bytes().hex()
    api.delete_repo(repo_id)
    return seen


if __name__ == "__main__":
    print(json.dumps(publish(Path(sys.argv[1]))))
