"""A trace without its cuts: what is left, how the seams read, what a verifier says of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from django.conf import settings

from curation.models import Problem, Trace
from curation.sandbox.client import VerifierClient
from curation.segmentation import Cut, Derived, apply_cuts
from curation.traces import store_derived
from curation.verification import reference_of

GRACE = 5.0  # seconds that the service may take beyond the verdict's own limit
SEAM = 240  # characters shown on each side of a seam
SEAMS = 60


def prune(text: str, cuts: list[dict[str, Any]]) -> Derived:
    """What is left after the cuts; ``condense`` puts its shorter text where the range stood.

    ``kept`` are ranges of the parent's text, ``insertions`` (position in the result, text).
    Raises ValueError when cuts overlap or lie outside.
    """
    dropped = apply_cuts(text, [Cut(c["start"], c["end"], c.get("reason", "")) for c in cuts])
    condensed = [c for c in sorted(cuts, key=lambda c: int(c["start"])) if c.get("text")]
    if not condensed:
        return dropped
    pieces, insertions, size = [], [], 0
    gaps = dict(dropped.insertions)
    old = 0  # position in the text that has no condensed parts
    waiting = list(condensed)
    bounds = [*dropped.kept, (len(text), len(text))]
    for start, end in bounds:
        put = ""
        while waiting and waiting[0]["end"] <= start:
            put += waiting.pop(0)["text"]
        gap = gaps.get(old, "")
        if put:
            put += gap or ("\n\n" if "\n" in text[max(0, start - 2) : start] else " ")
        else:
            put = gap
        if put:
            insertions.append((size, put))
        pieces.append(put + text[start:end])
        size += len(put) + end - start
        old += len(gap) + end - start
    return Derived("".join(pieces), dropped.kept, tuple(insertions))


def derive(trace: Trace, cuts: list[dict[str, Any]]) -> Trace:
    """The stored derived trace of these checked cuts."""
    return store_derived(trace, prune(trace.text, cuts), cuts)


def seams(text: str, cuts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How the text reads where something was cut: the words before and after, what is put there."""
    kept = prune(text, cuts).kept
    return [
        {"at": end, "before": text[max(start, end - SEAM) : end],
         "after": text[then : min(last, then + SEAM)], "dropped": then - end,
         "put": "".join(c.get("text") or "" for c in cuts if end <= c["start"] < then)}
        for (start, end), (then, last) in pairwise(kept[: SEAMS + 1])
    ]  # fmt: skip


def options_of(problem: Problem) -> dict[str, Any]:
    """What the verifier of a problem is given besides the text, as the job ``verify`` does."""
    own = (problem.metadata or {}).get("verifier_options")
    options = dict(own) if isinstance(own, dict) else {}
    if problem.kind == "choice" and problem.choices:
        options["choices"] = problem.choices
    if problem.kind == "code":
        options |= {"tests": problem.tests, "prompt": problem.text}
    return options


def judge(problem: Problem, text: str) -> dict[str, Any]:
    """What the verifier says of a text that is not stored: verdict, score, reason, answer."""
    code = problem.kind == "code"
    item: dict[str, Any] = {
        "kind": problem.kind,
        "response": text,
        "reference": problem.reference_solution if code else reference_of(problem),
        "options": options_of(problem) | {"deadline": settings.TOOL_SECONDS},
    }
    with VerifierClient(attempts=1, timeout=settings.TOOL_SECONDS + GRACE) as client:
        (verdict,) = client.verify_batch([item])
    return {"verdict": verdict.verdict, "score": verdict.score, "reason": verdict.reason,
            "extracted": verdict.extracted}  # fmt: skip


def preview(trace: Trace, cuts: list[dict[str, Any]], judged: bool = True) -> dict[str, Any]:
    """Verdict, length and seams of the trace without the cuts; nothing is stored.

    Without ``judged`` no verifier is asked and ``hidden`` is true: what it says of all but some
    words would tell what it says of the trace.
    """
    derived = prune(trace.text, cuts)
    found = judge(trace.problem, derived.text) if judged else {"hidden": True}
    return found | {"chars": len(derived.text), "seams": seams(trace.text, cuts)}


def changes(text: str, cuts: list[dict[str, Any]], context: int = 400) -> list[dict[str, Any]]:
    """Before and after as rows: {"kind": "kept"|"cut"|"put"|"skip", "text", "start", "reason"}."""
    rows: list[dict[str, Any]] = []
    at = 0
    for cut in sorted(cuts, key=lambda c: int(c["start"])):
        rows += kept_rows(text, at, cut["start"], context, first=at == 0)
        rows.append({"kind": "cut", "text": text[cut["start"] : cut["end"]],
                     "start": cut["start"], "reason": cut.get("reason", "")})  # fmt: skip
        if cut.get("text"):
            rows.append({"kind": "put", "text": cut["text"], "start": cut["start"], "reason": ""})
        at = cut["end"]
    return rows + kept_rows(text, at, len(text), context, first=at == 0, last=True)


def kept_rows(
    text: str, start: int, end: int, context: int, first: bool = False, last: bool = False
) -> list[dict[str, Any]]:
    """A kept range; of a long one its ends, and between them how much is not shown."""
    if start >= end:
        return []
    row = {"kind": "kept", "text": text[start:end], "start": start, "reason": ""}
    if end - start <= 3 * context:
        return [row]
    head = [] if first else [row | {"text": text[start : start + context]}]
    tail = [] if last else [row | {"text": text[end - context : end], "start": end - context}]
    hidden = end - start - context * (len(head) + len(tail))
    skip = {"kind": "skip", "text": "", "start": start, "reason": "", "hidden": hidden}
    return [*head, skip, *tail]
