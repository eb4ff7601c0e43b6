"""Verifiers: response and reference in, verdict out. No database, nothing heavy at import.

>>> from curation.verifiers import verify
>>> verify("math", r"so it is \\boxed{\\frac12}", "0.5").verdict
'correct'

To add one, write a file with a class that has ``name``, ``version`` and ``check`` (see
``base.Verifier``) and give it a line in ``VERIFIERS``.
"""

from __future__ import annotations

from typing import Any

from . import deadline
from .base import MAX_RESPONSE, Verdict, Verifier, error, incorrect
from .choice import ChoiceVerifier
from .code import CodeVerifier
from .exact import ExactVerifier
from .format import FormatVerifier
from .logic import LogicVerifier
from .math import MathVerifier
from .numeric import NumericVerifier
from .patterns import JsonSchemaVerifier, RegexVerifier

__all__ = ["VERIFIERS", "Verdict", "Verifier", "verify"]

MAX_DEADLINE = 3_600.0

VERIFIERS: dict[str, Verifier] = {
    "math": MathVerifier(),
    "exact": ExactVerifier(),
    "numeric": NumericVerifier(),
    "choice": ChoiceVerifier(),
    "code": CodeVerifier(),
    "logic": LogicVerifier(),
    "regex": RegexVerifier(),
    "json_schema": JsonSchemaVerifier(),
    "format": FormatVerifier(),
}


def verify(kind: str, response: str, reference: str | None, **options: Any) -> Verdict:
    """Judge a response with the verifier ``kind``; never raises for any text.

    ``kind`` is a key of ``VERIFIERS``; an unknown one is an ``error`` verdict with reason
    ``unknown_kind``. ``options`` are the verifier's own; unknown ones are ignored. ``deadline`` is
    for all of them: seconds that the verdict may cost, after which it is an ``error``, ``timeout``.
    """
    verifier = VERIFIERS.get(kind)
    if verifier is None:
        return error("unknown_kind", kind=str(kind)[:100])
    if len(response) > MAX_RESPONSE:
        return incorrect("extraction", "too_long")
    seconds = options.pop("deadline", None)
    if not isinstance(seconds, int | float) or not 0 < seconds < MAX_DEADLINE:
        return verifier.check(response, reference, **options)
    with deadline.within(float(seconds)):
        verdict = verifier.check(response, reference, **options)
        if deadline.is_over() and verdict.verdict != "correct":
            return error("timeout", limit_s=seconds)
    return verdict
