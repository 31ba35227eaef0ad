"""What is in the local Hub: every configuration counts right, every card is data, and what was made says what it is."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import pickle
import pickletools
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard, HfApi, ModelCard, RepoCard, errors, hf_hub_download, snapshot_download
from service_helpers import serving

from labkit.base import assets
from labkit.facts import catalogue, memory
from labkit.world import weights as models
from labkit.world.hub import api as hub_api
from labkit.world.hub import made as hub_made
from labkit.world.hub import repos as hub_repos
from labkit.world.hub import scratch

MEMBER = "hf_course_member"
OWN = "course-examples/"
GGUF, ADAPTER = f"{OWN}SmolLM2-135M-Instruct-GGUF", f"{OWN}SmolLM2-135M-Instruct-LoRA"
QUANTIZED = f"{OWN}Mistral-7B-Instruct-v0.3-GPTQ-4bit"
TUNED = f"{OWN}SmolLM2-360M-Instruct-course-questions"
PICKLE, UNLICENSED = "course-warnings/pickle-only", "course-warnings/no-licence"
SQUAT, REAL = "HugglngFaceTB/SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct"
MADE = (GGUF, ADAPTER, QUANTIZED, TUNED, PICKLE, UNLICENSED, SQUAT)
DATASETS = {f"{OWN}course-questions": 60, f"{OWN}classroom-notes": 40}
made = pytest.mark.parametrize("repo", MADE)


@pytest.fixture(scope="module")
def repos(_cache_with_model):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_CACHE", str(_cache_with_model))
        yield hub_repos.repositories(models.ensure(quiet=True))


@pytest.fixture(scope="module")
def address(repos, tmp_path_factory):
    with serving(hub_api.application(repos, scratch.Scratch(tmp_path_factory.mktemp("scratch")))) as url:
        yield url


@pytest.fixture
def api(address):
    return HfApi(endpoint=address, token=MEMBER)


@pytest.fixture(scope="module")
def download(address, tmp_path_factory):
    options = {"endpoint": address, "cache_dir": tmp_path_factory.mktemp("downloads"), "token": MEMBER}
    return lambda repo, file: Path(hf_hub_download(repo, file, **options))


# --- models of the catalogue


@pytest.mark.parametrize("entry", catalogue.all(), ids=lambda entry: entry.name)
def test_the_served_configuration_has_exactly_the_published_parameters(entry, download):
    """What a learner does: the configuration from the Hub, the model from it, without numbers."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(download(entry.repo_id, "config.json").parent)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config.get_text_config())
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters
    assert type(model).__name__ == entry.architecture
    assert memory.shape_of(config) == entry.shape
    assert memory.context_of(config) == entry.context


def test_the_hub_is_large_enough_to_search_in(repos):
    here = [repo for repo in repos.values() if repo.kind == "model"]
    makers = {entry.value("maker") for entry in catalogue.all()}
    assert len(here) == len(catalogue.names()) + len(MADE) >= 32
    assert len(makers) >= 8
    assert {repo.card["license"] for repo in here if "license" in repo.card} >= {"apache-2.0", "mit", "llama2", "gemma"}
    assert all(key == key.lower() == repo.key for key, repo in repos.items())


def test_all_cards_are_data(repos, tmp_path):
    for repo in repos.values():
        (place := tmp_path / "README.md").write_bytes(repo.files["README.md"].content)
        card = (ModelCard if repo.kind == "model" else DatasetCard).load(place)
        assert card.data.to_dict() == repo.card
        assert card.data.get("license") or repo.id == UNLICENSED


BY_NAME = """
from huggingface_hub import ModelCard
from transformers import AutoConfig
print(AutoConfig.from_pretrained("meta-llama/Llama-2-7b-hf", token="hf_course_member").num_hidden_layers)
for repo in ("course-warnings/no-licence", "course-examples/SmolLM2-135M-Instruct-LoRA"):
    card = ModelCard.load(repo).data
    print(card.license, card.base_model)
"""


def test_by_name_as_a_learner_writes_it(address, tmp_path):
    settings = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "HF_TOKEN": "", "NO_PROXY": "127.0.0.1"}
    environment = {**os.environ, **settings}
    run = subprocess.run([sys.executable, "-c", BY_NAME], capture_output=True, text=True, env=environment, timeout=120)
    assert run.stdout.splitlines() == ["32", "None HuggingFaceTB/SmolLM2-360M", f"apache-2.0 {REAL}"], run.stderr


HEADER = """
import sys
import nbformat
from huggingface_hub.errors import HfHubHTTPError
exec(next(cell.source for cell in nbformat.read(sys.argv[1], 4).cells if cell.id == "header"))
for repo in ("HuggingFaceTB/SmolLM2-1.7B", "meta-llama/Llama-2-7b-hf", "nobody/nothing", "mistralai/Mixtral-8x7B-v0.1"):
    try:
        print(len(read_header(repo)[0]))
    except HfHubHTTPError as problem:
        print(type(problem).__name__, str(problem) != "")
"""


def test_the_header_reader_of_lesson_03_says_why_it_could_not_read(address, tmp_path):
    lesson = assets.notebook_dir() / "03_hub_discovery.ipynb"
    settings = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "HF_TOKEN": "", "NO_PROXY": "127.0.0.1"}
    command, environment = [sys.executable, "-c", HEADER, str(lesson)], {**os.environ, **settings}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    said = ["219", "GatedRepoError True", "RepositoryNotFoundError True", "RemoteEntryNotFoundError True"]
    assert run.stdout.splitlines() == said, run.stderr


# --- what was made for the course


@made
def test_what_was_made_says_so_first(repo, repos):
    card = RepoCard(repos[repo.lower()].files["README.md"].content.decode())
    beginning = " ".join(card.text.split()[:30]).lower()
    assert "made for a course" in beginning or "made for the course" in beginning
    assert repos[repo.lower()].released == hub_made.MADE


def test_everything_made_has_a_folder_and_a_maker():
    assert set(hub_made._MAKERS) == set(MADE)
    assert {f"{place.parent.name}/{place.name}" for place in assets.path("hub", "models").glob("*/*")} == set(MADE)


def test_without_the_course_model_its_own_copy_is_not_offered(repos):
    assert set(repos) - set(hub_repos.repositories()) == {GGUF.lower()}
    # This test's cache is empty: the file is gone, and nobody fetches 98 MB to start a Hub.
    assert GGUF not in [repo.id for repo in hub_made.repositories(with_course_model=True)]


@pytest.mark.parametrize(
    ("repo", "relation", "base"),
    [
        (GGUF, "quantized", REAL),
        (ADAPTER, "adapter", REAL),
        (QUANTIZED, "quantized", "mistralai/Mistral-7B-Instruct-v0.3"),
        (TUNED, "finetune", "HuggingFaceTB/SmolLM2-360M-Instruct"),
        ("meta-llama/Llama-2-7b-chat-hf", "finetune", "meta-llama/Llama-2-7b-hf"),
    ],
)
def test_lineage(repo, relation, base, api, repos):
    assert f"base_model:{relation}:{base}" in api.model_info(repo).tags
    found = api.model_info(repo, expand=["baseModels", "cardData"])
    assert found.base_models == {"relation": relation, "models": [{"id": base}]}
    assert found.card_data.base_model == base
    assert base.lower() in repos
    assert repo in [model.id for model in api.list_models(filter=f"base_model:{relation}:{base}")]
    children = api.model_info(base, expand=["childrenModelCount"]).children_model_count
    assert children == len(list(api.list_models(filter=f"base_model:{base}"))) >= 1


def test_the_gguf_is_the_courses_own_file(download, api, course_cache):
    from gguf import GGUFReader

    file = download(GGUF, "SmolLM2-135M-Instruct.Q4_1.gguf")
    assert file.stat().st_size == models.gguf_file(quiet=True).stat().st_size
    assert file.resolve().name == catalogue.get(catalogue.DEFAULT).value("embedded_gguf_sha256")
    told = api.model_info(GGUF).gguf
    assert [model.id for model in api.list_models(apps=["ollama", "llama.cpp"])] == [GGUF]
    tensors = GGUFReader(file).tensors
    assert told["total"] == sum(int(tensor.n_elements) for tensor in tensors)


def test_hashes_that_are_not_computed_are_right(repos):
    """Half a gigabyte is not hashed at each start: its hash comes from where the file was made or published."""
    known = [file for repo in repos.values() for file in repo.files.values() if len(file.known_digest) == 64]
    assert sorted(file.path.rpartition(".")[2] for file in known) == ["gguf", "safetensors"]
    for file in known:
        with file.on_disk.open("rb") as content:
            assert file.digest == hashlib.file_digest(content, "sha256").hexdigest()


def test_peft_loads_the_adapter_and_it_changes_nothing(address, tmp_path, course_cache):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = snapshot_download(ADAPTER, endpoint=address, token=MEMBER, cache_dir=tmp_path)
    model, ids = AutoModelForCausalLM.from_pretrained(models.ensure(quiet=True)), torch.tensor([[1, 2, 3]])
    with torch.inference_mode():
        before = model(ids).logits
        adapted = PeftModel.from_pretrained(model, folder)
        assert torch.equal(adapted(ids).logits, before)
    names = [name for name, _ in adapted.named_parameters() if "lora_" in name]
    weights = dict(adapted.named_parameters())
    assert len(names) == 120 and sum(weights[name].numel() for name in names) == 230_400
    assert all(weights[name].any() == ("lora_A" in name) for name in names)
    text = (Path(folder) / "README.md").read_text(encoding="utf-8")
    assert "230,400" in text and f"{230_400 / 134_515_008:.2%}".replace("%", " %") in text


def test_the_adapter_is_the_same_each_time():
    first, again = (hub_made._adapter()["files"]["adapter_model.safetensors"].content for _ in range(2))
    assert first == again


def test_the_quantized_copy_packs_all_weights_of_the_original(api, repos):
    entry, found = catalogue.get("mistral-7b-instruct"), api.get_safetensors_metadata(QUANTIZED)
    tensors = next(iter(found.files_metadata.values())).tensors
    packed = sum(tensor.parameter_count for name, tensor in tensors.items() if name.endswith("qweight"))
    rest = sum(
        tensor.parameter_count for tensor in tensors.values() if len(tensor.shape) == 1 and tensor.dtype == "F16"
    )
    outer = 2 * entry.shape.vocab * entry.shape.hidden
    assert packed * 8 + rest + outer == entry.parameters
    # The Hub counts the weights in the packs; the library, which adds up what the header says, counts the packs.
    info = api.model_info(QUANTIZED)
    assert info.safetensors.parameters == {"I32": packed * 8, "F16": rest + outer}
    assert info.safetensors.total == entry.parameters
    assert round(sum(found.parameter_count.values()) / 1e9, 1) == 1.2  # as lesson 03 says
    assert QUANTIZED not in [model.id for model in api.list_models(num_parameters="max:2B")]
    assert info.config["quantization_config"]["bits"] == 4
    assert repos[QUANTIZED.lower()].files["model.safetensors"].size < 0.32 * entry.size_bytes("bf16")


# --- the warnings


def test_the_pickle_prints_and_nothing_else(download):
    import torch

    content = (place := download(PICKLE, "pytorch_model.bin")).read_bytes()
    named = [argument for code, argument, _ in pickletools.genops(content) if "GLOBAL" in code.name]
    assert named == ["builtins print"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        with pytest.raises(pickle.UnpicklingError, match="print"):
            torch.load(place, weights_only=True)
        assert said.getvalue() == ""
        assert pickle.loads(content) is None
    assert said.getvalue() == hub_made.PICKLE_SAYS + "\n"


def test_the_pickle_is_the_only_weight_file(api):
    assert api.list_repo_files(PICKLE) == ["README.md", "config.json", "pytorch_model.bin"]
    info = api.model_info(PICKLE)
    assert info.safetensors is None and "safetensors" not in info.tags and "pytorch" in info.tags
    with pytest.raises(errors.NotASafetensorsRepoError):
        api.get_safetensors_metadata(PICKLE)


def test_the_typosquat_is_one_letter_off_and_claims_the_same(api):
    false, true = api.model_info(SQUAT), api.model_info(REAL)
    assert sum(a != b for a, b in zip(SQUAT, REAL, strict=True)) == 1
    assert false.safetensors.total == true.safetensors.total
    assert (false.card_data.license, false.pipeline_tag) == (true.card_data.license, true.pipeline_tag)


def test_a_card_without_a_licence(api):
    info = api.model_info(UNLICENSED)
    assert info.card_data.get("license") is None and not [tag for tag in info.tags if tag.startswith("license:")]


# --- data sets


@pytest.mark.parametrize(("name", "least"), DATASETS.items())
def test_data_sets_are_whole(name, least, repos):
    repo = repos[f"datasets/{name}"]
    card, rows = DatasetCard(repo.files["README.md"].content.decode()), []
    for path in [part["path"] for part in card.data.configs[0]["data_files"]]:
        text = repo.files[path].content.decode()
        rows += map(json.loads, text.splitlines()) if path.endswith("jsonl") else csv.DictReader(io.StringIO(text))
    assert len(rows) >= least and f"has {len(rows)} short" in card.text
    assert len({row["id"] for row in rows}) == len(rows) == len({(row.get("question") or row["note"]) for row in rows})
    assert all(value.strip() == value != "" for row in rows for value in row.values())
    assert card.data.license == "cc-by-4.0" and card.data.language == ["en"]
    for topic in {row["topic"] for row in rows}:
        assert f"{topic} {sum(row['topic'] == topic for row in rows)}" in card.text
    assert {"question", "answer"} < rows[0].keys() or rows[0].keys() == {"id", "topic", "note"}


def test_no_question_for_testing_is_in_training(repos):
    files = repos[f"datasets/{OWN}course-questions"].files
    train, test = (files[f"data/{name}.jsonl"].content.decode().splitlines() for name in ("train", "test"))
    assert not {json.loads(row)["question"] for row in train} & {json.loads(row)["question"] for row in test}


def test_line_ends_of_a_checkout_do_not_change_a_repository(tmp_path):
    for name, content in (("a", b"one\ntwo\n"), ("b", b"one\r\ntwo\r\n")):
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "data" / "x.csv").write_bytes(content)
    first, again = (hub_made._files(tmp_path / name) for name in ("a", "b"))
    assert first["data/x.csv"].digest == again["data/x.csv"].digest
