"""No request of a lesson carries the learner's token to a host that it is not for.

In the local world each lesson's own run tells: the item `requests` of author/comparison.py. Here that item is
shown to fail. In the live world lesson 04 is run against stand-ins, once a week.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from author.notebook_run import execute
from labkit.base import assets
from labkit.world import services

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)

import lesson_requests

# Each way to send the token, to a listener of its own: what one library does must not hide what another one does.
LISTENERS = """
import os, subprocess, sys
from contextlib import ExitStack
from labkit import privacy
names = ("client", "file", "async", "urllib", "body", "child", "datagram", "nothing")
stack = ExitStack()
at = {name: stack.enter_context(privacy.listen()).url for name in names}
token = os.environ["HF_TOKEN"]
hello = [{"role": "user", "content": "hello"}]
"""
WAYS = {
    "client": "import huggingface_hub as hub\nhub.InferenceClient(base_url=at['client']).chat_completion(hello)",
    "file": "del os.environ['HF_TOKEN']\nhub.InferenceClient(base_url=at['file']).chat_completion(hello)",
    "async": "asked = hub.AsyncInferenceClient(base_url=at['async'], api_key=token)\n"
    "await asked.chat_completion(hello)",
    "urllib": "from urllib.request import Request, urlopen\n"
    "urlopen(Request(at['urllib'], b'{}', {'Authorization': token})).read()",
    "body": "urlopen(Request(at['body'], b'x' * 100_000 + token.encode())).read()",
    "child": "code = f'import urllib.request; urllib.request.urlopen({at[\"child\"]!r}, {token!r}.encode()).read()'\n"
    "subprocess.run([sys.executable, '-c', code], check=True)",
    "datagram": "import socket\nto = ('127.0.0.1', int(at['datagram'].split(':')[-1]))\n"
    "socket.socket(type=socket.SOCK_DGRAM).sendto(token.encode(), to)",
    "nothing": "urlopen(Request(at['nothing'], b'{}')).read()",
}
ABROAD = "import contextlib\nwith contextlib.suppress(OSError):\n    urlopen('https://example.com/')"


def test_each_way_to_send_the_token_is_seen(notebook):
    # In two halves: a port of this machine would be stored as PORT.
    told = "print(*(f'{name}={url[-5:-2]}+{url[-2:]}' for name, url in at.items()))"
    report = execute(notebook(LISTENERS, *WAYS.values(), ABROAD, told))
    assert report.stopped is None
    said = report.notebook.cells[-1].outputs[0].text.replace("+", "")
    ports = dict(pair.split("=") for pair in said.split())
    carrying = {request.port for request in report.requests if request.carries}
    assert {name for name, port in ports.items() if port in carrying} == set(WAYS) - {"nothing"}
    assert len(carrying) == len(WAYS) - 1, "and nothing else of a kernel's run carries it"
    assert ports["nothing"] in {request.port for request in report.requests}
    assert ("example.com", "443") in {(one.host, one.port) for one in report.requests if one.outside}


@pytest.mark.slow
def test_a_notebook_that_asks_others_or_sends_the_token_fails(stored, strict_pytest, tmp_path):
    stored("tells.ipynb", LISTENERS, WAYS["urllib"], "print(1)")
    stored("asks.ipynb", "from urllib.request import urlopen", ABROAD, "print(1)")
    done = strict_pytest(tmp_path)
    assert done.returncode == 1 and "2 failed" in done.stdout, done.stdout
    assert "tells.ipynb::requests FAILED" in done.stdout and "asks.ipynb::requests FAILED" in done.stdout
    assert "It sent the learner's Hugging Face token to 127.0.0.1:" in done.stdout
    assert "It asked example.com:443: in the local world nothing leaves this machine." in done.stdout


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


@pytest.mark.slow
@pytest.mark.weekly
def test_in_the_live_world_it_goes_to_hugging_face_alone(learner, tmp_path):
    """Lesson 04 against stand-ins for the Hub and the router: the same cells run, but for what only those have."""
    command = [sys.executable, lesson_requests.__file__, "04"]
    done = subprocess.run(command, capture_output=True, text=True, env=learner, cwd=tmp_path, timeout=280)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    told = [problem.partition(": ")[0] for _, problem in found["failed"]]
    assert told == [*["LabError"] * 3, "RepositoryNotFoundError"], "three drills, and a model that makes pictures"
    carrying = {(scheme, host) for scheme, host, carries in found["requests"] if carries}
    assert carrying == {("https", host) for host in lesson_requests.REAL_HOSTS}
    assert ["http", "127.0.0.1", False] in found["requests"], "the model server and the stranger were asked as well"
