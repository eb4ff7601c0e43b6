"""Segmentation jobs: read traces, store their leaves and cut proposals (curation.segmentation)."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from curation.jobs import JobContext, JobError
from curation.models import CutProposal, Segmentation, Trace
from curation.segmentation import (
    POLICIES,
    SEGMENTER_VERSION,
    Analysis,
    AnswerMention,
    analyse,
    cuts_of,
)
from curation.segmentation.kinds import KINDS_VERSION

SEGMENTER = f"rules-{SEGMENTER_VERSION}"
DEFAULT_POLICIES = ("after-first-correct", "loops")
# One transaction takes this many traces, or fewer when they are long.
BATCH_TRACES, BATCH_CHARACTERS = 50, 1_000_000
# Mentions kept in the summary; a looping trace can state its answer thousands of times.
SUMMARY_ANSWERS = 100


def run_segment(ctx: JobContext) -> None:
    """Segment every trace that lacks a segmentation by this segmenter.

    Parameters: ``source`` (name), ``ids`` (trace ids), ``policy`` (a name or a list of names;
    default: after-first-correct and loops). Counts: traces, segments, proposals.
    """
    policies = _policies(ctx.params.get("policy"))
    todo = _wanted(ctx)
    ctx.set_total(ctx.job.done + todo.count())
    for name in ("traces", "segments", "proposals"):
        ctx.count(**{name: 0})
    for batch in _batches(todo):
        results = [(trace, _analyse(ctx, trace)) for trace in batch]
        with ctx.chunk():
            segments, proposals = store_analyses(results, policies)
            ctx.advance(len(batch), traces=len(batch), segments=segments, proposals=proposals)


def store_segmentation(
    trace: Trace, reference: str | None, policies: Sequence[str] = DEFAULT_POLICIES
) -> Segmentation:
    """Segment one trace against a reference answer and store it; the row that exists if it does."""
    with transaction.atomic():
        store_analyses([(trace, analyse(trace.text, reference))], policies)
    return Segmentation.objects.get(trace=trace, segmenter=SEGMENTER)


def store_analyses(
    results: Sequence[tuple[Trace, Analysis]], policies: Sequence[str]
) -> tuple[int, int]:
    """Write what the rules found; the numbers of segments and proposals written.

    A trace that has a segmentation already is left out. Call it in a transaction: a segmentation
    is either whole or not there. The traces' rows are locked, so two jobs do not meet.
    """
    ids = [trace.pk for trace, _ in results]
    list(Trace.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk"))
    known = Segmentation.objects.filter(trace__in=ids, segmenter=SEGMENTER)
    done = set(known.values_list("trace", flat=True))
    fresh = [(trace, analysis) for trace, analysis in results if trace.pk not in done]
    rows = Segmentation.objects.bulk_create(_segmentation(t, a) for t, a in fresh)
    segments = copy_segments(
        (row.pk, trace.text, analysis) for row, (trace, analysis) in zip(rows, fresh, strict=True)
    )
    proposals = [
        proposal
        for row, (trace, analysis) in zip(rows, fresh, strict=True)
        for proposal in _proposal_rows(row, trace, analysis, policies)
    ]
    CutProposal.objects.bulk_create(proposals, batch_size=1000)
    return segments, len(proposals)


def _segmentation(trace: Trace, analysis: Analysis) -> Segmentation:
    first = analysis.first_correct
    return Segmentation(
        trace=trace,
        segmenter=SEGMENTER,
        leaves=len(analysis.segments),
        first_correct=first.start if first else None,
        summary=summary(analysis),
    )


COPY = (
    "COPY curation_segment"
    ' (segmentation_id, index, start, "end", kind, path, quote_sha256) FROM STDIN'
)


def copy_segments(found: Iterable[tuple[int, str, Analysis]]) -> int:
    """Write leaves by COPY, several times as fast as INSERT; how many."""
    count = 0
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        for pk, text, analysis in found:
            for index, leaf in enumerate(analysis.segments):
                quote = quote_hash(text, leaf.start, leaf.end)
                path = json.dumps(list(leaf.path))
                copy.write_row((pk, index, leaf.start, leaf.end, leaf.kind, path, quote))
                count += 1
    return count


def summary(analysis: Analysis) -> dict[str, Any]:
    """The figures of a trace that lists and plots need without its leaves."""
    loop, first = analysis.loop, analysis.first_correct
    return {
        "kinds_version": KINDS_VERSION,
        "style": analysis.split.style,
        "closed": analysis.split.closed,
        "kinds": dict(Counter(segment.kind for segment in analysis.segments)),
        "attempts": _distinct(analysis, "Solution_Explore"),
        "checks": _distinct(analysis, "Verify"),
        "repeats": len(analysis.repeats),
        "loop": loop and {"start": loop.start, "period": loop.period, "times": loop.times},
        "after_first_correct": _after(analysis, first.leaf) if first else None,
        "mentions": len(analysis.answers),
        "answers": [_mention(mention) for mention in analysis.answers[:SUMMARY_ANSWERS]],
    }


def quote_hash(text: str, start: int, end: int) -> str:
    """SHA-256 of what a range quotes."""
    return hashlib.sha256(text[start:end].encode()).hexdigest()


def _policies(given: object) -> tuple[str, ...]:
    names = DEFAULT_POLICIES if not given else (given,) if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not all(name in POLICIES for name in names):
        raise JobError("unknown_policy", f"policy must be among {', '.join(POLICIES)}")
    return tuple(names)


def _wanted(ctx: JobContext) -> QuerySet[Trace]:
    traces = Trace.objects.filter(project=ctx.project)
    if source := ctx.params.get("source"):
        traces = traces.filter(source__name=source)
    if (ids := ctx.params.get("ids")) is not None:
        traces = traces.filter(pk__in=ids)
    done = Segmentation.objects.filter(segmenter=SEGMENTER).values("trace")
    return traces.exclude(pk__in=done).order_by("pk")


def _batches(todo: QuerySet[Trace]) -> Iterator[list[Trace]]:
    """Traces with their problems, a batch at a time, in the order of their ids."""
    last = 0
    while True:
        sizes = todo.filter(pk__gt=last).values_list("pk", "char_count")[:BATCH_TRACES]
        ids: list[int] = []
        size = 0
        for pk, characters in sizes:
            if ids and size + characters > BATCH_CHARACTERS:
                break
            ids.append(pk)
            size += characters
        if not ids:
            return
        last = ids[-1]
        yield list(Trace.objects.filter(pk__in=ids).select_related("problem").order_by("pk"))


def _analyse(ctx: JobContext, trace: Trace) -> Analysis:
    ctx.check()
    return analyse(trace.text, trace.problem.reference_answer)


def _proposal_rows(
    segmentation: Segmentation, trace: Trace, analysis: Analysis, policies: Sequence[str]
) -> Iterator[CutProposal]:
    for policy in policies:
        for cut in cuts_of(analysis, policy):
            yield CutProposal(
                segmentation=segmentation,
                policy=policy,
                start=cut.start,
                end=cut.end,
                reason=cut.reason[:200],
                quote_sha256=quote_hash(trace.text, cut.start, cut.end),
                tokens=_tokens(trace, cut.end - cut.start),
            )


def _tokens(trace: Trace, characters: int) -> int | None:
    """Tokens of a range by its share of the trace; None where the trace was not counted."""
    if trace.token_count is None or not trace.char_count:
        return None
    return round(trace.token_count * characters / trace.char_count)


def _distinct(analysis: Analysis, part: str) -> int:
    return len({leaf.path for leaf in analysis.segments if leaf.path[0] == part})


def _after(analysis: Analysis, leaf: int) -> int:
    """Code points of the reasoning behind the leaf that first states the answer."""
    return max(0, analysis.split.reasoning_end - analysis.segments[leaf].end)


def _mention(mention: AnswerMention) -> dict[str, Any]:
    return {
        "start": mention.start,
        "end": mention.end,
        "value": mention.value[:80],
        "strength": mention.strength,
        "matches": mention.matches,
    }
