"""Failures ordered from the local Hub: what the unmodified client does by itself, and what it does not."""

from __future__ import annotations

import time
from importlib.metadata import version

import pytest
from huggingface_hub import HfApi, errors, hf_hub_download
from service_helpers import serving

from labkit.base.errors import LabError
from labkit.world import weights
from labkit.world.hub import api as hub_api
from labkit.world.hub import drills
from labkit.world.hub import repos as hub_repos
from labkit.world.hub import scratch as hub_scratch

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.fixture(scope="module")
def address(_cache_with_model, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_CACHE", str(_cache_with_model))
        repos = hub_repos.repositories(weights.ensure(quiet=True))
    scratch = hub_scratch.Scratch(tmp_path_factory.mktemp("scratch"))
    with serving(hub_api.application(repos, scratch)) as url:
        yield url


@pytest.fixture(autouse=True)
def _here(address, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", address)
    drills.clear()


@pytest.fixture
def api(address):
    return HfApi(endpoint=address, token="hf_course_learner")


def statuses() -> list[int]:
    """Of the requests since the order, but for the one that each process sends first, about who it is."""
    return [entry["status"] for entry in drills.seen() if "/api/agent-harnesses" not in entry["path"]]


@pytest.mark.parametrize("status", [429, 503])
def test_a_search_waits_as_told_and_comes_back(status, api):
    drills.order(path="/api/models", status=status, times=2, retry_after=1)
    began = time.monotonic()
    if int(version("huggingface_hub").split(".")[0]) < 2:  # there the first page is asked for once
        with pytest.raises(errors.HfHubHTTPError):
            list(api.list_models(limit=1))
        assert statuses() == [status]
        return
    assert len(list(api.list_models(limit=1))) == 1
    assert statuses() == [status, status, 200]
    assert time.monotonic() - began >= 2  # a wait cannot be shorter than what was told, whatever the machine


@pytest.mark.parametrize("status", [429, 500, 503])
def test_one_models_facts_are_asked_for_once(api, status):
    drills.order(path="/api/models/", status=status, retry_after=1)
    with pytest.raises(errors.HfHubHTTPError) as raised:
        api.model_info(MODEL)
    assert raised.value.response.status_code == status
    assert statuses() == [status]
    assert api.model_info(MODEL).id == MODEL


@pytest.mark.parametrize(
    ("method", "status", "seen"),
    [
        ("HEAD", 429, [429, 200, 200]),
        ("HEAD", 503, [503, 200, 200]),
        ("GET", 429, [200, 429, 200]),
        ("GET", 503, [200, 503]),  # the one that gives up
    ],
)
def test_a_download_waits_but_for_one_case(method, status, seen, address, tmp_path):
    drills.order(path="/resolve/", method=method, status=status, retry_after=1)
    options = {"endpoint": address, "token": "hf_course_learner", "cache_dir": tmp_path}
    if seen[-1] == 200:
        assert hf_hub_download(MODEL, "config.json", **options)
    else:
        with pytest.raises(errors.HfHubHTTPError, match=str(status)):
            hf_hub_download(MODEL, "config.json", **options)
    assert statuses() == seen


def test_a_download_that_breaks_off_goes_on(api, address, tmp_path):
    drills.order(path="/resolve/", status="cut")
    options = {"endpoint": address, "token": "hf_course_learner", "cache_dir": tmp_path}
    path = hf_hub_download(MODEL, "tokenizer.json", **options)
    with open(path, "rb") as file:  # noqa: PTH123
        assert len(file.read()) == api.get_paths_info(MODEL, "tokenizer.json")[0].size
    assert any(entry["drilled"] for entry in drills.seen())


def test_slow_and_trickling_answers_come_whole(api):
    drills.order(path="/api/models/", status="slow", seconds=0.5)
    began = time.monotonic()
    assert api.model_info(MODEL).id == MODEL
    assert time.monotonic() - began >= 0.5
    drills.order(path="/api/models/", status="trickle", seconds=0.1)
    assert api.model_info(MODEL).id == MODEL


def test_an_order_counts_from_then_on_and_clear_forgets_it(api):
    api.model_info(MODEL)
    drills.order(path="/api/models/", status=503)
    assert drills.seen() == []
    drills.clear()
    assert api.model_info(MODEL).id == MODEL


@pytest.mark.parametrize(
    "wrong",
    [{"status": 418}, {"status": 503, "times": 0}, {"status": 503, "path": "("}, {"status": "slow", "seconds": -1}],
)
def test_an_order_that_makes_no_sense_is_a_sentence(wrong):
    with pytest.raises(LabError, match=r"drill|path|seconds"):
        drills.order(**wrong)


def test_without_the_courses_hub_there_are_no_drills(monkeypatch):
    for elsewhere in ("", "https://huggingface.co"):
        monkeypatch.setenv("HF_ENDPOINT", elsewhere)
        with pytest.raises(LabError, match="local world"):
            drills.order(status=503)


def test_only_the_courses_tokens_may_order(address):
    import urllib.error
    import urllib.request

    for headers in ({}, {"Authorization": "Bearer hf_real"}):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(urllib.request.Request(f"{address}{drills.ROUTE}", b"{}", headers))
