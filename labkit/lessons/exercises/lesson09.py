"""The exercises of lesson 09, Capstone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.lessons.exercises.coded import Coded, expect
from labkit.lessons.exercises.questions import Open

_MODELS = (
    {"name": "small", "licence": "apache-2.0", "gb": 0.5, "score": 0.71},
    {"name": "open", "licence": "mit", "gb": 4.1, "score": 0.86},
    {"name": "best", "licence": "cc-by-nc-4.0", "gb": 3.9, "score": 0.93},
    {"name": "large", "licence": "apache-2.0", "gb": 14.5, "score": 0.91},
)


class ChooseModel(Coded):
    """Two conditions that cannot be bargained with, and then the best."""

    number = "09.1"
    title = "Choose a model"
    names = ("choose",)
    hints = (
        "First leave out what you may not use and what does not fit; only then look at the score.",
        "`[m for m in models if m['licence'] in allowed and m['gb'] <= gb]`, then `max(..., key=...)`.",
        "When nothing is left, return None: max() of an empty list is an error unless it has a default.",
    )
    code = """
def choose(models, allowed, gb):
    left = [m for m in models if m["licence"] in allowed and m["gb"] <= gb]
    return max(left, key=lambda m: m["score"], default={"name": None})["name"]
"""
    why = (
        "Licence and memory are conditions, the score is a wish. Sorting by score first and then making exceptions is "
        "how a model that may not be sold ends up in a product."
    )
    also_correct = (
        "def choose(models, allowed, gb):\n"
        "    found = None\n"
        "    for m in models:\n"
        "        if m['licence'] in allowed and m['gb'] <= gb and (found is None or m['score'] > found['score']):\n"
        "            found = m\n"
        "    return found and found['name']",
    )
    mistakes = (
        ("def choose(models, allowed, gb):\n    return max(models, key=lambda m: m['score'])['name']", "may not use"),
        (
            "def choose(models, allowed, gb):\n"
            "    return max((m for m in models if m['licence'] in allowed), key=lambda m: m['score'])['name']",
            "does not fit",
        ),
        (
            "def choose(models, allowed, gb):\n"
            "    return [m for m in models if m['licence'] in allowed and m['gb'] <= gb][0]['name']",
            "not the best",
        ),
        (
            "def choose(models, allowed, gb):\n"
            "    left = [m for m in models if m['licence'] in allowed and m['gb'] <= gb]\n"
            "    return max(left, key=lambda m: m['score'])['name'] if left else 'none'",
            "return None",
        ),
        (
            "def choose(models, allowed, gb):\n"
            "    left = [m for m in models if m['licence'] in allowed and m['gb'] <= gb]\n"
            "    return max(left, key=lambda m: m['score'])",
            "its name",
        ),
        ("choose = 'open'", "should be a function"),
    )

    def verify(self, choose: Callable[..., Any]) -> str:
        expect(callable(choose), "choose should be a function of models, allowed and gb.")
        allowed = {"apache-2.0", "mit"}
        found = choose([dict(model) for model in _MODELS], allowed, 8)
        expect(not isinstance(found, dict), "you return the whole model: return its name.")
        expect(found != "best", "'best' is under cc-by-nc-4.0, which you may not use here.")
        expect(found != "large", "'large' needs 14.5 GB and does not fit into 8.")
        expect(found != "small", "'small' may be used and fits, and is not the best that does.")
        expect(
            found == "open", f"of the four models you choose {found!r}; 'open' is the best that may be used and fits."
        )
        found = choose([dict(model) for model in _MODELS], allowed, 20)
        expect(found == "large", f"with 20 GB you choose {found!r}: 'large' fits then.")
        expect(choose(list(_MODELS), allowed, 0.1) is None, "when no model fits, return None.")
        return "Conditions first, wishes second."


class GainedAndLost(Coded):
    """Comparing two models on the same items."""

    number = "09.2"
    title = "What got better, what got worse"
    names = ("gained", "lost")
    hints = (
        "Look at each item by itself: `zip(before, after)`.",
        "Gained: wrong before and right after. Lost: right before and wrong after.",
        "`sum(not b and a for b, a in zip(before, after))`.",
    )
    code = """
def gained(before, after):
    return sum(not b and a for b, a in zip(before, after))

def lost(before, after):
    return sum(b and not a for b, a in zip(before, after))
"""
    why = (
        "The difference of two scores hides what was lost: 10 gained and 8 lost are 2 points, and eight users who are "
        "worse off than yesterday. Read the lost ones before you publish."
    )
    also_correct = (
        "def gained(before, after):\n    return [(b, a) for b, a in zip(before, after)].count((False, True))\n"
        "def lost(before, after):\n    return gained(after, before)",
    )
    mistakes = (
        (
            "def gained(before, after):\n    return sum(after) - sum(before)\ndef lost(before, after):\n    return 0",
            "difference of the two sums",
        ),
        (
            "def gained(before, after):\n    return sum(after)\ndef lost(before, after):\n    return sum(before)",
            "right before already",
        ),
        (
            "def gained(before, after):\n    return sum(b and not a for b, a in zip(before, after))\n"
            "def lost(before, after):\n    return sum(not b and a for b, a in zip(before, after))",
            "exchanged",
        ),
        (
            "def gained(before, after):\n    return sum(not b and a for b, a in zip(before, after))\n"
            "def lost(before, after):\n    return sum(not a for a in after)",
            "wrong before already",
        ),
        ("gained, lost = 3, 2", "should be functions"),
        ("def gained(before, after):\n    return 99\ndef lost(before, after):\n    return 99", "3 and 2"),
    )

    def verify(self, gained: Callable[..., Any], lost: Callable[..., Any]) -> str:
        expect(callable(gained) and callable(lost), "gained and lost should be functions of before and after.")
        before = [True, True, False, False, True, False, False, True]
        after = [True, False, True, True, False, True, False, True]
        up, down = gained(before, after), lost(before, after)
        expect((up, down) != (2, 3), "the two are exchanged: gained is wrong before and right after.")
        expect(up != 1, "the difference of the two sums hides that some got better while others got worse.")
        expect(up != sum(after), "you count all that are right now: leave out what was right before already.")
        expect(up != 3 or down != 3, "for lost you count all that are wrong now: some were wrong before already.")
        expect((up, down) == (3, 2), f"for the example you return {up} and {down}: it is 3 and 2.")
        expect((gained([], []), lost([], [])) == (0, 0), "with no items both are 0.")
        return "Three got better and two got worse: one point of difference, five changed answers."


class Decide(Open):
    """The decision at the end of the project."""

    number = "09.4"
    title = "Publish, or pay for a service?"
    question = "Would you use your own model or a closed service for your task? Decide, with your own numbers."
    rubric = (
        "compares both on the same held-out items, with the number of items and an interval;",
        "gives the cost of each at a stated number of requests a month;",
        "names what only one of the two can do: privacy, offline use, a fixed version; or breadth, no upkeep;",
        "says what would change the decision.",
    )
    example = (
        "My model: 94 % on 200 held-out notes (interval 90 to 97 %). The service, with a good prompt, got 97 % on the "
        "same 200: the intervals overlap. At 50,000 notes a month the service costs 12 dollars, my laptop nothing. The "
        "notes name customers, so they should not leave the house: I take my model, and look at the twelve errors each "
        "month. If notes in other languages come, I would ask the service again."
    )
    hints = (
        "Lesson 02 has the arithmetic of the costs, section 3 of this lesson the table of scores.",
        "A score without the number of items says nothing: what are the two intervals?",
    )
