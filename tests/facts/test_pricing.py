"""Prices at a fixed date, who sold what and when, and what a request comes to."""

from __future__ import annotations

import ast
import datetime
import json
import re
import subprocess
import sys

import pytest

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.facts import pricing
from tests.rows import every


@every(
    [
        (("openai", "gpt-4"), (30, 60)),
        (("openai", "gpt-4o"), (2.5, 10)),
        (("anthropic", "claude-haiku-5-5"), (0.1, 0.5)),
        (("google", "gemini-2.5-pro"), (1.25, 10)),
        (("huggingface_groq", "openai/gpt-oss-20b"), (0.1, 0.5)),
        (("together", "Qwen/Qwen3.5-9B"), (0.17, 0.25)),
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


def test_each_vendor_has_one_model_of_each_tier_that_can_be_bought():
    chosen = pricing.offers("closed", tiers=True)
    vendors = ("openai", "anthropic", "google")
    assert [(one.provider, one.tier) for one in chosen] == [(name, tier) for name in vendors for tier in pricing.TIERS]
    for name in vendors:
        prices = [pricing.price(*one.name).output_usd_per_million_tokens for one in chosen if one.provider == name]
        assert prices == sorted(set(prices)), "cheap, middle, best"


def test_every_row_has_its_days_and_a_price():
    rows = pricing._sold()
    assert len({one.name for one in rows}) == len(rows)
    for one in rows:
        assert one.kind in pricing.KINDS and one.tier in ("", *pricing.TIERS) and one.note
        assert one.until is None or one.since < one.until
        assert one.source.startswith("https://") and one.seen >= datetime.date(2026, 11, 1)
        assert not one.tier or one.on_sale(), f"{one.model} cannot be bought, and has a tier"
        assert pricing.price(*one.name).output_usd_per_million_tokens > 0
    assert set(pricing.offers()) | set(pricing.history()) == set(rows), "nothing of the future"


def test_what_was_sold_depends_on_the_day():
    def sold(*day):
        return {one.model for one in pricing.offers(at=datetime.datetime(*day, tzinfo=datetime.UTC))}

    assert "gpt-4" in sold(2026, 10, 22) and "gpt-4" not in sold(2026, 10, 23)
    assert "claude-haiku-5-5" in sold(2026, 10, 7) and "claude-haiku-5-5" not in sold(2026, 10, 6)
    assert {"gpt-4", "llama3.1-8b"} <= {one.model for one in pricing.history()}
    assert "gpt-4o" not in {one.model for one in pricing.history()}, "it is sold until January"
    with pytest.raises(LabError, match="no kind 'free': choose closed or hosted"):
        pricing.offers("free")


def test_the_table_shows_what_is_on_sale():
    table = pricing.table()
    assert list(table.model) == [
        one.model for kind in pricing.KINDS for one in pricing.offers(kind) if one.tier or kind == "hosted"
    ]
    prices = ["input_usd_per_million_tokens", "cached_usd_per_million_tokens", "output_usd_per_million_tokens"]
    assert list(table.columns) == ["provider", "model", "tier", *prices, "since", "until"]
    assert (table[prices] > 0).all().all() and set(table.until) == {""}
    assert datetime.date(2026, 10, 23) in set(pricing.table(pricing.history()).until)


def _named(code: str) -> set[tuple[str, str]]:
    """The pairs of a provider and a model that a piece of Python names, in a tuple or as two arguments in a row."""
    sellers = {one.provider for one in pricing._sold()} | {"huggingface_groq", "huggingface_cerebras"}
    lists = [node.elts if isinstance(node, ast.Tuple) else node.args for node in ast.walk(ast.parse(code))
             if isinstance(node, ast.Tuple | ast.Call)]  # fmt: skip
    words = [[getattr(part, "value", None) for part in parts] for parts in lists]
    pairs = [pair for each in words for pair in zip(each, each[1:], strict=False)]
    # Every model's name has a sign or a digit in it; a list of providers is no pair.
    return {(one, other) for one, other in pairs if one in sellers and re.search(r"[-/\d]", str(other))}


@pytest.mark.skipif(assets.checkout() is None, reason="needs a checkout")
def test_no_lesson_widget_or_exercise_calls_a_withdrawn_price_todays():
    """They name models that can be bought on the date of the table; the others come from `history` alone."""
    root, found = assets.CHECKOUT, {}
    for file in (root / "labkit" / "lessons").rglob("*.py"):
        found[file.name] = file.read_text(encoding="utf-8")
    for file in (root / "notebooks").rglob("*.ipynb"):
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        found[file.name] = "\n".join(code).replace("%pip", "pass  #")
    named = {(file, *pair) for file, code in found.items() for pair in _named(code)}
    on_sale = {one.name for one in pricing.offers()}
    assert len({file for file, *_ in named}) >= 3, "lessons and widgets do name prices"
    assert [(file, *pair) for file, *pair in named if tuple(pair) not in on_sale] == []


def test_a_request_knows_cache_thinking_and_batches():
    name = ("openai", "gpt-6.1-terra")  # 1, 0.05 and 5 dollars; half in a batch
    plain = pricing.request_usd(*name, 1000, 300)
    assert plain == pytest.approx((1000 * 1 + 300 * 5) / 1e6)
    assert pricing.request_usd(*name, 1000, 300, thinking_tokens=500) == pytest.approx(plain + 500 * 5 / 1e6)
    assert pricing.request_usd(*name, 1000, 300, cached_tokens=800) == pytest.approx(plain - 800 * 0.95 / 1e6)
    assert pricing.request_usd(*name, 1000, 300, batch=True) == pytest.approx(plain / 2)
    fresh, cached = (
        pricing.request_usd("novita", "meta-llama/llama-3.1-8b-instruct", 1000, 0, cached_tokens=n) for n in (0, 1000)
    )
    assert fresh == cached, "no discount known: the full price"


def test_requests_that_cannot_be_are_refused():
    for wrong in ({"cached_tokens": -1}, {"thinking_tokens": -1}):
        with pytest.raises(LabError, match="A request cannot have -1 (cached|thinking) tokens"):
            pricing.request_usd("openai", "gpt-4o", 10, 0, **wrong)
    with pytest.raises(LabError, match="Of 10 tokens in, 11 cannot be cached"):
        pricing.request_usd("openai", "gpt-4o", 10, 0, cached_tokens=11)
    with pytest.raises(LabError, match="no batch price for 'Qwen/Qwen3.5-9B' of together: ask for it without batch"):
        pricing.request_usd("together", "Qwen/Qwen3.5-9B", 10, 0, batch=True)


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
    with pytest.raises(LabError, match="cannot have -1 input tokens"):
        pricing.request_usd("openai", "gpt-4o", -1, 0)


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
    assert run.returncode == 0 and "gpt-6-luna" in run.stdout and "since" in run.stdout


def test_the_package_that_knows_prices_is_imported_only_when_asked():
    code = "import sys; from labkit import pricing; pricing.offers(); print('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
