"""The exercises of lesson 02, Open versus closed."""

from __future__ import annotations

from typing import Any

from labkit.lessons.exercises.coded import Coded, expect, is_close, number_of
from labkit.lessons.exercises.questions import Open
from labkit.models import judging


class BreakEven(Coded):
    """How many requests a month make a rented GPU cheaper than a service."""

    number = "02.1"
    title = "Where do the lines cross?"
    names = ("usd_per_request", "requests")
    hints = (
        "One request: 1,000 tokens in at $2.50 a million, and 300 tokens out at $10 a million.",
        "That is 0.0025 + 0.0030 dollars. How many of them cost as much as 730 hours of the GPU?",
        "730 × $1.20 = $876. Divide it by the price of one request.",
    )
    code = """
usd_per_request = 1_000 * 2.50 / 1e6 + 300 * 10 / 1e6
requests = 730 * 1.20 / usd_per_request
"""
    why = (
        "Half a cent looks like nothing, and 159,000 of them are a GPU for a month. Below that the service is cheaper, "
        "and you pay nothing while nobody asks. Above it each further request costs the GPU's owner nearly nothing."
    )
    also_correct = (
        "usd_per_request = 0.0055\nrequests = round(876 / 0.0055)",
        "usd_per_request, requests = 0.0055, 159_000",
    )
    mistakes = (
        ("usd_per_request = 1_300 * 2.5 / 1e6\nrequests = 876 / usd_per_request", "price of their own"),
        ("usd_per_request = 1_000 * 2.5 + 300 * 10\nrequests = 876 / usd_per_request", "for a million"),
        ("usd_per_request = 0.0055\nrequests = 1.2 / 0.0055", "a whole month"),
        ("usd_per_request = 0.0055\nrequests = 24 * 1.2 / 0.0055", "a whole month"),
        ("usd_per_request = 0.0055\nrequests = 876 * 0.0055", "divide"),
        ("usd_per_request = 0.0025\nrequests = 876 / 0.0025", "tokens that come back"),
        ("usd_per_request = 'half a cent'\nrequests = 1", "should be a number"),
        ("usd_per_request = 0.01\nrequests = 876 / 0.01", "0.0025"),
        ("usd_per_request = 0.0055\nrequests = 1_000_000", "730 × $1.20"),
    )

    def verify(self, usd_per_request: Any, requests: Any) -> str:
        price = number_of(usd_per_request, "usd_per_request")
        requests = number_of(requests, "requests")
        expect(price < 1, "the prices are for a million tokens: divide by 1,000,000.")
        expect(not is_close(price, 0.00325), "tokens that come back have a price of their own.")
        expect(not is_close(price, 0.0025), "count the tokens that come back too: 300, at $10 a million.")
        expect(is_close(price, 0.0055), f"usd_per_request is {price:g}: add 0.0025 for reading and what writing costs.")
        for hours in (1, 24):
            expect(not is_close(requests, hours * 1.2 / 0.0055, 0.01), "the GPU runs a whole month: 730 hours.")
        expect(not is_close(requests, 876 * 0.0055, 0.01), "divide the month's rent by the price of one request.")
        expect(
            is_close(requests, 876 / 0.0055, 0.005),
            f"requests is {requests:,.0f}: divide 730 × $1.20 by the price of one request.",
        )
        return "159,273 requests a month, one every 17 seconds, day and night."


# What the course model answered before and after an adapter as in section 4 (greedy, one run of 2026-11-23): first
# sentences, without the greeting, which would tell them apart. The lesson shows neither of them.
_ANSWERS = (
    ("Name a fruit.", "The fruit I mentioned is the Banana.", "A banana."),
    ("What do cows drink?", "The cows drink a lot of milk.", "Cows drink milk."),
)
# (question, whether the plain model's answer stands at A): each pair comes twice, in both orders.
_ROUNDS = ((0, True), (1, False), (0, False), (1, True))


class BlindTest(Coded):
    """Four rounds, blind: each pair of answers comes twice, in both orders. `print(q.blind_test)` shows them."""

    number = "02.2"
    title = "Judge blind"
    names = ("choices",)
    hints = (
        "`print(q.blind_test)` shows four rounds with two answers each. Write one letter a round, such as 'ABAB'.",
        "The pairs come twice, the places exchanged. If you mean an answer, your letter changes with its place.",
    )
    code = """
choices = "ABBA"
"""
    why = (
        "This judge likes the plain model's answers, in both places. Another may like the adapter's, which took on "
        "the short form of its examples, in both places too. What no judge may do is to prefer a place: so each pair "
        "is shown in both orders, and only agreement counts."
    )
    also_correct = ('choices = "b a a b"', 'choices = "A, A, B, B"', 'choices = ["(b)", "(b)", "(a)", "(a)"]')
    mistakes = (
        ('choices = "AAAA"', "the same place"),
        ('choices = "BBBB"', "the same place"),
        ('choices = "ABA"', "four letters"),
        ('choices = "ABXA"', "four letters"),
        ('choices = "ABAB"', "the same place"),
        ("choices = 6", "should be a text"),
        ('choices = ""', "four letters"),
    )

    def __repr__(self) -> str:
        lines = [f"[{self.number}] Which answer is better? One letter a round."]
        for number, (pair, plain_first) in enumerate(_ROUNDS, start=1):
            question, *answers = _ANSWERS[pair]
            first, second = answers if plain_first else reversed(answers)
            lines += [f"{number}. {question}", f"   A) {first}", f"   B) {second}"]
        return "\n".join(lines)

    def verify(self, choices: Any) -> str:
        said = "".join(map(str, choices)) if isinstance(choices, list | tuple) else choices
        expect(isinstance(said, str), f"choices should be a text such as 'ABAB', and is {choices!r}.")
        letters = "".join(each for each in said.upper() if each.isalnum())
        expect(
            len(letters) == len(_ROUNDS) and set(letters) <= {"A", "B"},
            f"choices should have four letters, A or B, one a round, and is {choices!r}.",
        )
        votes: dict[int, list[bool]] = {}
        for (pair, plain_first), letter in zip(_ROUNDS, letters, strict=True):
            vote = judging.Vote(plain_first, "left" if letter == "A" else "right")
            votes.setdefault(pair, []).append(vote.winner == "first")
        split = [_ANSWERS[pair][0] for pair, (one, other) in votes.items() if one != other]
        expect(
            not split,
            f"you chose the same place both times for {split[0]!r}, though the answers had changed places."
            if split
            else "",
        )
        plain = sum(both[0] for both in votes.values())
        both = f"{plain} of 2 for the plain model, {2 - plain} for the adapter"
        return f"You judged answers and not places: {both}."


class Decide(Open):
    """A decision for a case of one's own, with the numbers that carry it."""

    number = "02.4"
    title = "Decide for a case of your own"
    question = (
        "Take a case that you know. Open or closed, and where does it run? Give the numbers, and what would change it."
    )
    rubric = (
        "says what the model is for, how many requests a month, how long they are, and how private;",
        "compares at least two ways by their monthly cost, with prices that have a date;",
        "says what quality is needed and how it would be measured, on real examples;",
        "names one thing of control or deployment that matters here, or says why none does;",
        "says which assumption, if wrong, would turn the decision round.",
    )
    example = (
        "A town's library answers 3,000 letters a month, 800 tokens in and 200 out, with names in them. A hosted model "
        "would cost less than a dollar; the letters may not leave the house, so cost decides nothing. A 7B model in "
        "4 bits on the office's computer needs under 6 GB and answers within a minute, which is enough. Fifty old "
        "letters with their real answers, judged blind, will tell whether it is good enough. If it is not, or if there "
        "were 300,000 letters, we would look again at a hosted model with a contract."
    )
    hints = (
        "Begin with privacy: it may decide before any number does.",
        "The break-even widget takes your own numbers; the matrix of section 6 shows when the answer flips.",
    )
