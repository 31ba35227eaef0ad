"""Which Hub the libraries talk to: the course's, with nothing of the learner's; and their own for bigger models.

Each try is a new process with the unmodified client, since it reads its settings when it is imported. The course's Hub
refuses every token that is not the course's, so a real one that reached it would end in 401.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.world import services
from labkit.world.hub.service import local_hub
from tests.sharing import at

# Those that stop a Hub, or ask whether there is one, have `own_course_cache`.
pytestmark = pytest.mark.usefixtures("course_cache")


@pytest.fixture(scope="module", autouse=True)
def _one_hub(_cache_with_model):
    """This process uses the Hub of the session as well, so that it stays between the programs."""
    with at(_cache_with_model):
        local_hub()


@pytest.fixture
def learner(tmp_path) -> dict[str, str]:
    """The environment of a learner who has an account, a cache and settings of their own."""
    home = tmp_path / "own"
    home.mkdir()
    (home / "token").write_text("hf_real_from_a_file", encoding="utf-8")
    return {
        "HF_HOME": str(home),
        "HF_TOKEN": "hf_real",
        "HF_HUB_CACHE": str(home / "elsewhere"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "HF_HUB_OFFLINE": "1",
        "HTTP_PROXY": "http://127.0.0.1:9",  # nothing listens there
        "http_proxy": "http://127.0.0.1:9",
    }


def python(program: str, **environment: str) -> subprocess.CompletedProcess:
    settings = {**os.environ, "PYTHONUTF8": "1", **environment}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=settings, timeout=120)


USE = """
import labkit
lab = labkit.start("03")
from huggingface_hub import HfApi, hf_hub_download
print(HfApi().whoami()["name"])
path = hf_hub_download("HuggingFaceTB/SmolLM2-135M-Instruct", "config.json")
print(path)
from transformers import AutoConfig
print(AutoConfig.from_pretrained("HuggingFaceTB/SmolLM2-135M-Instruct").hidden_size)
"""


def test_a_learners_token_and_cache_stay_their_own(learner):
    run = python(USE, **learner)
    assert run.returncode == 0, run.stderr
    _, name, path, hidden = run.stdout.splitlines()
    assert (name, hidden) == ("learner", "576")
    assert Path(path).is_relative_to(Path(os.environ["LABKIT_CACHE"]) / "local-hub")
    assert [file.name for file in Path(learner["HF_HOME"]).rglob("*")] == ["token"]


def test_with_the_real_token_the_hub_would_have_refused(learner):
    """The control: the same calls fail once the learner's token travels."""
    program = USE.replace(
        "from huggingface_hub import", "import os; os.environ['HF_TOKEN'] = 'hf_real'\nfrom huggingface_hub import"
    )
    run = python(program, **learner)
    assert run.returncode != 0 and "401" in run.stderr


def test_lessons_without_a_hub_start_none_and_change_nothing(own_course_cache, learner):
    program = "import labkit, os; labkit.start('05'); print(os.environ['HF_TOKEN'], 'HF_ENDPOINT' in os.environ)"
    run = python(program, **learner)
    assert run.stdout.splitlines()[1] == "hf_real False", run.stderr
    assert services.users("hub") == []


def test_a_hub_that_was_killed_comes_back_where_it_was(own_course_cache):
    program = """
import labkit
labkit.start("03")
from huggingface_hub import HfApi
from labkit import services
print(len(list(HfApi().list_models(limit=2))))
services.stop("hub")
labkit.start("03")
print(len(list(HfApi().list_models(limit=2))))
"""
    run = python(program)
    assert run.returncode == 0, run.stderr
    assert [line for line in run.stdout.splitlines() if line.isdigit()] == ["2", "2"]


def test_a_hub_that_moved_is_said_in_a_sentence(own_course_cache):
    program = """
import labkit, socket
labkit.start("03")
from labkit import hub
from labkit.base import processes
from labkit import services
services.stop("hub")
port = int(hub._url.rpartition(":")[2])
processes.require_free(port)
with socket.create_server(("127.0.0.1", port)):
    labkit.start("03")
"""
    run = python(program)
    assert "restart the kernel, then run the set-up cell first" in run.stderr


def test_too_late_is_said_in_a_sentence():
    run = python("import labkit; labkit.start('05'); from huggingface_hub import HfApi; HfApi; labkit.start('03')")
    assert "restart the kernel, then run the set-up cell first" in run.stderr


def test_a_bigger_models_weights_come_from_the_learners_own_place(learner):
    program = """
import labkit
labkit.start("03")
from labkit.world import hub_settings
from labkit import weights as models
print(hub_settings.own())
print(models.status("mistral-7b"))
"""
    run = python(program, **learner)
    assert run.returncode == 0, run.stderr
    _, own, status = run.stdout.splitlines()
    assert eval(own) == {
        "cache_dir": learner["HF_HUB_CACHE"],
        "endpoint": "https://huggingface.co",
        "token": "hf_real",
    }
    assert status == "not fetched"


def test_a_program_that_a_lesson_starts_does_not_take_the_courses_place_for_the_learners():
    asks = "from labkit.world import hub_settings; own = hub_settings.own(); print(own['endpoint'], own['token'])"
    inner = f"import labkit; labkit.start('03'); {asks}"
    program = f"import labkit, subprocess, sys; labkit.start('03'); subprocess.run([sys.executable, '-c', {inner!r}])"
    assert "https://huggingface.co False" in python(program).stdout


def test_a_search_is_a_table():
    program = """
import labkit
labkit.start("03")
table = labkit.hub.search(licence="apache-2.0", chat=True, billions=(0.1, 2))
print(list(table.columns), table.parameters.is_monotonic_increasing, set(table.licence))
print(table.set_index("id").weights_gb["HuggingFaceTB/SmolLM2-135M-Instruct"])
sizes = table.set_index("id").parameters
print(sizes["course-examples/SmolLM2-135M-Instruct-GGUF"] == sizes["HuggingFaceTB/SmolLM2-135M-Instruct"])
print(labkit.hub.search("pickle-only").parameters.isna().tolist())
print(len(labkit.hub.search("no such model")), labkit.hub.search("llama-2", gated=True).gated.all())
"""
    run = python(program)
    assert run.returncode == 0, run.stderr
    columns, size, same, unknown, rest = run.stdout.splitlines()[1:]
    assert (same, unknown) == ("True", "[True]")
    assert columns == ("['id', 'licence', 'gated', 'parameters', 'weights_gb', 'released'] True {'apache-2.0'}")
    assert float(size) == 134_515_008 * 2 / 1e9
    assert rest == "0 True"


def test_the_tokens_are_those_that_the_hub_knows():
    from huggingface_hub import HfApi

    service = local_hub()
    program = "import labkit; labkit.start('03'); print(labkit.hub.tokens())"
    tokens = eval(python(program).stdout.splitlines()[1])
    names = [HfApi(endpoint=service.url).whoami(token=token)["name"] for token in tokens.values() if token]
    assert names == ["learner", "member"]
