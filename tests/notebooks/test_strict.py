"""`pytest --nbval` with our engine: it passes what is true, and fails, clearly and once, on what is not."""

from __future__ import annotations

import re

import nbformat
import pytest

from author import executor


def rewrite(file, change):
    """Change a stored notebook by hand, as no executor would."""
    notebook = nbformat.read(file, as_version=4)
    change(notebook)
    nbformat.write(notebook, file)


def verdicts(output: str, name: str) -> dict[str, str]:
    """{item: PASSED | FAILED | SKIPPED} of one notebook in the verbose output of pytest."""
    return dict(re.findall(rf"{re.escape(name)}::(.+?) (PASSED|FAILED|SKIPPED)", output))


RICH = [
    "import pandas as pd\nimport matplotlib.pyplot as plt\nfrom tqdm import tqdm\nprint('start', object())",
    "pd.DataFrame({'a': [1, 2]})",
    "pd.DataFrame({'a': [1, 2]}).style.highlight_max()",
    "_ = plt.plot([1, 2, 3])",
    "for _ in tqdm(range(3)): pass",
    "from IPython.display import Markdown, clear_output\nprint(1); clear_output(); Markdown('**2**')",
    ("import time; print(time.time())", "nbval-ignore-output"),
    ("open('no such file')", "raises-exception"),
    "import ipywidgets\nipywidgets.IntSlider(value=3)",
    "import warnings; warnings.warn('careful')",
]


@pytest.mark.slow
def test_a_true_notebook_passes_and_its_figures_are_told(stored, strict_pytest):
    file = stored("rich.ipynb", *RICH)
    done = strict_pytest(file)
    assert done.returncode == 0, done.stdout
    assert set(verdicts(done.stdout, "rich.ipynb").values()) == {"PASSED"}
    assert f"{len(RICH) + 2} passed" in done.stdout
    # Of ten cells, two are not compared: the clock, and the cell that shows nothing but a picture.
    line = r"rich +8 of 10 code cells with output compared \(80 %\), \d+\.\d s, peak \d\.\d\d GB of 1\.5 \(RSS.*\)"
    assert re.search(line, done.stdout), done.stdout
    assert executor.run(file, check=True).changed is False, "the executor and the comparison agree"


@pytest.mark.slow
def test_each_untruth_fails(stored, strict_pytest, tmp_path):
    true = stored("true.ipynb", "print('five is', 5)", "{'x': 1.25}", "print(3)")

    def untrue(name, cell, tag=None, **change):
        file = tmp_path / name
        notebook = nbformat.read(true, as_version=4)
        notebook.cells[cell].update(change)
        notebook.cells[cell].metadata["tags"] = [tag] if tag else []
        nbformat.write(notebook, file)
        return file

    stream = nbformat.v4.new_output("stream", text="five is 6\n")
    wrong = untrue("wrong.ipynb", 0, outputs=[stream])
    unrun = untrue("unrun.ipynb", 1, execution_count=None, outputs=[])
    quiet = untrue("quiet.ipynb", 1, outputs=[])
    lucky = untrue("lucky.ipynb", 2, tag="raises-exception")
    broken = untrue("broken.ipynb", 1, source="undefined")
    slow = untrue("slow.ipynb", 1, source="import time; time.sleep(60)")
    dead = untrue("dead.ipynb", 1, source="import os; os._exit(1)")
    ignored = untrue("ignored.ipynb", 0, tag="nbval-ignore-output")
    formless = untrue("07_topic.ipynb", 0)

    done = strict_pytest("--nbval-cell-timeout=2", tmp_path)
    out = done.stdout
    assert done.returncode == 1
    passed = dict.fromkeys(["Cell 0", "Cell 1", "Cell 2", "requests", "budget"], "PASSED")
    assert verdicts(out, true.name) == passed
    assert verdicts(out, wrong.name) == passed | {"Cell 0": "FAILED"}
    assert verdicts(out, unrun.name) == passed | {"Cell 1": "FAILED"}
    assert verdicts(out, quiet.name) == passed | {"Cell 1": "FAILED"}
    assert verdicts(out, lucky.name) == passed | {"Cell 2": "FAILED"}
    assert verdicts(out, ignored.name) == passed | {"budget": "FAILED"}
    assert verdicts(out, formless.name) == passed | {"form": "FAILED"}
    for file in (broken, slow, dead):
        assert verdicts(out, file.name) == passed | {"Cell 1": "FAILED", "Cell 2": "SKIPPED"}
    for sentence in (
        "The cell's output is not the stored one",
        "The cell has no stored run",
        "tagged raises-exception, and nothing was raised",
        "Cell 1 raised NameError: name 'undefined' is not defined",
        "Cell 1 was still running after 2 seconds",
        "The kernel died in cell 1",
        "there is no heading `## Summary`. [closing]",
        "Only 2 of 3 code cells with output compared (66 %): at least 80 % have to be.",
    ):
        assert sentence in out, sentence
    assert re.search(r"in all +\d+ of \d+ code cells with output compared \(\d+ %\)", out)


@pytest.mark.slow
def test_a_notebook_that_takes_too_much_memory_fails_and_one_that_binder_would_end_ends(
    stored, strict_pytest, tmp_path
):
    greedy = stored("greedy.ipynb", "block = b'x' * 1_600_000_000\nimport time; time.sleep(0.3)\nprint(len(block))")
    dead = stored("dead.ipynb", "print(1)", "block = b'x' * 2_000_000_000\nimport time; time.sleep(1)")
    out = strict_pytest("--labkit-binder", tmp_path).stdout
    assert verdicts(out, greedy.name) == {"Cell 0": "PASSED", "requests": "PASSED", "budget": "FAILED"}
    assert "at most 1.5 GB are allowed" in out
    assert "the 2 GB of Binder less 0.15 for its server: 1.85 GB, " in out
    failed = {"Cell 1": "FAILED", "budget": "FAILED"}
    assert verdicts(out, dead.name) == {"Cell 0": "PASSED", "requests": "PASSED"} | failed
    assert "The kernel died in cell 1" in out and "It needed more memory than it was given" in out


@pytest.mark.slow
def test_a_changed_library_is_noticed(stored, strict_pytest, tmp_path, monkeypatch):
    module = tmp_path / "doubling.py"
    module.write_text("def double(x): return 2 * x", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    file = stored("uses.ipynb", "from doubling import double\nprint(double(21))")
    # Of another length: what is as long and as old, Python takes for what it has compiled.
    module.write_text("def double(x):\n    return 3 * x\n", encoding="utf-8")
    done = strict_pytest(file)
    assert done.returncode == 1 and "42" in done.stdout and "63" in done.stdout


@pytest.mark.slow
def test_no_notebook_is_no_success(strict_pytest, tmp_path):
    assert strict_pytest(tmp_path).returncode == 5


@pytest.mark.slow
def test_lax_runs_without_comparing(stored, strict_pytest, tmp_path):
    """What is stored as `wrong` fails the strict comparison (see above)."""
    other, false = stored("other.ipynb", "print(5)"), stored("false.ipynb", "assert 1 + 1 == 2\nprint('held')")
    rewrite(other, lambda nb: nb.cells[0].outputs[0].update(text="6\n"))
    rewrite(false, lambda nb: nb.cells[0].update(source="assert 1 + 1 == 3"))
    out = strict_pytest(tmp_path, mode="--nbval-lax").stdout
    assert verdicts(out, other.name)["Cell 0"] == "PASSED" and verdicts(out, false.name)["Cell 0"] == "FAILED"


@pytest.mark.slow
def test_two_workers_agree_with_one(stored, strict_pytest, tmp_path):
    stored("one.ipynb", "x = 1\nprint(x)", "print(x + 1)")
    stored("two.ipynb", "y = 1\nprint(y)", "print(y + 1)")
    done = strict_pytest("-n", "2", "--dist", "loadfile", tmp_path)
    assert done.returncode == 0, done.stdout
    assert "8 passed" in done.stdout and "4 of 4 code cells with output compared (100 %)" in done.stdout
