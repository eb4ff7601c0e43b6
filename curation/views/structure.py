"""What traces do, per teacher: kinds, waste, loops, savings, and what probes prove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db import connection
from django.db.models import Count
from django.http import HttpRequest, HttpResponse

from curation import access, charts
from curation.charts import Estimate
from curation.models import Project, RefineAnswer
from curation.proof_results import arms_by_judge
from curation.segmentation.chunks import (
    DECISIONS,
    DROP,
    KEEP_LONG,
    MAKE_SHORT,
    Decision,
    decide,
)
from curation.segmentation.kinds import KINDS, TAG
from curation.segmentation.policies import AFTER_FIRST_CORRECT, POLICIES
from curation.segmentation.prefixes import ChunkValue, Comparison
from curation.templatetags.whittle import hue
from curation.views.common import page

HUES = {KEEP_LONG: "hue-final", MAKE_SHORT: "hue-check", DROP: "hue-back"}
# The newest reading of each trace that is not derived, without its text.
_NEWEST = """
newest AS (
  SELECT DISTINCT ON (g.trace_id) g.trace_id, g.summary AS s, g.tokens, g.first_correct,
    g.tokenizer, t.char_count, t.model
  FROM curation_segmentation g JOIN curation_trace t ON t.id = g.trace_id
  WHERE t.project_id = %(p)s AND t.parent_id IS NULL ORDER BY g.trace_id, g.id DESC
)"""
TEACHERS = f"""
WITH {_NEWEST}
SELECT model, count(*), sum(coalesce(tokens, 0)), min(nullif(tokenizer, '')),
  count(*) FILTER (WHERE NOT (s->>'closed')::bool),
  count(*) FILTER (WHERE s->'loop' <> 'null'::jsonb),
  count(first_correct),
  percentile_cont(0.5) WITHIN GROUP (ORDER BY (s->>'waste')::float),
  avg((s->>'waste')::float),
  avg(jsonb_array_length(coalesce(s->'changes_of_mind', '[]'))),
  avg((s->>'attempts')::float),
  count(*) FILTER (WHERE (s->>'repaired')::int > 0),
  count(*) FILTER (WHERE s->'guess' <> 'null'::jsonb),
  count(*) FILTER (WHERE s->'spiral' <> 'null'::jsonb),
  count(*) FILTER (WHERE jsonb_array_length(coalesce(s->'switches', '[]')) > 0)
FROM newest GROUP BY model ORDER BY count(*) DESC, model LIMIT 50
"""  # noqa: S608 nothing of a request is in it
# Only traces whose tokens were counted: leaves are no tokens.
KIND_TOKENS = f"""
WITH {_NEWEST}
SELECT model, k.key, sum(k.value::float)
FROM newest, jsonb_each_text(
  CASE jsonb_typeof(s->'kind_tokens') WHEN 'object' THEN s->'kind_tokens' ELSE '{{}}' END) k
GROUP BY 1, 2
"""  # noqa: S608
# Share of the trace that each policy would drop, in tokens where they were counted; of each teacher
# and (model null) of all.
SHARES = f"""
WITH {_NEWEST}, named AS (SELECT unnest(%(policies)s::text[]) AS policy), shares AS (
  SELECT model, policy, coalesce(
    (s->'savings'->policy->>'tokens')::float / nullif(tokens, 0),
    (s->'savings'->policy->>'characters')::float / nullif(char_count, 0), 0) AS share,
    (s->'savings'->policy->>'tokens')::bigint AS tokens
  FROM newest, named
)
SELECT model, policy, count(*), count(*) FILTER (WHERE share > 0),
  percentile_cont(0.5) WITHIN GROUP (ORDER BY share), avg(share),
  percentile_cont(0.9) WITHIN GROUP (ORDER BY share), coalesce(sum(tokens), 0)
FROM shares GROUP BY GROUPING SETS ((model, policy), (policy))
"""  # noqa: S608
HISTOGRAM = f"""
WITH {_NEWEST}
SELECT least(width_bucket(share, 0, 1, 20), 20), count(*) FROM (
  SELECT CASE WHEN %(what)s = 'waste' THEN (s->>'waste')::float ELSE least(1, coalesce(
    (s->'savings'->%(what)s->>'tokens')::float / nullif(tokens, 0),
    (s->'savings'->%(what)s->>'characters')::float / nullif(char_count, 0), 0)) END AS share,
    model FROM newest) found
WHERE share IS NOT NULL AND (%(model)s = '' OR model = %(model)s) GROUP BY 1
"""  # noqa: S608

# Pass rates before and after each probed turn of the newest readings, by model.
TURNS = f"""
WITH {_NEWEST}, turns AS (
  SELECT trace_id, (t->>'start')::int AS a, (t->>'end')::int AS b
  FROM newest, jsonb_array_elements(coalesce(s->'turns', '[]')) t
), rates AS (
  SELECT c.endpoint_id, c.trace_id, c.position,
    avg((c.verdict = 'correct')::int::float) AS rate
  FROM curation_continuationprobe c JOIN newest USING (trace_id)
  WHERE c.arm = 'prefix' AND c.verdict IN ('correct', 'incorrect') GROUP BY 1, 2, 3
)
SELECT e.name, t.a, t.b, x.rate, y.rate FROM turns t
JOIN rates x ON x.trace_id = t.trace_id AND x.position = t.a
JOIN rates y ON y.trace_id = t.trace_id AND y.position = t.b AND y.endpoint_id = x.endpoint_id
JOIN curation_modelendpoint e ON e.id = x.endpoint_id ORDER BY e.name, t.trace_id, t.a LIMIT 50000
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Teacher:
    """The row of one teacher; shares are of its traces, waste of those with a first answer."""

    model: str
    traces: int
    tokens: int
    tokenizer: str
    cut_off: int
    loops: int
    answered: int
    waste_median: float | None
    waste_mean: float | None
    changes: float | None
    attempts: float | None
    repaired: int
    guesses: int
    spirals: int
    switching: int


@dataclass(frozen=True, slots=True)
class Saving:
    """What one policy would drop of one teacher's traces (None: of all), as shares of a trace."""

    model: str | None
    policy: str
    traces: int
    proposed: int
    median: float
    mean: float
    p90: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Proof:
    """Pass rates of the arms of one policy with one model as the judge."""

    policy: str
    judge: str
    chart: charts.Svg


@dataclass(frozen=True, slots=True)
class Pass:
    """What became of one model's answers to one task: reasons of refusal with their counts."""

    task: str
    judge: str
    asked: int
    accepted: int
    refused: list[tuple[str, int]]


def rows(query: str, **values: Any) -> list[tuple[Any, ...]]:
    """Rows of one of the queries above."""
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


@dataclass(frozen=True, slots=True)
class Kinds:
    """What one teacher's traces consist of: per 1,000 tokens, in the order of the kinds."""

    model: str
    amounts: list[tuple[str, float]]
    bar: charts.Svg


def kinds_per_thousand(found: list[tuple[Any, ...]], models: list[str]) -> list[Kinds]:
    """One row per teacher that has any, in the order of ``models``; tags are left out."""
    by_model: dict[str, dict[str, float]] = {}
    for model, kind, amount in found:
        by_model.setdefault(model, {})[kind] = amount
    table = []
    for model in (name for name in models if name in by_model):
        amounts, total = by_model[model], sum(by_model[model].values()) or 1.0
        each = [(kind, 1000 * amounts.get(kind, 0) / total) for kind in KINDS if kind != TAG]
        parts = [(words(kind), round(share), hue(kind)) for kind, share in each]
        bar = charts.stacked(parts, f"Kinds of {model}, per 1,000 tokens")
        table.append(Kinds(model, [(words(kind), share) for kind, share in each], bar))
    return table


def words(kind: str) -> str:
    return kind.replace("_", " ")


def histogram(project: int, what: str, model: str, label: str) -> charts.Svg:
    """Traces by a share in twenty bins."""
    found = dict(rows(HISTOGRAM, p=project, what=what, model=model))
    bins = [charts.Bin(i / 20, (i + 1) / 20, found.get(i + 1, 0)) for i in range(20)]
    drawn = bins if found else []
    of = "reasoning" if what == "waste" else "trace"
    return charts.histogram(drawn, label, x_label=f"share of the {of}", y_label="traces")


def proofs(project: Project) -> list[Proof]:
    """One chart of pass rates per policy and judge that has probes."""
    found = arms_by_judge(project)
    return [
        Proof(policy, judge, charts.intervals(estimates(arms), f"Pass rates with {policy}"))
        for (policy, judge), arms in found.items()
        if arms
    ]


def estimates(arms: list[Comparison]) -> list[Estimate]:
    """The interval is that of the rate alone; the note has the paired difference."""
    found = []
    for row in arms:
        half = 1.96 * (row.rate * (1 - row.rate) / max(1, row.n)) ** 0.5
        note = (
            f"{row.correct} of {row.n}; {row.difference:+.1%} ({row.low:+.1%} to {row.high:+.1%})"
        )
        found.append(
            Estimate(row.arm, row.rate, max(0, row.rate - half), min(1, row.rate + half), note)
        )
    return found


def passes(project: Project) -> list[Pass]:
    """Answers of models that were asked to split, label or smooth, by what became of them."""
    counted = (
        RefineAnswer.objects.filter(trace__project=project)
        .values_list("task", "endpoint__name", "accepted", "reason")
        .annotate(n=Count("pk"))
        .order_by("task", "endpoint__name", "-n")
    )
    by_judge: dict[tuple[str, str], list[tuple[bool, str, int]]] = {}
    for task, judge, accepted, reason, n in counted:
        by_judge.setdefault((task, judge), []).append((accepted, reason, n))
    return [
        Pass(
            task,
            judge,
            sum(n for _, _, n in answers),
            sum(n for accepted, _, n in answers if accepted),
            [(reason, n) for accepted, reason, n in answers if not accepted],
        )
        for (task, judge), answers in by_judge.items()
    ]


@dataclass(frozen=True, slots=True)
class LongShort:
    """What to do with the turns that one model was asked about: (decision, turns, their share of
    the characters)."""

    judge: str
    turns: int
    actions: list[tuple[str, int, float]]
    bar: charts.Svg


def long_short(project: Project) -> list[LongShort]:
    """One row per model with probes at the ends of turns."""
    by_judge: dict[str, list[ChunkValue]] = {}
    for judge, start, end, before, after in rows(TURNS, p=project.pk):
        value = ChunkValue(start, end, 0, before, after, after - before, 0.0)
        by_judge.setdefault(judge, []).append(value)
    return [_long_short(judge, decide(values)) for judge, values in by_judge.items()]


def _long_short(judge: str, decisions: list[Decision]) -> LongShort:
    total = sum(d.chunk.end - d.chunk.start for d in decisions) or 1
    actions = []
    for action in DECISIONS:
        chosen = [d.chunk for d in decisions if d.action == action]
        actions.append((action, len(chosen), sum(c.end - c.start for c in chosen) / total))
    parts = [(name, round(1000 * share), HUES[name]) for name, n, share in actions if n]
    bar = charts.stacked(parts, f"Turns by decision, in thousandths of their text, {judge}")
    return LongShort(judge, len(decisions), actions, bar)


@login_required
def structure(request: HttpRequest, slug: str) -> HttpResponse:
    """Statistics of the structure of all traces, per teacher."""
    project = access.access_project(request.user, slug)
    teachers = [Teacher(*row) for row in rows(TEACHERS, p=project.pk)]
    wanted = request.GET.get("policy", "")
    policy = wanted if wanted in POLICIES else AFTER_FIRST_CORRECT
    given = request.GET.get("model", "")
    model = given if given in {teacher.model for teacher in teachers} else ""
    savings = [Saving(*row) for row in rows(SHARES, p=project.pk, policies=list(POLICIES))]
    shown = [saving for saving in savings if saving.model == (model or None)]
    order = list(POLICIES)
    return page(
        request,
        project,
        "structure/detail.html",
        teachers=teachers,
        kinds=kinds_per_thousand(rows(KIND_TOKENS, p=project.pk), [t.model for t in teachers]),
        savings=sorted(shown, key=lambda s: order.index(s.policy)),
        tokenizer=next((teacher.tokenizer for teacher in teachers if teacher.tokenizer), ""),
        policies=order,
        policy=policy,
        model=model,
        waste=histogram(project.pk, "waste", model, "Traces by waste"),
        saved=histogram(project.pk, policy, model, f"Traces by what {policy} would drop"),
        proofs=proofs(project),
        passes=passes(project),
        long_short=long_short(project),
    )
