"""`labkit fetch`: what cannot be fetched is said in one sentence. A whole fetch needs an index: it is tried by hand."""

import os
import runpy
import subprocess
import sys

import pytest

from labkit.base import assets
from labkit.front.fetch import _requirements

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)


def fetch(*arguments: str, **changes: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "labkit", "fetch", *arguments]
    environment = {**os.environ, **changes}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=assets.CHECKOUT, timeout=120)


def one_sentence(run: subprocess.CompletedProcess) -> str:
    assert run.returncode == 1 and run.stderr.count("\n") == 1, run.stderr
    return run.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--for", "windows,amiga"), "Unknown system 'amiga': choose from linux, macos, windows."),
        (("--python", "3.9"), "Python 3.9 is not supported: choose from 3.11, 3.12, 3.13, 3.14."),
        (("--python", "three-four"), "'three' is not a Python version: write it as 3.13."),
    ],
)
def test_wrong_arguments_are_answered_with_the_right_ones(tmp_path, arguments, sentence):
    assert sentence in one_sentence(fetch(str(tmp_path / "wheels"), *arguments))


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_fetched(tmp_path):
    (tmp_path / "file").touch()
    run = fetch(str(tmp_path / "file" / "wheels"))
    assert "cannot be written" in one_sentence(run) and "Fetching" not in run.stdout


@pytest.mark.parametrize("arguments", [(), ("--for", "windows")])
def test_without_an_index_it_stops_and_says_so(tmp_path, arguments):
    dead = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    dead |= {"PIP_NO_CACHE_DIR": "1", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}  # uv has all of it from pip
    sentence = one_sentence(fetch(str(tmp_path / "wheels"), *arguments, **dead))
    assert "Fetching stopped: " in sentence and "run the same command again" in sentence
    assert not list((tmp_path / "wheels").glob("*.whl"))


def test_the_folder_gets_the_uv_that_lab_py_installs_with():
    assert f"uv=={runpy.run_path(str(assets.CHECKOUT / 'lab.py'))['UV']}" in _requirements(["lab"])


def test_a_setting_that_uv_cannot_follow_stops_a_fetch_for_another_system(tmp_path):
    sentence = one_sentence(fetch(str(tmp_path / "wheels"), "--for", "windows", PIP_PREFER_BINARY="1"))
    assert "pip's setting `prefer-binary` has no counterpart in uv: fetch without --for" in sentence
