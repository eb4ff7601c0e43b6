"""What every verifier takes and gives. Imports nothing outside the standard library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

VerdictValue = Literal["correct", "incorrect", "unverifiable", "error"]
VERDICT_VALUES: tuple[VerdictValue, ...] = ("correct", "incorrect", "unverifiable", "error")
# A response or reference longer than this is refused rather than scanned (characters).
MAX_RESPONSE = 20_000_000
MAX_REFERENCE = 20_000
# Extracted answers are shown and stored; a longer one is no final answer.
MAX_EXTRACTED = 2_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one response.

    ``verdict``: ``correct``, ``incorrect`` (the response is to blame: wrong, ``no_answer``,
    ``truncated``), ``unverifiable`` (the problem is to blame: ``no_reference``,
    ``bad_reference``) or ``error`` (we are to blame: ``timeout``, ``crashed``,
    ``verifier_unreachable``, ``overloaded``), which is never counted as incorrect.
    ``score``: 0..1 for correct and incorrect, None for the other two.
    ``method``: what decided it; ``reason``: a stable code, empty for a plain comparison.
    ``extracted``: the final answer read from the response, None where there was none.
    ``detail``: JSON-able evidence for people.
    """

    verdict: VerdictValue
    score: float | None = None
    method: str = ""
    reason: str = ""
    extracted: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The verdict as a JSON object, one key per field."""
        return {
            "verdict": self.verdict,
            "score": self.score,
            "method": self.method,
            "reason": self.reason,
            "extracted": self.extracted,
            "detail": self.detail,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        """The inverse of :meth:`as_dict`; ValueError for anything that is not a verdict."""
        if data.get("verdict") not in VERDICT_VALUES:
            raise ValueError("not a verdict")
        return cls(
            verdict=data["verdict"],
            score=None if data.get("score") is None else float(data["score"]),
            method=str(data.get("method", "")),
            reason=str(data.get("reason", "")),
            extracted=None if data.get("extracted") is None else str(data["extracted"]),
            detail=dict(data.get("detail") or {}),
        )


@runtime_checkable
class Verifier(Protocol):
    """One way of judging a response against a reference.

    ``version`` changes whenever the same input could get another verdict; it is part of the
    key under which verdicts are stored. ``check`` never raises for any text.
    """

    @property
    def name(self) -> str:
        """Its key in ``VERIFIERS``."""
        ...

    @property
    def version(self) -> str:
        """Its version; at most 64 characters."""
        ...

    def check(self, response: str, reference: str | None, **options: Any) -> Verdict:
        """Judge ``response``; unknown options are ignored."""
        ...


def correct(method: str, extracted: str, **detail: Any) -> Verdict:
    """A response whose answer equals the reference."""
    return Verdict("correct", 1.0, method, "", extracted, detail)


def incorrect(
    method: str, reason: str = "", extracted: str | None = None, **detail: Any
) -> Verdict:
    """A response whose answer differs, is missing or was cut off."""
    return Verdict("incorrect", 0.0, method, reason, extracted, detail)


def unverifiable(reason: str, extracted: str | None = None, **detail: Any) -> Verdict:
    """Nothing to compare with."""
    return Verdict("unverifiable", None, "", reason, extracted, detail)


def error(reason: str, extracted: str | None = None, method: str = "", **detail: Any) -> Verdict:
    """Our own failure: to be tried again, never counted as incorrect."""
    return Verdict("error", None, method, reason, extracted, detail)
