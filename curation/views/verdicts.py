"""Verdicts of the traces on one page, in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Count, F

from curation.models import Trace, Verdict


def newest_verdicts(traces: Iterable[Trace | int]) -> dict[int, list[Verdict]]:
    """Trace id -> the newest verdict of each verifier, without their detail."""
    ids = [trace if isinstance(trace, int) else trace.pk for trace in traces]
    rows = (
        Verdict.objects.filter(trace_id__in=ids)
        .order_by("trace_id", "verifier", "-pk")
        .distinct("trace_id", "verifier")
        .defer("detail", "extracted")
    )
    found: dict[int, list[Verdict]] = {}
    for verdict in rows:
        found.setdefault(verdict.trace_id, []).append(verdict)
    return found


def verdict_tallies(problem_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """Problem id -> verdict -> number of its traces that have such a verdict."""
    rows = (
        Verdict.objects.filter(trace__problem_id__in=list(problem_ids), trace__parent=None)
        .values(problem=F("trace__problem_id"), value=F("verdict"))
        .annotate(n=Count("trace_id", distinct=True))
        .values_list("problem", "value", "n")
    )
    found: dict[int, dict[str, int]] = {}
    for problem, value, n in rows:
        found.setdefault(problem, {})[value] = n
    return found
