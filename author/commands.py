"""The author's commands: `run`, `test` and `lint`."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

from labkit.base import assets, cache, processes
from labkit.base.errors import LabError
from labkit.front import lesson_list

# Which tests a run takes, by their marks.
FAST = "not slow and not browser and not network and not weekly"
USUAL = "not network and not weekly"
ALL = "not network"
COLAB_TESTS = "tests/platforms/test_colab.py"


def run(argv: list[str]) -> int:
    """`run`: execute lessons and store their outputs canonically."""
    parser = argparse.ArgumentParser(
        prog="labkit run",
        description="Run lessons from top to bottom in a fresh kernel, without network, and store their outputs.",
    )
    parser.add_argument("lesson", nargs="*", help="a number such as 05, or a notebook file (default: all lessons)")
    parser.add_argument("--check", action="store_true", help="store nothing; exit 1 if something would change")
    parser.add_argument("--fresh", action="store_true", help="store timings and other uncompared outputs anew, too")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write seconds and memory to a JSON file")
    parser.add_argument("--cell-seconds", type=float, default=300, help="time limit of a cell (default: 300)")
    parser.add_argument("--notebook-seconds", type=float, default=900, help="time limit of a notebook (default: 900)")
    options = parser.parse_args(argv)
    _require_packages("nbclient", "ipykernel")
    from author import executor

    files = lesson_list.find(options.lesson)
    _ensure_model()
    reports, status = [], 0
    for file in files:
        print(f"{file.stem}: ", end="", flush=True)
        try:
            stored = executor.run(
                file,
                fresh=options.fresh,
                check=options.check,
                cell_seconds=options.cell_seconds,
                notebook_seconds=options.notebook_seconds,
                watch=lambda cell: print(".", end="", flush=True),
            )
        except LabError as problem:
            print(f" failed\n{problem}")
            status = 1
            continue
        report = stored.report
        print(f" {len(report.cells)} code cells in {report.seconds:.1f} s, ", end="")
        print(f"peak {report.peak_bytes / 1e9:.2f} GB ({report.memory}); {_outcome(stored, options.check)}")
        status = status or int(options.check and stored.changed)
        reports.append(report.as_json())
    if options.report:
        cache.write_atomically(options.report, json.dumps(reports, indent=1) + "\n")
    return status


def lint(argv: list[str]) -> int:
    """`lint`: check the form of lessons."""
    parser = argparse.ArgumentParser(
        prog="labkit lint", description="Check the form of lessons; the rules are in author/lesson_linter.py."
    )
    parser.add_argument("lesson", nargs="*", help="a number such as 05, or a notebook file (default: all lessons)")
    parser.add_argument(
        "--fix", action="store_true", help="first write badges and set-up cells; of all lessons, README's links, too"
    )
    options = parser.parse_args(argv)
    _require_packages("nbformat", "markdown_it")
    from author import lesson_linter

    if options.fix and not options.lesson and _point_readme():
        print("README.md: links to Colab and Binder written")
    count = 0
    for file in lesson_list.find(options.lesson):
        if options.fix and lesson_linter.fix(file):
            print(f"{file.name}: badges and set-up cell written")
        for problem in lesson_linter.lint(file):
            print(f"{file.name}: {problem}")
            count += 1
        for advice in lesson_linter.advise(file):
            print(f"{file.name}: advice: {advice}")
    print("No problems." if not count else f"{count} problem{'s' if count > 1 else ''}.")
    return int(count > 0)


def _point_readme() -> bool:
    """Lead the README's links to the repository that pyproject.toml names; returns whether the file changed."""
    from author import template

    root = assets.checkout()
    if root is None:
        return False
    file = root / template.README
    text = file.read_text(encoding="utf-8")
    if (pointed := template.pointed(text)) == text:
        return False
    cache.write_atomically(file, pointed)
    return True


def test(argv: list[str]) -> int:
    """`test`: unit tests, the form of the lessons, and every notebook compared, in one pytest run."""
    parser = argparse.ArgumentParser(
        prog="labkit test",
        description="Run the tests, and compare every notebook with its stored outputs. Other options go to pytest.",
        epilog="`test 05` is one lesson and its exercises; `test tests/facts/test_memory.py -x` is one file of tests.",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--fast", action="store_true", help="some minutes: lesson 00 only, nothing slow, no browser")
    size.add_argument("--all", action="store_true", help="also what is weekly, and Colab's versions (hours)")
    size.add_argument("--colab", action="store_true", help="nothing but the course in an environment like Colab's")
    parser.add_argument(
        "--lax", action="store_true", help="run the notebooks without comparing outputs (for other library versions)"
    )
    options, rest = parser.parse_known_args(argv)
    root = assets.checkout()
    if root is None:
        raise LabError(
            "The tests are in the course's repository, not in the installed package: run this in a checkout."
        )
    _require_packages("pytest", "nbval", "pytest_socket", "pytest_timeout")
    # Lessons come first: in `test -n 2` the 2 belongs to pytest.
    numbers = list(itertools.takewhile(str.isdecimal, rest))
    rest = rest[len(numbers) :]
    given = [word for word in rest if not word.startswith("-") and (root / word.split("::")[0]).exists()]
    whole = not (numbers or given or options.colab)
    targets = [] if given else [COLAB_TESTS] if options.colab else _targets(root, numbers, fast=options.fast)
    if not given:
        _ensure_model()
        _ensure_torchao(skip=options.fast or options.colab)
    if options.colab or (options.all and whole):
        _ensure_colab(required=options.colab)
    marks = FAST if options.fast else ALL if options.all or options.colab else USUAL
    command = [sys.executable, "-m", "pytest", *_notebook_options(options.lax), "-m", marks]
    command += _workers() if whole and not {"--pdb", "--trace"} & set(rest) else []
    return subprocess.run([*command, *targets, *rest], cwd=root, env=processes.child_environment()).returncode


def _workers() -> list[str]:
    """Two at once where there are two cores: a file of tests, or a notebook, stays with one worker.

    Files begin in the order in which they are collected, the long notebooks first, so that both workers end together.
    """
    if importlib.util.find_spec("xdist") is None or (os.cpu_count() or 1) < 2:
        return []
    return ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]


def _notebook_options(lax: bool) -> list[str]:
    from author.canonical import SANITIZER

    mode = "--nbval-lax" if lax else "--nbval"
    strict = ["-p", "author.comparison"]  # named: a notebook outside the checkout is compared strictly, too
    limits = ["--nbval-cell-timeout=300", "--labkit-binder"]
    return [*strict, mode, "--nbval-current-env", f"--nbval-sanitize-with={SANITIZER}", *limits]


def _targets(root: Path, numbers: list[str], *, fast: bool) -> list[str]:
    """What pytest is to collect: files, or single items of notebooks."""
    files = [file.relative_to(root).as_posix() for file in lesson_list.find(numbers, root / "notebooks")]
    if numbers:
        return [*(["tests/lessons/exercises"] if (root / "tests" / "lessons" / "exercises").is_dir() else []), *files]
    if fast:
        return [*(file if Path(file).name.startswith("00") else f"{file}::form" for file in files), "tests"]
    return ["notebooks", "tests"]


def _require_packages(*names: str) -> None:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise LabError(
            f"This needs {', '.join(missing)}: run `python lab.py test` once, or install the extras lab and test."
        )


def _ensure_model() -> None:
    """Kernels run without network, so the models have to be there before."""
    from labkit.facts import catalogue
    from labkit.world import weights

    for name in (catalogue.DEFAULT, catalogue.EMBEDDER):
        weights.ensure(name)


def _ensure_torchao(*, skip: bool) -> None:
    """Its tests are skipped, with the reason, where it cannot be had."""
    from labkit.models.quantization import methods

    if not skip:
        with contextlib.suppress(LabError):
            methods.fetch_torchao()


def _ensure_colab(*, required: bool) -> None:
    """Its tests are skipped where it cannot be made, and that is said before the tests begin.

    LabError where it is `required`, or asked for by `LABKIT_COLAB_PYTHON`: a run without it would be no answer then.
    """
    from author import colab

    try:
        base = colab.find()
        if base is None:
            raise LabError(f"no Python 3.13 was found here ({colab.VARIABLE} can name one, on Linux).")
        colab.make(base)
    except LabError as problem:
        if required or os.environ.get(colab.VARIABLE):
            raise
        print(f"Without Colab's versions: {problem}")


def _outcome(stored: object, check: bool) -> str:
    if not stored.changed:
        return "nothing changed"
    cells = ", ".join(map(str, stored.changed_cells)) or "the header"
    return f"{'would change' if check else 'stored'}: cells {cells}"
