"""How far the verdicts of one verifier version agree with others who judged the same traces.

The others are the source (a flag that came with the trace), the reviewers (their newest outcome)
and every other verifier and version. None of them is the truth: the point is the list of
disagreements, with the two ways of disagreeing apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Count, Max, Q

from curation.models import Verdict

# Names under which sources say whether a response is right, the first that is there counts.
FLAGS = (
    "is_correct",
    "correct",
    "is_solved",
    "correctness_math_verify",
    "score",
    "correctness_llama",
)
SOURCE, PEOPLE = "source", "people"
# A page of disagreements shows one way of them.
WAYS = {"more": ("correct", "incorrect"), "less": ("incorrect", "correct")}


def _flag(name: str) -> str:
    value = f"lower(t.upstream ->> '{name}')"
    return (
        f"WHEN {value} IN ('true', '1', '1.0') THEN 'correct' "
        f"WHEN {value} IN ('false', '0', '0.0') THEN 'incorrect'"
    )


FLAG = f"CASE {' '.join(map(_flag, FLAGS))} END"
# A decision about a whole trace, read as a verdict; what people did not decide is no voice.
DECISION = """
(SELECT CASE o.decision WHEN 'accept' THEN 'correct' WHEN 'reject' THEN 'incorrect' END
 FROM curation_reviewoutcome o WHERE o.trace_id = t.id ORDER BY o.id DESC LIMIT 1)
"""
MINE = """
SELECT DISTINCT ON (v.trace_id) v.id, v.trace_id, v.verdict
FROM curation_verdict v JOIN curation_trace t ON t.id = v.trace_id
WHERE t.project_id = %(project)s AND v.verifier = %(verifier)s AND v.version = %(version)s
ORDER BY v.trace_id, v.id DESC
"""
VOICES = f"""
WITH mine AS MATERIALIZED ({MINE}), said AS (
  SELECT '{SOURCE}' AS voice, mine.verdict, {FLAG} AS other
  FROM mine JOIN curation_trace t ON t.id = mine.trace_id
  UNION ALL
  SELECT '{PEOPLE}', mine.verdict, {DECISION}
  FROM mine JOIN curation_trace t ON t.id = mine.trace_id
  UNION ALL
  SELECT w.verifier || ' ' || w.version, mine.verdict, w.verdict
  FROM mine JOIN curation_verdict w ON w.trace_id = mine.trace_id
  WHERE (w.verifier, w.version) <> (%(verifier)s, %(version)s)
)
SELECT voice, verdict, other, count(*) FROM said WHERE other IS NOT NULL GROUP BY 1, 2, 3
"""  # noqa: S608 only constants of this module are put in
OTHER = {
    SOURCE: f"SELECT t.id AS trace_id, {FLAG} AS other FROM curation_trace t"  # noqa: S608
    " WHERE t.project_id = %(project)s",
    PEOPLE: f"SELECT t.id AS trace_id, {DECISION} AS other FROM curation_trace t"  # noqa: S608
    " WHERE t.project_id = %(project)s",
    "": "SELECT w.trace_id, w.verdict AS other FROM curation_verdict w"
    " WHERE w.verifier || ' ' || w.version = %(voice)s",
}


@dataclass
class Voice:
    """Whom a verifier is compared with, and how many traces got which pair of verdicts."""

    name: str
    pairs: dict[tuple[str, str], int] = field(default_factory=dict)

    def count(self, mine: str, other: str) -> int:
        return self.pairs.get((mine, other), 0)

    @property
    def both(self) -> int:
        """Traces on which both said correct or incorrect."""
        decided = ("correct", "incorrect")
        return sum(self.count(mine, other) for mine in decided for other in decided)

    @property
    def same(self) -> int:
        return self.count("correct", "correct") + self.count("incorrect", "incorrect")

    @property
    def more(self) -> int:
        """Correct here, incorrect there: false positives if the other is right."""
        return self.count("correct", "incorrect")

    @property
    def less(self) -> int:
        """Incorrect here, correct there: false negatives if the other is right."""
        return self.count("incorrect", "correct")

    @property
    def open(self) -> int:
        """Traces on which one of them did not decide."""
        return sum(self.pairs.values()) - self.both

    @property
    def agreement(self) -> float | None:
        """Share of equal verdicts among those that both decided; None without any."""
        return self.same / self.both if self.both else None

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa (Cohen 1960) on those; None where chance alone would agree."""
        if not self.both:
            return None
        mine = (self.count("correct", "correct") + self.more) / self.both
        other = (self.count("correct", "correct") + self.less) / self.both
        chance = mine * other + (1 - mine) * (1 - other)
        return None if chance == 1 else (self.same / self.both - chance) / (1 - chance)


def voices(project: int, verifier: str, version: str) -> list[Voice]:
    """Everyone who also judged the traces of this version; the source and people first."""
    found: dict[str, Voice] = {}
    with connection.cursor() as cursor:
        cursor.execute(VOICES, _key(project, verifier, version))
        for voice, mine, other, count in cursor.fetchall():
            found.setdefault(voice, Voice(voice)).pairs[mine, other] = count
    first = [found.pop(name) for name in (SOURCE, PEOPLE) if name in found]
    return first + [found[name] for name in sorted(found)]


def disagreements(
    key: tuple[int, str, str], voice: str, way: str, *, after: int = 0, limit: int = 50
) -> list[int]:
    """Ids of the verdicts that differ from a voice's in one of the ``WAYS``, in their order.

    ``key`` is (project, verifier, version). KeyError for a way that there is not.
    """
    mine, other = WAYS[way]
    query = f"""
    WITH mine AS ({MINE})
    SELECT DISTINCT mine.id FROM mine JOIN ({OTHER.get(voice, OTHER[""])}) o
      ON o.trace_id = mine.trace_id
    WHERE mine.verdict = %(mine)s AND o.other = %(other)s AND mine.id > %(after)s
    ORDER BY mine.id LIMIT %(limit)s
    """  # noqa: S608 as above
    given = {"voice": voice, "mine": mine, "other": other, "after": after, "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(query, _key(*key) | given)
        return [row[0] for row in cursor.fetchall()]


def _key(project: int, verifier: str, version: str) -> dict[str, Any]:
    return {"project": project, "verifier": verifier, "version": version}


def verdict_counts(project: int) -> list[dict[str, Any]]:
    """One row for each verifier and version of a project: verdicts by value, and the last date."""
    values = {v: Count("pk", filter=Q(verdict=v)) for v in Verdict.Value.values}
    rows = Verdict.objects.filter(trace__project=project).values("verifier", "version")
    counted = rows.annotate(total=Count("pk"), last=Max("created_at"), **values)
    return [dict(row) for row in counted.order_by("verifier", "-last")]
