"""Publishing on the local Hub through the unmodified client: commits, branches, private places, rights, no halves."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    ModelCard,
    errors,
    hf_hub_download,
    snapshot_download,
)
from service_helpers import serving

from labkit.world import weights as models
from labkit.world.hub import api as hub_api
from labkit.world.hub import repos as hub_repos
from labkit.world.hub import scratch as hub_scratch

LEARNER, READER, MEMBER = "hf_course_learner", "hf_course_reader", "hf_course_member"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def address(_cache_with_model, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_CACHE", str(_cache_with_model))
        repos = hub_repos.repositories(models.ensure(quiet=True))
    with serving(hub_api.application(repos, hub_scratch.Scratch(folder))) as url:
        yield url


@pytest.fixture(autouse=True)
def _plain_transfer(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)


@pytest.fixture
def api(address):
    return HfApi(endpoint=address, token=LEARNER)


@pytest.fixture
def repo(api, request):
    """A fresh repository of the learner's."""
    name = f"learner/{request.node.originalname[5:90].strip('_')}"
    api.create_repo(name)
    yield name
    api.delete_repo(name, missing_ok=True)


@pytest.fixture
def read(address, tmp_path):
    options = {"endpoint": address, "cache_dir": tmp_path / "cache", "token": LEARNER}
    return lambda repo, file, **more: Path(hf_hub_download(repo, file, **(options | more))).read_bytes()


def weights(count: int = 12) -> bytes:
    """A small real safetensors file."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}}).encode()
    return len(header).to_bytes(8, "little") + header + b"\0" * (4 * count)


def test_a_name_moves_and_a_commit_does_not(api, repo, read):
    first = api.upload_file(path_or_fileobj=b"one", path_in_repo="answer.txt", repo_id=repo)
    second = api.upload_file(path_or_fileobj=b"two", path_in_repo="answer.txt", repo_id=repo, commit_message="Better")
    assert len(first.oid) == 40 and first.oid != second.oid
    assert read(repo, "answer.txt") == b"two"
    assert read(repo, "answer.txt", revision=first.oid) == b"one"
    history = api.list_repo_commits(repo)
    assert [commit.title for commit in history] == [
        "Better",
        "Upload answer.txt with huggingface_hub",
        "initial commit",
    ]
    assert history[0].commit_id == second.oid == api.model_info(repo).sha
    assert api.model_info(repo, revision=first.oid).sha == first.oid


def test_a_folder_with_large_files_comes_back_byte_by_byte(api, repo, address, tmp_path):
    source = tmp_path / "model"
    (source / "deep" / "er").mkdir(parents=True)
    contents = {
        "model.safetensors": weights(300_000),
        "deep/er/note.txt": "ä".encode(),
        "config.json": b"{}",
        "empty": b"",
    }
    for path, content in contents.items():
        (source / path).write_bytes(content)
    api.upload_folder(repo_id=repo, folder_path=source)
    folder = Path(snapshot_download(repo, endpoint=address, token=LEARNER, cache_dir=tmp_path / "cache"))
    found = {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert found == contents | {".gitattributes": found[".gitattributes"]}
    info = api.model_info(repo, files_metadata=True)
    (large,) = [file for file in info.siblings if file.rfilename == "model.safetensors"]
    assert large.lfs.sha256 == hashlib.sha256(contents["model.safetensors"]).hexdigest()
    assert info.safetensors.total == 300_000
    assert api.get_safetensors_metadata(repo).parameter_count == {"F32": 300_000}
    flat = {entry.path for entry in api.list_repo_tree(repo)}
    assert "deep" in flat and "deep/er" not in flat
    assert {entry.path for entry in api.list_repo_tree(repo, "deep", recursive=True)} == {"deep/er", "deep/er/note.txt"}
    kinds = {entry.path: type(entry).__name__ for entry in api.get_paths_info(repo, ["deep", "config.json", "no"])}
    assert kinds == {"deep": "RepoFolder", "config.json": "RepoFile"}


def test_one_commit_adds_copies_and_deletes(api, repo, read):
    adds = [CommitOperationAdd(path, content) for path, content in (("a.txt", b"a"), ("w.safetensors", weights()))]
    api.create_commit(repo, operations=adds, commit_message="Begin")
    changes = [
        CommitOperationCopy("w.safetensors", "copy/w.safetensors"),
        CommitOperationDelete("a.txt"),
        CommitOperationAdd("b.txt", b"b"),
    ]
    api.create_commit(repo, operations=changes, commit_message="Go on")
    assert set(api.list_repo_files(repo)) == {".gitattributes", "b.txt", "w.safetensors", "copy/w.safetensors"}
    assert read(repo, "copy/w.safetensors") == weights()
    api.delete_folder("copy", repo)
    api.delete_file("b.txt", repo)
    assert set(api.list_repo_files(repo)) == {".gitattributes", "w.safetensors"}


def test_branches_and_tags(api, repo, read):
    first = api.upload_file(path_or_fileobj=b"1", path_in_repo="n.txt", repo_id=repo).oid
    api.create_tag(repo, tag="v1.0")
    api.create_branch(repo, branch="try")
    api.upload_file(path_or_fileobj=b"2", path_in_repo="n.txt", repo_id=repo, revision="try")
    assert (read(repo, "n.txt"), read(repo, "n.txt", revision="try")) == (b"1", b"2")
    api.upload_file(path_or_fileobj=b"3", path_in_repo="n.txt", repo_id=repo)
    assert read(repo, "n.txt", revision="v1.0") == b"1"
    refs = api.list_repo_refs(repo)
    assert {ref.name for ref in refs.branches} == {"main", "try"}
    assert [(ref.name, ref.target_commit) for ref in refs.tags] == [("v1.0", first)]
    with pytest.raises(errors.HfHubHTTPError, match="409"):
        api.create_branch(repo, branch="try")
    api.create_branch(repo, branch="try", exist_ok=True)
    api.delete_branch(repo, branch="try")
    api.delete_tag(repo, tag="v1.0")
    with pytest.raises(errors.RevisionNotFoundError, match="it has main"):
        api.model_info(repo, revision="try")


def test_a_private_place_is_nobody_elses(api, address):
    name = "learner/secret"
    api.create_repo(name, private=True)
    api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=name)
    assert api.model_info(name).private
    for token, status in ((False, 401), (MEMBER, 404)):
        with pytest.raises(errors.RepositoryNotFoundError) as raised:
            HfApi(endpoint=address, token=token).model_info(name)
        assert raised.value.response.status_code == status
        assert name not in [model.id for model in HfApi(endpoint=address, token=token).list_models(author="learner")]
    assert name in [model.id for model in api.list_models(author="learner")]
    api.update_repo_settings(name, private=False, gated="manual")
    with pytest.raises(errors.GatedRepoError):
        HfApi(endpoint=address, token=False).auth_check(name)
    api.auth_check(name)
    api.delete_repo(name)
    with pytest.raises(errors.RepositoryNotFoundError):
        api.model_info(name)


def test_rights_are_as_small_as_the_token(address, repo):
    reader, stranger = HfApi(endpoint=address, token=READER), HfApi(endpoint=address, token=MEMBER)
    assert reader.whoami()["auth"]["accessToken"]["role"] == "read"
    with pytest.raises(errors.HfHubHTTPError, match="may read and not write"):
        reader.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=repo)
    with pytest.raises(errors.HfHubHTTPError, match="don't have the rights"):
        stranger.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=repo)
    with pytest.raises(errors.HfHubHTTPError, match="your own place is member/"):
        stranger.create_repo("learner/mine-now")
    with pytest.raises(errors.HfHubHTTPError, match="Writing needs a token"):
        HfApi(endpoint=address, token=False).create_repo("nobodys")
    for action in (
        lambda: stranger.upload_file(
            path_or_fileobj=b"x", path_in_repo="x.txt", repo_id="HuggingFaceTB/SmolLM2-135M-Instruct"
        ),
        lambda: stranger.delete_repo("HuggingFaceTB/SmolLM2-135M-Instruct"),
    ):
        with pytest.raises(errors.HfHubHTTPError, match="403"):
            action()


def test_creating_twice_and_deleting_what_is_not_there(api, repo):
    with pytest.raises(errors.HfHubHTTPError, match="409"):
        api.create_repo(repo)
    assert api.create_repo(repo, exist_ok=True).repo_id == repo
    with pytest.raises(errors.RepositoryNotFoundError):
        api.delete_repo("learner/never-was")
    api.delete_repo("learner/never-was", missing_ok=True)


def test_a_card_is_checked_and_searched_by(api, repo, address):
    with pytest.raises(ValueError, match="not YAML"):
        api.upload_file(path_or_fileobj=b"---\na: [\n---\n", path_in_repo="README.md", repo_id=repo)
    card = ModelCard(
        "---\nlicense: mit\npipeline_tag: text-generation\nbase_model: HuggingFaceTB/SmolLM2-135M\n---\n# Mine\n"
    )
    api.upload_file(path_or_fileobj=str(card).encode(), path_in_repo="README.md", repo_id=repo)
    found = [model.id for model in api.list_models(filter=["license:mit", "base_model:HuggingFaceTB/SmolLM2-135M"])]
    assert repo in found
    assert api.model_info(repo).card_data.license == "mit"


@pytest.mark.parametrize("day", ["2026-11-25", "2026-13-45"])
def test_a_day_in_a_card_is_a_text(api, repo, day):
    card = f"---\nlicense: mit\nday: {day}\n---\n# Mine\n"
    api.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=repo)
    assert api.model_info(repo).card_data["day"] == day


def test_a_data_set_of_ones_own(api, address, tmp_path):
    name = "learner/notes"
    api.create_repo(name, repo_type="dataset")
    api.upload_file(path_or_fileobj=b"a,b\n1,2\n", path_in_repo="data/t.csv", repo_id=name, repo_type="dataset")
    assert api.dataset_info(name).id == name
    path = hf_hub_download(name, "data/t.csv", repo_type="dataset", endpoint=address, token=LEARNER, cache_dir=tmp_path)
    assert Path(path).read_bytes() == b"a,b\n1,2\n"
    assert name in [one.id for one in api.list_datasets(author="learner")]
    assert name not in [one.id for one in api.list_models(author="learner")]
    with pytest.raises(errors.RepositoryNotFoundError):
        api.model_info(name)
    api.delete_repo(name, repo_type="dataset")


def test_a_trained_model_loads_from_its_commit(api, repo, address, tmp_path):
    program = f"""
import sys, torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
torch.manual_seed(0)
config = LlamaConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=64)
model = LlamaForCausalLM(config)
model.push_to_hub({repo!r})
from huggingface_hub import HfApi
first = HfApi().model_info({repo!r}).sha
with torch.no_grad():
    model.lm_head.weight += 1
model.push_to_hub({repo!r})
again = AutoModelForCausalLM.from_pretrained({repo!r}, revision=first)
print((model.lm_head.weight - again.lm_head.weight).mean().item())
"""
    settings = {"HF_ENDPOINT": address, "HF_TOKEN": LEARNER, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **settings}, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout.splitlines()[-1]) == pytest.approx(1, abs=1e-4)


def test_what_it_cannot_do_it_says(api, repo):
    with pytest.raises(errors.BadRequestError, match="no pull requests"):
        api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=repo, create_pr=True)
    with pytest.raises(errors.BadRequestError, match="nothing at POST"):
        api.create_discussion(repo, title="Hello")
    with pytest.raises(errors.BadRequestError, match="models and datasets"):
        api.create_repo("learner/app", repo_type="space", space_sdk="static")


def test_a_stale_parent_is_refused(api, repo):
    old = api.model_info(repo).sha
    api.upload_file(path_or_fileobj=b"1", path_in_repo="n.txt", repo_id=repo)
    with pytest.raises(errors.HfHubHTTPError, match="412"):
        api.upload_file(path_or_fileobj=b"2", path_in_repo="n.txt", repo_id=repo, parent_commit=old)


def test_a_large_file_that_is_not_what_was_announced_is_not_kept(address, api, repo, folder):
    content = weights(5)
    oid = hashlib.sha256(content).hexdigest()
    body = json.dumps({"operation": "upload", "objects": [{"oid": oid, "size": len(content)}]}).encode()
    headers = {"Authorization": f"Bearer {LEARNER}", "Content-Type": "application/json"}
    asked = urllib.request.Request(f"{address}/{repo}.git/info/lfs/objects/batch", body, headers)
    (one,) = json.load(urllib.request.urlopen(asked))["objects"]
    url = one["actions"]["upload"]["href"]
    for wrong, status in ((content[:-1] + b"x", 422), (content[:-3], 422), (content + b"more", 413)):
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(urllib.request.Request(url, wrong, method="PUT"))
        assert raised.value.code == status
    assert not (folder / "objects" / oid).exists() and not list((folder / "objects").glob(".upload-*"))
    urllib.request.urlopen(urllib.request.Request(url, content, method="PUT"))
    assert (folder / "objects" / oid).read_bytes() == content
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(urllib.request.Request(url, content, method="PUT"))


@pytest.mark.parametrize("path", ["../x", "/x", "a/../b", "a//b", "a\\b", ".git/config", "a\0b", ".", "x/"])
def test_a_path_that_leads_out_is_refused(address, repo, path, folder):
    lines = [
        {"key": "header", "value": {"summary": "s"}},
        {"key": "file", "value": {"path": path, "content": "eA==", "encoding": "base64"}},
    ]
    body = "\n".join(map(json.dumps, lines)).encode()
    headers = {"Authorization": f"Bearer {LEARNER}"}
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(urllib.request.Request(f"{address}/api/models/{repo}/commit/main", body, headers))
    assert raised.value.code == 400 and "not allowed" in raised.value.read().decode()
    assert {place.name for place in folder.iterdir()} == {"objects", "repos"}


def test_what_was_published_outlives_the_process_and_a_half_write_does_not_count(tmp_path):
    scratch = hub_scratch.Scratch(tmp_path)
    state = scratch.create("learner/kept", "model", "learner", private=False)
    files = {**state.commit_of("main").files, "a.txt": scratch.put(b"a")}
    scratch.commit(state, "main", "learner", "Add", "", files, parent=state.branches["main"])
    (tmp_path / "repos" / "broken.json").write_text("{", encoding="utf-8")
    scratch.put(b"an object that no commit names")
    again = hub_scratch.Scratch(tmp_path)
    assert [state.id for state in again.all()] == ["learner/kept"]
    kept = again.get("learner/kept").at("main")
    assert kept.files["a.txt"].read(0, 10) == b"a" and kept.sha == scratch.get("learner/kept").at(None).sha
    assert (tmp_path / "repos" / "broken.json").exists()


def test_a_process_killed_while_it_writes_leaves_the_old_state(tmp_path):
    program = """
import os, sys
from pathlib import Path
from labkit.world.hub import scratch as hub_scratch
scratch = hub_scratch.Scratch(Path(sys.argv[1]))
state = scratch.create("learner/x", "model", "learner", private=False)
real = Path.replace
def killed(self, target):
    os._exit(9)
Path.replace = killed
scratch.commit(state, "main", "learner", "Never", "", {}, parent=state.branches["main"])
"""
    run = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert run.returncode == 9, run.stderr
    (state,) = hub_scratch.Scratch(tmp_path).all()
    assert [commit.title for commit in state.history("main")] == ["initial commit"]


def test_a_deleted_repository_gives_its_room_back_but_not_what_others_use(tmp_path):
    scratch = hub_scratch.Scratch(tmp_path)
    states = []
    for name, own in (("one", b"only one has this"), ("two", b"and this the other")):
        state = scratch.create(f"learner/{name}", "model", "learner", private=False)
        files = {"own.txt": scratch.put(own), "shared.txt": scratch.put(b"both have this")}
        states.append(scratch.commit(state, "main", "learner", "Add", "", files, parent=state.branches["main"]))
    before = len(list(scratch.objects.iterdir()))
    scratch.delete(states[0])
    assert len(list(scratch.objects.iterdir())) == before - 1
    assert scratch.get("learner/two").at(None).files["shared.txt"].read(0, 100) == b"both have this"


def test_a_full_disk_is_a_sentence(api, repo, monkeypatch):
    monkeypatch.setattr(hub_scratch, "MOST_BYTES", 10)
    with pytest.raises(errors.HfHubHTTPError, match="takes files of up to"):
        api.upload_file(path_or_fileobj=b"more than ten bytes", path_in_repo="x.txt", repo_id=repo)


def test_a_small_parquet_file_is_kept_outside_git_as_on_the_real_hub(address):
    """`Dataset.push_to_hub` sends its files that way before anybody asks."""
    api = HfApi(endpoint=address, token=LEARNER)
    repo = api.create_repo("learner/rows", repo_type="dataset", exist_ok=True).repo_id
    api.upload_file(path_or_fileobj=b"PAR1", path_in_repo="a.parquet", repo_id=repo, repo_type="dataset")
    (entry,) = api.get_paths_info(repo, "a.parquet", repo_type="dataset")
    assert entry.lfs is not None and entry.size == 4
