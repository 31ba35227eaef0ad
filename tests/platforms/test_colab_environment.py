"""How the environment like Colab's is found, made, used again and repaired: with an empty list, which takes seconds."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from author import colab, commands
from labkit.base import assets
from labkit.base.errors import LabError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Colab's packages are those for Linux")


@pytest.fixture
def on_the_path(tmp_path, monkeypatch):
    """Puts a `python3.13` on an otherwise empty PATH, and this Python and pyenv's out of the way."""
    monkeypatch.delenv(colab.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "_base_executable", str(tmp_path / "none"))

    def put(script: str) -> Path:
        file = tmp_path / "python3.13"
        file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        file.chmod(0o755)
        return file

    return put


def test_a_python_counts_when_it_has_run(on_the_path, monkeypatch):
    assert colab.find() is None
    for broken in ("echo 'pyenv: python3.13: command not found' >&2; exit 127", "echo 3 12"):
        on_the_path(broken)
        assert colab.find() is None
    right = on_the_path("echo 3 13")
    assert colab.find() == right
    monkeypatch.setattr(sys, "platform", "darwin")
    assert colab.find() is None


def test_pyenv_may_keep_one_that_is_not_on_the_path(on_the_path, tmp_path):
    kept = tmp_path / ".pyenv" / "versions" / "3.13.0" / "bin" / "python"
    kept.parent.mkdir(parents=True)
    on_the_path("echo 3 13").rename(kept)
    assert colab.find() == kept


def test_a_python_that_is_named_has_to_be_one(on_the_path, monkeypatch):
    monkeypatch.setenv(colab.VARIABLE, str(on_the_path("exit 127")))
    with pytest.raises(LabError, match=r"LABKIT_COLAB_PYTHON is '.*python3.13', which is no Python 3.13 that runs"):
        colab.find()


def test_without_one_a_line_says_so(on_the_path, capsys):
    commands._ensure_colab(required=False)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Without Colab's versions: no Python 3.13 was found here (LABKIT_COLAB_PYTHON")
    with pytest.raises(LabError, match="no Python 3.13 was found here"):
        commands._ensure_colab(required=True)


def test_a_full_disk_leaves_it_out_unless_it_was_asked_for(place, monkeypatch, capsys):
    monkeypatch.setattr(colab, "NEEDED_BYTES", 10**18)
    monkeypatch.setattr(colab, "find", lambda: Path(sys.executable))
    monkeypatch.delenv(colab.VARIABLE, raising=False)
    commands._ensure_colab(required=False)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Without Colab's versions: An environment like Colab's needs 1,000,000,000,000 MB")
    monkeypatch.setenv(colab.VARIABLE, sys.executable)
    with pytest.raises(LabError, match=r"An environment like Colab's needs .*: make room\.$"):
        commands._ensure_colab(required=False)
    assert not (place / ".venv-colab").exists()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A checkout with a list of nothing, for this Python."""
    wanted = tmp_path / "course" / colab.LIST
    wanted.parent.mkdir(parents=True)
    wanted.write_text("# nothing\n", encoding="utf-8")
    monkeypatch.setattr(assets, "checkout", lambda: tmp_path / "course")
    monkeypatch.setattr(colab, "TOOLS", ())
    monkeypatch.setattr(colab, "NEEDED_BYTES", 1)
    return tmp_path / "course"


@pytest.mark.slow
def test_it_is_made_once_and_anew_when_it_has_to_be(place, monkeypatch, capsys):
    def made() -> bool:
        assert colab.make(Path(sys.executable)) == colab.ready()
        return "Making .venv-colab" in capsys.readouterr().out

    assert colab.ready() is None and made() and not made()
    assert "pip" in colab.reset()
    # Half made: killed before its stamp was written.
    stamp, left = place / ".venv-colab" / "labkit-stamp.json", place / ".venv-colab" / "left"
    stamp.unlink()
    left.touch()
    assert colab.ready() is None and made() and not left.exists()
    # Of another list.
    (place / colab.LIST).write_text(f"pip=={colab.packages(colab.ready())['pip']}\n", encoding="utf-8")
    assert made() and not made()
    # Moved: its scripts name the old place.
    moved = place.with_name("moved")
    shutil.copytree(place, moved, symlinks=True)
    monkeypatch.setattr(assets, "checkout", lambda: moved)
    assert made()


@pytest.mark.slow
def test_what_came_later_is_taken_out(place, tmp_path):
    python = colab.make(Path(sys.executable))
    info = next((place / ".venv-colab" / "lib").glob("python*/site-packages")) / "later-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: later\nVersion: 1\n", encoding="utf-8")
    (info / "RECORD").write_text("later-1.dist-info/METADATA,,\n", encoding="utf-8")
    assert "later" in colab.packages(python)
    assert "later" not in colab.reset() and "later" not in colab.packages(python)


@pytest.mark.slow
def test_what_cannot_be_installed_is_one_sentence(place):
    (place / colab.LIST).write_text("no-such-package-of-the-course==1\n", encoding="utf-8")
    with pytest.raises(LabError, match="could not be made or changed: try again .*no-such-package-of-the-course"):
        colab.make(Path(sys.executable))
    assert colab.ready() is None and not (place / ".venv-colab").exists()
