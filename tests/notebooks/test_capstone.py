"""The capstone publishes: the cells of lesson 08 as they are, the real client, the local Hub as a process of its own.

The weights are small files in the place of the trained ones; training itself is run with the notebook.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from huggingface_hub import HfApi, ModelCard, hf_hub_download

import labkit
from labkit import assets, catalogue, finetuning

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)
CELLS = {cell.id: cell for cell in nbformat.read(assets.notebook_dir() / "08_capstone.ipynb", 4).cells}
REQUIRED = ["license", "base_model", "datasets", "language", "pipeline_tag", "library_name", "tags"]


@pytest.fixture
def hub(course_cache, monkeypatch):
    """The local Hub, and a client that goes there as in the lesson."""
    from labkit.classroom import services
    from labkit.classroom.hub import TOKEN, local_hub

    service = local_hub()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", service.url)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield service
    services.leave("hub")


@pytest.fixture
def project(tmp_path, monkeypatch, capsys):
    """The lesson up to the card, with scores and files as training would have left them; a function runs a cell."""
    monkeypatch.chdir(tmp_path)
    import pandas

    lab = SimpleNamespace(model=catalogue.get(catalogue.DEFAULT), mode="local")
    space: dict = {"labkit": labkit, "lab": lab, "Path": Path}

    def run(cell: str) -> str:
        capsys.readouterr()
        exec(compile(CELLS[cell].source, cell, "exec"), space)
        return capsys.readouterr().out

    run("project")
    run("split")
    folder, total = tmp_path / space["NAME"], len(space["judge"])
    folder.mkdir()
    rows = pandas.DataFrame({"right": [True] * total})
    score = finetuning.Score(total * 4 // 5, total, rows)
    space |= {"folder": folder, "scores": {"Q8_0": score}, "before": finetuning.Score(0, total, rows)}
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": lab.model.repo_id}), "utf-8")
    (folder / "adapter_model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (folder / f"{space['NAME']}-Q8_0.gguf").write_bytes(b"GGUF" + bytes(range(256)) * 40)
    (folder / f"{space['NAME']}-Q4_K_M.gguf").write_bytes(b"GGUF, not to be sent")
    space["run"] = run
    return space


def test_the_lessons_cells_publish_privately_and_the_commit_comes_back(hub, project, tmp_path):
    run, api = project["run"], HfApi()
    run("head")
    run("card")
    checked = run("check")
    assert "ready: True" in checked and "no such section" in checked
    listed = run("dry-run")
    assert "Q8_0.gguf" in listed and "Q4_K_M" not in listed and "adapter_model" in listed
    repo_id = project["repo_id"]
    assert not api.repo_exists(repo_id), "a dry run publishes nothing"

    assert "private: True" in run("publish")
    commit, file = project["commit"].oid, f"{project['NAME']}-Q8_0.gguf"
    assert re.fullmatch("[0-9a-f]{40}", commit) and not api.repo_exists(repo_id, token=False)
    wanted = {".gitattributes", "README.md", "adapter_config.json", "adapter_model.safetensors", file}
    assert set(api.list_repo_files(repo_id)) == wanted
    assert api.model_info(repo_id).card_data.license == "apache-2.0"

    (project["folder"] / file).write_bytes(b"GGUF, trained again")
    again = api.upload_folder(repo_id=repo_id, folder_path=project["folder"], allow_patterns=project["wanted"]).oid
    options = {"repo_id": repo_id, "filename": file, "cache_dir": tmp_path / "cache", "endpoint": hub.url}
    assert Path(hf_hub_download(**options, revision=commit)).stat().st_size == 4 + 256 * 40
    assert Path(hf_hub_download(**options, revision=again)).read_bytes() == b"GGUF, trained again"


@pytest.mark.parametrize("field", REQUIRED)
def test_the_lessons_card_without_a_required_field_is_refused_in_words(project, field):
    project["run"]("head")
    project["run"]("card")
    card = ModelCard.load(project["folder"] / "README.md")
    known = {project["DATA"]: project["DATA_LICENCE"]}
    assert labkit.cards.is_ready(labkit.cards.check(card, data_licences=known))
    setattr(card.data, field, None)
    findings = labkit.cards.check(card, data_licences=known)
    assert not labkit.cards.is_ready(findings)
    assert f"problem: {field}: the field is missing" in "\n".join(map(repr, findings))


def test_the_stored_run_names_no_folder_of_the_machine_in_its_card(project):
    project["run"]("head")
    project["run"]("card")
    assert labkit.cards.check_files(project["folder"]) == []
