"""The exercises of lesson 04, Call a model over the network."""

from __future__ import annotations

from typing import Any

from labkit.lessons.exercises.coded import Coded, expect, is_close, number_of
from labkit.lessons.exercises.questions import Open


class Wait(Coded):
    """How long a retrying client waits, or that it does not try again."""

    number = "04.1"
    title = "Wait as you are told"
    names = ("wait_seconds",)
    hints = (
        "Three questions in this order: is it any use, did the server say how long, which turn is it?",
        "1, 2, 4, 8 is `2**turn`; `min(8, ...)` keeps it from growing further.",
        "`retry_after` may be 0, which means: now. So ask `is not None`, not whether it is true.",
    )
    code = """
def wait_seconds(status, retry_after, turn):
    if status not in (429, 503, 504):
        return None
    if retry_after is not None:
        return retry_after
    return min(8, 2**turn)
"""
    why = (
        "A wrong token is wrong a second later, too. What the server says is better than any guess of yours. And a "
        "wait that doubles gives it air, up to a limit, or nobody would wait for the end."
    )
    also_correct = (
        """
WAITS = [1, 2, 4, 8]


def wait_seconds(status, retry_after, turn):
    own = WAITS[turn] if turn < len(WAITS) else WAITS[-1]
    told = own if retry_after is None else float(retry_after)
    return told if status in {429, 503, 504} else None
""",
    )
    mistakes = (
        ("def wait_seconds(status, retry_after, turn):\n    return min(8, 2**turn)", "400"),
        (
            "def wait_seconds(status, retry_after, turn):\n"
            "    return min(8, 2**turn) if status in (429, 503, 504) else None",
            "the server said",
        ),
        (
            "def wait_seconds(status, retry_after, turn):\n    if status not in (429, 503, 504):\n        return None\n"
            "    return retry_after or min(8, 2**turn)",
            "0 seconds",
        ),
        (
            "def wait_seconds(status, retry_after, turn):\n    if status not in (429, 503, 504):\n        return None\n"
            "    return retry_after if retry_after is not None else 2**turn",
            "never more than 8",
        ),
        (
            "def wait_seconds(status, retry_after, turn):\n    if status != 429:\n        return None\n"
            "    return retry_after if retry_after is not None else min(8, 2**turn)",
            "503",
        ),
        (
            "def wait_seconds(status, retry_after, turn):\n    if status not in (429, 503, 504):\n        return 0\n"
            "    return retry_after if retry_after is not None else min(8, 2**turn)",
            "None",
        ),
        (
            "def wait_seconds(status, retry_after, turn):\n    if status not in (429, 503, 504):\n        return None\n"
            "    return retry_after if retry_after is not None else min(8, turn)",
            "turn 0",
        ),
    )

    def verify(self, wait_seconds: Any) -> str:
        expect(callable(wait_seconds), "wait_seconds should be a function of status, retry_after and turn.")
        for status in (400, 401, 402, 403):
            found = wait_seconds(status, None, 0)
            expect(found is None, f"{status} will be {status} again: return None, and not {found!r}.")
        for status in (429, 503, 504):
            expect(wait_seconds(status, None, 0) is not None, f"{status} may pass: it is worth waiting.")
        told = wait_seconds(429, 3, 1)
        expect(told is not None and is_close(number_of(told, "the wait"), 3), "the server said 3 seconds: wait 3.")
        expect(number_of(wait_seconds(503, 0, 2), "the wait") == 0, "0 seconds from the server means now: wait 0.")
        for turn, seconds in enumerate((1, 2, 4, 8)):
            found = number_of(wait_seconds(503, None, turn), "the wait")
            expect(is_close(found, seconds), f"turn {turn} should wait {seconds} seconds, and waits {found:g}.")
        expect(number_of(wait_seconds(504, None, 9), "the wait") <= 8, "never more than 8 seconds, in turn 9 too.")
        return "Multiply your own waits by a random factor, and a whole class will not come back at once."


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
        ("def take_json(text):\n    return {'city': 'Paris'}", "one behind it"),
        (
            "import json\ndef take_json(text):\n    place = text.find('{')\n    try:\n"
            "        return json.JSONDecoder().raw_decode(text, place)[0] if place >= 0 else None\n"
            "    except ValueError:\n        return None",
            "set {a}",
        ),
    )
    _CASES = (
        ('{"city": "Paris"}', {"city": "Paris"}, "only JSON should be read as it is"),
        ('Sure! Here it is:\n```json\n{"city": "Paris"}\n```\nAnything else?', {"city": "Paris"}, "words around it"),
        ('{"a": {"b": 1}} and {"c": 2}', {"a": {"b": 1}}, "an object inside an object, and one behind it"),
        ('{"text": "a } in quotes"}', {"text": "a } in quotes"}, "a brace inside quotes ends nothing"),
        ('The set {a} is not JSON, {"n": 1} is.', {"n": 1}, "the set {a} is no JSON: look further"),
        ('See [1]: {"a": 2}', {"a": 2}, "a list is no object"),
        ("No object here.", None, "No object: None"),
        ('{"city": "Par', None, "cut off: None"),
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
            "5 + 7",
        ),
        ("def run(calls, tools, limit):\n    for n, a in calls[:limit]:\n        tools.get(n, print)(**a)", "list"),
        (_runs("results.append(tools[n](**a) if n in tools else f'unknown tool: {n}')", "if n in tools"), "counts"),
        (_catches("Exception"), "not an unknown tool"),
        (_catches("KeyError"), "not an unknown tool"),
        (_catches("(KeyError, TypeError)"), "not an unknown tool"),
    )

    def verify(self, run: Any) -> str:
        expect(callable(run), "run should be a function of calls, tools and limit.")
        ran: list[str] = []

        def add(a: int, b: int) -> int:
            ran.append("add")
            return a + b

        def clock(city: str) -> str:
            ran.append("clock")
            return f"noon in {city}"

        tools = {"add": add, "clock": clock}
        found = run([("add", {"a": 5, "b": 7}), ("clock", {"city": "Lima"})], tools, 5)
        expect(isinstance(found, list), f"run should return a list of results, and returns a {type(found).__name__}.")
        expect(
            found == [12, "noon in Lima"], f"5 + 7 and the clock of Lima should give [12, 'noon in Lima'], not {found}."
        )
        asked = [("add", {"a": 1, "b": 1}), ("erase", {"path": "notes.txt"}), ("clock", {"city": "Rome"})]
        try:
            found = run(asked, tools, 5)
        except KeyError:
            expect(False, "'erase' was not offered, and your loop stopped: answer 'unknown tool: erase' and go on.")
        expect(len(found) == 3, "a tool that was not offered gets an answer too: 'unknown tool: erase'.")
        expect(
            found == [2, "unknown tool: erase", "noon in Rome"], f"for a tool that was not offered you gave {found}."
        )
        ran.clear()
        found = run([("add", {"a": 1, "b": 1})] * 50, tools, 3)
        expect(len(ran) == 3, f"with limit 3 your loop ran {len(ran)} of 50 calls: stop at the limit.")
        expect(found == [2, 2, 2], f"with limit 3 there should be three results, and there are {len(found)}.")
        found = run([("erase", {}), ("erase", {}), ("add", {"a": 1, "b": 1}), ("clock", {"city": "Oslo"})], tools, 3)
        wanted = ["unknown tool: erase", "unknown tool: erase", 2]
        expect(found == wanted, f"a name that was not offered counts as a call: with limit 3, {wanted}, not {found}.")
        self._verify_failures(run)
        return "The model asks, your program decides."

    def _verify_failures(self, run: Any) -> None:
        for problem in (KeyError("Atlantis"), TypeError("a city has a name"), ValueError("no such zone"), OSError()):

            def clock(city: str, problem: Exception = problem) -> str:
                raise problem

            try:
                found = run([("clock", {"city": "Atlantis"})], {"clock": clock}, 5)
            except type(problem):
                continue
            expect(
                isinstance(found, list) and len(found) == 1 and "unknown tool" not in str(found[0]),
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
        "A help page asks 2,000 questions a month, 600 tokens in and 150 out: with GPT-4o-mini well under a dollar "
        "(prices of 23 November 2026), an endpoint at a dollar an hour would be 730. Users wait at most 2 seconds for "
        "the first word. Nothing is secret. So the hosted API, behind our own retry with a limit of 8 seconds; on a "
        "bad day the page shows the search results without an answer. Above a million questions we would count again."
    )
    hints = (
        "Begin with what would make a way impossible: secrecy, or the time to the first token.",
        "`inference.cost_usd` gives the price of a call; the break-even widget of lesson 02 the rest.",
    )
