"""The local Hub, through the unmodified client of huggingface_hub: what it finds, reads, downloads, and is refused."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import HfApi, errors, hf_hub_download, snapshot_download
from service_helpers import serving

from labkit.facts import catalogue
from labkit.world import weights
from labkit.world.hub import api as hub_api
from labkit.world.hub import repos, weight_files
from labkit.world.hub import scratch as hub_scratch
from labkit.world.hub import service as hub

LEARNER, MEMBER = "hf_course_learner", "hf_course_member"
SEEDS = {
    "meta-llama/Llama-2-7b-hf": 6_738_415_616,
    "meta-llama/Llama-2-13b-hf": 13_015_864_320,
    "meta-llama/Llama-2-70b-hf": 68_976_648_192,
    "mistralai/Mistral-7B-v0.1": 7_241_732_096,
    "mistralai/Mixtral-8x7B-v0.1": 46_702_792_704,
}
COURSE_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.fixture(scope="module")
def address(_cache_with_model, tmp_path_factory):
    """The application itself, in a thread: the service around it has tests of its own below."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_CACHE", str(_cache_with_model))
        scratch = hub_scratch.Scratch(tmp_path_factory.mktemp("scratch"))
        app = hub_api.application(repos.repositories(weights.ensure(quiet=True)), scratch)
    with serving(app) as url:
        yield url


@pytest.fixture
def api(address):
    return HfApi(endpoint=address, token=LEARNER)


@pytest.fixture
def download(address, tmp_path):
    options = {"endpoint": address, "cache_dir": tmp_path / "cache"}
    return lambda repo, file, token=LEARNER, **more: Path(hf_hub_download(repo, file, token=token, **options, **more))


def ask(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """What plain HTTP gets: status, headers in small letters, body."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as problem:
        return problem.code, {k.lower(): v for k, v in problem.headers.items()}, problem.read()


# --- who serves what


def test_providers_are_told_to_those_who_ask(api):
    mapping = api.model_info(COURSE_MODEL, expand=["inferenceProviderMapping"]).inference_provider_mapping
    assert [(one.provider, one.task, one.provider_id, one.status) for one in mapping][:2] == [
        ("hf-inference", "conversational", COURSE_MODEL, "live"),
        ("groq", "conversational", COURSE_MODEL, "live"),
    ]
    other = api.model_info("Qwen/Qwen2.5-0.5B-Instruct", expand=["inferenceProviderMapping"])
    assert other.inference_provider_mapping == []
    assert api.model_info(COURSE_MODEL).inference_provider_mapping is None


# --- weights that are not there


@pytest.mark.parametrize("entry", catalogue.all(), ids=lambda entry: entry.name)
def test_rebuilt_headers_count_every_parameter(entry):
    parts = weight_files.shards(entry)
    assert sum(math.prod(shape) for part in parts for shape in part.values()) == entry.parameters
    for part in parts:
        content, size = weight_files.header(part, "BF16")
        assert len(content) % 8 == 0
        assert size - len(content) == 2 * sum(math.prod(shape) for shape in part.values())


def test_the_names_are_those_of_the_library():
    import torch
    from transformers import AutoModelForCausalLM

    from labkit.models import families

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(families.config("llama-2-7b"))
    theirs = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert weight_files.tensors(catalogue.get("llama-2-7b")) == theirs


@pytest.mark.parametrize("repo", SEEDS)
def test_safetensors_metadata_has_the_exact_count(address, repo):
    api = HfApi(endpoint=address, token=MEMBER)
    found = api.get_safetensors_metadata(repo)
    assert sum(found.parameter_count.values()) == SEEDS[repo]


def test_weights_that_are_not_there_are_refused_in_a_sentence(download):
    with pytest.raises(errors.HfHubHTTPError, match="there are no weights to download"):
        download("Qwen/Qwen3-0.6B", "model.safetensors")


# --- search


FOUND = {
    "mistral-7b mistral-7b-instruct mistral-7b-v0.3 mistral-small-3.2-24b-instruct "
    "mixtral-8x7b mixtral-8x7b-instruct": {"author": "mistralai"},
    "smollm2-1.7b-instruct smollm2-135m-instruct smollm2-360m-instruct": {
        "search": "SMOLLM2",
        "author": "HuggingFaceTB",
        "filter": "conversational",
    },
    "llama-2-70b llama-2-70b-chat": {"num_parameters": "min:60B,max:80B"},
    "smollm2-135m-instruct": {
        "author": "huggingfacetb",
        "num_parameters": "min:100M,max:250M",
        "filter": ["license:apache-2.0", "conversational"],
    },
    "mixtral-8x7b-instruct": {"filter": "base_model:mistralai/Mixtral-8x7B-v0.1"},
    "llama-2-13b llama-2-13b-chat": {"gated": True, "search": "llama-2-13b"},
    "": {"pipeline_tag": "image-to-text"},
}


@pytest.mark.parametrize(("wanted", "query"), FOUND.items())
def test_list_models_filters(api, wanted, query):
    found = [model.id for model in api.list_models(**query)]
    assert sorted(catalogue.get(repo).name for repo in found) == wanted.split()


def test_pages_lead_on(api, monkeypatch):
    monkeypatch.setattr("labkit.world.hub.search.PAGE", 4)
    every = [model.id for model in api.list_models()]
    assert len(every) > len(catalogue.names()) and every == sorted(every, key=str.lower)
    assert [model.id for model in api.list_models(limit=6)] == every[:6]


def test_sorting_by_what_is_known(api):
    dates = [model.created_at for model in api.list_models(sort="created_at", full=True)]
    known = [date for date in dates if date]
    assert known == sorted(known, reverse=True) and dates[: len(known)] == known
    for unknown in ("downloads", "likes", "trending_score"):
        with pytest.raises(errors.BadRequestError, match="nobody counts them here"):
            list(api.list_models(sort=unknown))


@pytest.mark.parametrize("query", [{"inference": "cold"}, {"num_parameters": "many"}, {"apps": "vllm"}])
def test_what_it_cannot_filter_by_is_refused(api, query):
    with pytest.raises(errors.BadRequestError):
        list(api.list_models(**query))


def test_tags_by_type(api):
    kinds = api.get_model_tags()
    assert {"apache-2.0", "llama2", "mit", "gemma"} <= {tag["label"] for tag in kinds["license"]}


# --- one repository


def test_model_info(api):
    info = api.model_info("meta-llama/Llama-2-7b-chat-hf", files_metadata=True)
    assert info.gated == "manual" and info.downloads is None and info.likes is None
    assert info.card_data.base_model == "meta-llama/Llama-2-7b-hf" and info.card_data.license == "llama2"
    assert info.safetensors.total == 6_738_415_616 and info.pipeline_tag == "text-generation"
    sizes = {file.rfilename: file.size for file in info.siblings}
    assert sizes["model-00001-of-00002.safetensors"] > 9e9 and sizes["README.md"] > 500
    assert api.model_info(info.id, revision=info.sha).sha == info.sha
    assert api.model_info(info.id, expand=["gated"]).tags is None
    with pytest.raises(errors.BadRequestError, match="cannot expand 'downloads'"):
        api.model_info(info.id, expand=["downloads"])


def test_the_tree_and_its_like(api):
    repo = "Qwen/Qwen3-0.6B"
    sha = api.model_info(repo).sha
    assert api.list_repo_files(repo) == ["README.md", "config.json", "model.safetensors"]
    tree = {file.path: file for file in api.list_repo_tree(repo)}
    assert tree["model.safetensors"].lfs.size == tree["model.safetensors"].size
    (config,) = api.get_paths_info(repo, ["config.json", "no.txt"])
    assert config.path == "config.json"
    assert api.list_repo_refs(repo).branches[0].target_commit == sha == api.list_repo_commits(repo)[0].commit_id
    assert api.file_exists(repo, "config.json") and not api.file_exists(repo, "no.txt")
    assert api.repo_exists(repo) and not api.repo_exists("no/such")
    assert api.revision_exists(repo, "main") and not api.revision_exists(repo, "v9")


def test_configurations_are_what_transformers_reads(download):
    from transformers import AutoConfig

    for repo in ("mistralai/Mixtral-8x7B-v0.1", "google/gemma-3-270m-it", "microsoft/Phi-4-mini-instruct"):
        config = AutoConfig.from_pretrained(download(repo, "config.json", token=MEMBER).parent)
        assert config.hidden_size == catalogue.get(repo).shape.hidden


def test_cards_say_that_they_are_the_courses_and_source_each_fact(download):
    text = download("mistralai/Mistral-7B-v0.1", "README.md").read_text(encoding="utf-8")
    assert "was written for a course" in text and "headers rebuilt" in text
    assert "| parameters | 7241732096 |" in text and text.count("https://") > 10
    assert "turned back into 32" in download(COURSE_MODEL, "README.md").read_text(encoding="utf-8")


def test_answers_say_that_the_course_model_comes_from_4_bits(api):
    tag = "dequantized-from-Q4_1"
    assert tag in api.model_info(COURSE_MODEL).tags and tag in api.model_info(COURSE_MODEL).card_data.tags
    assert [model.id for model in api.list_models(filter=tag)] == [COURSE_MODEL]


# --- downloads


def test_the_course_model_comes_whole(address, tmp_path, course_cache):
    options = {"endpoint": address, "token": LEARNER, "cache_dir": tmp_path}
    patterns = ["*.json", "*.safetensors"]
    folder = Path(snapshot_download(COURSE_MODEL, allow_patterns=patterns, **options))
    original = weights.ensure(quiet=True)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (folder / name).read_bytes() == (original / name).read_bytes()
    assert not (folder / "README.md").exists() and not (folder / "labkit.json").exists()
    again = snapshot_download(COURSE_MODEL, allow_patterns=patterns, local_files_only=True, cache_dir=tmp_path)
    assert again == str(folder)


def test_ranges_and_etags(address):
    file = f"{address}/{COURSE_MODEL}/resolve/main/config.json"
    status, headers, whole = ask(file)
    assert status == 200 and headers["x-repo-commit"] and headers["etag"]
    status, part, content = ask(file, Range="bytes=5-9")
    assert (status, content) == (206, whole[5:10]) and part["content-range"] == f"bytes 5-9/{len(whole)}"
    assert ask(file, Range="bytes=-4")[2] == whole[-4:] and ask(file, Range=f"bytes={len(whole) - 3}-")[2] == whole[-3:]
    status, outside, _ = ask(file, Range=f"bytes={len(whole)}-")
    assert status == 416 and outside["content-range"] == f"bytes */{len(whole)}"
    # A download that was broken off goes on only if the file is still the same.
    assert ask(file, **{"Range": "bytes=5-9", "If-Range": headers["etag"]})[2] == whole[5:10]
    assert ask(file, **{"Range": "bytes=5-9", "If-Range": '"another"'})[2] == whole


def test_thirty_clients_at_once_get_correct_bytes(address, course_cache):
    wanted = (weights.ensure(quiet=True) / "tokenizer.json").read_bytes()
    results: list[bool] = []

    def get() -> None:
        results.append(ask(f"{address}/{COURSE_MODEL}/resolve/main/tokenizer.json")[2] == wanted)

    threads = [threading.Thread(target=get) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [True] * 30


# --- who may, and what there is not


def test_gates(address, download):
    repo = "meta-llama/Llama-2-7b-hf"
    for token, status in ((False, 401), (LEARNER, 403)):
        with pytest.raises(errors.GatedRepoError) as refused:
            download(repo, "config.json", token=token)
        assert refused.value.response.status_code == status
    assert download(repo, "config.json", token=MEMBER).exists()
    assert download(repo, "README.md", token=False).exists()  # a card may be read before
    HfApi(endpoint=address, token=MEMBER).auth_check(repo)
    with pytest.raises(errors.GatedRepoError):
        HfApi(endpoint=address, token=LEARNER).auth_check(repo)


def test_four_kinds_of_nothing(api, download, address):
    with pytest.raises(errors.RepositoryNotFoundError):
        api.model_info("no/such")
    with pytest.raises(errors.RepositoryNotFoundError):
        HfApi(endpoint=address, token=False).model_info("no/such")
    with pytest.raises(errors.RevisionNotFoundError):
        api.model_info(COURSE_MODEL, revision="v9")
    with pytest.raises(errors.EntryNotFoundError):
        download(COURSE_MODEL, "no.txt")


def test_users(api, address):
    assert api.whoami()["name"] == "learner"
    with pytest.raises(errors.HfHubHTTPError, match="course's tokens only"):
        HfApi(endpoint=address, token="hf_somebody").model_info(COURSE_MODEL)


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "config.json/../../x", "labkit.json", "."],
)
def test_nothing_but_listed_files_is_readable(address, path):
    status, headers, body = ask(f"{address}/{COURSE_MODEL}/resolve/main/{path}")
    assert status in (404, 307) and b"root:" not in body


def test_every_answer_says_where_it_comes_from(address):
    for path in ("/api/models", "/api/models/no/such", f"/{COURSE_MODEL}/resolve/main/config.json", "/nothing"):
        assert "course's Hub" in ask(address + path)[1]["x-hf-warning"]


# --- the service


CLIENT = """
from huggingface_hub import HfApi, constants
print(constants.ENDPOINT, HfApi().whoami()["name"], len(list(HfApi().list_models(author="meta-llama"))))
"""


def test_the_service_sends_an_unmodified_client_there(course_cache):
    service = hub.local_hub()
    variables = {**os.environ, **hub.environment(service), "HF_TOKEN": hub.TOKEN}
    run = subprocess.run([sys.executable, "-c", CLIENT], capture_output=True, text=True, env=variables, timeout=60)
    meta = sum(entry.repo_id.startswith("meta-llama/") for entry in catalogue.all())
    assert run.stdout.split() == [service.url, "learner", str(meta)], run.stderr
    assert hub.local_hub().pid == service.pid
    assert Path(hub.environment(service)["HF_HOME"]).is_relative_to(os.environ["LABKIT_CACHE"])


def test_the_command_shows_how_and_ends_with_its_reader(course_cache):
    process = subprocess.Popen([sys.executable, "-m", "labkit", "hub"], stdout=subprocess.PIPE, text=True)
    first = process.stdout.readline().strip()
    assert ask(f"{first}/health")[0] == 200
    assert any("HF_ENDPOINT=" in process.stdout.readline() for _ in range(6))
    process.kill()
    process.communicate()


def test_the_client_under_test_is_one_that_we_support():
    major, minor = map(int, huggingface_hub.__version__.split(".")[:2])
    assert (major, minor) >= (1, 27)
