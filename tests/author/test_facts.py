"""`labkit facts`: the list; and `--live` against the local Hub, by the real client, with differences planted here."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import subprocess

import pytest
import yaml
from huggingface_hub import HfApi

from author import facts, live_facts
from labkit.base import assets
from labkit.base.errors import LabError
from labkit.facts import catalogue, pricing
from labkit.world.hub import api as hub_api
from labkit.world.hub import repos, scratch
from tests.world.servers.service_helpers import serving

TODAY = datetime.date(2026, 11, 28)


def test_the_list_begins_with_the_least_sure_and_the_oldest(capsys):
    assert facts.facts([]) == 0
    lines = capsys.readouterr().out.splitlines()
    grades = [re.match(r"second hand|measured here|maker", line)[0] for line in lines[:-4]]
    assert list(dict.fromkeys(grades)) == ["second hand", "measured here", "maker"] and len(grades) > 1000
    ages = [int(re.search(r"(\d+) days", line)[1]) for line in lines[: grades.count("second hand")]]
    assert ages == sorted(ages, reverse=True)
    assert [int(line.split()[0]) for line in lines[-3:]] == [grades.count(name) for name in dict.fromkeys(grades[::-1])]


def test_the_list_can_be_asked(capsys):
    assert facts.facts(["mistral-7b", "window", "--grade", "second hand"]) == 0
    (line, *_) = capsys.readouterr().out.splitlines()
    assert line.startswith("second hand") and "mistral-7b window = 4096  [https://" in line


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A Hub with the catalogue's repositories as they are now; what is planted below differs from it."""
    app = hub_api.application(repos.repositories(), scratch.Scratch(tmp_path_factory.mktemp("scratch")))
    with serving(app) as url:
        yield url


@pytest.fixture
def here(tmp_path):
    """A checkout of the catalogue alone, to plant differences in and to apply a patch to."""
    shutil.copytree(assets.path("catalogue"), tmp_path / "assets" / "catalogue")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def prices(folder, **changed: float):
    """A price table as the open one is written, with the course's own prices, but for what has `changed`."""
    table = {}
    for row in pricing.table().itertuples():
        name = f"gemini/{row.model}" if row.provider == "google" else row.model
        usd = changed.get(row.model, row.input_usd_per_million_tokens)
        table[name] = {"input_cost_per_token": usd / 1e6}
        table[name]["output_cost_per_token"] = row.output_usd_per_million_tokens / 1e6
    file = folder / "prices.json"
    file.write_text(json.dumps(table), encoding="utf-8")
    return str(file)


def ask(folder, hub: str, **changed: float) -> live_facts.Report:
    return live_facts.ask(folder / "assets" / "catalogue", hub, prices(folder, **changed), TODAY)


def plant(folder, name: str, key: str, value: str) -> None:
    file = folder / "assets" / "catalogue" / f"{name}.toml"
    text, count = re.subn(rf"(?m)^{key} = {{ value = [^,]+,", f"{key} = {{ value = {value},", file.read_text("utf-8"))
    assert count == 1
    file.write_text(text, encoding="utf-8")


def test_what_differs_is_found_and_the_patch_mends_it(here, hub):
    usual = {(one.subject, one.key) for one in ask(here, hub).findings if one.differs}
    plant(here, "smollm2-360m", "licence", '"mit"')
    plant(here, "phi-4", "gated", "true")
    plant(here, "qwen2.5-7b-instruct", "parameters", "7_000_000_000")
    plant(here, "smollm3-3b", "repo_id", '"HuggingFaceTB/SmolLM3-4B"')
    model = pricing.table().model[0]
    report = ask(here, hub, **{model: 99.0})
    found = {(one.subject, one.key): (one.here, one.there) for one in report.findings if one.differs}
    new = {key: value for key, value in found.items() if key not in usual}
    assert new.pop((model, "USD a million tokens, input"))[1] == 99.0
    assert new.pop(("qwen2.5-7b-instruct", "weights_bytes"))[1] > 15_000_000_000
    assert new == {
        ("smollm2-360m", "licence"): ("mit", "apache-2.0"),
        ("phi-4", "gated"): (True, False),
        ("qwen2.5-7b-instruct", "hub_parameters"): (7_000_000_000, 7_615_616_512),
        ("smollm3-3b", "repo_id"): ("HuggingFaceTB/SmolLM3-4B", "no such repository"),
    }
    said = report.text()
    assert report.differs and "smollm2-360m" in said and f"{7_615_616_512:,}" in said and "99.0" in said
    (here / "facts.patch").write_text(report.patch, encoding="utf-8")
    subprocess.run(["git", "-C", here, "apply", "facts.patch"], check=True)
    mended = catalogue.load(here / "assets" / "catalogue" / "phi-4.toml").facts["gated"]
    sha = HfApi(endpoint=hub, token=False).model_info("microsoft/phi-4").sha
    assert (mended.value, mended.grade, mended.seen) == (False, "maker", TODAY)
    assert mended.source == f"https://huggingface.co/microsoft/phi-4/tree/{sha}"
    left = ask(here, hub)
    assert {(one.subject, one.key) for one in left.findings} - usual == {("smollm3-3b", "repo_id")} and not left.patch


def test_what_is_second_hand_can_be_raised_and_differs_in_nothing(here, hub):
    report = ask(here, hub)
    raised = {(one.subject, one.key) for one in report.findings if not one.differs}
    assert ("qwen2.5-0.5b-instruct", "licence") in raised and ("mistral-7b", "revision") in raised
    assert ("gpt-oss-120b", "licence") not in raised
    assert re.search(r"(?m)^qwen2.5-0.5b-instruct +repo_id, licence, gated, revision$", report.text())


def test_a_hub_or_a_price_table_that_does_not_answer_is_told(here, hub, tmp_path):
    with pytest.raises(LabError, match="The Hub at http://127.0.0.1:9 does not answer about"):
        ask(here, "http://127.0.0.1:9")
    for text in (None, "<html>", "[]"):
        file = tmp_path / "table.json"
        if text:
            file.write_text(text, encoding="utf-8")
        with pytest.raises(LabError, match=f"The price table {re.escape(str(file))}"):
            live_facts.ask(here / "nothing", hub, str(file), TODAY)


def test_it_runs_every_week_and_opens_an_issue():
    text = (assets.CHECKOUT / ".github" / "workflows" / "weekly.yml").read_text(encoding="utf-8")
    job = yaml.safe_load(text)["jobs"]["facts"]
    said = "\n".join(step.get("run", "") for step in job["steps"])
    assert "labkit facts --live --patch facts.patch" in said and "gh issue create" in said
    assert job["permissions"] == {"contents": "read", "issues": "write"}


def test_the_command_says_by_its_exit_code_whether_something_differs(hub, tmp_path, capsys):
    command = ["--live", "--hub", hub, "--prices", prices(tmp_path), "--patch", str(tmp_path / "facts.patch")]
    assert facts.facts(command) in (0, 1)
    assert capsys.readouterr().out.startswith("Asked on ")
    assert (tmp_path / "facts.patch").read_text("utf-8").startswith("--- a/assets/catalogue/")
