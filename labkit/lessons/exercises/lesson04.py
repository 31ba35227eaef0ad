"""The exercises of lesson 04, Call a model over the network."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

from labkit.lessons.exercises.coded import Coded, Wrong, expect, is_close, number_of
from labkit.lessons.exercises.questions import Open

_PASSING = "status in (408, 429) or status >= 500"
_GOOD = "own if told is None else told if told <= 60 else None"


def _waits(passing: str, answer: str, reader: str = "seconds(retry_after)") -> str:
    """A learner's way to write `wait_seconds`: what is tried again, what is answered then, how the header is read."""
    return f"""
import time
from email.utils import parsedate_to_datetime


def seconds(text):
    try:
        return float(text)
    except ValueError:
        return max(0, parsedate_to_datetime(text).timestamp() - time.time())


def wait_seconds(status, retry_after, turn):
    own = min(8, 2**turn)
    told = None if retry_after is None else {reader}
    if not ({passing}):
        return None
    return {answer}
"""


class Wait(Coded):
    """How long a retrying client waits, or that it does not try again."""

    number = "04.1"
    title = "Wait as you are told"
    names = ("wait_seconds",)
    hints = (
        "Three questions in this order: is it any use, did the server say how long, which turn is it?",
        "1, 2, 4, 8 is `2**turn`; `min(8, ...)` keeps it from growing further.",
        "`seconds_told(retry_after, time.time())` reads a text in all its forms. Ask `is None` first: 0 means now.",
    )
    code = """
import time
from email.utils import parsedate_to_datetime


def wait_seconds(status, retry_after, turn):
    if status not in (408, 429) and status < 500:
        return None
    if retry_after is None:
        return min(8, 2**turn)
    try:
        told = float(retry_after)
    except ValueError:
        told = parsedate_to_datetime(retry_after).timestamp() - time.time()
    return max(0, told) if told <= 60 else None
"""
    why = (
        "A wrong token is wrong a second later, too, whatever a header says. What the server says is better than any "
        "guess of yours, but nobody has to wait for an hour. And a wait that doubles gives the server air, up to a "
        "limit, or nobody would wait for the end."
    )
    also_correct = (_waits(_PASSING, _GOOD), _waits("status in {408, 429} or 500 <= status <= 599", _GOOD))
    mistakes = (
        (_waits("True", _GOOD), "400"),
        (_waits(_PASSING, "own"), "the server said"),
        (_waits(_PASSING, "told or own"), "0 seconds"),
        (_waits(_PASSING, "2**turn if told is None else told if told <= 60 else None"), "turn 4 should wait 8"),
        (_waits(_PASSING, f"None if turn > 3 else {_GOOD}"), "turn 4 should wait 8"),
        (_waits(_PASSING, _GOOD.replace("own", "turn")), "turn 0"),
        (_waits("status in (429, 503, 504)", _GOOD), "408 may pass"),
        (_waits("status in (408, 429, 503, 504)", _GOOD), "500 may pass"),
        (_waits("status in (408, 429, 500, 503, 504)", _GOOD), "502 may pass"),
        (_waits(f"{_PASSING} or retry_after", _GOOD), "401 with a Retry-After"),
        (_waits(_PASSING, "own if told is None else told"), "3600 seconds are too long"),
        (_waits(_PASSING, "own if told is None else min(60, told)"), "3600 seconds are too long"),
        (_waits(_PASSING, "own if told is None or told > 60 else told"), "3600 seconds are too long"),
        (_waits(_PASSING, _GOOD.replace("<= 60", "<= 90")), "60.5 seconds are too long"),
        (_waits(_PASSING, _GOOD, "int(retry_after)"), "1.5"),
        (_waits(_PASSING, _GOOD, "int(float(retry_after))"), "1.5"),
        (_waits(_PASSING, _GOOD, "float(retry_after)"), "a date"),
        (_waits(_PASSING, _GOOD, "parsedate_to_datetime(retry_after).timestamp() - time.time()"), "the server said"),
        (
            _waits(_PASSING, _GOOD, "seconds(retry_after) or parsedate_to_datetime(retry_after).timestamp()"),
            "0 seconds",
        ),
        ("def wait_seconds(status, retry_after, turn):\n    return 0 if status < 500 else min(8, 2**turn)", "None"),
    )

    def verify(self, wait_seconds: Any) -> str:
        expect(callable(wait_seconds), "wait_seconds should be a function of status, retry_after and turn.")
        for status in (400, 401, 402, 403, 404):
            found = wait_seconds(status, None, 0)
            expect(found is None, f"{status} will be {status} again: return None, and not {found!r}.")
        for status in (408, 429, 500, 502, 503, 504, 529):
            expect(wait_seconds(status, None, 0) is not None, f"{status} may pass: it is worth waiting.")
        self._verify_told(wait_seconds)
        expect(wait_seconds(401, "5", 0) is None, "401 with a Retry-After is a 401 still: return None.")
        for turn, seconds in enumerate((1, 2, 4, 8, 8, 8)):
            found = wait_seconds(503, None, turn)
            expect(found is not None, f"turn {turn} should wait {seconds} seconds: your function returns None.")
            found = number_of(found, "the wait")
            expect(is_close(found, seconds), f"turn {turn} should wait {seconds} seconds, and waits {found:g}.")
        return "In a program add jitter to both kinds of wait, and a whole class will not come back at once."

    def _verify_told(self, wait_seconds: Any) -> None:
        now = time.time()
        soon, past = (formatdate(now + seconds, usegmt=True) for seconds in (30, -30))
        cases = (
            ("3", 3, 0.01, "the server said 3 seconds: wait 3"),
            ("0", 0, 0.01, "0 seconds from the server means now: wait 0"),
            ("1.5", 1.5, 0.01, "the server may say 1.5 seconds: wait 1.5"),
            ("60", 60, 0.01, "60 seconds are not more than 60: wait 60"),
            (soon, 30, 2, f"the server may say a date ({soon} is 30 seconds from now): wait until then"),
            (past, 0, 0.01, f"a date that is over ({past}) means now: wait 0"),
        )
        for text, seconds, tolerance, what in cases:
            try:
                found = wait_seconds(429, text, 1)
            except ValueError as problem:
                raise Wrong(f"{what}; for {text!r} it stopped with a ValueError: {problem}.") from None
            expect(found is not None, f"{what}, and not None.")
            waits = number_of(found, "the wait")
            expect(abs(waits - seconds) <= tolerance, f"{what}, and not {waits:g}.")
        late = formatdate(now + 3600, usegmt=True)
        for text, seconds in (("3600", 3600), (late, 3600), ("60.5", 60.5)):
            found = wait_seconds(503, text, 0)
            expect(found is None, f"{seconds} seconds are too long (for {text!r}): return None, and not {found!r}.")


class Repair(Coded):
    """The first JSON object in a text that talks around it."""

    number = "04.2"
    title = "Take the JSON out"
    names = ("take_json",)
    hints = (
        "`json.loads` wants JSON and nothing else. Where does an object begin?",
        "`json.JSONDecoder().raw_decode(text, place)` reads one value from a place on, and says where it ended.",
        "Try `raw_decode` at each `{` in turn; on JSONDecodeError go on to the next one; at the end return None.",
    )
    code = """
import json


def take_json(text):
    for place, letter in enumerate(text):
        if letter == "{":
            try:
                return json.JSONDecoder().raw_decode(text, place)[0]
            except json.JSONDecodeError:
                pass
    return None
"""
    why = (
        "`raw_decode` knows where an object ends, braces in quotes and all; no pattern of ours does. What cannot be "
        "read is None, and the program decides: ask again, or give up. It should never go on with half an answer."
    )
    also_correct = (
        """
import json


def take_json(text):
    start = text.find("{")
    while start >= 0:
        for end in range(len(text), start, -1):
            try:
                found = json.loads(text[start:end])
                if isinstance(found, dict):
                    return found
            except ValueError:
                continue
        start = text.find("{", start + 1)
""",
    )
    mistakes = (
        ("import json\ndef take_json(text):\n    return json.loads(text)", "stopped"),
        (
            "import json\ndef take_json(text):\n    try:\n        return json.loads(text)\n"
            "    except ValueError:\n        return None",
            "words around",
        ),
        (
            "import json\ndef take_json(text):\n"
            "    return json.loads(text[text.index('{') : text.rindex('}') + 1]) if '}' in text else None",
            "stopped",
        ),
        (
            "import json, re\ndef take_json(text):\n    found = re.search(r'\\{.*?\\}', text, re.S)\n"
            "    try:\n        return json.loads(found[0]) if found else None\n"
            "    except ValueError:\n        return None",
            "inside",
        ),
        ("def take_json(text):\n    return {'city': 'Kyoto'}", "one behind it"),
        (
            "import json\ndef take_json(text):\n    place = text.find('{')\n    try:\n"
            "        return json.JSONDecoder().raw_decode(text, place)[0] if place >= 0 else None\n"
            "    except ValueError:\n        return None",
            "set {a}",
        ),
    )
    _CASES = (
        ('{"city": "Kyoto"}', {"city": "Kyoto"}, "only JSON should be read as it is"),
        ('Sure! Here it is:\n```json\n{"city": "Kyoto"}\n```\nAnything else?', {"city": "Kyoto"}, "words around it"),
        ('{"a": {"b": 1}} and {"c": 2}', {"a": {"b": 1}}, "an object inside an object, and one behind it"),
        ('{"text": "a } in quotes"}', {"text": "a } in quotes"}, "a brace inside quotes ends nothing"),
        ('The set {a} is not JSON, {"n": 1} is.', {"n": 1}, "the set {a} is no JSON: look further"),
        ('See [1]: {"a": 2}', {"a": 2}, "a list is no object"),
        ("No object here.", None, "No object: None"),
        ('{"city": "Kyo', None, "cut off: None"),
    )

    def verify(self, take_json: Any) -> str:
        expect(callable(take_json), "take_json should be a function of a text.")
        for text, wanted, what in self._CASES:
            try:
                found = take_json(text)
            except ValueError as problem:
                expect(False, f"{what}; for {text!r} it stopped with {type(problem).__name__}.")
            expect(found == wanted, f"{what}; for {text!r} it gave {found!r}.")
        return "And if it is None, ask again, once, and say what was wrong."


def _runs(line: str, counted: str) -> str:
    """A learner's way to write `run` that counts only some calls."""
    return f"""
def run(calls, tools, limit):
    results, ran = [], 0
    for n, a in calls:
        if ran == limit:
            break
        {line}
        {counted}:
            ran += 1
    return results
"""


def _catches(problems: str) -> str:
    """A learner's way to write `run` that takes a tool's own failure for an unknown tool."""
    return f"""
def run(calls, tools, limit):
    results = []
    for n, a in calls[:limit]:
        try:
            results.append(tools[n](**a))
        except {problems}:
            results.append(f"unknown tool: {{n}}")
    return results
"""


def _results(found: Any) -> list[Any]:
    """What `run` gave, as a list; a tuple is as good."""
    expect(
        isinstance(found, list | tuple), f"run should return a list of results, and returns a {type(found).__name__}."
    )
    return list(found)


class ToolLoop(Coded):
    """Tools that a model asked for, run by a program that keeps the upper hand."""

    number = "04.3"
    title = "Run two tools, with a limit"
    names = ("run",)
    hints = (
        "A tool is found by its name in a dictionary: `tools[name]`. What if it is not there?",
        "`calls[:limit]` are the calls that may run. Arguments are a dictionary: `tools[name](**arguments)`.",
        "One result for each call that counts: the tool's, or the text 'unknown tool: ' and the name.",
    )
    code = """
def run(calls, tools, limit):
    results = []
    for name, arguments in calls[:limit]:
        results.append(tools[name](**arguments) if name in tools else f"unknown tool: {name}")
    return results
"""
    why = (
        "The model decides what it asks for; your program decides what exists, and how often. A name that was not "
        "offered is answered and not run, so that the model can mend its wish. It counts, or a model could ask for it "
        "for ever, and spend your time and your money. A tool that fails is another matter: call it unknown, and its "
        "mistake stays hidden."
    )
    also_correct = (
        """
def run(calls, tools, limit):
    def unknown(name):
        return lambda **_: "unknown tool: " + name

    return [tools.get(name, unknown(name))(**arguments) for turn, (name, arguments) in enumerate(calls) if turn < limit]
""",
        """
def run(calls, tools, limit):
    results = []
    for name, arguments in calls[:limit]:
        tool = tools.get(name)
        if tool is None:
            results.append("unknown tool: " + name)
            continue
        try:
            results.append(tool(**arguments))
        except Exception as problem:
            results.append(f"{name} failed: {problem}")
    return results
""",
    )
    mistakes = (
        (
            "def run(calls, tools, limit):\n    return [tools[name](**arguments) for name, arguments in calls[:limit]]",
            "not offered",
        ),
        (
            "def run(calls, tools, limit):\n    return [tools[n](**a) if n in tools else f'unknown tool: {n}' "
            "for n, a in calls]",
            "limit",
        ),
        (
            "def run(calls, tools, limit):\n    return [tools[n](**a) for n, a in calls[:limit] if n in tools]",
            "an answer too",
        ),
        (
            "def run(calls, tools, limit):\n    return [f'unknown tool: {n}' for n, a in calls[:limit]]",
            "12 - 5",
        ),
        ("def run(calls, tools, limit):\n    for n, a in calls[:limit]:\n        tools.get(n, print)(**a)", "list"),
        (
            "def run(calls, tools, limit):\n    return [tools[n](*a.values()) if n in tools else f'unknown tool: {n}' "
            "for n, a in calls[:limit]]",
            "12 - 5",
        ),
        (
            "def run(calls, tools, limit):\n    return [tools[n](a) if n in tools else f'unknown tool: {n}' "
            "for n, a in calls[:limit]]",
            "(**arguments)",
        ),
        (_runs("results.append(tools[n](**a) if n in tools else f'unknown tool: {n}')", "if n in tools"), "counts"),
        (_catches("Exception"), "not an unknown tool"),
        (_catches("KeyError"), "not an unknown tool"),
        (_catches("(KeyError, TypeError)"), "not an unknown tool"),
    )

    def verify(self, run: Any) -> str:
        expect(callable(run), "run should be a function of calls, tools and limit.")
        ran: list[str] = []

        def minus(a: int, b: int) -> int:
            ran.append("minus")
            return a - b

        def clock(city: str) -> str:
            ran.append("clock")
            return f"noon in {city}"

        tools = {"minus": minus, "clock": clock}
        two = {"a": 3, "b": 1}
        asked = [("minus", {"b": 5, "a": 12}), ("clock", {"city": "Lima"})]
        try:
            found = _results(run(asked, tools, 5))
        except TypeError as problem:
            said = str(problem).removeprefix("ToolLoop.verify.<locals>.")
            raise Wrong(f"arguments are a dictionary, name by name: call tools[name](**arguments) ({said}).") from None
        expect(
            found == [7, "noon in Lima"], f"12 - 5 and the clock of Lima should give [7, 'noon in Lima'], not {found}."
        )
        asked = [("minus", two), ("erase", {"path": "notes.txt"}), ("clock", {"city": "Rome"})]
        try:
            found = _results(run(asked, tools, 5))
        except KeyError:
            raise Wrong("'erase' was not offered, and your loop stopped: answer 'unknown tool: erase'.") from None
        expect(len(found) == 3, "a tool that was not offered gets an answer too: 'unknown tool: erase'.")
        wanted = [2, "unknown tool: erase", "noon in Rome"]
        expect(found == wanted, f"for a tool that was not offered you gave {found}, and it should be {wanted}.")
        ran.clear()
        found = _results(run([("minus", two)] * 50, tools, 3))
        expect(len(ran) == 3, f"with limit 3 your loop ran {len(ran)} of 50 calls: stop at the limit.")
        expect(found == [2, 2, 2], f"with limit 3 there should be three results, and there are {len(found)}.")
        found = _results(run([("erase", {}), ("erase", {}), ("minus", two), ("clock", {"city": "Oslo"})], tools, 3))
        wanted = ["unknown tool: erase", "unknown tool: erase", 2]
        expect(found == wanted, f"a name that was not offered counts as a call: with limit 3, {wanted}, not {found}.")
        self._verify_failures(run)
        return "The model asks, your program decides."

    def _verify_failures(self, run: Any) -> None:
        for problem in (KeyError("Atlantis"), TypeError("a city has a name"), ValueError("no such zone"), OSError()):

            def clock(city: str, problem: Exception = problem) -> str:
                raise problem

            try:
                found = _results(run([("clock", {"city": "Atlantis"})], {"clock": clock}, 5))
            except type(problem):
                continue
            expect(
                len(found) == 1 and "unknown tool" not in str(found[0]),
                f"clock was offered, and failed with {type(problem).__name__}: that is not an unknown tool, and not "
                f"{found}. Let its error through, or return a text that says what failed.",
            )


class Decide(Open):
    """API, endpoint, or one's own machine."""

    number = "04.5"
    title = "Decide where it runs"
    question = (
        "A program of yours: a hosted API, an endpoint of its own, or your machine? Use numbers from this lesson and "
        "from lesson 02."
    )
    rubric = (
        "says how many calls a month and how many tokens each, read and written;",
        "gives the monthly cost of at least two of the three ways, with the date of the prices;",
        "says how long a user may wait for the first token, and what was measured;",
        "says what may not leave the house, or that nothing is secret;",
        "says what happens on the day when the provider answers 503.",
    )
    example = (
        "A help page asks 2,000 questions a month, 600 tokens in and 150 out: with GPT-6 Luna well under a dollar "
        "(prices of 23 November 2026), an endpoint at a dollar an hour would be 730. Users wait at most 2 seconds for "
        "the first word. Nothing is secret. So the hosted API, behind our own retry with a limit of 8 seconds; on a "
        "bad day the page shows the search results without an answer. Above a million questions we would count again."
    )
    hints = (
        "Begin with what would make a way impossible: secrecy, or the time to the first token.",
        "`inference.cost_usd` gives the price of a call; the break-even widget of lesson 02 the rest.",
    )
