"""What a month of answers costs: a closed service, a hosted open model, a rented GPU, a machine of one's own.

Prices come from `facts.pricing`; every other assumption is a field of `Assumptions`. How many machines a volume needs,
and the hours that somebody spends on them, stand beside the dollars. Knows nothing of quality.
"""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from labkit.base.errors import LabError
from labkit.facts import pricing

if TYPE_CHECKING:
    import pandas

HOURS_PER_MONTH = 730
SERVICES = ("closed API", "hosted open model")
MACHINES = ("rented GPU", "own machine")
WAYS = SERVICES + MACHINES


def _cost(name: str) -> Any:
    return field(default_factory=lambda: pricing.cost(name).value)


@dataclass(frozen=True)
class Assumptions:
    """Everything that decides the four costs. The defaults are an example, not advice: change them with `replace`.

    Of a machine's speeds, `single` is how fast it writes for one user alone, and decides how long that user waits;
    `batched` is what it writes for all who ask at once, and decides how many machines a volume needs. `busy_share` is
    how much of the month a machine may work: requests come in waves, and it must cope with their crest.
    `cached_share` of the tokens in and `batch` lower the price of services where they have such a price; machines are
    computed without a cache. Thinking tokens are written and paid for before the answer, whichever way.
    LabError for what cannot be: a negative price, a speed of 0, a share above 1, words for numbers.
    """

    requests_per_month: float = 10_000
    input_tokens_per_request: int = 1_000
    output_tokens_per_request: int = 300
    thinking_tokens_per_request: int = 0
    cached_share: float = 0.0
    batch: bool = False
    closed: tuple[str, str] = ("openai", "gpt-6.1-terra")
    hosted: tuple[str, str] = ("together", "Qwen/Qwen3.5-9B")
    gpu_prefill_tokens_per_s: float = _cost("gpu_reading")
    gpu_single_tokens_per_s: float = _cost("gpu_writing_single")
    gpu_batched_tokens_per_s: float = _cost("gpu_writing_batched")
    gpu_usd_per_hour: float = _cost("a100_80gb_rented")
    own_prefill_tokens_per_s: float = _cost("own_reading")
    own_single_tokens_per_s: float = _cost("own_writing_single")
    own_batched_tokens_per_s: float = _cost("own_writing_batched")
    machine_usd: float = _cost("workstation")
    machine_lifetime_months: float = _cost("workstation_lifetime")
    machine_watts: float = _cost("workstation_power")
    electricity_usd_per_kwh: float = _cost("electricity")
    busy_share: float = 0.3
    hands_on_hours_per_machine: float = 4
    usd_per_hands_on_hour: float = 50

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            fine, wanted = _fits(name, value)
            if not fine:
                raise LabError(f"{name} cannot be {value!r}: give {wanted}.")
        for name in ("busy_share", "cached_share"):
            if getattr(self, name) > 1:
                raise LabError(f"{name} cannot be {getattr(self, name):g}: it is a share, from 0 to 1.")


def _fits(name: str, value: Any) -> tuple[bool, str]:
    """Whether a field may have this value, and what it asks for."""
    if name in ("closed", "hosted"):
        return isinstance(value, tuple) and [*map(type, value)] == [str, str], "(provider, model)"
    if name == "batch":
        return isinstance(value, bool), "True or False"
    number = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if name.endswith("_per_s") or name in ("machine_lifetime_months", "busy_share"):
        return number and value > 0, "a number above 0"
    return number and value >= 0, "a number of 0 or more"


@dataclass(frozen=True)
class Bill:
    """A month of one way: dollars, machines, and the hours of somebody's hands that are part of the dollars.

    A service has no machine and no hours here: calling it takes work too, and is not counted for any way.
    """

    usd: float
    machines: int = 0
    hands_on_hours: float = 0.0


@dataclass(frozen=True)
class _Tariff:
    """What one way costs: so much a request, so much for each machine a month."""

    usd_per_request: float
    usd_per_machine: float = 0.0
    requests_per_machine: float = math.inf  # a whole number where it is finite

    def machines(self, requests: float) -> int:
        return max(1, math.ceil(requests / self.requests_per_machine))


def month(given: Assumptions) -> dict[str, Bill]:
    """The bill of a month for each of `WAYS`.

    A service costs by the token. A GPU is rented for the whole month, and a machine of one's own is written off over
    its lifetime; of both as many as the volume needs, and each takes its hours. Electricity is paid for the seconds of
    work, as if requests were answered at the batched speed.
    """
    bills = {way: Bill(_service(given, way) * given.requests_per_month) for way in SERVICES}
    for way in MACHINES:
        tariff = _machine(given, way)
        count = tariff.machines(given.requests_per_month)
        usd = tariff.usd_per_request * given.requests_per_month + tariff.usd_per_machine * count
        bills[way] = Bill(usd, count, count * given.hands_on_hours_per_machine)
    return bills


def table(given: Assumptions, requests_per_month: Sequence[float]) -> pandas.DataFrame:
    """`month` at several volumes: one row a volume and a way, with dollars, machines and hands-on hours."""
    import pandas

    rows = {
        (f"{volume:,.0f}", way): {"USD": bill.usd, "machines": bill.machines, "hours": bill.hands_on_hours}
        for volume in requests_per_month
        for way, bill in month(replace(given, requests_per_month=volume)).items()
    }
    return pandas.DataFrame.from_dict(rows, orient="index").rename_axis(["requests", "way"])


def break_even(given: Assumptions, service: str, machine: str) -> int | None:
    """The smallest number of requests a month, 1 or more, at which `machine` costs no more than `service`.

    None when there is none, at any volume: then even a machine that is never idle costs more a request
    (`full_machine_usd`). The first machine decides, since each further one costs the same and begins empty; so just
    after it has been added, the service may be cheaper again for a while. LabError for another way.

    >>> break_even(Assumptions(closed=("openai", "gpt-6-astra")), "closed API", "rented GPU")
    60268
    """
    price, tariff = _service(given, service), _machine(given, machine)
    saved = price - tariff.usd_per_request
    if saved <= 0:
        return 1 if saved == 0 == tariff.usd_per_machine else None
    requests = max(1, math.ceil(tariff.usd_per_machine / saved))
    return requests if requests <= tariff.requests_per_machine else None


def full_machine_usd(given: Assumptions, machine: str) -> float:
    """What a request costs in USD on a machine that answers as many as it can: no volume makes it cheaper."""
    tariff = _machine(given, machine)
    return tariff.usd_per_request + tariff.usd_per_machine / tariff.requests_per_machine


def seconds_per_answer(given: Assumptions, machine: str) -> float:
    """How long one user alone waits for a whole answer, in seconds, at the machine's single-user speed."""
    return _seconds(given, machine, "single")


def _service(given: Assumptions, way: str) -> float:
    """What one request costs at a service, in USD."""
    if way not in SERVICES:
        raise LabError(f"There is no service {way!r}: choose from {', '.join(SERVICES)}.")
    name = given.closed if way == "closed API" else given.hosted
    cached = math.floor(given.cached_share * given.input_tokens_per_request)
    written = given.output_tokens_per_request + given.thinking_tokens_per_request
    return _request(name, given.input_tokens_per_request, written, cached, given.batch)


@functools.lru_cache(maxsize=256)
def _request(name: tuple[str, str], read: int, written: int, cached: int, batch: bool) -> float:
    batch = batch and pricing.has_batch_price(*name)
    return pricing.request_usd(*name, read, written, cached_tokens=cached, batch=batch)


def _machine(given: Assumptions, way: str) -> _Tariff:
    capacity, hands = _capacity(given, way), given.hands_on_hours_per_machine * given.usd_per_hands_on_hour
    if way == "rented GPU":
        return _Tariff(0.0, given.gpu_usd_per_hour * HOURS_PER_MONTH + hands, capacity)
    kwh = _seconds(given, way, "batched") / 3600 * given.machine_watts / 1000
    wear = given.machine_usd / given.machine_lifetime_months
    return _Tariff(kwh * given.electricity_usd_per_kwh, wear + hands, capacity)


def _seconds(given: Assumptions, way: str, speed: str) -> float:
    """Seconds of a machine for one request, at its `single` or its `batched` speed of writing."""
    if way not in MACHINES:
        raise LabError(f"There is no machine {way!r}: choose from {', '.join(MACHINES)}.")
    kind = "gpu" if way == "rented GPU" else "own"
    written = given.output_tokens_per_request + given.thinking_tokens_per_request
    reading = given.input_tokens_per_request / getattr(given, f"{kind}_prefill_tokens_per_s")
    return reading + written / getattr(given, f"{kind}_{speed}_tokens_per_s")


def _capacity(given: Assumptions, way: str) -> float:
    """How many whole requests one machine answers in a month."""
    seconds = _seconds(given, way, "batched")
    if not seconds:
        return math.inf
    if (whole := math.floor(HOURS_PER_MONTH * 3600 * given.busy_share / seconds)) < 1:
        raise LabError("One request would take longer than a machine works in a month: give more tokens per second.")
    return whole
