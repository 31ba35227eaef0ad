"""The engine: what counts as untouched, how a learner's error is shown, and that a check never raises."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy
import pytest
import torch

from labkit.base import cache
from labkit.base.errors import LabError
from labkit.lessons import exercises
from labkit.lessons.exercises.answers import letters_of
from labkit.lessons.exercises.coded import Coded, Wrong, ____, expect, is_close, is_untouched, number_of
from tests.rows import every


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


def test_a_verdict_stays_when_another_line_follows():
    program = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("import labkit; q = labkit.exercises.lesson('05')")
shell.run_cell("q.quiz.check('?'); q.quiz.hint(1); q.quiz.solution(); last = 1")
shell.run_cell("q.quiz.check('?')")
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.count("[05.3] Not attempted yet") == 2, run
    assert run.stdout.count("[05.3] Hint 1") == run.stdout.count("[05.3] Silence") == 1


def test_an_answer_of_no_readable_form_is_a_sentence_and_a_missing_name_says_what_to_run():
    (labels, *_) = (exercise for _, exercise in exercises.lesson("07"))
    outcome = labels.check(lambda ids, prompt: 3)
    assert outcome.status == "error" and "cannot read what labels_of returns: compare its form" in outcome.message
    said = Double().check(lambda x: 2 * x * tokenizer).message  # noqa: F821
    assert "NameError" in said and "If a cell above makes tokenizer, run that cell first." in said


@every([[1, 2], {"a": 1}, torch.ones(3), numpy.ones(3)], lambda given: type(given).__name__)
def test_a_function_that_changes_its_input_is_told(given):
    class Asks(Double):
        def verify(self, double):
            double(given)

    def changes(values):
        values[0] = 7

    assert "changes changes values, which the caller" in Asks().check(changes).message
    assert Asks().check(lambda values: values[:1] if isinstance(values, list) else values).status == "correct"


NUMBERS = [(numpy.float32(2), 2), (numpy.array([2]), 2), (torch.tensor(2), 2), (Decimal("2.5"), 2.5), (True, None)]
NUMBERS += [(torch.ones(2), None), (Decimal("nan"), None), (float("inf"), None), ("2", None), (None, None), (2j, None)]


@every(NUMBERS, repr)
def test_numbers_of_all_kinds_are_read_and_others_are_a_sentence(pair):
    value, expected = pair
    if expected is not None:
        assert number_of(value, "x") == expected
    else:
        with pytest.raises(Wrong, match=r"^x "):
            number_of(value, "x")


def test_a_number_may_be_rounded_as_lessons_print_it():
    assert all(is_close(value, 45_097_156_608) for value in (45.1e9, 45.10e9, 45_097e6, numpy.float32(45.1e9)))
    assert not any(is_close(value, 45_097_156_608) for value in (45e9, 45.2e9, 45.1))
    assert is_close(1.1, 1.125, digits=2) and not is_close(1, 1.125, digits=2)


@every(["b,a,c", "BAC", " b a c ", "(b) (a) (c)", ["b", "a", "c"], ("B.", "a)", "c: its text")], str)
def test_letters_are_read_in_any_form(given):
    assert letters_of((given,)) == ["b", "a", "c"]
    assert letters_of(("b", " A ", "c) its text")) == ["b", "a", "c"] and letters_of(("yes", 3)) == ["yes", 3]


def test_wrong_is_an_outcome_not_an_exception():
    class Never(Double):
        def verify(self, double):
            raise Wrong("no.")

    assert repr(Never().check(1)) == "[99.1] Not yet: no."
