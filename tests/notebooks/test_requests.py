"""No request of the lessons on the Hub and on providers carries the learner's token to a host that it is not for."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from labkit import assets
from labkit.classroom import services

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)

import lesson_requests


@pytest.fixture
def learner(course_cache, tmp_path):
    """The environment of a learner with a token in HF_TOKEN, and another one kept by `hf auth login`."""
    home = tmp_path / "hf"
    home.mkdir()
    (home / "token").write_text(f"hf_{lesson_requests.SECRET}STORED", encoding="utf-8")
    yield {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        **{"HF_TOKEN": f"hf_{lesson_requests.SECRET}TOKEN", "HF_HOME": str(home)},
        **{"PYTHONPATH": str(assets.CHECKOUT), "MPLBACKEND": "agg"},
    }
    for name in services.records.instances():
        if name.startswith(("hub", "gateway")):
            services.stop(name)


def seen(environment: dict[str, str], folder, mode: str, *lessons: str) -> dict:
    command = [sys.executable, lesson_requests.__file__, mode, *lessons]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_in_the_local_world_it_goes_nowhere(learner, tmp_path):
    found = seen(learner, tmp_path, "local", "03", "04")
    assert found["failed"] == []
    assert found["requests"] == [["http", "127.0.0.1", False]], "other machines are not asked, and no secret is sent"


@pytest.mark.slow
def test_in_the_live_world_it_goes_to_hugging_face_alone(learner, tmp_path):
    """Lesson 04 against stand-ins for the Hub and the router: the same cells run, but for what only those have."""
    found = seen(learner, tmp_path, "live", "04")
    told = [problem.partition(": ")[0] for _, problem in found["failed"]]
    assert told == ["LabError", "LabError", "RepositoryNotFoundError"], "two drills, and a model that makes pictures"
    carrying = {(scheme, host) for scheme, host, carries in found["requests"] if carries}
    assert carrying == {("https", host) for host in lesson_requests.REAL_HOSTS}
    assert ["http", "127.0.0.1", False] in found["requests"], "the model server and the stranger were asked as well"
