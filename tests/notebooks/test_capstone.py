"""The capstone publishes: the cells of lesson 09 as they are, the real client, the local Hub; no training here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from labkit.base import assets
from labkit.facts import cards, teaching_data
from labkit.models import capstone

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)

import capstone_cells

REQUIRED = ["license", "base_model", "datasets", "language", "pipeline_tag", "library_name", "tags"]


def test_the_lessons_cells_publish_privately_and_each_commit_comes_back(course_cache, tmp_path):
    command = [sys.executable, capstone_cells.__file__, str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(assets.CHECKOUT), environment.get("PYTHONPATH", "")])
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert "ready: True" in seen["checked"] and "no such section" in seen["checked"]
    assert "Q8_0.gguf" in seen["listed"] and "Q4_K_M" not in seen["listed"]
    assert not seen["there after the dry run"]
    assert "private: True" in seen["published"] and seen["private"] and not seen["without a token"]
    assert re.fullmatch("[0-9a-f]{40}", seen["commit"]) and seen["licence"] == "apache-2.0"
    assert seen["result"] == ["text-classification", "open-models-lab/town-hall-messages", "exact_match", 0.707]
    sent = {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    assert {file for file in seen["files"] if not file.endswith("Q8_0.gguf")} == {".gitattributes", *sent}
    assert bytes.fromhex(seen["first"]) == b"GGUF" + bytes(range(256)) * 40
    assert bytes.fromhex(seen["second"]) == b"GGUF, trained again"


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # and back again afterwards
    found = capstone_cells.Lesson(tmp_path)
    found.run("head")
    found.run("card")
    return found


@pytest.mark.parametrize("field", REQUIRED)
def test_the_lessons_card_without_a_required_field_is_refused_in_words(lesson, field):
    card = ModelCard.load(Path(lesson.space["folder"]) / "README.md")
    known = {lesson.space["DATA"]: lesson.space["DATA_LICENCE"]}
    assert cards.is_ready(cards.check(card, data_licences=known))
    setattr(card.data, field, None)
    findings = cards.check(card, data_licences=known)
    assert not cards.is_ready(findings)
    assert f"problem: {field}: the field is missing" in "\n".join(map(repr, findings))


def test_the_lessons_files_hold_nothing_that_should_stay_at_home(lesson):
    assert cards.check_files(lesson.space["folder"]) == []


def test_the_completed_example_has_the_lessons_figures_and_its_card(lesson):
    text, titles = capstone.example(), dict(zip(lesson.stored, _ROWS, strict=True))
    for name, (right, total, interval) in lesson.stored.items():
        assert f"| {titles[name]} | {right} of {total} | {interval} |" in text
    written = Path(lesson.space["folder"], "README.md").read_text(encoding="utf-8")
    assert assets.path("project", "example-card.md").read_text(encoding="utf-8") == written
    points = [int(found) for found in re.findall(r"^\| \w+ \| (\d) \|", text, flags=re.MULTILINE)]
    assert len(points) == 6 and f"{sum(points)} of 12" in text


_ROWS = ("instruction alone", "five examples", "fine-tuned, 32 bits", "Q8_0 in llama.cpp", "Q4_K_M in llama.cpp")


def test_a_project_of_the_learners_own_changes_the_first_cell_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notes = teaching_data.load("notes", "train")[:60]
    lines = [f"{json.dumps(row['note'])},{row['template']}" for row in notes]
    Path("mine.csv").write_text("\n".join(["message,answer", *lines]), encoding="utf-8")
    own = 'FILE, NAME, LANGUAGE, TASK = "mine.csv", "my-notes", "de", "text-generation"\n'
    own += 'INSTRUCTION, DATA, DATA_LICENCE = "Which form?", "me/notes", "cc-by-sa-4.0"'
    lesson = capstone_cells.Lesson(tmp_path, own)
    lesson.run("head")
    lesson.run("card")
    assert cards.is_ready(cards.check(lesson.space["card"], data_licences={"me/notes": "cc-by-sa-4.0"}))
    card = ModelCard.load(tmp_path / "my-notes" / "README.md")
    (result,) = card.data.eval_results
    assert (card.data.language, card.data.datasets, card.data.model_name) == ("de", ["me/notes"], "my-notes")
    assert (result.task_type, result.dataset_name) == ("text-generation", "me/notes")
    assert "me/notes (licence cc-by-sa-4.0" in card.text and "town" not in card.text.lower()
