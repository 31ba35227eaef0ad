"""Blind votes: places, winners, intervals and the check of the judge."""

from __future__ import annotations

import itertools
import math

import pytest

from labkit.base.errors import LabError
from labkit.models import judging
from labkit.models.judging import Vote, tally


def test_a_vote_is_for_a_contestant_and_not_for_a_place():
    assert [Vote(first, choice).winner for first in (True, False) for choice in judging.CHOICES] == [
        *("first", "tie", "second"),
        *("second", "tie", "first"),
    ]
    with pytest.raises(LabError, match="choose from left, tie, right"):
        Vote(True, "both")


def test_places_are_a_fair_coin_and_the_same_for_a_seed():
    drawn = list(itertools.islice(judging.places(7), 2000))
    assert drawn == list(itertools.islice(judging.places(7), 2000))
    assert drawn != list(itertools.islice(judging.places(8), 2000))
    assert 900 < sum(drawn) < 1100
    repeats = sum(one == other for one, other in itertools.pairwise(drawn))
    assert 900 < repeats < 1100  # the last place says nothing about the next


def test_who_always_chooses_a_place_is_found_out_and_prefers_nobody():
    votes = [Vote(first, "left") for first in itertools.islice(judging.places(3), 40)]
    found = tally(votes)
    assert found.position_p == pytest.approx(2 / 2**40) and not found.settled
    assert "you may prefer the left side" in judging.report(found, "one", "other")[-1]


def test_who_always_knows_the_better_one_prefers_it_and_no_side():
    votes = [Vote(first, "left" if first else "right") for first in itertools.islice(judging.places(3), 40)]
    found = tally(votes)
    assert (found.first, found.second, found.ties) == (40, 0, 0)
    assert found.settled and found.share == 1 and found.interval[0] > 0.9 and found.position_p > judging.DOUBT
    said = judging.report(found, "one", "other")
    assert said[0] == "40 rounds: one: 40, other: 0, ties: 0."
    assert "that is a preference" in said[1] and "no sign that a side is preferred" in said[2]


def test_few_votes_settle_nothing_and_none_say_so():
    found = tally([Vote(True, "left"), Vote(False, "right"), Vote(True, "tie")])
    assert found.share == 1 and not found.settled
    assert "too few rounds" in judging.report(found, "one", "other")[1]
    empty = tally([])
    assert (empty.share, empty.interval, empty.settled, empty.position_p) == (0.5, (0.0, 1.0), False, 1.0)
    assert judging.report(tally([Vote(True, "tie")]), "one", "other") == ["1 round: one: 0, other: 0, ties: 1."]


@pytest.mark.parametrize("total", range(0, 13))
def test_chance_is_the_sum_over_all_outcomes_as_rare(total):
    ways = [math.comb(total, count) for count in range(total + 1)]
    for count in range(total + 1):
        as_rare = sum(way for way in ways if way <= ways[count])
        assert judging.chance(count, total) == pytest.approx(as_rare / 2**total)
    with pytest.raises(LabError, match="There cannot be"):
        judging.chance(total + 1, total)
