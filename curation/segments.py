"""Segmentation jobs: read traces, store their leaves and cut proposals (curation.segmentation).

A segmentation is stale when the problem's reference or the project's tokenizer is another than it
was made with: the next run replaces it. A new segmenter version makes a new one beside it, which
says what moved against the one before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, QuerySet, TextField, Value
from django.db.models.expressions import Func
from django.db.models.functions import Coalesce

from curation import paths
from curation.jobs import JobContext, JobError
from curation.models import CutProposal, Project, Segment, Segmentation, Trace
from curation.segmentation import POLICIES, SEGMENTER_VERSION, Analysis, analyse, cuts_of
from curation.segmentation.anchors import LOST, SAME, Anchor, reanchor
from curation.segmentation.clusters import Embed
from curation.segmentation.learned import KindModel, UnknownModel, encoder_of
from curation.segmentation.learned import load as load_kinds
from curation.segmentation.meaning import REWORDED, reworded_cuts, with_meaning
from curation.segmentation.report import summarise
from curation.segmentation.tokens import (
    TokenCounter,
    UnknownTokenizer,
    default_name,
    tokens_in,
)
from curation.segmentation.tokens import load as load_tokenizer

RULES = f"rules-{SEGMENTER_VERSION}"
SEGMENTER = RULES
DEFAULT_POLICIES = ("after-first-correct", "loops")
# One transaction takes this many traces, or fewer when they are long.
BATCH_TRACES, BATCH_CHARACTERS = 50, 1_000_000
# Moved ranges listed per trace; all are counted.
LISTED = 200


@dataclass(frozen=True)
class Found:
    """One trace with what was found in it."""

    trace: Trace
    analysis: Analysis
    starts: list[int] | None


@dataclass(frozen=True)
class Reader:
    """How traces of a project are read: which kinds of leaf, which tokenizer, which policies."""

    policies: tuple[str, ...] = DEFAULT_POLICIES
    counter: TokenCounter | None = None
    kinds: KindModel | None = None
    by: str = ""  # what else had a say in the leaves or their kinds
    embed: Embed | None = None  # a model's vectors, for repeats and methods by meaning

    @property
    def segmenter(self) -> str:
        """The name its segmentations are stored under."""
        more = [self.kinds.name] if self.kinds else []
        return "+".join([RULES, *more, *([self.by] if self.by else [])])[:64]

    @property
    def tokenizer(self) -> str:
        return self.counter.name if self.counter else ""

    def read(self, trace: Trace, reference: str | None) -> Found:
        """Analyse one trace; nothing is written."""
        analysis = analyse(trace.text, reference, relabel=self.kinds)
        if self.embed is not None:
            analysis = with_meaning(analysis, self.embed)
        return Found(trace, analysis, self.counter.starts(trace.text) if self.counter else None)


def run_segment(ctx: JobContext) -> None:
    """Segment every trace that lacks a current segmentation by this segmenter.

    Parameters: ``source`` (name), ``ids`` (trace ids), ``policy`` (a name, a list of names or
    ``all``; default: after-first-correct and loops), ``kinds`` (name of a trained classifier),
    ``vectors`` (an encoder: repeats and methods by meaning as well, with proposals ``reworded``).
    Counts: traces, segments, proposals. JobError ``unknown_policy``, ``unknown_tokenizer``,
    ``unknown_kinds``, ``unknown_vectors``.
    """
    reader = reader_of(ctx.project, ctx.params)
    todo = _wanted(ctx, reader)
    ctx.set_total(ctx.job.done + todo.count())
    for name in ("traces", "segments", "proposals"):
        ctx.count(**{name: 0})
    for batch in _batches(todo):
        results = [_read(ctx, reader, trace) for trace in batch]
        with ctx.chunk():
            segments, proposals = store_analyses(results, reader)
            ctx.advance(len(batch), traces=len(batch), segments=segments, proposals=proposals)


def reader_of(project: Project, params: dict[str, Any]) -> Reader:
    """The reader that a job's parameters and the project's settings ask for; JobError."""
    vectors = str(params.get("vectors") or "").removeprefix("none")
    return Reader(
        _policies(params.get("policy")),
        _counter(project),
        _kinds(params.get("kinds")),
        by=f"vectors:{vectors}" if vectors else "",
        embed=_vectors(vectors),
    )


def tokenizer_name(project: Project) -> str:
    """The tokenizer a project counts with: its setting ``tokenizer``, else the default."""
    return str(project.settings.get("tokenizer") or default_name())


def tokenizer_folder() -> Any:
    """Where a team puts the files of its own tokenizers."""
    return paths.home() / "tokenizers"


def kinds_folder() -> Any:
    """Where ``train_kinds`` puts classifiers."""
    return paths.home() / "kinds"


def store_segmentation(
    trace: Trace, reference: str | None, policies: Sequence[str] = DEFAULT_POLICIES
) -> Segmentation:
    """Segment one trace against a reference answer and store it; the row that exists if it does."""
    reader = Reader(tuple(policies), _counter(trace.project))
    with transaction.atomic():
        store_analyses([reader.read(trace, reference)], reader)
    return Segmentation.objects.get(trace=trace, segmenter=reader.segmenter)


def store_analyses(results: Sequence[Found], reader: Reader) -> tuple[int, int]:
    """Write what was found; the numbers of segments and proposals written.

    A trace with a current segmentation is left out, a stale one is replaced. Call it in a
    transaction: a segmentation is either whole or not there. The traces' rows are locked, so two
    jobs do not meet.
    """
    ids = [found.trace.pk for found in results]
    locked = Trace.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk")
    references = dict(locked.values_list("pk", "problem__reference_answer"))
    done = _current(ids, references, reader)
    fresh = [found for found in results if found.trace.pk not in done]
    older = _older([found.trace.pk for found in fresh], reader.segmenter)
    fresh_ids = [found.trace.pk for found in fresh]
    Segmentation.objects.filter(trace__in=fresh_ids, segmenter=reader.segmenter).delete()
    rows = Segmentation.objects.bulk_create(
        _segmentation(found, references[found.trace.pk], reader, older.get(found.trace.pk))
        for found in fresh
    )
    pairs = list(zip(rows, fresh, strict=True))
    segments = copy_segments((row.pk, f.trace.text, f.analysis) for row, f in pairs)
    proposals = [item for row, f in pairs for item in _proposal_rows(row, f, reader.policies)]
    CutProposal.objects.bulk_create(proposals, batch_size=1000)
    _count_tokens(fresh)
    return segments, len(proposals)


def reference_hash(reference: str | None) -> str:
    """SHA-256 of a reference answer, of the empty text without one."""
    return hashlib.sha256((reference or "").encode()).hexdigest()


def _current(ids: Sequence[int], references: dict[int, str | None], reader: Reader) -> set[int]:
    """Traces whose segmentation was made with the same reference and tokenizer."""
    rows = Segmentation.objects.filter(
        trace__in=ids, segmenter=reader.segmenter, tokenizer=reader.tokenizer
    )
    return {
        trace
        for trace, made_with in rows.values_list("trace", "reference_sha256")
        if made_with == reference_hash(references[trace])
    }


def _older(ids: Sequence[int], segmenter: str) -> dict[int, Segmentation]:
    """The newest segmentation by another segmenter of each trace that has one."""
    rows = Segmentation.objects.filter(trace__in=ids).exclude(segmenter=segmenter)
    return {row.trace_id: row for row in rows.order_by("pk")}


def _count_tokens(found: Sequence[Found]) -> None:
    """The student's count goes to the trace; what the server counted stays in its own column."""
    counted = []
    for item in found:
        if item.starts is not None and item.trace.token_count != len(item.starts):
            item.trace.token_count = len(item.starts)
            counted.append(item.trace)
    Trace.objects.bulk_update(counted, ["token_count"], batch_size=500)


def _segmentation(
    found: Found, reference: str | None, reader: Reader, before: Segmentation | None
) -> Segmentation:
    first = found.analysis.first_correct
    version = reader.kinds.name if reader.kinds else None
    given = {"kinds_version": version} if version else {}
    return Segmentation(
        trace=found.trace,
        segmenter=reader.segmenter,
        leaves=len(found.analysis.segments),
        first_correct=first.start if first else None,
        summary=summarise(found.analysis, found.starts, **given),
        reference_sha256=reference_hash(reference),
        tokenizer=reader.tokenizer,
        tokens=None if found.starts is None else len(found.starts),
        reanchored=None if before is None else moved_against(before, found),
    )


def moved_against(before: Segmentation, found: Found) -> dict[str, Any]:
    """What of an older segmentation is no leaf any more, as ranges of the text.

    A label that a person set keeps its range whatever the segmenter; the list says which leaves it
    now stands on in part.
    """
    rows = Segment.objects.filter(segmentation=before).order_by("index")
    anchors = [Anchor(*row) for row in rows.values_list("start", "end", "quote_sha256")]
    placed = reanchor(anchors, found.trace.text, found.analysis.segments)
    moved = [p for p in placed if p.status not in (SAME, LOST)]
    lost = [p for p in placed if p.status == LOST]
    return {
        "from": before.segmenter,
        "same": sum(p.status == SAME for p in placed),
        "moved_count": len(moved),
        "moved": [[p.start, p.end, p.first, p.last] for p in moved[:LISTED]],
        "lost": [[p.start, p.end] for p in lost[:LISTED]],
    }


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


def quote_hash(text: str, start: int, end: int) -> str:
    """SHA-256 of what a range quotes."""
    return hashlib.sha256(text[start:end].encode()).hexdigest()


def _policies(given: object) -> tuple[str, ...]:
    if given == "all":
        return tuple(POLICIES)
    names = DEFAULT_POLICIES if not given else (given,) if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not all(name in POLICIES for name in names):
        raise JobError("unknown_policy", f"policy must be all or among {', '.join(POLICIES)}")
    return tuple(names)


def _counter(project: Project) -> TokenCounter:
    try:
        return load_tokenizer(tokenizer_name(project), tokenizer_folder())
    except UnknownTokenizer as error:
        raise JobError("unknown_tokenizer", str(error)) from None


def _kinds(name: object) -> KindModel | None:
    if not name:
        return None
    try:
        return load_kinds(str(name), kinds_folder())
    except UnknownModel as error:
        raise JobError("unknown_kinds", str(error)) from None


def _vectors(name: str) -> Embed | None:
    if not name:
        return None
    try:
        return encoder_of(name)
    except UnknownModel as error:
        raise JobError("unknown_vectors", str(error)) from None


def _wanted(ctx: JobContext, reader: Reader) -> QuerySet[Trace]:
    """Traces without a current segmentation, without reading any text."""
    traces = Trace.objects.filter(project=ctx.project)
    if source := ctx.params.get("source"):
        traces = traces.filter(source__name=source)
    if (ids := ctx.params.get("ids")) is not None:
        traces = traces.filter(pk__in=ids)
    current = Segmentation.objects.filter(
        trace=OuterRef("pk"),
        segmenter=reader.segmenter,
        tokenizer=reader.tokenizer,
        reference_sha256=OuterRef("reference_hash"),
    )
    hashed = traces.annotate(reference_hash=_sql_hash("problem__reference_answer"))
    return hashed.filter(~Exists(current)).order_by("pk")


def _sql_hash(column: str) -> Func:
    """``reference_hash`` of a column, in SQL."""
    return Func(
        Coalesce(F(column), Value("")),
        template="encode(sha256(convert_to(%(expressions)s, 'UTF8')), 'hex')",
        output_field=TextField(),
    )


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


def _read(ctx: JobContext, reader: Reader, trace: Trace) -> Found:
    ctx.check()
    return reader.read(trace, trace.problem.reference_answer)


def _proposal_rows(
    segmentation: Segmentation, found: Found, policies: Sequence[str]
) -> Iterator[CutProposal]:
    text = found.trace.text
    cuts = {policy: cuts_of(found.analysis, policy) for policy in policies}
    for policy, proposed in (cuts | {REWORDED: reworded_cuts(found.analysis)}).items():
        for cut in proposed:
            tokens = None
            if found.starts is not None:
                tokens = tokens_in(found.starts, cut.start, cut.end)
            yield CutProposal(
                segmentation=segmentation,
                policy=policy,
                start=cut.start,
                end=cut.end,
                reason=cut.reason[:200],
                quote_sha256=quote_hash(text, cut.start, cut.end),
                tokens=tokens,
            )
