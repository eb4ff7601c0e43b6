"""Copies among problems: exact, near (MinHash) and semantic (embeddings), as clusters.

Nothing is deleted: a cluster names the problem to use, and selection leaves the others out with
the reason ``duplicate``. Near and semantic candidates pass a guard, the same multiset of numbers
and of formulas, because "same stem, other numbers" is the usual false pair.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from curation.jobs import JobContext, JobError
from curation.models import DuplicateCluster, DuplicateMember, Problem

PERMUTATIONS = 128
SEED = 1
THRESHOLDS = {"near": 0.6, "semantic": 0.9}
NEIGHBOURS = 10
BLOCK = 1000
NUMBER = re.compile(r"\d+(?:\.\d+)?")
FORMULA = re.compile(r"\$([^$]{1,500})\$")
WORD = re.compile(r"\w+")
Pair = tuple[int, int, float]


def guard_key(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What two copies must share: their numbers and their formulas, as sorted multisets."""
    formulas = (re.sub(r"\s+", "", f) for f in FORMULA.findall(text))
    return tuple(sorted(NUMBER.findall(text))), tuple(sorted(formulas))


def shingles(text: str) -> list[str]:
    """Word 3-grams of the lower-cased text; a shorter text is one shingle."""
    words = WORD.findall(text.lower())
    return [" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))]


def jaccard(left: set[str], right: set[str]) -> float:
    union = len(left | right)
    return len(left & right) / union if union else 1.0


def near_pairs(texts: dict[int, str], threshold: float) -> list[Pair]:
    """Pairs whose 3-gram Jaccard similarity, computed truly, reaches ``threshold``."""
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=32)
    grams = {pk: set(shingles(text)) for pk, text in texts.items()}
    keys = {pk: guard_key(text) for pk, text in texts.items()}
    pairs: list[Pair] = []
    for pk in texts:
        signature = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
        signature.update(sorted(grams[pk]))
        for other in index.query(signature):
            if keys[other] != keys[pk]:
                continue
            score = jaccard(grams[pk], grams[other])
            if score >= threshold:
                pairs.append((other, pk, score))
        index.insert(pk, signature)
    return pairs


def semantic_pairs(ctx: JobContext, texts: dict[int, str], threshold: float) -> list[Pair]:
    """Pairs among each problem's nearest neighbours by cosine, guarded like the near ones."""
    from pgvector.django import CosineDistance

    embedded = Problem.objects.filter(project=ctx.project, embedding__isnull=False)
    if not embedded.exists():
        raise JobError("not_embedded", "run the job `embed` first")
    pairs: list[Pair] = []
    for pk, vector in embedded.order_by("pk").values_list("pk", "embedding").iterator(BLOCK):
        ctx.check()
        near = (
            embedded.filter(pk__lt=pk)
            .annotate(distance=CosineDistance("embedding", vector))
            .order_by("distance")
            .values_list("pk", "distance")[:NEIGHBOURS]
        )
        for other, distance in near:
            if 1 - distance < threshold:
                break
            if guard_key(texts[other]) == guard_key(texts[pk]):
                pairs.append((other, pk, 1 - float(distance)))
    return pairs


def exact_pairs(texts: dict[int, str]) -> list[Pair]:
    """Problems that differ in case, spaces and punctuation only."""
    first: dict[str, int] = {}
    pairs = []
    for pk, text in texts.items():
        key = " ".join(WORD.findall(text.lower()))
        if key in first:
            pairs.append((first[key], pk, 1.0))
        else:
            first[key] = pk
    return pairs


def clusters_of(pairs: Iterable[Pair]) -> dict[int, dict[int, float]]:
    """Connected problems: smallest id -> {other id: best score of a pair that links it}."""
    parent: dict[int, int] = {}

    def root(pk: int) -> int:
        parent.setdefault(pk, pk)
        while parent[pk] != pk:
            parent[pk] = parent[parent[pk]]
            pk = parent[pk]
        return pk

    best: Counter[int] = Counter()
    for left, right, score in pairs:
        low, high = sorted((root(left), root(right)))
        parent[high] = low
        for pk in (left, right):
            best[pk] = max(best[pk], score)  # type: ignore[assignment]
    found: dict[int, dict[int, float]] = defaultdict(dict)
    for pk in parent:
        if (kept := root(pk)) != pk:
            found[kept][pk] = best[pk]
    return dict(found)


def run_dedup(ctx: JobContext) -> None:
    """Job ``dedup``: params ``method`` (exact, near, semantic) and ``threshold``.

    The clusters of a method are replaced as a whole, so that a second run gives the same rows.
    """
    method = str(ctx.params.get("method") or "near")
    if method not in {"exact", "near", "semantic"}:
        raise JobError("bad_params", f"method: {method!r} is none of exact, near, semantic")
    threshold = float(ctx.params.get("threshold") or THRESHOLDS.get(method, 1.0))
    rows = Problem.objects.filter(project=ctx.project).order_by("pk").values_list("pk", "text")
    texts = dict(rows.iterator(BLOCK))
    ctx.set_total(len(texts))
    ctx.restart_counts(checked=len(texts), clusters=0, duplicates=0)
    if method == "exact":
        pairs = exact_pairs(texts)
    elif method == "near":
        pairs = near_pairs(texts, threshold)
    else:
        pairs = semantic_pairs(ctx, texts, threshold)
    store(ctx, method, {"threshold": threshold}, clusters_of(pairs))


def store(
    ctx: JobContext, method: str, parameters: dict[str, Any], clusters: dict[int, dict[int, float]]
) -> None:
    with ctx.chunk():
        DuplicateCluster.objects.filter(project=ctx.project, method=method).delete()
        rows = DuplicateCluster.objects.bulk_create(
            DuplicateCluster(
                project=ctx.project, method=method, parameters=parameters, kept_id=kept
            )
            for kept in sorted(clusters)
        )
        DuplicateMember.objects.bulk_create(
            DuplicateMember(cluster=row, problem_id=pk, score=score)
            for row in rows
            for pk, score in sorted(clusters[row.kept_id].items())
        )
        duplicates = sum(len(members) for members in clusters.values())
        ctx.advance(ctx.job.total or 0, clusters=len(clusters), duplicates=duplicates)
