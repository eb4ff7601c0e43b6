"""Waiting: Retry-After, backoff, per-minute windows and the circuit breaker, on a fake clock."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.teachers import outcome
from curation.teachers.outcome import Failure, TeacherError
from curation.teachers.pacing import (
    CircuitBreaker,
    Clock,
    Limits,
    RateWindow,
    backoff,
    parse_retry_after,
    wait_before_retry,
)

LATER = "Sun, 06 Nov 1994 08:49:37 GMT"
WALL = 784111717.0  # one minute before LATER


class FakeClock:
    """Time that passes only by sleeping; sleepers wake in order."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def clock(self) -> Clock:
        return Clock(now=lambda: self.time, wall=lambda: self.time, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("1000000000", 1e9),
        ("9" * 400, 1e9),
        ("-5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("١٢", None),
        ("NaN", None),
        ("inf", None),
        ("1e9", None),
        ("Sun, 99 Foo 1994 08:49:37 GMT", None),
        (LATER, 60.0),
        ("Sun, 06 Nov 1994 08:40:00 GMT", 0.0),
        ("Sun Nov  6 08:49:37 1994", 60.0),
    ],
)
def test_retry_after_is_seconds_a_date_or_nothing(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, None, WALL) == seconds


def test_a_date_is_read_against_the_servers_own_clock() -> None:
    assert parse_retry_after(LATER, "Sun, 06 Nov 1994 08:49:27 GMT", WALL + 86400) == 10.0


@given(st.text(max_size=60), st.none() | st.text(max_size=40))
def test_any_header_gives_a_wait_that_is_finite_and_not_negative(
    value: str, date: str | None
) -> None:
    seconds = parse_retry_after(value, date, WALL)
    assert seconds is None or 0 <= seconds < float("inf")


def test_backoff_grows_is_jittered_and_stays_under_its_cap() -> None:
    limits, rng = Limits(backoff_base=1, backoff_cap=8), random.Random(1)
    waits = {a: [backoff(a, limits, rng) for _ in range(200)] for a in (1, 2, 3, 4, 9, 2000)}
    for attempt, ceiling in ((1, 1), (2, 2), (3, 4), (4, 8), (9, 8), (2000, 8)):
        assert ceiling / 2 <= min(waits[attempt]) < max(waits[attempt]) <= ceiling


def test_the_server_is_waited_for_longer_than_backoff_but_not_for_ever() -> None:
    limits, rng = Limits(retry_after_cap=90), random.Random(1)
    assert wait_before_retry(1, 30.0, limits, rng) == 30.0
    assert wait_before_retry(1, 1e9, limits, rng) == 90
    assert 0 < wait_before_retry(1, None, limits, rng) <= limits.backoff_base


@pytest.mark.parametrize(
    "given",
    [
        {"speed": 1},
        {"concurrency": 0},
        {"deadline": -1},
        {"deadline": True},
        {"max_attempts": "3"},
        {"deadline": float("inf")},
    ],
)
def test_limits_that_make_no_sense_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Limits.from_dict(given)


def run_requests(
    requests: int, tokens: int, jobs: list[tuple[int, int, float]]
) -> list[tuple[float, float, int]]:
    """Run (guess, used, seconds) jobs at once; returns (start, end, used) of each."""
    fake, log = FakeClock(), []

    async def one(window: RateWindow, guess: int, used: int, seconds: float) -> None:
        reservation = await window.reserve(guess)
        start = fake.time
        if seconds:
            await fake.sleep(seconds)
        reservation.settle(used)
        log.append((start, fake.time, used))

    async def main() -> None:
        window = RateWindow(requests, tokens, fake.clock())
        await asyncio.gather(*(one(window, *job) for job in jobs))

    asyncio.run(asyncio.wait_for(main(), 20))
    return log


@given(st.integers(1, 5), st.integers(1, 25))
@settings(max_examples=40, deadline=None)
def test_no_minute_ever_holds_more_requests_than_allowed(limit: int, count: int) -> None:
    starts = sorted(start for start, _, _ in run_requests(limit, 0, [(1, 1, 0.0)] * count))
    assert len(starts) == count
    for start in starts:
        assert sum(start <= other < start + 60 for other in starts) <= limit


@given(st.lists(st.tuples(st.integers(1, 40), st.floats(0, 30)), min_size=1, max_size=15))
@settings(max_examples=60, deadline=None)
def test_no_minute_ever_holds_more_tokens_than_allowed(jobs: list[tuple[int, float]]) -> None:
    """Whichever moment of a request the server counts its tokens at: here its end."""
    log = run_requests(0, 100, [(used + 5, used, seconds) for used, seconds in jobs])
    assert len(log) == len(jobs)
    ends = [(end, used) for _, end, used in log]
    for end, _ in ends:
        assert sum(used for other, used in ends if end <= other < end + 60) <= 100


def test_a_request_larger_than_the_whole_limit_goes_alone_instead_of_never() -> None:
    log = run_requests(0, 10, [(500, 400, 1.0), (5, 5, 1.0)])
    assert [used for _, _, used in log] == [400, 5]
    assert log[1][0] >= log[0][1] + 60


def test_a_hold_delays_everybody() -> None:
    fake = FakeClock()

    async def main() -> None:
        window = RateWindow(0, 0, fake.clock())
        window.hold(25)
        await window.reserve(1)

    asyncio.run(main())
    assert fake.time == 1025.0


def test_the_breaker_opens_at_once_for_a_refused_key_and_says_why() -> None:
    breaker = CircuitBreaker(refusals_to_open=3, outages_to_open=2)
    breaker.check()
    breaker.failed(Failure(outcome.UNAUTHORIZED, "HTTP 401: no", 401))
    with pytest.raises(TeacherError, match="HTTP 401") as caught:
        breaker.check()
    assert caught.value.failure.code == outcome.PAUSED


def test_the_breaker_needs_a_row_of_refusals_or_outages_without_success() -> None:
    breaker = CircuitBreaker(refusals_to_open=3, outages_to_open=2)
    for _ in range(5):
        breaker.failed(Failure(outcome.REFUSED, "x", 400))
        breaker.failed(Failure(outcome.DEFERRED, "x"))
        breaker.succeeded()
        breaker.failed(Failure(outcome.BAD_RESPONSE, "x"))
    assert breaker.reason is None
    breaker.failed(Failure(outcome.DEFERRED, "gone"))
    breaker.failed(Failure(outcome.DEFERRED, "gone"))
    with pytest.raises(TeacherError) as caught:
        breaker.check()
    assert caught.value.failure.code == outcome.DEFERRED
