"""`labkit serve` as a person meets it: a real command at a terminal, a real server behind it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from service_helpers import gone, greeting, kill, wait_until

from labkit.base import assets
from labkit.world import services
from labkit.world.model_server.service import model_server

pytestmark = pytest.mark.usefixtures("course_cache")
posix = pytest.mark.skipif(os.name != "posix", reason="Ctrl-C cannot be sent to one process of a Windows console")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts `labkit serve`; what still runs after the test is ended, so that it is no user in the next one."""
    with contextlib.ExitStack() as started:

        def run(*arguments: str) -> subprocess.Popen:
            command = subprocess.Popen(
                [sys.executable, "-m", "labkit", "serve", *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(assets.PACKAGE.parent)},
                start_new_session=os.name == "posix",
            )
            started.enter_context(command)
            started.callback(command.kill)
            return command

        yield run


@posix
def test_it_prints_its_address_first_and_leaves_on_ctrl_c(own_course_cache, start):
    command = start()
    text = greeting(command)
    url, key = text.splitlines()[0], re.search(r"^key: (\S+)$", text, re.MULTILINE)[1]
    request = urllib.request.Request(f"{url}/models", headers={"Authorization": f"Bearer {key}"})
    assert json.load(urllib.request.urlopen(request, timeout=60))["data"][0]["id"] == "SmolLM2-135M-Instruct"
    assert "Used by no other program" in text
    assert services.users("model") == [command.pid]
    os.killpg(command.pid, signal.SIGINT)
    out, err = command.communicate(timeout=60)
    assert command.returncode == 0 and err == ""
    assert out.strip() == "You left; the server ends within a minute."
    assert services.users("model") == []


@posix
def test_the_example_it_prints_works(start):
    command = start()
    text = greeting(command)
    curl = re.search(r"curl (\S+) .*\\\n .*-d '(.*)'$", text, re.MULTILINE)
    key = re.search(r"Bearer (\S+)\"", text)[1]
    body = json.dumps(json.loads(curl[2]) | {"max_tokens": 8}).encode()  # an answer, not a whole one
    request = urllib.request.Request(curl[1], body, {"Authorization": f"Bearer {key}"})
    assert json.load(urllib.request.urlopen(request, timeout=120))["choices"][0]["message"]["content"]
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=60)


@posix
def test_it_joins_the_server_of_a_lesson_and_leaves_it_running(start):
    service = model_server()
    command = start()
    text = greeting(command)
    assert text.startswith(f"{service.url}/v1\n") and "Used by 1 other program." in text
    command.send_signal(signal.SIGINT)
    out, _ = command.communicate(timeout=60)
    assert out.strip() == "You left; the server runs on: 1 other program still uses it."
    assert services.running("model") == service


def test_a_taken_port_is_one_sentence(own_course_cache, start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = start("--port", str(port))
        out, err = command.communicate(timeout=60)
    assert (command.returncode, out) == (1, "")
    assert err == f"labkit: Port {port} is in use or not allowed: choose another, or leave out --port.\n"


def test_it_ends_when_its_server_is_killed(own_course_cache, start):
    command = start()
    greeting(command)
    kill(services.running("model").pid)
    _, err = command.communicate(timeout=60)
    assert command.returncode == 1
    assert err == "labkit: The model server has ended (killed, or out of memory): run `python lab.py serve` again.\n"


def test_help_and_bad_names(start):
    command = start("--help")
    out, _ = command.communicate(timeout=60)
    assert command.returncode == 0 and "--port" in out and "--model" in out
    command = start("--model", "nothing.gguf")
    _, err = command.communicate(timeout=60)
    assert command.returncode == 1 and err.startswith("labkit: ") and err.count("\n") == 1


def test_a_killed_command_is_no_user(own_course_cache, start):
    command = start()
    greeting(command)
    service = services.running("model")
    command.kill()
    command.communicate()
    assert services.users("model") == [] and not gone(service.pid)
    assert wait_until(lambda: services.running("model") == service)
