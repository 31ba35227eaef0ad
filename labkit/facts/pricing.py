"""What models cost by the token: who sells which, since when and until when, and what one request comes to.

Prices come from `genai-prices` (Pydantic, MIT), which knows them offline and by date; they are always asked for with a
date, so that a result does not change overnight. Which models were on sale is in `assets/prices.toml`; what machines
cost is in `assets/costs.toml`, and what a month of answers costs in `facts.budget`. Knows nothing of quality.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.facts.catalogue import Fact

if TYPE_CHECKING:
    import pandas

AS_OF = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
OLDEST_DAYS = 365
KINDS = ("closed", "hosted")
TIERS = ("cheap", "middle", "best")
_BATCH = {"processing": "batch"}


@dataclass(frozen=True)
class Offer:
    """A model that is or was sold by the token, under the names that genai-prices has for its provider and itself.

    `kind` is closed, or hosted for an open model on other people's machines. `tier` is one of `TIERS` for the three
    models of each vendor that lessons compare with. `since` is the first day that we know of, `until` the first day
    without it, None where no end was announced. Source, day and grade are those of a fact.
    """

    provider: str
    model: str
    kind: str
    since: datetime.date
    source: str
    seen: datetime.date
    grade: str
    note: str
    tier: str = ""
    until: datetime.date | None = None

    @property
    def name(self) -> tuple[str, str]:
        return self.provider, self.model

    def on_sale(self, at: datetime.datetime = AS_OF) -> bool:
        """Whether it could be bought on that day."""
        return self.since <= at.date() and (self.until is None or at.date() < self.until)


def offers(kind: str | None = None, *, tiers: bool = False, at: datetime.datetime = AS_OF) -> list[Offer]:
    """What could be bought on the day of `at`: closed or hosted models, or both; with `tiers`, those with a tier."""
    if kind not in (None, *KINDS):
        raise LabError(f"There is no kind {kind!r}: choose closed or hosted.")
    return [one for one in _sold() if one.on_sale(at) and kind in (None, one.kind) and (one.tier or not tiers)]


def history(*, at: datetime.datetime = AS_OF) -> list[Offer]:
    """What could be bought before and no longer on the day of `at`."""
    return [one for one in _sold() if one.until is not None and one.until <= at.date()]


@functools.cache
def _sold() -> tuple[Offer, ...]:
    return tuple(Offer(**row) for row in tomllib.loads(assets.path("prices.toml").read_text(encoding="utf-8"))["sold"])


@dataclass(frozen=True)
class Price:
    """The list price of a model at a date, for requests of ordinary length; `source` is the vendor's price page.

    The table keeps models that a vendor has withdrawn since, at the last price known: `history` names those we know of.
    Tokens that the vendor finds in its cache cost `cached`, the price of the others where it gives no discount.
    """

    provider: str
    model: str
    input_usd_per_million_tokens: float
    cached_usd_per_million_tokens: float
    output_usd_per_million_tokens: float
    at: datetime.datetime
    source: str


def price(provider: str, model: str, *, at: datetime.datetime = AS_OF) -> Price:
    """The price of a model, asked for with a short request, since long ones cost more a token with some vendors.

    >>> price("openai", "gpt-4").output_usd_per_million_tokens
    60.0

    Ignores batches and what it costs to write into a cache. LabError when genai-prices knows no such provider or
    model, or no price at that date.
    """
    result = _calculate(provider, model, at, input_tokens=1000, output_tokens=1000)
    cached = _calculate(provider, model, at, input_tokens=1000, cache_read_tokens=1000)
    page = (result.provider.pricing_urls or ["https://github.com/pydantic/genai-prices"])[0]
    each = [float(usd) * 1000 for usd in (result.input_price, cached.input_price, result.output_price)]
    return Price(provider, model, *each, at, page)


def request_usd(
    provider: str,
    model: str,
    input_tokens: int,
    output_tokens: int,
    *,
    cached_tokens: int = 0,
    thinking_tokens: int = 0,
    batch: bool = False,
    at: datetime.datetime = AS_OF,
) -> float:
    """What one request costs in USD, with the vendor's own steps for long texts.

    `cached_tokens` are those of `input_tokens` that the vendor finds in its cache; `thinking_tokens` are written before
    the answer, and paid like it; `batch` is the price for an answer that may come a day later. Ignores what it costs
    to write into a cache, tools, and a vendor's minimum. LabError for an unknown name, for counts that cannot be, and
    for a batch price that the table does not have (`has_batch_price`).

    >>> round(request_usd("openai", "gpt-6.1-terra", 1000, 300, thinking_tokens=500), 6)
    0.005
    """
    counts = {"input": input_tokens, "output": output_tokens, "cached": cached_tokens, "thinking": thinking_tokens}
    for name, count in counts.items():
        if count < 0:
            raise LabError(f"A request cannot have {count} {name} tokens: give 0 or more.")
    if cached_tokens > input_tokens:
        raise LabError(f"Of {input_tokens} tokens in, {cached_tokens} cannot be cached: give that many or fewer.")
    if batch and not has_batch_price(provider, model):
        raise LabError(f"The price table has no batch price for {model!r} of {provider}: ask for it without batch.")
    usage = {"input_tokens": input_tokens, "output_tokens": output_tokens + thinking_tokens}
    return float(_calculate(provider, model, at, batch=batch, **usage, cache_read_tokens=cached_tokens).total_price)


def has_batch_price(provider: str, model: str) -> bool:
    """Whether the price table has a lower price for requests that can wait. LabError for an unknown name."""
    variants = _calculate(provider, model, AS_OF, input_tokens=1).model.price_variants or ()
    return any(variant.when == _BATCH for variant in variants)


def _calculate(provider: str, model: str, at: datetime.datetime, *, batch: bool = False, **tokens: int) -> Any:
    from genai_prices import Usage, calc_price

    context = _BATCH if batch else None
    try:
        result = calc_price(
            Usage(**tokens), model_ref=model, provider_id=provider, genai_request_timestamp=at, price_context=context
        )
    except (LookupError, ValueError):
        raise LabError(_unknown(provider, model)) from None
    if result.model_price.input_mtok is None and result.model_price.output_mtok is None:
        # Speech, images, video: genai-prices would call them free of charge.
        raise LabError(f"{model!r} of {provider} is not sold by the token: choose a model that reads and writes text.")
    return result


def _unknown(provider: str, model: str) -> str:
    import difflib

    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

    providers = get_snapshot().providers
    found = find_provider_by_id(providers, provider) if provider else None
    known, wanted = ([one.id for one in found.models], model) if found else ([one.id for one in providers], provider)
    near = difflib.get_close_matches(wanted.lower(), known, n=3, cutoff=0.4)
    offer = f"did you mean {' or '.join(near)}?" if near else "look at genai-prices for the names that it knows."
    return f"The price table has no {wanted!r}: {offer}"


def table(chosen: Sequence[Offer] | None = None, *, at: datetime.datetime = AS_OF) -> pandas.DataFrame:
    """List prices, one row an offer: its names and tier, USD per million tokens (read, read from the cache, written),
    and its days. Without `chosen`: the closed models with a tier, and the hosted ones, that are on sale at `at`."""
    import pandas

    if chosen is None:
        chosen = [*offers("closed", tiers=True, at=at), *offers("hosted", at=at)]
    prices = [field.name for field in fields(Price) if field.name.endswith("_tokens")]
    rows = []
    for one in chosen:
        found = price(*one.name, at=at)
        row = {"provider": one.provider, "model": one.model, "tier": one.tier}
        row |= {name: round(getattr(found, name), 6) for name in prices}
        rows.append(row | {"since": one.since, "until": one.until or ""})
    return pandas.DataFrame(rows)


def cost(name: str) -> Fact:
    """An entry of `assets/costs.toml`; its unit is in `unit_of`. LabError for an unknown name."""
    if name not in _costs():
        raise LabError(f"There is no cost {name!r}: there are {', '.join(_costs())}.")
    return Fact(**{key: value for key, value in _costs()[name].items() if key != "unit"})


def unit_of(name: str) -> str:
    """The unit of an entry of `assets/costs.toml`, such as "USD per hour"."""
    return _costs()[cost(name) and name]["unit"]


@functools.cache
def _costs() -> dict[str, dict[str, Any]]:
    return tomllib.loads(assets.path("costs.toml").read_text(encoding="utf-8"))


def age_days(today: datetime.date) -> int:
    """How many days ago the row was read that has waited longest, in costs.toml or among the prices per token."""
    oldest = min(row["seen"] for row in _costs().values())
    return (today - min(oldest, AS_OF.date(), *(one.seen for one in _sold()))).days


def main(argv: list[str] | None = None, *, today: datetime.date | None = None) -> int:
    """`python -m labkit.facts.pricing --check-age`, for the weekly job: 1 when the tables are older than a year."""
    parser = argparse.ArgumentParser(prog="python -m labkit.facts.pricing", description="Prices of the course.")
    parser.add_argument("--check-age", action="store_true", help="fail when the tables are older than a year")
    if not parser.parse_args(argv).check_age:
        print(table().to_string(index=False))
        return 0
    days = age_days(today or datetime.date.today())
    if days > OLDEST_DAYS:
        print(f"The price tables are {days} days old: look at the sources again, and date them anew.", file=sys.stderr)
        return 1
    print(f"The price tables are {days} days old.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
