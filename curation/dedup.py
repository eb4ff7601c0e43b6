"""Copies among problems: exact, near (MinHash) and semantic (embeddings), as clusters.

Nothing is deleted: a cluster names the problem to use, and selection leaves the others out with
the reason ``duplicate``. People may name another problem of a cluster, or say that one is no copy;
what they decided holds for later runs too. Candidates of every method pass a guard, the same
multiset of numbers and of formulas and the same operators, because "same stem, other numbers" is
the usual false pair.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from django.db import transaction

from curation.jobs import JobContext, JobError
from curation.models import DuplicateChoice, DuplicateCluster, DuplicateMember, Problem, Project

PERMUTATIONS = 128
SEED = 1
THRESHOLDS = {"near": 0.6, "semantic": 0.9}
NEIGHBOURS = 10
BLOCK = 1000
NUMBER = re.compile(r"\d+(?:\.\d+)?")
# As in Pandoc, so that "$5 and then $3" are two prices and no formula.
FORMULA = re.compile(r"\$(?!\s)([^$]{1,500})(?<!\s)\$(?!\d)")
# An operator before a number, a bracket, a command or a single letter; a hyphen of prose is none.
OPERATOR = re.compile(
    r"\\(?:times|div|cdot|pm|mp|leq?|geq?|neq?)\b"
    r"|[-+*/^=<>×÷·±≤≥≠](?=\s*(?:[\d({\\$]|[A-Za-z]\b))"
)
DASHES = str.maketrans("−–", "--")
WORD = re.compile(r"\w+")
Pair = tuple[int, int, float]
GuardKey = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def guard_key(text: str) -> GuardKey:
    """What two copies must share: numbers and formulas as sorted multisets, operators in order."""
    formulas = (re.sub(r"\s+", "", f) for f in FORMULA.findall(text))
    return tuple(sorted(NUMBER.findall(text))), tuple(sorted(formulas)), operators(text)


def operators(text: str) -> tuple[str, ...]:
    """The operators of ``text`` in order: word n-grams cannot tell 3 + 4 from 3 - 4."""
    return tuple(OPERATOR.findall(text.translate(DASHES)))


def no_check() -> None:
    """Nobody can cancel."""


def shingles(text: str) -> list[str]:
    """Word 3-grams of the lower-cased text; a shorter text is one shingle."""
    words = WORD.findall(text.lower())
    return [" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))]


def jaccard(left: set[str], right: set[str]) -> float:
    union = len(left | right)
    return len(left & right) / union if union else 1.0


def near_pairs(
    texts: dict[int, str], threshold: float, check: Callable[[], None] = no_check
) -> Iterator[Pair]:
    """Pairs whose 3-gram Jaccard similarity, computed truly, reaches ``threshold``.

    Only texts that share a guard key are compared, so that a template with other numbers in each
    row costs nothing.
    """
    groups: dict[GuardKey, list[int]] = defaultdict(list)
    for pk, text in texts.items():
        groups[guard_key(text)].append(pk)
    for group in groups.values():
        if len(group) > 1:
            yield from near_in_group({pk: texts[pk] for pk in group}, threshold, check)


def near_in_group(
    texts: dict[int, str], threshold: float, check: Callable[[], None]
) -> Iterator[Pair]:
    from rensa import RMinHash, RMinHashLSH

    # 32 bands of 4 find 98.8 % of pairs at a similarity of 0.6; lower ones need shorter bands.
    bands = 32 if threshold >= THRESHOLDS["near"] else 64
    index = RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=bands)
    grams = {pk: set(shingles(text)) for pk, text in texts.items()}
    for pk, own in grams.items():
        check()
        signature = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
        signature.update(sorted(own))
        for other in index.query(signature):
            if (score := jaccard(own, grams[other])) >= threshold:
                yield other, pk, score
        index.insert(pk, signature)


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
            if not 1 - distance >= threshold:  # also for NaN: a text without known tokens
                break
            left, right = texts.get(other), texts.get(pk)  # None: came in after texts were read
            if left is not None and right is not None and guard_key(left) == guard_key(right):
                pairs.append((other, pk, 1 - float(distance)))
    return pairs


def exact_pairs(texts: dict[int, str]) -> list[Pair]:
    """Problems that differ in case, spaces and punctuation only; an operator is no punctuation."""
    first: dict[tuple[str, ...], int] = {}
    pairs = []
    for pk, text in texts.items():
        numbers = sorted(NUMBER.findall(text))
        key = (*WORD.findall(text.lower()), "", *numbers, "", *operators(text))
        if key in first:
            pairs.append((first[key], pk, 1.0))
        else:
            first[key] = pk
    return pairs


def clusters_of(
    pairs: Iterable[Pair], chosen: Mapping[int, int] | None = None
) -> dict[int, dict[int, float]]:
    """Connected problems: the one to use -> {other id: best score of a pair that links it}.

    The one to use is that with the highest rank in ``chosen`` (problem -> rank over 0), else the
    smallest id.
    """
    parent: dict[int, int] = {}

    def root(pk: int) -> int:
        parent.setdefault(pk, pk)
        while parent[pk] != pk:
            parent[pk] = parent[parent[pk]]
            pk = parent[pk]
        return pk

    best: dict[int, float] = {}
    for left, right, score in pairs:
        low, high = sorted((root(left), root(right)))
        parent[high] = low
        for pk in (left, right):
            best[pk] = max(best.get(pk, 0.0), score)
    together: dict[int, list[int]] = defaultdict(list)
    for pk in parent:
        together[root(pk)].append(pk)
    ranks = chosen or {}
    found = {}
    for problems in together.values():
        kept = max(problems, key=lambda pk: (ranks.get(pk, 0), -pk))
        found[kept] = {pk: best[pk] for pk in problems if pk != kept}
    return found


def run_dedup(ctx: JobContext) -> None:
    """Job ``dedup``: params ``method`` (exact, near, semantic) and ``threshold``.

    The clusters of a method are replaced as a whole, so that a second run gives the same rows.
    """
    method = str(ctx.params.get("method") or "near")
    if method not in {"exact", "near", "semantic"}:
        raise JobError("bad_params", f"method: {method!r} is none of exact, near, semantic")
    threshold = threshold_of(ctx, THRESHOLDS.get(method, 1.0))
    rows = Problem.objects.filter(project=ctx.project).order_by("pk").values_list("pk", "text")
    texts = dict(rows.iterator(BLOCK))
    ctx.set_total(len(texts))
    ctx.restart_counts(checked=len(texts), clusters=0, duplicates=0)
    pairs: Iterable[Pair]
    if method == "exact":
        pairs = exact_pairs(texts)
    elif method == "near":
        pairs = near_pairs(texts, threshold, ctx.check)
    else:
        pairs = semantic_pairs(ctx, texts, threshold)
    kept, distinct = choices(ctx.project)
    copies = (pair for pair in pairs if distinct.isdisjoint(pair[:2]))
    store(ctx, method, {"threshold": threshold}, clusters_of(copies, kept))


def threshold_of(ctx: JobContext, default: float) -> float:
    """The parameter ``threshold``, a share over 0; JobError ``bad_params`` for anything else."""
    given = ctx.params.get("threshold")
    try:
        threshold = default if given in {None, ""} else float(given)
    except (TypeError, ValueError):
        threshold = 0.0
    if not 0 < threshold <= 1:
        raise JobError("bad_params", f"threshold: {given!r} is no number over 0 and up to 1")
    return threshold


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


def choices(project: Project) -> tuple[dict[int, int], set[int]]:
    """What people said last: (problem to use -> rank, newer is higher; problems that are none)."""
    rows = (
        DuplicateChoice.objects.filter(problem__project=project)
        .order_by("problem_id", "-id")
        .distinct("problem_id")
        .values_list("problem_id", "id", "decision")
    )
    newest = list(rows)
    kept = {pk: rank for pk, rank, said in newest if said == DuplicateChoice.Decision.KEEP}
    return kept, {pk for pk, _, said in newest if said == DuplicateChoice.Decision.DISTINCT}


def decide(problem: Problem, decision: str, user: Any) -> int:
    """Note a person's decision and carry it out; how many clusters changed.

    ``keep``: the problem is the one to use in each cluster that it stands in. ``distinct``: it
    leaves them; of two that are left with one, none stays.
    """
    with transaction.atomic():
        DuplicateChoice.objects.create(problem=problem, decision=decision, user=user)
        own = DuplicateMember.objects.filter(problem=problem).values("cluster")
        clusters = DuplicateCluster.objects.select_for_update().filter(project=problem.project_id)
        found = list(clusters.filter(pk__in=own) | clusters.filter(kept=problem))
        change = use if decision == DuplicateChoice.Decision.KEEP else leave
        for cluster in found:
            change(cluster, problem)
    return len(found)


def use(cluster: DuplicateCluster, problem: Problem) -> None:
    """Make ``problem`` the one to use; the one before becomes a copy with its score."""
    if cluster.kept_id == problem.pk:
        return
    DuplicateMember.objects.filter(cluster=cluster, problem=problem).update(problem=cluster.kept_id)
    cluster.kept = problem
    cluster.save(update_fields=["kept"])


def leave(cluster: DuplicateCluster, problem: Problem) -> None:
    """Take ``problem`` out of the cluster; one problem alone is no cluster."""
    heir = cluster.members.exclude(problem=problem).order_by("problem_id").first()
    if heir is None:
        cluster.delete()
        return
    if cluster.kept_id == problem.pk:
        use(cluster, heir.problem)
    cluster.members.filter(problem=problem).delete()
    if not cluster.members.exists():
        cluster.delete()
