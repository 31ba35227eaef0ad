"""Prices at a fixed date, four ways to pay for a month, and where they cross."""

from __future__ import annotations

import datetime
import math
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.facts import pricing
from labkit.facts.pricing import Assumptions, monthly_usd
from tests.rows import every

EXAMPLE = Assumptions()
ONE_REQUEST = Assumptions(requests_per_month=1)


@every(
    [
        (("openai", "gpt-4"), (30, 60)),
        (("openai", "gpt-4o"), (2.5, 10)),
        (("anthropic", "claude-sonnet-4-5"), (3, 15)),
        (("google", "gemini-2.5-pro"), (1.25, 10)),
        (("huggingface_groq", "openai/gpt-oss-20b"), (0.1, 0.5)),
        (("together", "mistralai/Mixtral-8x7B-Instruct-v0.1"), (0.9, 0.9)),
    ]
)
def test_list_prices(row):
    name, prices = row
    found = pricing.price(*name)
    assert (found.input_usd_per_million_tokens, found.output_usd_per_million_tokens) == pytest.approx(prices)
    assert found.source.startswith("https://") and found.at == pricing.AS_OF


def test_long_requests_cost_more_and_short_ones_do_not_know():
    short, long = (pricing.request_usd("google", "gemini-2.5-pro", tokens, 0) for tokens in (100_000, 300_000))
    assert long == pytest.approx(0.3 * 2.5)  # above 200,000 tokens all of them cost twice as much
    assert short == pytest.approx(0.1 * pricing.price("google", "gemini-2.5-pro").input_usd_per_million_tokens)


def test_a_price_belongs_to_its_date():
    days = (datetime.datetime(*day, tzinfo=datetime.UTC) for day in ((2026, 12, 31, 23), (2027, 1, 2)))
    now, then = (pricing.price("google", "gemini-3.8-flash", at=at) for at in days)
    assert (now.input_usd_per_million_tokens, now.output_usd_per_million_tokens) == pytest.approx((0.75, 3.75))
    assert now.input_usd_per_million_tokens == pricing.price("google", "gemini-3.8-flash").input_usd_per_million_tokens
    assert (then.input_usd_per_million_tokens, then.output_usd_per_million_tokens) == pytest.approx((1.5, 7.5))


def test_the_table_has_all_its_names():
    table = pricing.table()
    assert len(table) == len(pricing.CLOSED) + len(pricing.HOSTED)
    assert (table[["input_usd_per_million_tokens", "output_usd_per_million_tokens"]] > 0).all().all()
    assert {"openai", "anthropic", "google"} <= set(table.provider)
    assert list(table.columns[2:4]) == ["input_usd_per_million_tokens", "output_usd_per_million_tokens"]
    more = [*pricing.MORE_CLOSED, *pricing.MORE_HOSTED]
    assert list(zip(pricing.table(more).provider, pricing.table(more).model, strict=True)) == more
    assert len({*pricing.CLOSED, *pricing.HOSTED, *more}) == len(table) + len(more)


def test_unknown_names_offer_the_nearest():
    with pytest.raises(LabError, match="no 'gpt-4oo': did you mean .*gpt-4o"):
        pricing.price("openai", "gpt-4oo")
    with pytest.raises(LabError, match="no 'opnai': did you mean openai"):
        pricing.price("opnai", "gpt-4o")
    with pytest.raises(LabError, match="no 'GPT-4oo': did you mean .*gpt-4o"):
        pricing.price("OpenAI", "GPT-4oo")  # the provider has other spellings, and is known by them
    with pytest.raises(LabError, match="no ''"):
        pricing.price("", "gpt-4o")
    with pytest.raises(LabError, match="'whisper-1' of openai is not sold by the token"):
        pricing.price("openai", "whisper-1")
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
    before = monthly_usd(replace(example, requests_per_month=volume - 1))
    assert at["closed API"] >= at["rented GPU"] and before["closed API"] < before["rented GPU"]


@given(
    st.floats(0.1, 20),
    st.floats(0.05, 5),
    st.floats(0.05, 5),
    st.floats(0, 5000),
    st.sampled_from([0, 4]),
    st.permutations(pricing.WAYS),
)
@settings(deadline=None, max_examples=60)
def test_the_break_even_is_the_first_of_all_volumes(gpu_usd, gpu_speed, own_speed, machine_usd, hours, ways):
    changes = {"gpu_usd_per_hour": gpu_usd, "gpu_decode_tokens_per_s": gpu_speed, "own_decode_tokens_per_s": own_speed}
    slow = replace(EXAMPLE, **changes, machine_usd=machine_usd, hands_on_hours_per_month=hours)
    found = pricing.break_even_requests_per_month(slow, ways[0], ways[1], most=2000)
    lines = [pricing._tariff(slow, way) for way in ways[:2]]
    every = (n for n in range(1, 2001) if lines[0].usd(n) >= lines[1].usd(n))
    assert found == next(every, None)


def test_a_narrow_gap_before_the_next_machine_is_found():
    full = pricing._capacity(EXAMPLE, "gpu")
    closed = monthly_usd(replace(EXAMPLE, requests_per_month=full))["closed API"]
    tight = replace(EXAMPLE, hands_on_hours_per_month=0, gpu_usd_per_hour=0.999 * closed / pricing.HOURS_PER_MONTH)
    found = pricing.break_even_requests_per_month(tight, "closed API", "rented GPU")
    assert found == math.ceil(0.999 * full)
    after = monthly_usd(replace(tight, requests_per_month=full + 1))
    assert after["closed API"] < after["rented GPU"], "with a second GPU the order has turned back"


@given(st.floats(0.1, 10), st.floats(1, 1e7))
@settings(deadline=None)
def test_all_prices_times_a_factor_are_all_costs_times_it(factor, volume):
    names = ("gpu_usd_per_hour", "machine_usd", "electricity_usd_per_kwh", "usd_per_hands_on_hour")
    dear = replace(EXAMPLE, requests_per_month=volume, **{name: factor * getattr(EXAMPLE, name) for name in names})
    costs, plain = monthly_usd(dear), monthly_usd(replace(EXAMPLE, requests_per_month=volume))
    for way in ("rented GPU", "own machine"):
        assert costs[way] == pytest.approx(factor * plain[way])
    for way in ("closed API", "hosted open model"):
        assert costs[way] == plain[way] == pytest.approx(volume * monthly_usd(ONE_REQUEST)[way])


def test_some_lines_never_cross():
    assert pricing.break_even_requests_per_month(EXAMPLE, "hosted open model", "closed API") is None
    assert pricing.break_even_requests_per_month(EXAMPLE, "closed API", "hosted open model") == 1
    slow = replace(EXAMPLE, own_decode_tokens_per_s=0.001)  # a machine for each two requests: looked at up to 10,000
    assert pricing.break_even_requests_per_month(slow, "closed API", "own machine") is None
    with pytest.raises(LabError, match="no way 'magic'"):
        pricing.break_even_requests_per_month(EXAMPLE, "magic", "closed API")


def test_the_curve_is_the_costs():
    curve = pricing.curve(EXAMPLE, [1_000, 10_000])
    assert tuple(curve.columns) == pricing.WAYS
    assert curve.loc[10_000].to_dict() == pytest.approx(monthly_usd(EXAMPLE))


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: -1} for name in vars(EXAMPLE) if name not in ("closed", "hosted")),
        *({name: 0} for name in vars(EXAMPLE) if name.endswith("_per_s") or name == "machine_lifetime_months"),
        *({"busy_share": share} for share in (0, 1.5, math.nan, math.inf)),
        *({"gpu_usd_per_hour": value} for value in ("1.79", None, math.nan)),
        *({"closed": value} for value in ("gpt-4o", ["openai", "gpt-4o"], ("openai", 4))),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_by_name(wrong):
    name = next(iter(wrong))
    above = name.endswith("_per_s") or name in ("machine_lifetime_months", "busy_share")
    wanted = r"\(provider, model\)" if name == "closed" else "a number above 0" if above else "a number of 0 or more"
    with pytest.raises(LabError, match=f"^{name} cannot be .*: (give {wanted}|it is a share, from 0 to 1)\\.$"):
        Assumptions(**wrong)


def test_a_request_that_never_ends_and_one_of_nothing():
    with pytest.raises(LabError, match="longer than a machine works in a month: give more tokens per second"):
        monthly_usd(replace(EXAMPLE, own_decode_tokens_per_s=1e-6))
    nothing = replace(EXAMPLE, input_tokens_per_request=0, output_tokens_per_request=0, requests_per_month=1e9)
    assert pricing.machines_needed(nothing, "own") == 1 and monthly_usd(nothing)["closed API"] == 0
    with pytest.raises(LabError, match="no machine 'laptop': choose from gpu, own"):
        pricing.machines_needed(EXAMPLE, "laptop")


def test_costs_have_a_source_a_date_and_a_unit():
    for name in pricing._costs():
        entry = pricing.cost(name)
        assert set(pricing._costs()[name]) == {"value", "unit", "source", "seen", "grade", "note"}
        assert entry.source.startswith("https://") and entry.seen >= datetime.date(2026, 11, 1) and entry.value >= 0
        assert type(entry.seen) is datetime.date
        assert entry.note
        assert pricing.unit_of(name) in ("USD", "USD per hour", "USD per kWh", "W", "months", "tokens per s")
    for chip in ("t4_16gb", "l4_24gb", "a100_80gb", "h100_80gb"):
        rented = [name for name in pricing._costs() if name.startswith(chip)]
        assert len(rented) >= 2 and all(pricing.unit_of(name) == "USD per hour" for name in rented)
    with pytest.raises(LabError, match="no cost 'coffee'"):
        pricing.cost("coffee")


def test_the_defaults_are_the_files():
    pairs = {"gpu_usd_per_hour": "a100_80gb_rented", "machine_usd": "workstation", "machine_watts": "workstation_power"}
    pairs |= {"machine_lifetime_months": "workstation_lifetime", "electricity_usd_per_kwh": "electricity"}
    pairs |= {"gpu_prefill_tokens_per_s": "gpu_reading", "gpu_decode_tokens_per_s": "gpu_writing"}
    pairs |= {"own_prefill_tokens_per_s": "own_reading", "own_decode_tokens_per_s": "own_writing"}
    assert {part: pricing.cost(name).value for part, name in pairs.items()} == {
        part: getattr(EXAMPLE, part) for part in pairs
    }


def test_the_age_of_the_tables():
    assert pricing.age_days(datetime.date(2026, 12, 3)) == 10
    assert pricing.age_days(datetime.date(2027, 11, 24)) > pricing.OLDEST_DAYS


def test_new_rows_do_not_make_an_old_one_young(monkeypatch):
    first, *_ = pricing._costs()
    older = {**pricing._costs(), first: {**pricing._costs()[first], "seen": datetime.date(2026, 10, 1)}}
    monkeypatch.setattr(pricing, "_costs", lambda: older)
    assert pricing.age_days(datetime.date(2026, 12, 3)) == 63


@pytest.mark.skipif(assets.checkout() is None, reason="needs a checkout")
def test_only_the_weekly_job_asks_for_the_age():
    jobs = {file.name: file.read_text(encoding="utf-8") for file in assets.CHECKOUT.glob(".github/workflows/*.yml")}
    jobs["run"] = (assets.CHECKOUT / ".ci" / "run").read_text(encoding="utf-8")
    assert [name for name, text in jobs.items() if "labkit.facts.pricing --check-age" in text] == ["weekly.yml"]


def test_the_weekly_job_fails_after_a_year_only(capsys):
    assert pricing.main(["--check-age"], today=datetime.date(2027, 11, 23)) == 0
    assert "365 days old." in capsys.readouterr().out
    assert pricing.main(["--check-age"], today=datetime.date(2027, 11, 24)) == 1
    assert "366 days old: look at the sources again" in capsys.readouterr().err


def test_without_a_flag_the_table_is_printed():
    run = subprocess.run([sys.executable, "-m", "labkit.facts.pricing"], capture_output=True, text=True)
    assert run.returncode == 0 and "gpt-4" in run.stdout


def test_the_package_that_knows_prices_is_imported_only_when_asked():
    code = "import sys; from labkit import pricing; pricing.Assumptions(); print('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
