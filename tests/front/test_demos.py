"""`labkit demos`: what it serves, and how it says what is wrong. tests/browser/test_demos.py opens the pages."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import psutil
import pytest

import labkit
from labkit.base import assets
from labkit.base.errors import LabError
from labkit.front.demos import demos, served
from tests.browser import voila

NOTEBOOKS = assets.notebook_dir() / "demos"


def test_every_widget_has_a_demo_with_a_sentence_and_a_picture():
    found = served.demos()
    assert {demo.file.removesuffix(".ipynb") for demo in found} == set(labkit.widgets.__all__)
    assert [demo.title for demo in found] == sorted((demo.title for demo in found), key=str.lower)
    for demo in found:
        assert demo.sentence.endswith((".", "?")) and (assets.path(demo.picture)).is_file()
        notebook = json.loads((NOTEBOOKS / demo.file).read_text(encoding="utf-8"))
        text = "".join("".join(cell["source"]) for cell in notebook["cells"])
        alt = re.search(r"!\[([^\]]*)\]\(\.\./\.\./assets/figures/([a-z-]+\.png)\)", text)
        assert len(alt[1].split()) > 5 and f"figures/{alt[2]}" == demo.picture
        assert f"labkit.widgets.{demo.file.removesuffix('.ipynb')}(" in text


def test_what_is_served_has_no_stand_in_pictures_and_no_answers(tmp_path):
    found = served.write(tmp_path / "all")
    for demo in found:
        notebook = json.loads((tmp_path / "all" / "notebooks" / demo.file).read_text(encoding="utf-8"))
        assert "![" not in "".join("".join(cell["source"]) for cell in notebook["cells"])
        assert not any(cell.get("outputs") for cell in notebook["cells"])
        assert (tmp_path / "all" / "notebooks" / demo.picture).is_file()
    template = tmp_path / "all" / "jupyter" / "voila" / "templates" / served.TEMPLATE
    assert json.loads((template / "conf.json").read_text())["base_template"] == "lab"
    for file in template.iterdir():
        assert not re.search(r"https?://", file.read_text(encoding="utf-8")), f"{file.name} leads to the web"


def test_what_a_demo_says_of_itself_stays_text_in_the_list(tmp_path):
    jinja2 = pytest.importorskip("jinja2", reason="comes with JupyterLab")
    source = tmp_path / "demos"
    source.mkdir()
    cell = {"cell_type": "markdown", "metadata": {}, "source": ["# A {{ 7 * 7 }} <b>\n", "\n", 'It\'s "so" {% x %}.']}
    (source / "one.ipynb").write_text(json.dumps({"cells": [cell], "nbformat": 4}), encoding="utf-8")
    served.write(tmp_path / "all", source)
    folder = tmp_path / "all" / "jupyter" / "voila" / "templates" / served.TEMPLATE
    page = jinja2.Environment(loader=jinja2.FileSystemLoader(folder)).get_template("tree.html")
    shown = page.render(theme='"><script>', base_url="/")
    assert "A {{ 7 * 7 }} &lt;b&gt;" in shown and "<script>" not in shown and "{% x %}" in shown


def test_no_demos_and_broken_ones_are_said_in_a_sentence(tmp_path):
    with pytest.raises(LabError, match="There are no demos in"):
        served.demos(tmp_path)
    (tmp_path / "half.ipynb").write_text("{half", encoding="utf-8")
    with pytest.raises(LabError, match=r"half\.ipynb is not a readable notebook"):
        served.demos(tmp_path)


def test_a_port_that_is_taken_and_a_missing_voila_are_said(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LabError, match="in use or not allowed"):
            demos(["--port", str(taken.getsockname()[1])])
    with pytest.raises(LabError, match="Port 70000 is in use or not allowed"):
        demos(["--port", "70000"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LabError, match=r"python lab\.py demos"):
        demos([])


def test_help_names_the_options():
    run = subprocess.run([sys.executable, "-m", "labkit", "demos", "--help"], capture_output=True, text=True)
    assert run.returncode == 0 and all(word in run.stdout for word in ("--port", "--no-browser", "--dark"))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C cannot be sent to one process of a Windows console")
def test_it_prints_its_address_first_serves_this_machine_only_and_leaves_nothing(course_cache, tmp_path, monkeypatch):
    pytest.importorskip("voila", reason="the extra demos is not installed")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = voila.start("--port", str(port), "--dark")
    try:
        assert running.stdout.readline() == f"http://127.0.0.1:{port}/\n"
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30).read().decode()
        assert all(demo.title in page for demo in served.demos()) and "Light theme" in page
        with pytest.raises(urllib.error.HTTPError):  # files of the machine are not served, only pictures
            urllib.request.urlopen(f"http://127.0.0.1:{port}/voila/files/chat.ipynb", timeout=30)
        for child in psutil.Process(running.pid).children(recursive=True):
            listening = [one.laddr.ip for one in child.net_connections() if one.status == psutil.CONN_LISTEN]
            assert set(listening) <= {"127.0.0.1"}
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    finally:
        if running.poll() is None:
            running.kill()
    assert running.returncode == 0 and err == "" and "The demos are closed." in out
    assert not list(tmp_path.glob("labkit-demos-*"))
