"""Sums of a project for its dashboard: each function is one SQL statement."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from curation.charts import Bin

# The wide table of traces is read once.
FUNNEL = """
WITH t AS MATERIALIZED (
  SELECT id FROM curation_trace WHERE project_id = %(p)s AND parent_id IS NULL
)
SELECT
 (SELECT count(*) FROM curation_problemoccurrence o JOIN curation_source s ON s.id = o.source_id
   WHERE s.project_id = %(p)s)
 + (SELECT count(*) FROM curation_importreject r JOIN curation_source s ON s.id = r.source_id
   WHERE s.project_id = %(p)s) AS rows,
 (SELECT count(*) FROM curation_problem WHERE project_id = %(p)s) AS problems,
 (SELECT count(*) FROM t) AS traces,
 (SELECT count(*) FROM t WHERE EXISTS (
   SELECT 1 FROM curation_verdict v WHERE v.trace_id = t.id)) AS judged,
 (SELECT count(*) FROM t WHERE EXISTS (
   SELECT 1 FROM curation_verdict v WHERE v.trace_id = t.id AND v.verdict = 'correct')) AS correct,
 (SELECT count(*) FROM t WHERE EXISTS (
   SELECT 1 FROM curation_segmentation g WHERE g.trace_id = t.id)) AS segmented,
 (SELECT count(*) FROM t WHERE EXISTS (
   SELECT 1 FROM curation_reviewoutcome o WHERE o.trace_id = t.id)) AS reviewed,
 (SELECT coalesce(max(selected), 0) FROM curation_selection WHERE project_id = %(p)s) AS selected,
 (SELECT coalesce(max(rows), 0) FROM curation_export WHERE project_id = %(p)s) AS exported
"""

VERDICTS = """
SELECT v.verdict, count(*) FROM curation_verdict v JOIN curation_trace t ON t.id = v.trace_id
WHERE t.project_id = %s GROUP BY 1
"""

DIFFICULTY = """
SELECT d.model, least(width_bucket(d.pass_rate, 0, 1, 10), 10), count(*)
FROM curation_difficulty d JOIN curation_problem p ON p.id = d.problem_id
WHERE p.project_id = %s AND d.pass_rate IS NOT NULL GROUP BY 1, 2
"""

LENGTHS = """
WITH sizes AS MATERIALIZED (
  SELECT coalesce(token_count, completion_tokens, char_count) AS size,
    coalesce(token_count, completion_tokens) IS NOT NULL AS tokens, token_count IS NOT NULL AS own
  FROM curation_trace WHERE project_id = %(p)s AND parent_id IS NULL
), edge AS (
  SELECT greatest(percentile_disc(0.99) WITHIN GROUP (ORDER BY size), 1) AS top,
    bool_and(tokens) AS tokens, bool_and(own) AS own FROM sizes
)
SELECT least(width_bucket(size, 0, top, 24), 24), count(*), max(top), bool_and(edge.tokens),
  bool_and(edge.own)
FROM sizes, edge WHERE top IS NOT NULL GROUP BY 1
"""

# The newest segmentation of each trace; one policy, because policies propose the same ranges.
SAVINGS = """
WITH newest AS (
  SELECT max(g.id) AS id, g.trace_id FROM curation_segmentation g
  JOIN curation_trace t ON t.id = g.trace_id
  WHERE t.project_id = %(p)s AND t.parent_id IS NULL GROUP BY g.trace_id
), policy AS (
  SELECT c.policy FROM curation_cutproposal c JOIN newest ON newest.id = c.segmentation_id
  GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1
), cuts AS (
  SELECT newest.trace_id, coalesce(sum(c."end" - c.start), 0) AS dropped
  FROM newest LEFT JOIN curation_cutproposal c
    ON c.segmentation_id = newest.id AND c.policy = (SELECT policy FROM policy)
  GROUP BY 1
)
SELECT least(width_bucket(least(cuts.dropped::float / greatest(t.char_count, 1), 1), 0, 1, 20), 20),
  count(*), sum(cuts.dropped), sum(t.char_count)
FROM cuts JOIN curation_trace t ON t.id = cuts.trace_id GROUP BY 1
"""

ACCEPTED = """
SELECT coalesce(sum(p.char_count), 0), coalesce(sum(t.char_count), 0), count(*)
FROM curation_trace t JOIN curation_trace p ON p.id = t.parent_id WHERE t.project_id = %s
"""


# A project whose sums take longer than this is not asked again at every visit.
QUICK_SECONDS = 0.3
KEPT_TIMES, KEPT_MOST = 60, 300  # kept for so many times the cost, in seconds at most


@dataclass(frozen=True, slots=True)
class Savings:
    """What proposals would drop and what accepted cuts did drop, in characters."""

    bins: list[Bin]
    proposed: int
    segmented_chars: int
    before: int
    after: int
    derived: int

    @property
    def proposed_share(self) -> float | None:
        return self.proposed / self.segmented_chars if self.segmented_chars else None

    @property
    def accepted_share(self) -> float | None:
        return 1 - self.after / self.before if self.before else None


def _rows(sql: str, params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def funnel_counts(project_id: int) -> dict[str, int]:
    """Counts of each stage, by the names of FUNNEL's columns."""
    with connection.cursor() as cursor:
        cursor.execute(FUNNEL, {"p": project_id})
        names = [column.name for column in cursor.description or ()]
        return dict(zip(names, cursor.fetchone(), strict=True))


def verdict_counts(project_id: int) -> dict[str, int]:
    """Verdicts by value, over all verifiers and versions."""
    return dict(_rows(VERDICTS, [project_id]))


def pass_rates(project_id: int) -> dict[str, list[Bin]]:
    """Model -> problems by pass rate in ten bins; most graded model first."""
    tally: dict[str, dict[int, int]] = {}
    for model, bucket, count in _rows(DIFFICULTY, [project_id]):
        tally.setdefault(model, {})[bucket] = count
    ordered = sorted(tally, key=lambda m: (-sum(tally[m].values()), m))
    return {m: [_bin(i, 10, 1.0, tally[m].get(i, 0)) for i in range(1, 11)] for m in ordered}


def _bin(bucket: int, buckets: int, top: float, count: int) -> Bin:
    width = top / buckets
    return Bin((bucket - 1) * width, bucket * width, count)


def lengths(project_id: int) -> tuple[list[Bin], str]:
    """Lengths of traces up to the 99th percentile (the rest in the last bin), and their unit.

    Tokens are those of the project's tokenizer, which a segment job counts; until then what the
    server said.
    """
    rows = _rows(LENGTHS, {"p": project_id})
    if not rows:
        return [], "characters"
    top, tally = float(rows[0][2]), {row[0]: row[1] for row in rows}
    unit = "tokens" if rows[0][4] else "tokens, as the servers counted where no segment job did"
    if not rows[0][3]:
        unit = "tokens, or characters where tokens were not counted"
    return [_bin(i, 24, top, tally.get(i, 0)) for i in range(1, 25)], unit


def savings(project_id: int) -> Savings:
    """Shares of traces that proposals would drop, and what accepted cuts dropped."""
    rows = _rows(SAVINGS, {"p": project_id})
    tally = {bucket: count for bucket, count, _, _ in rows}
    before, after, derived = _rows(ACCEPTED, [project_id])[0]
    return Savings(
        [_bin(i, 20, 1.0, tally.get(i, 0)) for i in range(1, 21)] if rows else [],
        int(sum(row[2] for row in rows)),
        int(sum(row[3] for row in rows)),
        int(before),
        int(after),
        derived,
    )


@dataclass(frozen=True, slots=True)
class Facts:
    """All sums of a project, and when they were taken."""

    taken_at: dt.datetime
    funnel: dict[str, int]
    verdicts: dict[str, int]
    rates: dict[str, list[Bin]]
    lengths: list[Bin]
    unit: str
    savings: Savings


def take_facts(project_id: int) -> Facts:
    """The sums as they are now."""
    sizes, unit = lengths(project_id)
    return Facts(
        timezone.now(),
        funnel_counts(project_id),
        verdict_counts(project_id),
        pass_rates(project_id),
        sizes,
        unit,
        savings(project_id),
    )


def facts(project_id: int) -> Facts:
    """The sums, taken now; of a large project, those of at most some minutes ago."""
    key = f"dashboard:{project_id}"
    found: Facts | None = cache.get(key)
    if found is None:
        started = time.monotonic()
        found = take_facts(project_id)
        cost = time.monotonic() - started
        if cost > QUICK_SECONDS:
            cache.set(key, found, min(KEPT_MOST, KEPT_TIMES * cost))
    return found
