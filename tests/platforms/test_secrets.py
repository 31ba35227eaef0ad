"""Colab's secrets: read where a learner's own token is needed, and asked for nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STAND_IN = Path(__file__).parent / "stand_in"
LOOK = "import google.colab\nfrom labkit.world import hub_settings\n"
# What `connect` remembers of the learner, without the service that it starts.
CONNECTED = LOOK + "import os\nhub_settings._before = {name: os.environ[name] for name in ('HOME', 'HF_HOME')}\n"


@pytest.fixture
def python(tmp_path):
    """Runs a program where `google.colab` is; returns what it printed, and the secrets that were asked for."""

    def run(program: str, **secrets: str | None) -> tuple[str, list[str]]:
        asked = tmp_path / "asked.txt"
        asked.write_text("", encoding="utf-8")
        own = {"HF_HOME": str(tmp_path / "home"), "COLAB_SECRETS": json.dumps(secrets), "COLAB_ASKED": str(asked)}
        path = os.pathsep.join([str(STAND_IN), str(Path(__file__).parents[2])])
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        variables = {**kept, **own, "PYTHONPATH": path}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=variables)
        return (done.stdout + done.stderr).strip(), asked.read_text(encoding="utf-8").split()

    return run


def test_a_secret_is_a_token(python):
    for secrets, there in (({"HF_TOKEN": "hf_invented"}, "True"), ({"HF_TOKEN": None}, "False"), ({}, "False")):
        assert python(LOOK + "print(hub_settings.has_token())", **secrets) == (there, ["HF_TOKEN"])


def test_a_gated_model_is_fetched_with_the_learners_own_secret(python):
    program = CONNECTED + "print(hub_settings.own(ask=True)['token'])"
    assert python(program, HF_TOKEN="hf_invented") == ("hf_invented", ["HF_TOKEN"])
    assert python(program) == ("False", ["HF_TOKEN"])


def test_looking_into_the_cache_asks_for_no_secret(python):
    assert python(CONNECTED + "print(hub_settings.own()['token'])", HF_TOKEN="hf_invented") == ("False", [])


def test_elsewhere_there_are_none(python):
    assert python("from labkit.world import hub_settings\nprint(hub_settings.has_token())", HF_TOKEN="hf_invented") == (
        "False",
        [],
    )
