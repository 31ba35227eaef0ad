"""`python -m labkit COMMAND` and `labkit COMMAND`: finds the command, turns a LabError into one line.

Every command lives with what it does; this module knows only where.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys

from labkit.base import assets
from labkit.base.errors import LabError

# What can be wrong with a learner's disk or folder. Any other OSError is our fault, and keeps its traceback.
_FOLDER_TROUBLE = {
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EEXIST", "ENOTDIR")
    if hasattr(errno, name)  # Windows has no disk quota
}

# name: (module:function, what `--help` says). A function takes the arguments after the name and returns the exit code.
COMMANDS = {
    "lab": ("labkit.front.commands:lab", "open the course in JupyterLab"),
    "test": ("author.commands:test", "run every test; compare every notebook with its stored outputs"),
    "setup": ("labkit.front.commands:setup", "fetch the model and check this machine, without opening anything"),
    "doctor": ("labkit.front.doctor:doctor", "say what this machine can do, and what is missing"),
    "lessons": ("labkit.front.lesson_list:show", "list the lessons"),
    "progress": ("labkit.front.progress_report:show", "show what you have done, or export it"),
    "reset": ("labkit.front.commands:reset", "a fresh copy of a lesson; yours is kept aside"),
    "serve": ("labkit.world.model_server.serve:serve", "serve the model to other programs (OpenAI-compatible)"),
    "hub": ("labkit.world.hub.service:hub", "run a small Hub on this machine"),
    "gateway": (
        "labkit.world.gateway.service:gateway",
        "answer for Inference Providers on this machine, or for a class",
    ),
    "fetch": ("labkit.front.fetch:fetch", "fill a folder for a room without internet"),
    "demos": ("labkit.front.demos:demos", "open the widgets as pages without code, for a projector or a stand"),
    "site": ("author.site:site", "build the course's website from the stored outputs"),
    "bench": ("labkit.front.bench:bench", "measure speed, start-up and memory on this machine"),
    "clean": ("labkit.front.commands:clean", "give the disk space of the course cache back"),
    "run": ("author.commands:run", "authors: run a lesson and store its outputs"),
    "facts": ("author.facts:facts", "authors: list the facts by grade and age, or ask what has changed"),
    "lint": ("author.commands:lint", "authors: check the form of a lesson"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; `--help` lists them all."""
    # A Windows console may still speak an old code page, which has no "·".
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()  # what fails here can still be said; at the interpreter's end it would be a traceback
        return code
    except LabError as problem:
        print(f"labkit: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Nothing is lost: run the same command again to go on.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (`| head`) is gone; so is the reason to go on.
        _silence()
        return 0
    except OSError as problem:
        if problem.errno not in _FOLDER_TROUBLE:
            raise
        _silence()
        print(f"labkit: {_folder_trouble(problem)}", file=sys.stderr)
        return 1


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if arguments[0] in ("-V", "--version"):
        import labkit

        print(f"labkit {labkit.__version__}")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        raise LabError(_unknown(name))
    if name not in _commands_here():
        raise LabError(f"`{name}` needs the course's repository, not the package alone: clone it, then run this.")
    module, function = COMMANDS[name][0].split(":")
    return int(getattr(importlib.import_module(module), function)(rest) or 0)


def _silence() -> None:
    """Where the output cannot be written: send what is left of it to nowhere, or it fails again at the very end."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError):  # a stream without a descriptor
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _folder_trouble(problem: OSError) -> str:
    if problem.errno == errno.ENOSPC:
        return "The disk is full: make room, then run the same command again; nothing was lost."
    what = problem.filename or "A file"
    return f"{what} cannot be written ({problem.strerror}): check the folder's permissions, then run it again."


def _commands_here() -> dict[str, tuple[str, str]]:
    """The commands that work here: an installed package has no author tools, and no list of wheels."""
    if assets.checkout() is not None:
        return COMMANDS
    return {name: row for name, row in COMMANDS.items() if name != "fetch" and not row[0].startswith("author.")}


def _help() -> str:
    here = _commands_here()
    width = max(map(len, here))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in here.items()]
    return "\n".join(
        ["usage: labkit COMMAND [options]", "", *lines, "", "`labkit COMMAND --help` says more about one of them."]
    )


def _unknown(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, _commands_here(), n=2)
    return f"There is no command {name!r}: " + (
        f"did you mean {' or '.join(near)}?" if near else "try `labkit --help`."
    )
