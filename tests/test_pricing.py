"""Prices at a fixed date, four ways to pay for a month, and where they cross."""

from __future__ import annotations

import datetime
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import pricing
from labkit.errors import LabError
from labkit.pricing import Assumptions, monthly_usd

EXAMPLE = Assumptions()


@pytest.mark.parametrize(
    ("name", "prices"),
    [
        (("openai", "gpt-4"), (30, 60)),
        (("openai", "gpt-4o"), (2.5, 10)),
        (("anthropic", "claude-sonnet-4-5"), (3, 15)),
        (("google", "gemini-2.5-pro"), (1.25, 10)),
        (("together", "mistralai/Mixtral-8x7B-Instruct-v0.1"), (0.9, 0.9)),
    ],
)
def test_list_prices(name, prices):
    found = pricing.price(*name)
    assert (found.input_usd_per_million_tokens, found.output_usd_per_million_tokens) == pytest.approx(prices)


def test_long_requests_cost_more_and_short_ones_do_not_know():
    short, long = (pricing.request_usd("google", "gemini-2.5-pro", tokens, 0) for tokens in (100_000, 300_000))
    assert long > 3 * short
    assert short == pytest.approx(0.1 * pricing.price("google", "gemini-2.5-pro").input_usd_per_million_tokens)


def test_a_price_belongs_to_its_date():
    later = datetime.datetime(2027, 1, 2, tzinfo=datetime.UTC)
    now, then = (pricing.price("google", "gemini-3.8-flash", at=at) for at in (pricing.AS_OF, later))
    assert then.input_usd_per_million_tokens == 2 * now.input_usd_per_million_tokens


def test_the_table_has_all_its_names():
    table = pricing.table()
    assert len(table) == len(pricing.CLOSED) + len(pricing.HOSTED)
    assert (table[["input_usd_per_million_tokens", "output_usd_per_million_tokens"]] > 0).all().all()
    assert {"openai", "anthropic", "google"} <= set(table.provider)


def test_unknown_names_offer_the_nearest():
    with pytest.raises(LabError, match="no 'gpt-4oo': did you mean .*gpt-4o"):
        pricing.price("openai", "gpt-4oo")
    with pytest.raises(LabError, match="no 'opnai': did you mean openai"):
        pricing.price("opnai", "gpt-4o")
    with pytest.raises(LabError, match="cannot have -1 tokens"):
        pricing.request_usd("openai", "gpt-4o", -1, 0)


def test_the_four_ways_by_hand():
    costs = monthly_usd(EXAMPLE)
    assert tuple(costs) == pricing.WAYS
    assert costs["closed API"] == pytest.approx(10_000 * (1000 * 2.5 + 300 * 10) / 1e6)
    assert costs["rented GPU"] == pytest.approx(1.79 * 730 + 4 * 50)
    seconds = 10_000 * (1000 / 2000 + 300 / 150)
    assert costs["own machine"] == pytest.approx(3000 / 36 + seconds / 3600 * 0.45 * 0.30 + 4 * 50)


def test_machines_come_in_whole_numbers():
    seconds = 1000 / 5000 + 300 / 500
    one = int(730 * 3600 * 0.3 / seconds)
    volumes = [replace(EXAMPLE, requests_per_month=volume) for volume in (0, one, one + 1)]
    assert [pricing.machines_needed(volume, "gpu") for volume in volumes] == [1, 1, 2]


@given(st.floats(0, 1e8), st.floats(1, 10))
@settings(deadline=None)
def test_costs_grow_with_volume(volume, factor):
    less, more = (monthly_usd(replace(EXAMPLE, requests_per_month=n)) for n in (volume, volume * factor))
    assert all(less[way] <= more[way] * (1 + 1e-9) for way in pricing.WAYS)


@given(st.floats(0.1, 7), st.floats(0, 200))
@settings(deadline=None, max_examples=30)
def test_at_the_break_even_the_order_turns(gpu_usd_per_hour, usd_per_hands_on_hour):
    example = replace(EXAMPLE, gpu_usd_per_hour=gpu_usd_per_hour, usd_per_hands_on_hour=usd_per_hands_on_hour)
    volume = pricing.break_even_requests_per_month(example, "closed API", "rented GPU")
    assert volume is not None
    at = monthly_usd(replace(example, requests_per_month=volume))
    before = monthly_usd(replace(example, requests_per_month=volume * 0.999 - 1))
    assert at["closed API"] >= at["rented GPU"] and before["closed API"] < before["rented GPU"]


def test_some_lines_never_cross():
    assert pricing.break_even_requests_per_month(EXAMPLE, "hosted open model", "closed API") is None
    with pytest.raises(LabError, match="no way 'magic'"):
        pricing.break_even_requests_per_month(EXAMPLE, "magic", "closed API")


def test_the_curve_is_the_costs():
    curve = pricing.curve(EXAMPLE, [1_000, 10_000])
    assert tuple(curve.columns) == pricing.WAYS
    assert curve.loc[10_000].to_dict() == pytest.approx(monthly_usd(EXAMPLE))


@pytest.mark.parametrize(
    "wrong",
    [{"requests_per_month": -1}, {"own_decode_tokens_per_s": 0}, {"busy_share": 1.5}, {"machine_lifetime_months": 0}],
)
def test_what_cannot_be_is_refused_by_name(wrong):
    with pytest.raises(LabError, match=next(iter(wrong))):
        Assumptions(**wrong)


def test_costs_have_a_source_a_date_and_a_unit():
    for name in pricing._costs():
        entry = pricing.cost(name)
        assert entry.source.startswith("https://") and entry.seen >= datetime.date(2026, 11, 1) and entry.value > 0
        assert entry.note and (entry.confirmed or "assumption" in entry.note)
        assert any(unit in pricing.unit_of(name) for unit in ("USD", "W", "months"))
    with pytest.raises(LabError, match="no cost 'coffee'"):
        pricing.cost("coffee")


def test_the_defaults_are_the_files():
    pairs = {"gpu_usd_per_hour": "a100_80gb_rented", "machine_usd": "workstation", "machine_watts": "workstation_power"}
    pairs |= {"machine_lifetime_months": "workstation_lifetime", "electricity_usd_per_kwh": "electricity"}
    assert {field: pricing.cost(name).value for field, name in pairs.items()} == {
        field: getattr(EXAMPLE, field) for field in pairs
    }


def test_the_age_of_the_tables():
    assert pricing.age_days(datetime.date(2026, 12, 3)) == 10
    assert pricing.age_days(datetime.date(2027, 11, 24)) > pricing.OLDEST_DAYS
    run = subprocess.run([sys.executable, "-m", "labkit.pricing"], capture_output=True, text=True)
    assert run.returncode == 0 and "gpt-4" in run.stdout


def test_the_package_that_knows_prices_is_imported_only_when_asked():
    code = "import sys; from labkit import pricing; pricing.Assumptions(); print('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
