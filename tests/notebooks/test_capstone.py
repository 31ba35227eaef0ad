"""The capstone publishes: the lesson's own function, the finished example's card, the real client, the local Hub."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest
from huggingface_hub import HfApi, ModelCard, hf_hub_download

import labkit
from labkit import assets, pairs, teaching_data

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)
CELLS = {cell.id: cell for cell in nbformat.read(assets.notebook_dir() / "08_capstone.ipynb", 4).cells}
EXAMPLE = assets.path("examples", "desks-135m", "README.md")
DATA, LICENCE, REPO = "open-models-lab/desks", "cc-by-4.0", "learner/desks-135m"
FILES = ["README.md", "adapter_config.json", "adapter_model.safetensors", "Q8_0.gguf"]


@pytest.fixture
def hub(course_cache, monkeypatch):
    """The local Hub as a process of its own, and a client that goes there as in the lesson."""
    from labkit.classroom import services
    from labkit.classroom.hub import TOKEN, local_hub

    service = local_hub()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", service.url)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield service
    HfApi().delete_repo(REPO, missing_ok=True)
    services.leave("hub")


@pytest.fixture
def folder(tmp_path) -> Path:
    """What the lesson has made when it comes to publishing, with small files in the place of the weights."""
    place = tmp_path / "desks-135m"
    place.mkdir()
    (place / "README.md").write_bytes(EXAMPLE.read_bytes())
    (place / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "HuggingFaceTB/x"}), "utf-8")
    (place / "adapter_model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (place / "Q8_0.gguf").write_bytes(b"GGUF" + bytes(range(256)) * 40)
    (place / "notes.txt").write_text("not to be sent", encoding="utf-8")
    return place


def lesson_function(cell: str, name: str, **known):
    """A function as the lesson defines it, without what its cell does beside."""
    (found,) = [node for node in ast.parse(CELLS[cell].source).body if getattr(node, "name", "") == name]
    space = {"labkit": labkit, "HfApi": HfApi, "DATA_NAME": DATA, "DATA_LICENCE": LICENCE} | known
    exec(compile(ast.Module([found], []), cell, "exec"), space)
    return space[name]


def test_a_dry_run_sends_nothing_and_then_a_private_repository_comes_back_by_its_commit(hub, folder, tmp_path, capsys):
    publish, api = lesson_function("dry-run", "publish"), HfApi()
    assert publish(folder, REPO, FILES) is None
    shown = capsys.readouterr().out
    assert all(file in shown for file in FILES) and "problem" not in shown
    assert not api.repo_exists(REPO)

    ModelCard.load(folder / "README.md").validate()
    commit = publish(folder, REPO, FILES, dry_run=False)
    assert re.fullmatch("[0-9a-f]{40}", commit)
    assert api.model_info(REPO).private and not api.repo_exists(REPO, token=False)
    assert set(api.list_repo_files(REPO)) == {".gitattributes", *FILES}
    api.create_tag(REPO, tag="v1", revision=commit)

    (folder / "Q8_0.gguf").write_bytes(b"GGUF, trained again")
    second = publish(folder, REPO, FILES, dry_run=False)
    options = {"repo_id": REPO, "filename": "Q8_0.gguf", "cache_dir": tmp_path / "cache"}
    assert Path(hf_hub_download(**options, revision=commit)).stat().st_size == 4 + 256 * 40
    assert Path(hf_hub_download(**options, revision=second)).read_bytes() == b"GGUF, trained again"
    assert api.model_info(REPO, revision="v1").sha == commit != second
    info = api.model_info(REPO)
    assert info.card_data.license == "apache-2.0" and info.card_data.datasets == [DATA]


@pytest.mark.parametrize(
    "field", ["license", "base_model", "datasets", "language", "pipeline_tag", "library_name", "tags"]
)
def test_without_a_required_field_nothing_is_published(folder, field, capsys):
    card = ModelCard.load(folder / "README.md")
    setattr(card.data, field, None)
    card.save(folder / "README.md")
    publish = lesson_function("dry-run", "publish", HfApi=None)  # it must not even ask
    assert publish(folder, REPO, FILES, dry_run=False) is None
    assert f"problem: {field}: the field is missing" in capsys.readouterr().out


def test_the_example_is_the_lessons_own_run():
    """Its figures are those that the stored run shows, and its words those of the one cell that a learner changes."""
    card = EXAMPLE.read_text(encoding="utf-8")
    shown = "\n".join(output.get("text", "") for output in CELLS["baseline"].outputs + CELLS["table"].outputs)
    baselines = re.findall(r"^(.+?) +(\d+ of \d+: .*)$", shown, re.MULTILINE)
    assert len(baselines) == 3 and all(f"- {name}: {score}" in card for name, score in baselines)
    (right, total) = map(int, re.search(r"^- Q8_0: (\d+) of (\d+):", card, re.MULTILINE).groups())
    assert re.search(rf"^Q8_0 +{right / total:.2f} ", shown, re.MULTILINE)
    project: dict = {}
    exec(CELLS["project"].source, {"labkit": labkit}, project)
    for name in ("NEED", "INSTRUCTION", "DATA_NAME", "DATA_LICENCE", "DATA_STORY", "INTENDED_USE", "LIMITS"):
        assert project[name] in card, name
    train, test = pairs.split(pairs.read(project["DATA"]))
    assert f"{len(train)} pairs" in card and f"{len(test)} held-out pairs" in card
    assert labkit.cards.is_ready(labkit.cards.check(EXAMPLE, data_licences={DATA: LICENCE}))
    assert not re.search(r"/home|/root|\\Users", card)


def test_a_conversation_is_the_same_in_training_and_in_use():
    conversation = lesson_function("ask", "conversation", INSTRUCTION="Sort.")
    shots = teaching_data.load("desks", "messages")[:2]
    found = conversation("It leaks.", shots)
    assert [turn["role"] for turn in found] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert found[-1]["content"] == "It leaks." and found[2]["content"] == shots[0]["answer"]
