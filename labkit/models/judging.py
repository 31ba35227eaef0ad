"""Blind comparison by people: who stood where, what was chosen, and what that says of the answers and of the judge.

A judge may like a place more than an answer (Zheng et al., 2023, found it in models that judge; people have it too). So
places are drawn anew for each round, a vote names a place, and only the reveal turns it into a name. Knows no models.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labkit.base.errors import LabError
from labkit.models.evaluation.scores import wilson

CHOICES = ("left", "tie", "right")
DOUBT = 0.05  # a preference this rare by chance is said to be one


@dataclass(frozen=True)
class Vote:
    """One round: whether the first contestant stood left, and which of `CHOICES` was made. LabError for another one."""

    first_is_left: bool
    choice: str

    def __post_init__(self) -> None:
        if self.choice not in CHOICES:
            raise LabError(f"A vote cannot be {self.choice!r}: choose from {', '.join(CHOICES)}.")

    @property
    def winner(self) -> str:
        """Who was chosen, whatever the place: "first", "second" or "tie".

        >>> Vote(first_is_left=False, choice="left").winner
        'second'
        """
        if self.choice == "tie":
            return "tie"
        return "first" if (self.choice == "left") == self.first_is_left else "second"


def places(seed: int | None = None) -> Iterator[bool]:
    """For each round whether the first contestant stands left: a fair coin, without end; the same for the same `seed`.

    No balanced plan: whoever knows that each pair of rounds has both orders knows the second after the first.
    """
    coin = random.Random(seed)
    while True:
        yield coin.random() < 0.5


@dataclass(frozen=True)
class Tally:
    """Counts of votes. `left` and `right` are the places chosen, `first` and `second` the contestants."""

    first: int
    second: int
    ties: int
    left: int
    right: int

    @property
    def decided(self) -> int:
        """Rounds that were no tie."""
        return self.first + self.second

    @property
    def share(self) -> float:
        """The first contestant's share of the decided rounds; 0.5 where there are none."""
        return self.first / self.decided if self.decided else 0.5

    @property
    def interval(self) -> tuple[float, float]:
        """Where that share lies with 95 % confidence (Wilson's interval), if one judged on: 0 to 1 for no votes."""
        return wilson(self.first, self.decided) if self.decided else (0.0, 1.0)

    @property
    def settled(self) -> bool:
        """Whether the interval leaves out one half: then the judge prefers one of the two."""
        low, high = self.interval
        return low > 0.5 or high < 0.5

    @property
    def position_p(self) -> float:
        """How often a judge without a favourite place would choose one place as unevenly as this one did, or more."""
        return chance(self.left, self.decided)


def tally(votes: Sequence[Vote]) -> Tally:
    """Count votes.

    >>> tally([Vote(True, "left"), Vote(False, "left"), Vote(True, "tie")])
    Tally(first=1, second=1, ties=1, left=2, right=0)
    """
    winners, chosen = [vote.winner for vote in votes], [vote.choice for vote in votes]
    counts = (winners.count("first"), winners.count("second"), winners.count("tie"))
    return Tally(*counts, chosen.count("left"), chosen.count("right"))


def chance(successes: int, total: int) -> float:
    """The two-sided p-value of `successes` in `total` throws of a fair coin; exact (the sign test).

    >>> chance(5, 5)
    0.0625
    """
    if not 0 <= successes <= total:
        raise LabError(f"There cannot be {successes} of {total}: give 0 or more, and at most the total.")
    far = max(successes, total - successes)
    return min(1.0, 2 * sum(math.comb(total, count) for count in range(far, total + 1)) / 2**total)


def report(found: Tally, first: str, second: str) -> list[str]:
    """What the votes say, as sentences: of the contestants, and of the judge's places."""
    rounds = found.decided + found.ties
    lines = [
        f"{rounds} round{'s' * (rounds != 1)}: {first}: {found.first}, {second}: {found.second}, ties: {found.ties}."
    ]
    if not found.decided:
        return lines
    low, high = found.interval
    said = "that is a preference" if found.settled else "too few rounds, or too little difference, to tell them apart"
    sure = f"with 95 % confidence {low:.0%} to {high:.0%}"
    lines.append(f"{first} won {found.share:.0%} of {found.decided} decided; {sure}: {said}.")
    p = found.position_p
    side = "left" if found.left >= found.right else "right"
    count = max(found.left, found.right)
    said = f"you may prefer the {side} side" if p < DOUBT else "no sign that a side is preferred"
    lines.append(f"The {side} answer was chosen {count} of {found.decided} times (p = {p:.2f}): {said}.")
    return lines
