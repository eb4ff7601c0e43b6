"""Step scores of process reward models, as the review screen shows them: evidence, no judgement."""

from __future__ import annotations

from typing import Any

from curation.models import Trace, Verdict

PREFIX = "prm-"
DROP = 0.2  # a fall by so much from one scored step to the next is worth a look; ours


def scores_of(trace: Trace) -> list[dict[str, Any]]:
    """What each process reward model said last of the trace, the newest first.

    [{"verifier", "version", "verdict", "score", "threshold", "steps": [{"start", "end", "score",
    "state", "fell", "reason"}]}]; a step's state is ``fine``, ``low`` (below the threshold),
    ``drop`` (low or much lower than the scored step before it, which was neither) or ``unchecked``.
    """
    rows = Verdict.objects.filter(trace=trace, verifier__startswith=PREFIX)
    newest = rows.order_by("verifier", "-pk").distinct("verifier")
    found = sorted(newest, key=lambda row: -row.pk)
    return [told for row in found if (told := told_of(row)) is not None]


def told_of(row: Verdict) -> dict[str, Any] | None:
    """None for a verdict that holds no steps: the model was not reached or not understood."""
    steps = (row.detail or {}).get("steps")
    if not isinstance(steps, list):
        return None
    threshold = float(row.detail.get("threshold", 0.5))
    return {
        "verifier": row.verifier,
        "version": row.version,
        "verdict": row.verdict,
        "score": row.score,
        "threshold": threshold,
        "steps": states(steps, threshold),
    }


def states(steps: list[dict[str, Any]], threshold: float) -> list[dict[str, Any]]:
    """Each step with its state, and by how much it fell from the scored step before it."""
    found = []
    before: float | None = None
    for step in steps:
        score = step["score"]
        fell = before - score if before is not None and score is not None else 0.0
        state = state_of(score, before, threshold)
        more = {"state": state, "fell": round(max(0.0, fell), 4), "reason": step.get("reason", "")}
        found.append({"start": step["start"], "end": step["end"], "score": score} | more)
        before = before if score is None else score
    return found


def state_of(score: float | None, before: float | None, threshold: float) -> str:
    if score is None:
        return "unchecked"
    low = score < threshold
    if before is not None and before - score >= DROP:
        return "drop"
    if low and (before is None or before >= threshold):
        return "drop"
    return "low" if low else "fine"
