"""Overlap of problems with benchmarks: evidence for people, never a reason to delete by itself.

Two methods stand side by side: equality after cleaning (Light-R1's character match, with a least
length, because short prompts collapse), and the share of a problem's word n-grams that stand in
one benchmark item, without n-grams that are frequent among the problems.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery

from curation.jobs import JobContext, JobError
from curation.models import Benchmark, BenchmarkHit, BenchmarkItem, OverlapDecision, Problem, Source
from curation.problems import norm_hash

WORD = re.compile(r"\w+")
N = 8
CONTAINMENT = 0.5
MIN_CLEANED = 20  # characters; shorter cleaned texts match too much
FREQUENT = 50  # an n-gram in more problems than this says nothing
MOST = 3  # items named as evidence for one problem
BLOCK = 500


def add_items(benchmark: Benchmark, texts: Iterable[str]) -> int:
    """Put texts into a benchmark; one that stands there already is not doubled."""
    items = [
        BenchmarkItem(benchmark=benchmark, text=text, norm_sha256=norm_hash(text))
        for text in texts
        if text.strip()
    ]
    before = benchmark.items.count()
    BenchmarkItem.objects.bulk_create(items, ignore_conflicts=True, batch_size=BLOCK)
    return benchmark.items.count() - before


def add_source(benchmark: Benchmark, source: Source) -> int:
    """Put the texts of a source's problems into a benchmark; how many were new."""
    texts = source.problems.order_by("pk").values_list("text", flat=True)
    return add_items(benchmark, texts.iterator(BLOCK))


def decided(hits: QuerySet[BenchmarkHit]) -> QuerySet[Any]:
    """``hits`` with ``decision``: what a person said last of the two texts, or None."""
    said = OverlapDecision.objects.filter(problem=OuterRef("problem"), item=OuterRef("item"))
    newest = said.order_by("-id").values("decision")[:1]
    return hits.annotate(decision=Subquery(newest))


def standing(hits: QuerySet[BenchmarkHit]) -> QuerySet[Any]:
    """``hits`` without those that a person called another question."""
    other = Q(decision=OverlapDecision.Decision.CLEAR)
    return decided(hits).filter(Q(decision=None) | ~other)


def cleaned(text: str) -> str:
    """Light-R1's key: no punctuation, no digits, lower case (methods: decontaminate scripts)."""
    return re.sub(r"[\W\d_]+", "", text).lower()


def ngrams(text: str, n: int = N) -> set[str]:
    words = WORD.findall(text.lower())
    if len(words) < n:
        return {" ".join(words)} if words else set()
    return {" ".join(words[i : i + n]) for i in range(len(words) - n + 1)}


def shared_ranges(text: str, other: str, n: int = N) -> list[tuple[int, int]]:
    """The (start, end) in code points of ``text`` that lie in a word n-gram of ``other`` too.

    In order, without overlaps; a text of fewer words is one n-gram, as in ``ngrams``.
    """
    words = list(WORD.finditer(text))
    wanted, ranges = ngrams(other, n), list[tuple[int, int]]()
    for i in range(max(1, len(words) - n + 1) if words else 0):
        piece = words[i : i + n]
        if " ".join(w.group().lower() for w in piece) not in wanted:
            continue
        start, end = piece[0].start(), piece[-1].end()
        if ranges and start <= ranges[-1][1]:
            start = ranges.pop()[0]
        ranges.append((start, end))
    return ranges


class Index:
    """A benchmark's items by cleaned text and by n-gram."""

    def __init__(self, items: Iterable[tuple[int, str]]) -> None:
        self.exact: dict[str, int] = {}
        self.grams: dict[str, set[int]] = defaultdict(set)
        for pk, text in items:
            if len(key := cleaned(text)) >= MIN_CLEANED:
                self.exact.setdefault(key, pk)
            for gram in ngrams(text):
                self.grams[gram].add(pk)

    def hits(
        self, text: str, frequent: set[str], containment: float
    ) -> list[tuple[int, str, float, dict[str, object]]]:
        """(item, method, score in 0..1, evidence) for each overlap of ``text``."""
        found: list[tuple[int, str, float, dict[str, object]]] = []
        key = cleaned(text)
        if len(key) >= MIN_CLEANED and key in self.exact:
            found.append((self.exact[key], "cleaned", 1.0, {"characters": len(key)}))
        grams = ngrams(text) - frequent
        shared: Counter[int] = Counter()
        for gram in grams:
            shared.update(self.grams.get(gram, ()))
        best = sorted(shared.items(), key=lambda item: (-item[1], item[0]))  # ties: always the same
        for pk, count in best[:MOST]:
            score = count / len(grams)
            if score >= containment:
                matched = sorted(g for g in grams if pk in self.grams.get(g, ()))
                found.append((pk, f"{N}-gram", score, {"shared": matched[:5], "of": len(grams)}))
        return found


def frequent_grams(ctx: JobContext) -> set[str]:
    """n-grams that stand in many problems: boilerplate of a source."""
    counts: Counter[str] = Counter()
    texts = Problem.objects.filter(project=ctx.project).values_list("text", flat=True)
    for text in texts.iterator(BLOCK):
        counts.update(ngrams(text))
    return {gram for gram, count in counts.items() if count > FREQUENT}


def run_decontaminate(ctx: JobContext) -> None:
    """Job ``decontaminate``: params ``benchmark`` (name), ``containment`` (share, 0.5)."""
    name = str(ctx.params.get("benchmark") or "")
    benchmark = Benchmark.objects.filter(project=ctx.project, name=name).first()
    if benchmark is None:
        raise JobError("no_such_benchmark", f"no benchmark {name!r} in this project")
    containment = containment_of(ctx)
    index = Index(benchmark.items.order_by("pk").values_list("pk", "text"))
    problems = Problem.objects.filter(project=ctx.project)
    ctx.set_total(problems.count())
    ctx.restart_counts(checked=0, hits=0, contaminated=0)
    frequent = frequent_grams(ctx)
    last = 0
    while block := list(
        problems.filter(pk__gt=last).order_by("pk").values_list("pk", "text")[:BLOCK]
    ):
        with ctx.chunk():
            check_block(ctx, benchmark, index, block, frequent, containment)
        last = block[-1][0]


def containment_of(ctx: JobContext) -> float:
    """The parameter ``containment``, a share over 0; JobError ``bad_params`` for anything else."""
    given = ctx.params.get("containment")
    try:
        share = CONTAINMENT if given in {None, ""} else float(given)
    except (TypeError, ValueError):
        share = 0.0
    if not 0 < share <= 1:
        raise JobError("bad_params", f"containment: {given!r} is no number over 0 and up to 1")
    return share


def check_block(
    ctx: JobContext,
    benchmark: Benchmark,
    index: Index,
    block: list[tuple[int, str]],
    frequent: set[str],
    containment: float,
) -> None:
    """Replace the evidence of one block of problems against one benchmark."""
    ids = [pk for pk, _ in block]
    BenchmarkHit.objects.filter(problem__in=ids, item__benchmark=benchmark).delete()
    hits = [
        BenchmarkHit(problem_id=pk, item_id=item, method=method, score=score, evidence=evidence)
        for pk, text in block
        for item, method, score, evidence in index.hits(text, frequent, containment)
    ]
    BenchmarkHit.objects.bulk_create(hits)
    contaminated = len({hit.problem_id for hit in hits})
    ctx.advance(len(block), checked=len(block), hits=len(hits), contaminated=contaminated)
