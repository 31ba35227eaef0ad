"""What else a learner may call of the real client: the Hub answers in full, or says in a sentence that it cannot."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from huggingface_hub import HfApi, errors, get_hf_file_metadata, hf_api, hf_hub_download, hf_hub_url, snapshot_download
from huggingface_hub.utils import build_hf_headers, get_session
from service_helpers import serving

from labkit.facts import catalogue
from labkit.world import weights as models
from labkit.world.hub import api as hub_api
from labkit.world.hub import drills
from labkit.world.hub import repos as hub_repos
from labkit.world.hub import scratch as hub_scratch

LEARNER, MEMBER = "hf_course_learner", "hf_course_member"
MODEL, GATED = "HuggingFaceTB/SmolLM2-135M-Instruct", "meta-llama/Llama-2-70b-hf"
QUESTIONS = "course-examples/course-questions"
OWN = "learner/calls"


@pytest.fixture(scope="module")
def address(_cache_with_model, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_CACHE", str(_cache_with_model))
        patch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        repos = hub_repos.repositories(models.ensure(quiet=True))
        scratch = hub_scratch.Scratch(tmp_path_factory.mktemp("scratch"))
        with serving(hub_api.application(repos, scratch)) as url:
            api = HfApi(endpoint=url, token=LEARNER)
            api.create_repo(OWN)
            for path, content in (("a/b.txt", b"1"), ("c.txt", b"2"), ("a/d.txt", b"3"), ("c.txt", b"4")):
                api.upload_file(
                    path_or_fileobj=content, path_in_repo=path, repo_id=OWN, commit_message=f"{path} & {content[0]}"
                )
            yield url


@pytest.fixture
def api(address):
    return HfApi(endpoint=address, token=LEARNER)


# --- properties and parameters: every one of the installed client


@pytest.mark.parametrize(
    ("ask", "repository", "names", "told_at_least", "never_told"),
    [
        (
            "model_info",
            MODEL,
            hf_api.ExpandModelProperty_T,
            {"author", "baseModels", "cardData", "config", "gated", "safetensors", "sha", "siblings", "tags"},
            {"downloads", "downloadsAllTime", "likes", "trendingScore", "usedStorage"},
        ),
        (
            "dataset_info",
            QUESTIONS,
            hf_api.ExpandDatasetProperty_T,
            {"cardData", "gated", "sha", "siblings", "tags"},
            {"downloads"},
        ),
    ],
)
def test_every_property_is_told_or_refused(api, ask, repository, names, told_at_least, never_told):
    told = set()
    for name in get_args(names):
        try:
            getattr(api, ask)(repository, expand=[name])
            told.add(name)
        except errors.BadRequestError as refused:
            assert f"cannot expand {name!r}" in str(refused)
    assert told >= told_at_least and not told & never_told


def test_every_parameter_of_the_client_is_known_here():
    """A new one in a later version has to be looked at: is it answered, refused, or silently ignored?"""
    known = {"self", "repo_id", "revision", "timeout", "securityStatus", "files_metadata", "expand", "token"}
    assert set(inspect.signature(HfApi.model_info).parameters) <= known
    assert set(inspect.signature(HfApi.dataset_info).parameters) <= known
    tree = {"self", "repo_id", "path_in_repo", "recursive", "expand", "revision", "repo_type", "token"}
    assert set(inspect.signature(HfApi.list_repo_tree).parameters) <= tree


def test_nobody_scans_files_here_and_that_is_said(api):
    with pytest.raises(errors.BadRequestError, match="nobody scans files here"):
        api.model_info(MODEL, securityStatus=True)


@pytest.mark.parametrize("target", ["", "/refs", "/tree/main", "/commits/main"])
def test_a_parameter_that_would_be_ignored_is_refused(target, address):
    answer = get_session().get(f"{address}/api/models/{MODEL}{target}?colour=blue")
    assert answer.status_code == 400 and "'colour'" in answer.json()["error"]


# --- history


def test_each_file_and_folder_has_its_last_commit(api):
    for found in (
        api.list_repo_tree(OWN, recursive=True, expand=True),
        api.get_paths_info(OWN, ["a", "a/b.txt", "a/d.txt", "c.txt", ".gitattributes"], expand=True),
    ):
        last = {entry.path: entry.last_commit for entry in found}
        assert {path: commit.title.split(" & ")[0] for path, commit in last.items()} == {
            "a": "a/d.txt",
            "a/b.txt": "a/b.txt",
            "a/d.txt": "a/d.txt",
            "c.txt": "c.txt",
            ".gitattributes": "initial commit",
        }
        assert last["c.txt"].oid == api.list_repo_commits(OWN)[0].commit_id
    first = api.list_repo_commits(OWN)[-2].commit_id
    (then,) = api.get_paths_info(OWN, "a", expand=True, revision=first)
    assert then.last_commit.oid == first
    (course,) = api.get_paths_info(MODEL, "config.json", expand=True)
    assert course.last_commit.oid == api.model_info(MODEL).sha
    (short,) = api.get_paths_info(OWN, "c.txt")
    assert short.last_commit is None


def test_commits_come_as_text_and_as_html(api):
    plain, formatted = api.list_repo_commits(OWN)[0], api.list_repo_commits(OWN, formatted=True)[0]
    assert plain.title == "c.txt & 52" and plain.formatted_title is None
    assert formatted.title == plain.title and formatted.formatted_title == "c.txt &amp; 52"
    assert [commit.commit_id for commit in api.list_repo_commits(MODEL)] == [api.model_info(MODEL).sha]


def test_there_are_no_pull_requests_and_the_client_is_told_so(api):
    for repo_id in (MODEL, OWN):
        assert api.list_repo_refs(repo_id, include_pull_requests=True).pull_requests == []
        assert api.list_repo_refs(repo_id).pull_requests is None


# --- weights in many files, in one answer


def test_all_headers_of_a_split_model_in_one_answer(address, api):
    entry = catalogue.get(GATED)
    for token, status in ((False, 401), (LEARNER, 403)):
        headers = build_hf_headers(token=token)
        url = f"{address}/api/models/{GATED}/safetensors-metadata/model.safetensors.index.json"
        assert get_session().get(url, headers=headers).status_code == status
    answer = get_session().get(url, headers=build_hf_headers(token=MEMBER)).json()
    assert len(answer["headers"]) > 10 and answer["index"]["metadata"]["total_size"] == entry.size_bytes("fp16")
    if hasattr(HfApi, "get_sharded_safetensors_metadata"):  # since 2.x
        found = api.get_sharded_safetensors_metadata(GATED, token=MEMBER)
        assert found.parameter_count == {"F16": entry.parameters} and len(found.weight_map) == 723
        assert found.parameter_count == api.get_safetensors_metadata(GATED, token=MEMBER).parameter_count


@pytest.mark.parametrize(
    ("repo_id", "file", "status"),
    [
        (MODEL, "model.safetensors.index.json", 404),  # one file: there is no index
        (MODEL, "config.json", 400),
        (MODEL, "README.md", 400),
        ("no/such", "model.safetensors.index.json", 404),
        (OWN, "..%2frepos/x.json", 404),
    ],
)
def test_what_is_no_index_is_refused(repo_id, file, status, address):
    url = f"{address}/api/models/{repo_id}/safetensors-metadata/{file}"
    assert get_session().get(url, headers=build_hf_headers(token=LEARNER)).status_code == status


# --- ids without an owner


def test_an_id_without_an_owner_is_not_found(api, address, tmp_path):
    with pytest.raises(errors.RepositoryNotFoundError, match="an id here is owner/name"):
        api.model_info("gpt2")
    with pytest.raises(errors.RepositoryNotFoundError):
        HfApi(endpoint=address, token=False).list_repo_files("gpt2")
    with pytest.raises(errors.RepositoryNotFoundError):
        hf_hub_download("gpt2", "config.json", endpoint=address, token=LEARNER, cache_dir=tmp_path)
    assert not api.repo_exists("squad", repo_type="dataset")


# --- downloads


def test_what_is_in_the_cache_is_asked_for_and_not_sent_again(address, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", address)
    options = {"endpoint": address, "token": LEARNER, "cache_dir": tmp_path}
    api, asked = HfApi(endpoint=address, token=LEARNER), []
    for revision in ("main", "main", api.model_info(OWN).sha):
        drills.clear()
        hf_hub_download(OWN, "c.txt", revision=revision, **options)
        asked.append([entry["method"] for entry in drills.seen() if "/resolve/" in entry["path"]])
    assert asked == [["HEAD", "GET"], ["HEAD"], []]
    # A file that has changed since has another ETag: that one is fetched.
    api.upload_file(path_or_fileobj=b"5", path_in_repo="c.txt", repo_id=OWN)
    assert Path(hf_hub_download(OWN, "c.txt", **options)).read_bytes() == b"5"


def test_a_snapshot_without_some_into_a_folder_of_ones_own(address, api, tmp_path):
    folder = snapshot_download(
        MODEL,
        ignore_patterns=["*.safetensors", "*.jinja"],
        local_dir=tmp_path / "here",
        endpoint=address,
        token=LEARNER,
    )
    found = {file.name for file in Path(folder).iterdir() if file.is_file()}
    assert found == set(api.list_repo_files(MODEL)) - {"model.safetensors", "chat_template.jinja"}


def test_facts_of_a_file_without_the_file(address, api):
    url = hf_hub_url(MODEL, "model.safetensors", endpoint=address)
    told = get_hf_file_metadata(url, token=LEARNER)
    (listed,) = api.get_paths_info(MODEL, "model.safetensors")
    assert (told.size, told.etag, told.commit_hash) == (listed.size, listed.lfs.sha256, api.model_info(MODEL).sha)


def test_a_copy_on_the_disk_is_compared_with_the_hub(address, tmp_path):
    api = HfApi(endpoint=address, token=LEARNER)
    snapshot_download(OWN, endpoint=address, token=LEARNER, local_dir=tmp_path)
    good = api.verify_repo_checksums(OWN, local_dir=tmp_path)
    (tmp_path / "a" / "b.txt").write_bytes(b"changed")
    bad = api.verify_repo_checksums(OWN, local_dir=tmp_path)
    assert not good.mismatches and [one["path"] for one in bad.mismatches] == ["a/b.txt"]


FILE_SYSTEM = f"""
import pandas
from huggingface_hub import HfFileSystem
files = HfFileSystem()
print(sorted(files.ls("datasets/{QUESTIONS}", detail=False)))
print(len(pandas.read_json("hf://datasets/{QUESTIONS}/data/train.jsonl", lines=True)))
print(files.open("{MODEL}/model.safetensors").read(8).hex())
print(files.info("{OWN}/c.txt", expand_info=True)["last_commit"].title)
"""


def test_the_file_system_of_the_client_reads_it(address, tmp_path, course_cache):
    """`hf://` paths, as pandas takes them."""
    settings = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "HF_TOKEN": LEARNER, "NO_PROXY": "127.0.0.1"}
    environment = {**os.environ, **settings}
    run = subprocess.run(
        [sys.executable, "-c", FILE_SYSTEM], capture_output=True, text=True, env=environment, timeout=120
    )
    assert run.returncode == 0, run.stderr
    names, rows, head, title = run.stdout.splitlines()
    assert names == str([f"datasets/{QUESTIONS}/README.md", f"datasets/{QUESTIONS}/data"])
    assert rows == "55" and title.startswith(("c.txt", "Upload c.txt"))
    with (models.ensure(quiet=True) / "model.safetensors").open("rb") as weights:
        assert head == weights.read(8).hex()
