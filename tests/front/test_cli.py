"""The command line as a user meets it: a real process, its exit code, one line for what went wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.base import assets
from labkit.front import cli
from tests.rows import every


def labkit(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "labkit", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", env={**os.environ, **environment}, timeout=120
    )


def test_help_names_every_command():
    run = labkit("--help")
    assert run.returncode == 0
    for name in cli.COMMANDS:
        assert f"\n  {name} " in run.stdout


@every(cli.COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert not end.value.code
    assert capsys.readouterr().out.startswith(f"usage: labkit {command} ")


def test_a_process_ends_with_the_commands_exit_code():
    run = labkit("clean", "--help")
    assert run.returncode == 0 and run.stdout.startswith("usage: labkit clean ")
    assert labkit("clean", "--nonsense").returncode == 2


def test_an_unknown_command_offers_the_nearest():
    run = labkit("docter")
    assert (run.returncode, run.stderr) == (1, "labkit: There is no command 'docter': did you mean doctor?\n")


def test_a_lab_error_is_one_line_without_a_traceback(tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("", encoding="utf-8")
    run = labkit("clean", LABKIT_CACHE=str(in_the_way / "cache"))
    assert run.returncode == 1
    assert run.stderr.startswith("labkit: The course cache ") and run.stderr.count("\n") == 1


@pytest.mark.parametrize("place", ["a file in the way", "a full device"])
def test_a_folder_that_cannot_be_written_is_one_line_too(monkeypatch, tmp_path, capsys, place):
    from labkit.front import commands

    if place == "a file in the way":
        (tmp_path / "work").write_text("", encoding="utf-8")
        monkeypatch.setattr(assets, "root", lambda: tmp_path)
    else:
        if not Path("/dev/full").exists():
            pytest.skip("needs /dev/full, a device that is always full")
        monkeypatch.setattr(commands, "copy_lessons", lambda folder: Path("/dev/full").write_text("x" * 100_000))
    assert cli.main(["reset", "05"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert ("The disk is full" if place == "a full device" else "work cannot be written (") in error


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(assets, "root", lambda: Path("a\0b"))
    with pytest.raises(ValueError):
        cli.main(["reset", "05"])


def test_version():
    assert labkit("--version").stdout.startswith("labkit 0.")


def test_an_installed_package_lists_and_runs_what_it_has(monkeypatch, capsys):
    from labkit.front import bench

    assert {"lint", "run", "test", "site"} <= set(cli._commands_here())
    monkeypatch.setattr(assets, "checkout", lambda: None)
    assert cli.main(["--help"]) == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")}
    assert {"lab", "lessons", "doctor", "bench"} <= listed and not {"lint", "run", "test", "site", "fetch"} & listed
    assert cli.main(["lint"]) == 1
    assert "`lint` needs the course's repository" in capsys.readouterr().err
    assert bench._sections_here() == ["quantization", "finetuning"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_output_that_cannot_be_written_is_a_sentence_and_a_reader_that_left_is_fine():
    for command in (["--help"], ["--version"], ["lessons"]):
        with Path("/dev/full").open("w") as full:
            run = subprocess.run(
                [sys.executable, "-m", "labkit", *command], stdout=full, stderr=subprocess.PIPE, text=True
            )
        assert (run.returncode, run.stderr.count("\n")) == (1, 1) and "The disk is full" in run.stderr
        reader, writer = os.pipe()
        os.close(reader)
        run = subprocess.run([sys.executable, "-m", "labkit", *command], stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        assert (run.returncode, run.stderr) == (0, b"")
