"""What a request can end as: completions, or a failure with a code that says whose fault it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

# Transient: asked again with a backoff until the deadline, then ``deferred``.
RATE_LIMITED = "rate_limited"  # 429
UNAVAILABLE = "unavailable"  # 408, 5xx
NETWORK = "network"  # refused, reset, DNS, TLS
TIMEOUT = "timeout"  # our own limit for one attempt
INCOMPLETE = "incomplete"  # the stream ended before a finish_reason
TRANSIENT = frozenset({RATE_LIMITED, UNAVAILABLE, NETWORK, TIMEOUT, INCOMPLETE})

# Final for this run.
BAD_RESPONSE = "bad_response"  # a 200 that is not a completion
CONTENT_FILTER = "content_filter"  # the server withheld or cut the answer
REFUSED = "refused"  # another 4xx, or a redirect
UNAUTHORIZED = "unauthorized"  # 401, 403: opens the circuit breaker
NOT_FOUND = "not_found"  # 404, 405: wrong path or model, opens the circuit breaker
PAUSED = "paused"  # not asked: the circuit breaker is open
DEFERRED = "deferred"  # transient for longer than the deadline: a later run asks again

MAX_MESSAGE = 500  # characters of a server's own words that are kept
RAW_MESSAGE = 5000  # of which so many are looked at, so that a key at the end is cut with its rest


@dataclass(frozen=True)
class Failure:
    """Why there is no trace. ``cause`` is the transient code behind ``deferred``."""

    code: str
    message: str
    status: int | None = None
    cause: str = ""
    attempts: int = 1

    @property
    def transient(self) -> bool:
        return self.code in TRANSIENT

    @property
    def closes_endpoint(self) -> bool:
        """True when no other request to this endpoint can fare better."""
        return self.code in {UNAUTHORIZED, NOT_FOUND}


class TeacherError(Exception):
    """A request that ended in a failure. ``retry_after`` is the server's wish in seconds."""

    def __init__(self, failure: Failure, retry_after: float | None = None) -> None:
        super().__init__(f"{failure.code}: {failure.message}")
        self.failure = failure
        self.retry_after = retry_after

    def after(self, attempts: int) -> TeacherError:
        """The same error, counting the attempts that led to it."""
        return TeacherError(replace(self.failure, attempts=attempts), self.retry_after)


def fail(code: str, message: str, status: int | None = None) -> TeacherError:
    """A TeacherError with the server's words, not yet scrubbed of a key it may have echoed."""
    return TeacherError(Failure(code, clean(message, RAW_MESSAGE), status))


def clean(message: str, limit: int = MAX_MESSAGE) -> str:
    """A server's words made safe to store: no NUL, no lone surrogate, at most ``limit`` long."""
    text = message.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:limit]
    return text.encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True)
class Usage:
    """Tokens of one request, all choices, as the server counted; ``None``: it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None

    @property
    def total(self) -> int:
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)

    def as_dict(self) -> dict[str, int]:
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Completion:
    """One finished choice. ``text`` is exact: never stripped, never normalised.

    ``metadata`` says how the text was composed when reasoning came in a field of its own.
    """

    text: str
    finish_reason: str
    index: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def truncated(self) -> bool:
        """The server stopped at the token limit; kept, marked, never asked again by itself."""
        return self.finish_reason == "length"


@dataclass(frozen=True)
class Answer:
    """All that one request brought: a completion or a failure for each choice, in order."""

    choices: tuple[Completion | Failure, ...]
    usage: Usage = Usage()
    model: str = ""
    system_fingerprint: str = ""
    response_id: str = ""
    latency: float = 0.0  # seconds of the attempt that succeeded
    attempts: int = 1
    raw: dict[str, Any] = field(default_factory=dict)  # only when the request asked to keep it
