"""The learner's side of the command line: `lab`, `setup`, `reset` and `clean`.

Learners never edit the course's own notebooks: they work on copies in `work/`, so that an update or a test is never in
conflict with their work. A copy that was not edited is renewed when the course changes; an edited one is never touched.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from labkit.base import assets, cache, processes
from labkit.base.errors import LabError
from labkit.facts import catalogue

FIRST = "00_start_here.ipynb"
_RECORD = ".labkit.json"
# JupyterLab as its own command starts it, without one package whose import takes a second, half of the whole start. It
# checks addresses beyond ASCII ("iri") in JSON schemas, and Jupyter's schemas have none. Kernels do not import it.
_JUPYTERLAB = "import sys; sys.modules['rfc3987_syntax'] = None; from jupyterlab.labapp import main; sys.exit(main())"


def copy_lessons(folder: Path) -> list[str]:
    """Bring the copies in `folder` up to date; returns the names of edited copies that are now behind the course."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = _read_record(folder)
    behind = []
    for shipped in sorted(assets.notebook_dir().glob("*.ipynb")):
        copy, version = folder / shipped.name, cache.sha256(shipped)
        known = taken.get(shipped.name, {})
        edited = copy.exists() and cache.sha256(copy) != known.get("copy")
        if edited and known.get("shipped") != version:
            behind.append(shipped.name)
        elif not copy.exists() or known.get("shipped") != version:
            _place(shipped, copy)
            taken[shipped.name] = {"shipped": version, "copy": cache.sha256(copy)}
    cache.write_atomically(folder / _RECORD, json.dumps(taken, indent=1))
    if assets.checkout() is None:
        # The lessons' pictures are at ../assets/figures, seen from work/.
        shutil.copytree(assets.path("figures"), folder.parent / "assets" / "figures", dirs_exist_ok=True)
    return behind


def _read_record(folder: Path) -> dict[str, dict[str, str]]:
    """Which shipped version each copy was made from. Without a readable record every copy counts as edited."""
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        return {name: dict(versions) for name, versions in record.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _place(shipped: Path, copy: Path) -> None:
    """Copy a lesson without its stored outputs: a learner who is asked to guess should not see the answer below."""
    # As JSON: nbformat takes more than a second to import, and the course's own notebooks need no check.
    notebook = json.loads(shipped.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    cache.write_atomically(copy, json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True))


def lab(argv: list[str]) -> int:
    """`lab`: fetch the model, copy the lessons, open JupyterLab and stay until it is closed."""
    parser = argparse.ArgumentParser(prog="labkit lab", description="Open the course in JupyterLab (Ctrl-C ends it).")
    parser.add_argument("lesson", nargs="?", help="open this lesson, for example 05 (default: 00)")
    parser.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")
    parser.add_argument("--port", type=int, help="use this port (default: the first free one from 8888)")
    options, more = parser.parse_known_args(argv)
    if importlib.util.find_spec("jupyterlab") is None:
        raise LabError("This Python has no JupyterLab: run `pip install jupyterlab`, or start with `python lab.py`.")
    if options.port:
        processes.require_free(options.port)
    _prepare()
    folder = assets.root() / "work"
    for name in copy_lessons(folder):
        print(f"The course has a newer {name}; yours is kept (`python lab.py reset {name[:2]}` gives the new one).")
    _quiet_news()
    opened = _lesson_file(options.lesson).name if options.lesson else FIRST
    command = [sys.executable, "-P", "-c", _JUPYTERLAB, f"--ServerApp.root_dir={assets.root()}"]
    command += [f"--LabApp.default_url=/lab/tree/work/{opened}"]
    command += ["--no-browser"] if options.no_browser else []
    command += [f"--port={options.port}", "--ServerApp.port_retries=0"] if options.port else []
    command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    print(f"Opening lesson {opened[:2]} in JupyterLab; Ctrl-C here ends it.", flush=True)
    return _run_until_closed([*command, *more])


def _run_until_closed(command: list[str]) -> int:
    """Run a server until it ends. At the first Ctrl-C Jupyter only asks for a second one, so we end it ourselves.

    So do we when only we are told to end, by `kill` or a closed terminal: its kernels would live on with it.
    """
    told = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    for number in told:
        if signal.getsignal(number) == signal.SIG_DFL:  # not under nohup
            signal.signal(number, signal.default_int_handler)
    server = subprocess.Popen(command)
    try:
        return server.wait()
    except KeyboardInterrupt:
        # A second signal, such as one to the whole group, must not keep the first from its work.
        for number in (signal.SIGINT, *told):
            signal.signal(number, signal.SIG_IGN)
        processes.stop(server, 10)
        print("\nJupyterLab is closed. Your work is in work/.")
        return 0


def setup(argv: list[str]) -> int:
    """`setup`: fetch the model and check the machine."""
    parser = argparse.ArgumentParser(prog="labkit setup", description="Fetch the model and check this machine.")
    parser.parse_args(argv)
    _prepare()
    print("Ready: `python lab.py` opens the course.")
    return 0


def _prepare() -> None:
    """Fetch the model and check the machine. LabError when the course cannot run here."""
    from labkit.front import doctor
    from labkit.world import weights

    weights.ensure()
    if "PIP_NO_INDEX" in os.environ:  # a folder is here today, and may be gone when a lesson asks for the second model
        try:
            weights.ensure(catalogue.EMBEDDER)
        except LabError as problem:
            print(f"Without {catalogue.get(catalogue.EMBEDDER).title} lesson 08 cannot run. {problem}")
    blocking = [check for check in doctor.checks(network=False) if check.status == "problem"]
    for check in blocking:
        print(f"{check.name}: {check.message}")
    if blocking:
        raise LabError("This machine cannot run the course yet (see above); `python lab.py doctor` checks again.")


def _quiet_news() -> None:
    """In the course's own environment, switch off the question about Jupyter news: it would cover the lesson."""
    checkout = assets.checkout()
    if checkout and Path(sys.prefix) == checkout / ".venv":
        settings = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
        overrides = Path(sys.prefix) / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
        if not overrides.exists():
            cache.write_atomically(overrides, json.dumps(settings, indent=1))


def _lesson_file(number: str) -> Path:
    found = sorted(assets.notebook_dir().glob(f"{number.zfill(2)}_*.ipynb")) if number.isdigit() else []
    if not found:
        have = ", ".join(file.name[:2] for file in sorted(assets.notebook_dir().glob("*.ipynb")))
        raise LabError(f"There is no lesson {number!r}: this version of the course has {have}.")
    return found[0]


def reset(argv: list[str]) -> int:
    """`reset 05`: a fresh copy of a lesson, with the learner's own kept beside it."""
    parser = argparse.ArgumentParser(prog="labkit reset", description="A fresh copy of a lesson; yours is kept aside.")
    parser.add_argument("lesson", help="the lesson's number, for example 05")
    shipped = _lesson_file(parser.parse_args(argv).lesson)
    folder = assets.root() / "work"
    copy = folder / shipped.name
    if copy.exists():
        number = 1
        while (aside := copy.with_name(f"{copy.stem}.mine-{number}.ipynb")).exists():
            number += 1
        copy.rename(aside)
        print(f"Yours is kept as work/{aside.name}.")
    copy_lessons(folder)
    print(f"work/{copy.name} is fresh.")
    return 0


def clean(argv: list[str]) -> int:
    """`clean`: delete all that can be fetched or made again; keep progress and the learner's notebooks."""
    parser = argparse.ArgumentParser(
        prog="labkit clean", description="Give the course cache's disk space back. Your work and progress are kept."
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args(argv)
    doomed = [
        folder
        for name in ("models", "quantized", "environments", "local-hub", "hub-scratch", "services", "npm")
        if (folder := cache.root() / name).exists()
    ]
    size = _bytes(doomed)
    print(f"The course cache {cache.root()} holds {size / 1e6:,.0f} MB of weights, tools and the course's own Hub.")
    if cache.root() / "hub-scratch" in doomed:
        print("What you published on the course's Hub goes, too.")
    if not doomed or not (options.yes or _agrees()):
        print("Nothing was deleted.")
        return 0
    if cache.root() / "services" in doomed:
        from labkit.world import services

        services.stop_all()
    for folder in doomed:
        shutil.rmtree(folder, ignore_errors=True)
    if held := _bytes(doomed):
        print(f"{held / 1e6:,.0f} MB are in use and stay: close all notebooks, then run this again.")
    print(f"Deleted: {(size - held) / 1e6:,.0f} MB are free again. The next `python lab.py` fetches the model anew.")
    for environment in (assets.root() / ".venv", assets.root() / ".venv-colab"):
        if environment.is_dir():
            print(f"Installed packages are in {environment}: delete that folder too if you are done with the course.")
    if importlib.util.find_spec("uv"):
        print(f"uv keeps a copy of the packages: `{sys.executable} -m uv cache clean` gives that space back, too.")
    return 0


def _bytes(folders: list[Path]) -> int:
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())


def _agrees() -> bool:
    try:
        return input("Delete them? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
