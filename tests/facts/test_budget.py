"""Four ways to pay for a month: dollars, machines and hours by hand, and where the lines cross."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.base.errors import LabError
from labkit.facts import budget, pricing
from labkit.facts.budget import Assumptions, month

EXAMPLE = Assumptions()


def usd(example: Assumptions) -> dict[str, float]:
    return {way: bill.usd for way, bill in month(example).items()}


def test_the_four_ways_by_hand():
    bills = month(EXAMPLE)
    assert tuple(bills) == budget.WAYS
    assert bills["closed API"] == budget.Bill(pytest.approx(10_000 * (1000 * 1 + 300 * 5) / 1e6), 0, 0)
    assert bills["hosted open model"].usd == pytest.approx(10_000 * (1000 * 0.17 + 300 * 0.25) / 1e6)
    assert bills["rented GPU"] == budget.Bill(pytest.approx(1.79 * 730 + 4 * 50), 1, 4)
    seconds = 10_000 * (1000 / 10_000 + 300 / 644)
    assert bills["own machine"] == budget.Bill(pytest.approx(3000 / 36 + seconds / 3600 * 0.45 * 0.30 + 4 * 50), 1, 4)


def test_each_machine_costs_the_same_and_takes_its_hours():
    one = int(730 * 3600 * 0.3 / (1000 / 5000 + 300 / 495))
    found = [month(replace(EXAMPLE, requests_per_month=volume))["rented GPU"] for volume in (0, one, one + 1, 3 * one)]
    assert [bill.machines for bill in found] == [1, 1, 2, 3]
    assert [bill.hands_on_hours for bill in found] == [4, 4, 8, 12]
    assert found[3].usd == pytest.approx(3 * found[0].usd)


def test_the_two_speeds_do_two_things():
    quick, many = replace(EXAMPLE, own_single_tokens_per_s=104), replace(EXAMPLE, own_batched_tokens_per_s=1190)
    assert budget.seconds_per_answer(EXAMPLE, "own machine") == pytest.approx(0.1 + 300 / 52)
    assert budget.seconds_per_answer(quick, "own machine") == pytest.approx(0.1 + 300 / 104)
    assert budget.seconds_per_answer(many, "own machine") == budget.seconds_per_answer(EXAMPLE, "own machine")
    assert usd(quick) == usd(EXAMPLE) and budget._capacity(many, "own machine") > budget._capacity(
        EXAMPLE, "own machine"
    )


def test_cache_thinking_and_batches_reach_the_bill():
    plain, request = usd(EXAMPLE), 10_000 * 1e-6
    assert usd(replace(EXAMPLE, cached_share=0.5))["closed API"] == pytest.approx(plain["closed API"] - request * 475)
    waiting = usd(replace(EXAMPLE, batch=True))
    assert waiting["closed API"] == pytest.approx(plain["closed API"] / 2)
    assert waiting["hosted open model"] == plain["hosted open model"], "Together has no batch price in the table"
    thinking = replace(EXAMPLE, thinking_tokens_per_request=700)
    assert usd(thinking)["closed API"] == pytest.approx(request * (1000 + 1000 * 5))
    assert budget._capacity(thinking, "own machine") < budget._capacity(EXAMPLE, "own machine")


def test_the_break_even_by_hand():
    dear = replace(EXAMPLE, closed=("openai", "gpt-6-astra"))
    assert budget.break_even(dear, "closed API", "rented GPU") == math.ceil(1506.7 / 0.025)
    free = replace(EXAMPLE, gpu_usd_per_hour=0, hands_on_hours_per_machine=0)
    assert budget.break_even(free, "closed API", "rented GPU") == 1
    assert budget.break_even(replace(free, input_tokens_per_request=0, output_tokens_per_request=0), *WAY) == 1
    for machine, service in (("laptop", "closed API"), ("rented GPU", "magic")):
        with pytest.raises(LabError, match="There is no (machine 'laptop'|service 'magic'): choose from"):
            budget.break_even(EXAMPLE, service, machine)


WAY = ("closed API", "rented GPU")


@given(
    st.sampled_from([one.name for one in pricing.offers("closed", tiers=True)]),
    st.floats(0.05, 20),
    st.floats(50, 5000),
    st.sampled_from([0, 4]),
    st.sampled_from(budget.MACHINES),
)
@settings(deadline=None, max_examples=80)
def test_the_break_even_is_the_first_of_all_volumes_and_never_is_never(closed, gpu_usd, speed, hours, machine):
    changes = {"gpu_usd_per_hour": gpu_usd, "gpu_batched_tokens_per_s": speed, "own_batched_tokens_per_s": speed}
    example = replace(EXAMPLE, closed=closed, hands_on_hours_per_machine=hours, **changes)

    def turned(volume: float) -> bool:
        costs = usd(replace(example, requests_per_month=volume))
        return costs["closed API"] >= costs[machine] * (1 - 1e-12)

    found, full = budget.break_even(example, "closed API", machine), budget._capacity(example, machine)
    if found is None:
        # A machine is cheapest when it is full; so look at full ones, and beyond every limit.
        assert not any(turned(full * count) for count in (1, 2, 10, 10**4, 10**8))
        assert budget.full_machine_usd(example, machine) > budget._service(example, "closed API") * (1 - 1e-12)
    else:
        assert turned(found) and (found == 1 or not turned(found - 1))


@given(st.floats(0, 1e8), st.floats(1, 10))
@settings(deadline=None)
def test_costs_grow_with_volume(volume, factor):
    less, more = (usd(replace(EXAMPLE, requests_per_month=n)) for n in (volume, volume * factor))
    assert all(less[way] <= more[way] * (1 + 1e-9) for way in budget.WAYS)


@given(st.floats(0.1, 10), st.floats(1, 1e7))
@settings(deadline=None)
def test_all_prices_times_a_factor_are_all_costs_times_it(factor, volume):
    names = ("gpu_usd_per_hour", "machine_usd", "electricity_usd_per_kwh", "usd_per_hands_on_hour")
    dear = replace(EXAMPLE, requests_per_month=volume, **{name: factor * getattr(EXAMPLE, name) for name in names})
    costs, plain = usd(dear), usd(replace(EXAMPLE, requests_per_month=volume))
    for way in budget.MACHINES:
        assert costs[way] == pytest.approx(factor * plain[way])
    for way in budget.SERVICES:
        assert costs[way] == plain[way] == pytest.approx(volume * usd(replace(EXAMPLE, requests_per_month=1))[way])


def test_the_table_is_the_bills():
    table = budget.table(EXAMPLE, [1_000, 10_000])
    bill = month(EXAMPLE)["own machine"]
    assert table.loc[("10,000", "own machine")].to_dict() == {"USD": bill.usd, "machines": 1, "hours": 4}
    assert len(table) == 2 * len(budget.WAYS)


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: -1} for name in vars(EXAMPLE) if name not in ("closed", "hosted", "batch")),
        *({name: 0} for name in vars(EXAMPLE) if name.endswith("_per_s") or name == "machine_lifetime_months"),
        *({"busy_share": share} for share in (0, 1.5, math.nan, math.inf)),
        *({"gpu_usd_per_hour": value} for value in ("1.79", None, math.nan)),
        *({"closed": value} for value in ("gpt-4o", ["openai", "gpt-4o"], ("openai", 4))),
        {"cached_share": 1.5},
        {"batch": 1},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_by_name(wrong):
    name = next(iter(wrong))
    above = name.endswith("_per_s") or name in ("machine_lifetime_months", "busy_share")
    wanted = "a number above 0" if above else "a number of 0 or more"
    wanted = {"closed": r"\(provider, model\)", "batch": "True or False"}.get(name, wanted)
    with pytest.raises(LabError, match=f"^{name} cannot be .*: (give {wanted}|it is a share, from 0 to 1)\\.$"):
        Assumptions(**wrong)


def test_a_request_that_never_ends_and_one_of_nothing():
    with pytest.raises(LabError, match="longer than a machine works in a month: give more tokens per second"):
        month(replace(EXAMPLE, own_batched_tokens_per_s=1e-6))
    nothing = replace(EXAMPLE, input_tokens_per_request=0, output_tokens_per_request=0, requests_per_month=1e9)
    assert month(nothing)["own machine"].machines == 1 and month(nothing)["closed API"].usd == 0


def test_the_defaults_are_the_files():
    pairs = {"gpu_usd_per_hour": "a100_80gb_rented", "machine_usd": "workstation", "machine_watts": "workstation_power"}
    pairs |= {"machine_lifetime_months": "workstation_lifetime", "electricity_usd_per_kwh": "electricity"}
    for kind in ("gpu", "own"):
        pairs[f"{kind}_prefill_tokens_per_s"] = f"{kind}_reading"
        for speed in ("single", "batched"):
            pairs[f"{kind}_{speed}_tokens_per_s"] = f"{kind}_writing_{speed}"
    for part, name in pairs.items():
        assert pricing.cost(name).value == getattr(EXAMPLE, part)
        if "_writing_" in name:
            assert "vLLM" in pricing.cost(name).note or "engine" in pricing.cost(name).note
    assert {EXAMPLE.closed, EXAMPLE.hosted} <= {one.name for one in pricing.offers()}
