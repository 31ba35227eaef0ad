"""What a month of answers costs: a closed service, a hosted open model, a rented GPU, a machine of one's own.

Prices per token come from `genai-prices` (Pydantic, MIT), which knows them offline and by date; they are always asked
for with a date, so that a result does not change overnight. The rest comes from `assets/costs.toml`. Every assumption
is a field of `Assumptions`. Knows nothing of quality.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import math
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from labkit import assets
from labkit.catalogue import Fact
from labkit.errors import LabError

if TYPE_CHECKING:
    import pandas

AS_OF = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
HOURS_PER_MONTH = 730
OLDEST_DAYS = 365

# (provider, model) as genai-prices names them: closed models, then open ones on other people's machines.
CLOSED = [
    *(("openai", name) for name in ("gpt-4", "gpt-4o", "gpt-4o-mini", "gpt-5.6-sol")),
    *(("anthropic", name) for name in ("claude-3-opus-latest", "claude-opus-5-5", "claude-haiku-4-5")),
    *(("google", name) for name in ("gemini-2.5-pro", "gemini-3.8-flash")),
]
HOSTED = [
    ("together", "meta-llama/Llama-2-70b-chat-hf"),
    ("together", "mistralai/Mistral-7B-Instruct-v0.2"),
    ("together", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
    ("huggingface_cerebras", "meta-llama/Llama-3.1-8B-Instruct"),
    ("huggingface_groq", "openai/gpt-oss-20b"),
]
WAYS = ("closed API", "hosted open model", "rented GPU", "own machine")


@dataclass(frozen=True)
class Price:
    """The list price of a model at a date, for requests of ordinary length."""

    provider: str
    model: str
    input_usd_per_million_tokens: float
    output_usd_per_million_tokens: float
    at: datetime.datetime


def price(provider: str, model: str, *, at: datetime.datetime = AS_OF) -> Price:
    """The price of a model, asked for with a short request, since long ones cost more a token with some vendors.

    >>> price("openai", "gpt-4").output_usd_per_million_tokens
    60.0

    Raises LabError when genai-prices knows no such provider or model, or no price at that date.
    """
    result = _calculate(provider, model, 1000, 1000, at)
    return Price(provider, model, float(result.input_price) * 1000, float(result.output_price) * 1000, at)


def request_usd(
    provider: str, model: str, input_tokens: int, output_tokens: int, *, at: datetime.datetime = AS_OF
) -> float:
    """What one request costs in USD, with the vendor's own steps for long texts."""
    if input_tokens < 0 or output_tokens < 0:
        raise LabError(f"A request cannot have {min(input_tokens, output_tokens)} tokens: give 0 or more.")
    return float(_calculate(provider, model, input_tokens, output_tokens, at).total_price)


def _calculate(provider: str, model: str, input_tokens: int, output_tokens: int, at: datetime.datetime) -> Any:
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    try:
        return calc_price(usage, model_ref=model, provider_id=provider, genai_request_timestamp=at)
    except (LookupError, ValueError):
        raise LabError(_unknown(provider, model)) from None


def _unknown(provider: str, model: str) -> str:
    import difflib

    from genai_prices.data_snapshot import get_snapshot

    providers = {each.id: [one.id for one in each.models] for each in get_snapshot().providers}
    known, wanted = (providers[provider], model) if provider in providers else (list(providers), provider)
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.4)
    offer = f"did you mean {' or '.join(near)}?" if near else "look at genai-prices for the names that it knows."
    return f"The price table has no {wanted!r}: {offer}"


def table(names: Sequence[tuple[str, str]] = (*CLOSED, *HOSTED), *, at: datetime.datetime = AS_OF) -> pandas.DataFrame:
    """List prices, one row a (provider, model): model, provider, and USD per million tokens, in and out."""
    import pandas

    rows = [price(*name, at=at) for name in names]
    return pandas.DataFrame([{field.name: getattr(row, field.name) for field in fields(Price)} for row in rows])


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


@dataclass(frozen=True)
class Assumptions:
    """Everything that decides the four costs. The defaults are an example, not advice: change them with `replace`.

    Speeds are those of one machine for all its users together: measure them (`labkit.local.measure`, lesson 05).
    `busy_share` is how much of the month a machine may work; requests come in waves, and it must cope with their crest.
    """

    requests_per_month: float = 10_000
    input_tokens_per_request: int = 1_000
    output_tokens_per_request: int = 300
    closed: tuple[str, str] = ("openai", "gpt-4o")
    hosted: tuple[str, str] = ("together", "mistralai/Mistral-7B-Instruct-v0.2")
    gpu_prefill_tokens_per_s: float = 5_000
    gpu_decode_tokens_per_s: float = 500
    gpu_usd_per_hour: float = 1.79  # costs.toml, a100_80gb_rented
    own_prefill_tokens_per_s: float = 2_000
    own_decode_tokens_per_s: float = 150
    machine_usd: float = 3_000  # costs.toml, workstation
    machine_lifetime_months: float = 36  # costs.toml, workstation_lifetime
    machine_watts: float = 450  # costs.toml, workstation_power
    electricity_usd_per_kwh: float = 0.30  # costs.toml, electricity
    busy_share: float = 0.3
    hands_on_hours_per_month: float = 4
    usd_per_hands_on_hour: float = 50

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                continue
            least_open = field.name.endswith("_per_s") or field.name in ("machine_lifetime_months", "busy_share")
            if value < 0 or (least_open and value == 0) or not math.isfinite(value):
                raise LabError(f"{field.name} cannot be {value:g}: give a number above 0.")
        if self.busy_share > 1:
            raise LabError(f"busy_share cannot be {self.busy_share:g}: it is a share, from 0 to 1.")


def monthly_usd(given: Assumptions) -> dict[str, float]:
    """The cost of a month in USD, for each of `WAYS`.

    A service costs by the token. A GPU is rented for the whole month, and a machine of one's own is written off over
    its lifetime; of both as many as the volume needs. Electricity is paid for the seconds of work. Both take hands.
    """
    hands = given.hands_on_hours_per_month * given.usd_per_hands_on_hour
    gpu_seconds = _seconds_per_request(given, "gpu") * given.requests_per_month
    own_seconds = _seconds_per_request(given, "own") * given.requests_per_month
    kwh = own_seconds / 3600 * given.machine_watts / 1000
    own = machines_needed(given, "own") * given.machine_usd / given.machine_lifetime_months
    return {
        "closed API": given.requests_per_month * _per_request(given, given.closed),
        "hosted open model": given.requests_per_month * _per_request(given, given.hosted),
        "rented GPU": _count(gpu_seconds, given) * given.gpu_usd_per_hour * HOURS_PER_MONTH + hands,
        "own machine": own + kwh * given.electricity_usd_per_kwh + hands,
    }


def machines_needed(given: Assumptions, kind: str) -> int:
    """How many machines the volume needs: `kind` is "gpu" (rented) or "own". At least one."""
    return _count(_seconds_per_request(given, kind) * given.requests_per_month, given)


def _seconds_per_request(given: Assumptions, kind: str) -> float:
    reading = given.input_tokens_per_request / getattr(given, f"{kind}_prefill_tokens_per_s")
    return reading + given.output_tokens_per_request / getattr(given, f"{kind}_decode_tokens_per_s")


def _count(seconds: float, given: Assumptions) -> int:
    return max(1, math.ceil(seconds / (HOURS_PER_MONTH * 3600 * given.busy_share)))


@functools.lru_cache(maxsize=256)
def _request(name: tuple[str, str], input_tokens: int, output_tokens: int) -> float:
    return request_usd(*name, input_tokens, output_tokens)


def _per_request(given: Assumptions, name: tuple[str, str]) -> float:
    return _request(name, given.input_tokens_per_request, given.output_tokens_per_request)


def curve(given: Assumptions, requests_per_month: Sequence[float]) -> pandas.DataFrame:
    """`monthly_usd` at several volumes: one row a volume, one column a way."""
    import pandas

    rows = [monthly_usd(replace(given, requests_per_month=volume)) for volume in requests_per_month]
    return pandas.DataFrame(rows, index=pandas.Index(requests_per_month, name="requests_per_month"))


def break_even_requests_per_month(given: Assumptions, way: str, other: str, *, most: float = 1e9) -> float | None:
    """The smallest volume from which `other` costs no more than `way`, or None up to `most` requests a month.

    Machines come in whole numbers, so costs climb in steps: `way` may be cheaper again just above the next step. Found
    by halving within the step where the order first changes. LabError for a way that is not in `WAYS`.
    """
    for name in (way, other):
        if name not in WAYS:
            raise LabError(f"There is no way {name!r}: choose from {', '.join(WAYS)}.")

    def dearer(volume: float) -> bool:
        found = monthly_usd(replace(given, requests_per_month=volume))
        return found[way] >= found[other]

    low, high = 0.0, 1.0
    while not dearer(high):
        low, high = high, high * 1.05
        if high > most:
            return None
    while high - low > max(0.5, high * 1e-6):
        middle = (low + high) / 2
        low, high = (low, middle) if dearer(middle) else (middle, high)
    return high


def age_days(today: datetime.date) -> int:
    """How many days ago the tables were last looked at: the newest date in costs.toml, and that of the prices."""
    newest = max(entry["seen"] for entry in _costs().values())
    return (today - min(newest, AS_OF.date())).days


def main(argv: list[str] | None = None) -> int:
    """`python -m labkit.pricing --check-age`: 1 when the tables are older than a year. The weekly job calls it."""
    parser = argparse.ArgumentParser(prog="python -m labkit.pricing", description="Prices of the course.")
    parser.add_argument("--check-age", action="store_true", help="fail when the tables are older than a year")
    if not parser.parse_args(argv).check_age:
        print(table().to_string(index=False))
        return 0
    days = age_days(datetime.date.today())
    if days > OLDEST_DAYS:
        print(f"The price tables are {days} days old: look at the sources again, and date them anew.", file=sys.stderr)
        return 1
    print(f"The price tables are {days} days old.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
