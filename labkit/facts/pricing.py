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
import numbers
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.facts.catalogue import Fact

if TYPE_CHECKING:
    import pandas

AS_OF = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
HOURS_PER_MONTH = 730
OLDEST_DAYS = 365
_MOST_MACHINES = 10_000

# (provider, model) as genai-prices names them: closed models, then open ones on other people's machines. These are in
# the table of lesson 02; MORE_... are offered beside them.
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
MORE_CLOSED = [
    ("openai", "gpt-4-turbo"),
    *(("anthropic", name) for name in ("claude-sonnet-4-5", "claude-sonnet-5-5", "claude-haiku-5-5")),
    *(("google", name) for name in ("gemini-2.5-flash", "gemini-4-argon")),
]
MORE_HOSTED = [
    ("huggingface_novita", "meta-llama/Llama-3.1-8B-Instruct"),
    ("huggingface_groq", "meta-llama/Llama-3.3-70B-Instruct"),
    ("huggingface_nscale", "Qwen/Qwen3-8B"),
    ("huggingface_groq", "Qwen/Qwen3-32B"),
    ("huggingface_fireworks-ai", "openai/gpt-oss-120b"),
    ("openrouter", "mistralai/mistral-7b-instruct"),
]
WAYS = ("closed API", "hosted open model", "rented GPU", "own machine")


@dataclass(frozen=True)
class Price:
    """The list price of a model at a date, for requests of ordinary length; `source` is the vendor's price page.

    The table keeps models that a vendor has withdrawn since, at the last price known.
    """

    provider: str
    model: str
    input_usd_per_million_tokens: float
    output_usd_per_million_tokens: float
    at: datetime.datetime
    source: str


def price(provider: str, model: str, *, at: datetime.datetime = AS_OF) -> Price:
    """The price of a model, asked for with a short request, since long ones cost more a token with some vendors.

    >>> price("openai", "gpt-4").output_usd_per_million_tokens
    60.0

    Raises LabError when genai-prices knows no such provider or model, or no price at that date.
    """
    result = _calculate(provider, model, 1000, 1000, at)
    page = (result.provider.pricing_urls or ["https://github.com/pydantic/genai-prices"])[0]
    return Price(provider, model, float(result.input_price) * 1000, float(result.output_price) * 1000, at, page)


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
        result = calc_price(usage, model_ref=model, provider_id=provider, genai_request_timestamp=at)
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


def table(names: Sequence[tuple[str, str]] = (*CLOSED, *HOSTED), *, at: datetime.datetime = AS_OF) -> pandas.DataFrame:
    """List prices, one row a (provider, model): model, provider, and USD per million tokens, in and out."""
    import pandas

    rows = [price(*name, at=at) for name in names]
    columns = [part.name for part in fields(Price) if part.name != "source"]
    return pandas.DataFrame([{name: getattr(row, name) for name in columns} for row in rows])


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


def _default(name: str) -> Any:
    return field(default_factory=lambda: cost(name).value)


@dataclass(frozen=True)
class Assumptions:
    """Everything that decides the four costs. The defaults are an example, not advice: change them with `replace`.

    Speeds are those of one machine for all its users together: measure them (`labkit.local.measure`, lesson 05).
    `busy_share` is how much of the month a machine may work; requests come in waves, and it must cope with their crest.
    LabError for what cannot be: a negative price, a speed of 0, a share above 1, words for numbers.
    """

    requests_per_month: float = 10_000
    input_tokens_per_request: int = 1_000
    output_tokens_per_request: int = 300
    closed: tuple[str, str] = ("openai", "gpt-4o")
    hosted: tuple[str, str] = ("together", "mistralai/Mistral-7B-Instruct-v0.2")
    gpu_prefill_tokens_per_s: float = _default("gpu_reading")
    gpu_decode_tokens_per_s: float = _default("gpu_writing")
    gpu_usd_per_hour: float = _default("a100_80gb_rented")
    own_prefill_tokens_per_s: float = _default("own_reading")
    own_decode_tokens_per_s: float = _default("own_writing")
    machine_usd: float = _default("workstation")
    machine_lifetime_months: float = _default("workstation_lifetime")
    machine_watts: float = _default("workstation_power")
    electricity_usd_per_kwh: float = _default("electricity")
    busy_share: float = 0.3
    hands_on_hours_per_month: float = 4
    usd_per_hands_on_hour: float = 50

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name in ("closed", "hosted"):
                fine, wanted = isinstance(value, tuple) and [*map(type, value)] == [str, str], "(provider, model)"
            else:
                above = name.endswith("_per_s") or name in ("machine_lifetime_months", "busy_share")
                fine = (
                    isinstance(value, numbers.Real) and math.isfinite(value) and (value > 0 or value == 0 and not above)
                )
                wanted = "a number above 0" if above else "a number of 0 or more"
            if not fine:
                raise LabError(f"{name} cannot be {value!r}: give {wanted}.")
        if self.busy_share > 1:
            raise LabError(f"busy_share cannot be {self.busy_share:g}: it is a share, from 0 to 1.")


@dataclass(frozen=True)
class _Tariff:
    """What one way costs: so much a request, so much for each machine a month, so much whatever the volume."""

    usd_per_request: float
    usd_per_machine: float = 0.0
    usd_fixed: float = 0.0
    requests_per_machine: float = math.inf  # a whole number where it is finite

    def machines(self, requests: float) -> int:
        return max(1, math.ceil(requests / self.requests_per_machine))

    def usd(self, requests: float) -> float:
        return self.usd_per_request * requests + self.usd_per_machine * self.machines(requests) + self.usd_fixed


def _tariff(given: Assumptions, way: str) -> _Tariff:
    if way not in WAYS:
        raise LabError(f"There is no way {way!r}: choose from {', '.join(WAYS)}.")
    if way in WAYS[:2]:
        name = given.closed if way == "closed API" else given.hosted
        return _Tariff(_request(name, given.input_tokens_per_request, given.output_tokens_per_request))
    hands = given.hands_on_hours_per_month * given.usd_per_hands_on_hour
    if way == "rented GPU":
        return _Tariff(0.0, given.gpu_usd_per_hour * HOURS_PER_MONTH, hands, _capacity(given, "gpu"))
    kwh = _seconds_per_request(given, "own") / 3600 * given.machine_watts / 1000
    wear = given.machine_usd / given.machine_lifetime_months
    return _Tariff(kwh * given.electricity_usd_per_kwh, wear, hands, _capacity(given, "own"))


@functools.lru_cache(maxsize=256)
def _request(name: tuple[str, str], input_tokens: int, output_tokens: int) -> float:
    return request_usd(*name, input_tokens, output_tokens)


def _seconds_per_request(given: Assumptions, kind: str) -> float:
    reading = given.input_tokens_per_request / getattr(given, f"{kind}_prefill_tokens_per_s")
    return reading + given.output_tokens_per_request / getattr(given, f"{kind}_decode_tokens_per_s")


def _capacity(given: Assumptions, kind: str) -> float:
    """How many whole requests one machine answers in a month."""
    seconds = _seconds_per_request(given, kind)
    if not seconds:
        return math.inf
    if (whole := math.floor(HOURS_PER_MONTH * 3600 * given.busy_share / seconds)) < 1:
        raise LabError("One request would take longer than a machine works in a month: give more tokens per second.")
    return whole


def monthly_usd(given: Assumptions) -> dict[str, float]:
    """The cost of a month in USD, for each of `WAYS`.

    A service costs by the token. A GPU is rented for the whole month, and a machine of one's own is written off over
    its lifetime; of both as many as the volume needs. Electricity is paid for the seconds of work. Both take hands.
    """
    return {way: _tariff(given, way).usd(given.requests_per_month) for way in WAYS}


def machines_needed(given: Assumptions, kind: str) -> int:
    """How many machines the volume needs: `kind` is "gpu" (rented) or "own". At least one."""
    ways = {"gpu": "rented GPU", "own": "own machine"}
    if kind not in ways:
        raise LabError(f"There is no machine {kind!r}: choose from {', '.join(ways)}.")
    return _tariff(given, ways[kind]).machines(given.requests_per_month)


def curve(given: Assumptions, requests_per_month: Sequence[float]) -> pandas.DataFrame:
    """`monthly_usd` at several volumes: one row a volume, one column a way."""
    import pandas

    rows = [monthly_usd(replace(given, requests_per_month=volume)) for volume in requests_per_month]
    return pandas.DataFrame(rows, index=pandas.Index(requests_per_month, name="requests_per_month"))


def break_even_requests_per_month(given: Assumptions, way: str, other: str, *, most: float = 1e9) -> float | None:
    """The smallest whole number of requests a month, 1 or more, at which `other` costs no more than `way`.

    None when there is none up to `most`, or up to 10,000 machines. LabError for a way that is not in `WAYS`.

    Machines come in whole numbers, so costs climb in steps, and between two steps they are straight lines. Each stretch
    is looked at by its two ends; the first one where the order has turned is halved down to the request. Beyond it
    `way` may be cheaper again for a while: just after the next machine has been added.

    >>> break_even_requests_per_month(Assumptions(), "closed API", "rented GPU")
    273946.0
    """
    ours, theirs = _tariff(given, way), _tariff(given, other)

    def turned(requests: int) -> bool:
        return ours.usd(requests) >= theirs.usd(requests)

    start = 1
    while start <= most and max(ours.machines(start), theirs.machines(start)) <= _MOST_MACHINES:
        end = int(min(most, *(line.machines(start) * line.requests_per_machine for line in (ours, theirs))))
        if turned(start):
            return float(start)
        if turned(end):
            while end - start > 1:
                middle = (start + end) // 2
                start, end = (start, middle) if turned(middle) else (middle, end)
            return float(end)
        start = end + 1
    return None


def age_days(today: datetime.date) -> int:
    """How many days ago the row was read that has waited longest, in costs.toml or among the prices per token."""
    oldest = min(entry["seen"] for entry in _costs().values())
    return (today - min(oldest, AS_OF.date())).days


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
