"""The meter with methods that end as no gateway can be told to; test_inference_client.py has it with real clients."""

from __future__ import annotations

from types import SimpleNamespace

import httpx2
import pytest

from labkit.world import spending

GROQ = {"provider": "huggingface_groq", "model": "openai/gpt-oss-20b"}
IN, OUT = 0.1e-6, 0.5e-6  # USD a token, as tests/facts/test_pricing.py has them
MESSAGES = [{"role": "user", "content": "Hi"}]


def meter(cap: float = 1) -> spending.SpendMeter:
    return spending.SpendMeter(cap, **GROQ)


def used(prompt: int, completion: int) -> SimpleNamespace:
    return SimpleNamespace(usage=SimpleNamespace(prompt_tokens=prompt, completion_tokens=completion))


def test_the_worst_case_by_hand():
    sent = len('[[{"role": "user", "content": "Hi"}], {}]') + 64  # a token a byte, and the template's
    assert meter().worst_case_usd(messages=MESSAGES, max_tokens=10) == pytest.approx(sent * IN + 10 * OUT)
    assert meter().worst_case_usd(messages=MESSAGES, max_tokens=10, n=3) == pytest.approx(sent * IN + 30 * OUT)
    more = len('"stop": "ß"'.encode())
    found = meter().worst_case_usd(messages=MESSAGES, max_tokens=10, stop="ß")
    assert found == pytest.approx((sent + more) * IN + 10 * OUT)


def test_what_is_left_is_enough_and_a_hair_less_is_not():
    worst = meter().worst_case_usd(messages=MESSAGES, max_tokens=10)
    just = meter(worst)
    assert just.call(lambda **sent: used(7, 2), MESSAGES, max_tokens=10).usage.prompt_tokens == 7
    assert just.spent_usd == pytest.approx(7 * IN + 2 * OUT)
    assert just.left_usd == pytest.approx(worst - just.spent_usd)
    calls = []
    with pytest.raises(spending.CapReached, match="are left; ask for fewer max_tokens"):
        meter(worst * (1 - 1e-9)).call(lambda **sent: calls.append(sent), MESSAGES, max_tokens=10)
    assert calls == []


def answered(status: int) -> Exception:
    return httpx2.HTTPStatusError("", request=None, response=httpx2.Response(status))


@pytest.mark.parametrize(
    ("problem", "billed"),
    [
        *((answered(status), False) for status in (400, 429, 499, 503)),
        *((answered(status), True) for status in (500, 502, 504)),
        *((error, False) for error in (httpx2.ConnectError(""), TypeError(), ValueError())),
        *((error, True) for error in (httpx2.ReadTimeout(""), httpx2.RemoteProtocolError(""), KeyboardInterrupt())),
    ],
    ids=lambda value: repr(getattr(getattr(value, "response", None), "status_code", value)),
)
def test_what_may_have_been_billed_stays_counted(problem, billed):
    def fails(**sent):
        raise problem

    counted = meter()
    with pytest.raises(type(problem)):
        counted.call(fails, MESSAGES, max_tokens=10)
    worst = counted.worst_case_usd(messages=MESSAGES, max_tokens=10)
    assert counted.spent_usd == pytest.approx(worst if billed else 0)
    assert counted.left_usd == pytest.approx(1 - counted.spent_usd) and counted.calls == 1


def test_a_stream_is_counted_at_its_end_and_asks_for_its_usage():
    def streams(messages, **options):
        assert options["stream_options"] == {"chunk": 1, "include_usage": True}
        return iter([SimpleNamespace(usage=None), used(7, 2), SimpleNamespace(usage=None)])

    counted = meter()
    options = {"max_tokens": 10, "stream": True, "stream_options": {"chunk": 1}}
    sent = {**options, "stream_options": {"chunk": 1, "include_usage": True}}
    worst = counted.worst_case_usd(messages=MESSAGES, **sent)
    stream = counted.call(streams, MESSAGES, **options)
    assert (counted.calls, counted.spent_usd) == (0, 0) and counted.left_usd == pytest.approx(1 - worst)
    assert len(list(stream)) == 3
    assert counted.calls == 1 and counted.spent_usd == pytest.approx(7 * IN + 2 * OUT)
    assert counted.left_usd == pytest.approx(1 - counted.spent_usd)
    broken = counted.call(streams, MESSAGES, **options)
    next(broken)
    broken.close()  # the reader went away before the usage came
    assert counted.spent_usd == pytest.approx(7 * IN + 2 * OUT + worst) and counted.calls == 2
