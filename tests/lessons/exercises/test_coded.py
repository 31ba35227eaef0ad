"""The engine: what counts as untouched, how a learner's error is shown, and that a check never raises."""

import subprocess
import sys
from pathlib import Path

import pytest

from labkit.base import cache
from labkit.base.errors import LabError
from labkit.lessons import exercises
from labkit.lessons.exercises.coded import Coded, Wrong, ____, expect, is_untouched, number_of


class Double(Coded):
    number = "99.1"
    title = "Double a number"
    names = ("double",)
    code = "def double(x):\n    return 2 * x"
    why = "twice"

    def verify(self, double):
        expect(number_of(double(3), "double(3)") == 6, "double(3) should be 6.")


UNTOUCHED = [
    "def f(x):\n    ...",
    "def f(x):\n    pass",
    'def f(x):\n    "What it does."',
    "def f(x):\n    return None",
    "def f(x):\n    return ____",
    "def f(x):\n    y = ____ * x\n    return y",
    "def f(x):\n    raise NotImplementedError",
    "def f(x):\n    raise NotImplementedError('write me')",
    "def f(x):\n    raise NotImplementedError()",
    "def f(x):\n    return ...",
    "def f(x):\n    return",
    "def f(x, *rest, y=1):\n    'What it does.'\n    pass\n    ...\n    return None",
    "def f(x):\n    'What it does.'\n    # a note\n    raise NotImplementedError('write me')",
    "f = lambda x: None",
    "f = lambda x: ____",
    "def f(x):\n    def g():\n        return ____\n    return ____",
]
TOUCHED = [
    "def f(x):\n    return 5",
    "def f(x):\n    return 'text'",
    "def f(x):\n    return x",
    "def f(x):\n    y = 2 * x",
    "def f(x):\n    return True",
    "def f(x):\n    return ''",
    "def f(x):\n    return NotImplementedError",
    "def f(x):\n    raise ValueError('')",
    "def f(x):\n    raise NotImplementedError(x)",
    "def f(x):\n    print()",
    "f = lambda x: 2 * x",
    "f = len",
    "f = 0",
    "f = ''",
    "f = []",
]
OTHER_PYTHONS = sorted(
    found[-1]
    for minor in (11, 12, 13, 14)
    if (found := sorted((Path.home() / ".pyenv" / "versions").glob(f"3.{minor}.*/bin/python")))
)


@pytest.mark.parametrize("source", UNTOUCHED)
def test_a_function_that_does_nothing_yet_is_untouched(source):
    assert untouched(source)


@pytest.mark.parametrize("source", TOUCHED)
def test_anything_else_was_touched(source):
    assert not untouched(source)


def untouched(source: str) -> bool:
    cell = {"____": ____}
    exec(source, cell)
    return is_untouched(cell["f"])


@pytest.mark.parametrize("python", OTHER_PYTHONS, ids=lambda path: path.parts[-3])
def test_stubs_are_seen_on_every_python(python):
    """Bytecode differs between versions; the engine itself needs the standard library only."""
    program = f"""
import sys; sys.path.insert(0, {str(Path(exercises.__file__).parents[3])!r})
from labkit.lessons.exercises.coded import ____, is_untouched
for sources, expected in (({UNTOUCHED!r}, True), ({TOUCHED!r}, False)):
    for source in sources:
        cell = {{"____": ____}}
        exec(source, cell)
        assert is_untouched(cell["f"]) is expected, source
"""
    run = subprocess.run([str(python), "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_the_placeholder_survives_what_learners_do_with_it():
    things = [____(1), ____[0], ____.shape, ____ + 1, 1 / ____, -____, ____ @ 2, 2**____]
    assert all(thing is ____ for thing in things)
    assert (list(____), len(____), bool(____), f"{____:.2f}", repr(____)) == ([], 0, False, "____", "____")
    assert is_untouched([1, (____,)]) and is_untouched({"a": ____}) and is_untouched(...)


def test_values_are_passed_in_and_nothing_else_is_read():
    double = Double()
    assert double.check(lambda x: 2 * x).status == "correct"
    assert double.check(double=lambda x: x + x).status == "correct"
    assert double.check().status == "error" and double.check(1, 2).status == "error"


def test_a_forgotten_return_is_named():
    def forgets(x):
        y = 2 * x  # noqa: F841

    assert "forget `return`" in Double().check(forgets).message


def test_a_text_in_place_of_a_number_is_named():
    assert "should be a number, and is 'six', a str" in Double().check(lambda x: "six").message


def test_an_error_in_the_learners_code_shows_its_line():
    def breaks(x):
        return x / 0

    outcome = Double().check(breaks)
    assert outcome.status == "error"
    assert "ZeroDivisionError: division by zero" in outcome.message and "`return x / 0`" in outcome.message


def test_in_a_notebook_the_line_is_shown_too():
    program = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("import labkit; q = labkit.exercises.lesson('05')")
shell.run_cell("def top_p(probs, p):\\n    first = probs.sort()\\n    return first.nothing")
shell.run_cell("print(q.top_p.check(top_p))")
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "AttributeError" in run.stdout and "in line 3 of top_p: `return first.nothing`" in run.stdout, run.stderr


def test_progress_that_cannot_be_saved_costs_no_answer(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(LabError):
        cache.root()
    outcome = Double().check(lambda x: 2 * x)
    assert outcome.status == "correct" and "progress was not saved" in outcome.message


def test_names_that_do_not_exist_offer_the_nearest():
    with pytest.raises(LabError, match="no exercises"):
        exercises.lesson("77")
    with pytest.raises(AttributeError, match="did you mean q.top_p"):
        exercises.lesson("05").topp  # noqa: B018
    assert "top_p" in dir(exercises.lesson("05")) and "[05.1]" in repr(exercises.lesson("05"))


def test_wrong_is_an_outcome_not_an_exception():
    class Never(Double):
        def verify(self, double):
            raise Wrong("no.")

    assert repr(Never().check(1)) == "[99.1] Not yet: no."
