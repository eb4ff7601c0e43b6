"""When to ask: clocks, Retry-After, backoff, per-minute limits and the circuit breaker."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from curation.teachers.outcome import DEFERRED, PAUSED, REFUSED, Failure, TeacherError

WINDOW = 60.0  # seconds: "per minute"


@dataclass(frozen=True)
class Clock:
    """Monotonic seconds, wall seconds and sleeping; tests put a fake here."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True)
class Limits:
    """How hard an endpoint may be pressed, and how long it may make us wait. Times in seconds.

    ``tokens_per_minute`` counts prompt and completion tokens; 0 means no limit. ``deadline`` is for
    one request with all its retries, ``attempt_timeout`` for one try from connect to last byte.
    """

    concurrency: int = 16
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    max_attempts: int = 8
    max_cut_retries: int = 1
    deadline: float = 3600.0
    attempt_timeout: float = 1800.0
    connect_timeout: float = 10.0
    idle_timeout: float = 180.0
    backoff_base: float = 0.5
    backoff_cap: float = 60.0
    retry_after_cap: float = 120.0
    max_body: int = 20 * 1024 * 1024
    refusals_to_open: int = 20
    outages_to_open: int = 5

    @classmethod
    def from_dict(cls, given: dict[str, object] | None) -> Limits:
        """Build from JSON; unknown names or values that are not positive raise ValueError."""
        values = dict(given or {})
        for name, value in values.items():
            known = cls.__dataclass_fields__.get(name)
            if known is None:
                raise ValueError(f"unknown limit {name!r}")
            number = isinstance(value, int | float) and not isinstance(value, bool)
            lowest = 0 if name.endswith(("_minute", "_retries", "_base")) else 1e-3
            if not number or not lowest <= value < math.inf:  # type: ignore[operator]
                raise ValueError(f"{name} must be a number of at least {lowest}, not {value!r}")
        return cls(**values)  # type: ignore[arg-type]


def parse_retry_after(value: str | None, date: str | None, wall: float) -> float | None:
    """Seconds a server asks us to wait: RFC 9110 delta-seconds or HTTP-date; None for garbage.

    A date is read against the server's own ``Date`` header where there is one, so that two clocks
    that differ do not matter.
    """
    if value is None or not (text := value.strip()):
        return None
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return min(float(text), 1e9)
    until = _http_date(text)
    if until is None:
        return None
    base = _http_date(date) if date else None
    return max(0.0, until - (wall if base is None else base))


def _http_date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def backoff(attempt: int, limits: Limits, rng: random.Random) -> float:
    """Exponential backoff with full jitter over its upper half; ``attempt`` counts from 1."""
    ceiling = min(limits.backoff_cap, limits.backoff_base * 2.0 ** min(attempt - 1, 30))
    return ceiling * (0.5 + rng.random() / 2)


def wait_before_retry(
    attempt: int, retry_after: float | None, limits: Limits, rng: random.Random
) -> float:
    """The larger of what the server asked for (capped) and our own backoff, in seconds."""
    asked = min(retry_after or 0.0, limits.retry_after_cap)
    return max(asked, backoff(attempt, limits, rng))


class Reservation:
    """Room taken in a rate window; ``settle`` puts the real token count in place of the guess."""

    def __init__(self, window: RateWindow, tokens: int) -> None:
        self._window, self.tokens = window, tokens

    def settle(self, tokens: int) -> None:
        self._window.settle(self.tokens, tokens)


class RateWindow:
    """Sliding 60-second window over requests and tokens: no window ever holds more than allowed.

    Tokens count from the reservation until 60 s after the answer, because servers differ in when
    they count. A single request above the whole limit is let through alone, else it would wait
    for ever.
    """

    def __init__(self, requests: int, tokens: int, clock: Clock) -> None:
        self._requests, self._tokens, self._clock = requests, tokens, clock
        self._starts: deque[float] = deque()
        self._spent: deque[tuple[float, int]] = deque()
        self._spent_sum = 0
        self._in_flight = 0
        self._turn = asyncio.Lock()
        self._settled = asyncio.Event()
        self._hold_until = -math.inf

    def hold(self, seconds: float) -> None:
        """Send nothing for ``seconds``: the server told one of us to wait."""
        self._hold_until = max(self._hold_until, self._clock.now() + seconds)

    async def reserve(self, tokens: int) -> Reservation:
        """Wait for room, in order of arrival, then take it."""
        async with self._turn:
            while (delay := self._delay(tokens)) > 0:
                await self._pause(delay)
            if self._requests:
                self._starts.append(self._clock.now())
            self._in_flight += tokens
        return Reservation(self, tokens)

    async def _pause(self, delay: float) -> None:
        if math.isfinite(delay):
            await self._clock.sleep(delay)
        else:  # only an answer in flight can make room
            self._settled.clear()
            await self._settled.wait()

    def settle(self, reserved: int, used: int) -> None:
        self._in_flight -= reserved
        if self._tokens and used:
            self._spent.append((self._clock.now(), used))
            self._spent_sum += used
        self._settled.set()

    def _delay(self, tokens: int) -> float:
        now = self._clock.now()
        self._forget(now)
        return max(self._hold_until - now, self._request_delay(now), self._token_delay(now, tokens))

    def _forget(self, now: float) -> None:
        while self._starts and self._starts[0] <= now - WINDOW:
            self._starts.popleft()
        while self._spent and self._spent[0][0] <= now - WINDOW:
            self._spent_sum -= self._spent.popleft()[1]

    def _request_delay(self, now: float) -> float:
        if not self._requests or len(self._starts) < self._requests:
            return 0.0
        return self._starts[0] + WINDOW - now

    def _token_delay(self, now: float, tokens: int) -> float:
        busy = self._in_flight + self._spent_sum
        if not self._tokens or not busy or busy + tokens <= self._tokens:
            return 0.0
        return self._spent[0][0] + WINDOW - now if self._spent else math.inf


class CircuitBreaker:
    """Stops asking an endpoint that refuses everybody or has gone away.

    401, 403 and 404 open it at once; other refusals and outages after a row of them without a
    single success between. Whoever resumes it makes a new client.
    """

    def __init__(self, refusals_to_open: int, outages_to_open: int) -> None:
        self._allowed = {REFUSED: refusals_to_open, DEFERRED: outages_to_open}
        self._row: dict[str, int] = {}
        self.reason: Failure | None = None

    def check(self) -> None:
        """Raise TeacherError(paused, or deferred after an outage) when open."""
        if self.reason is not None:
            code = DEFERRED if self.reason.code == DEFERRED else PAUSED
            message = f"not asked: {self.reason.message}"
            raise TeacherError(Failure(code, message, self.reason.status, self.reason.code, 0))

    def succeeded(self) -> None:
        self._row.clear()

    def failed(self, failure: Failure) -> None:
        """Count a request's final failure."""
        self._row[failure.code] = self._row.get(failure.code, 0) + 1
        enough = self._row[failure.code] >= self._allowed.get(failure.code, math.inf)
        if self.reason is None and (failure.closes_endpoint or enough):
            self.reason = failure
