"""Copies among problems: what each method finds, what the guard keeps apart, what is stored."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from curation import dedup, problems
from curation.jobs import JobError
from curation.models import DuplicateCluster, DuplicateMember, Problem, Source
from curation.models.problem import EMBEDDING_DIMENSIONS

STEM = (
    "A farmer has {a} hens and each of them lays {b} eggs on every day of the week, and she "
    "sells all of the eggs at the market in the town. How many eggs does she sell in a week?"
)
OTHER = "Let $f$ be a continuous function on the unit interval. Prove that it attains its maximum."


@pytest.fixture
def source(project: Any) -> Any:
    return Source.objects.create(project=project, name="made")


def add(source: Any, *texts: str) -> list[int]:
    """Store problems; their ids in order."""
    rows = [
        Problem(
            project=source.project,
            source=source,
            text=text,
            text_sha256=problems.sha256(text),
            norm_sha256=problems.norm_hash(text),
        )
        for text in texts
    ]
    return [row.pk for row in Problem.objects.bulk_create(rows)]


def members(method: str) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    rows = DuplicateMember.objects.filter(cluster__method=method).select_related("cluster")
    for row in rows:
        found.setdefault(row.cluster.kept_id, set()).add(row.problem_id)
    return found


def near(*texts: str, threshold: float = 0.6) -> set[tuple[int, int]]:
    pairs = dedup.near_pairs(dict(enumerate(texts)), threshold)
    return {(left, right) for left, right, _ in pairs}


def test_a_planted_copy_with_an_edited_word_is_found() -> None:
    text = STEM.format(a=12, b=3)
    assert near(text, OTHER, text.replace("farmer", "woman")) == {(0, 2)}


def test_every_planted_copy_among_many_problems_is_found() -> None:
    chance = random.Random(5)
    vocabulary = [f"w{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(400)]
    originals = [" ".join(chance.choices(vocabulary, k=30)) for _ in range(300)]
    copies = [text.replace(text.split()[15], "edited", 1) for text in originals]
    found = near(*originals, *copies)
    assert found == {(i, i + 300) for i in range(300)}


def test_the_same_stem_with_other_numbers_is_no_copy() -> None:
    assert near(STEM.format(a=12, b=3), STEM.format(a=12, b=4)) == set()


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("What is 3 + 4?", "What is 3 - 4?"),
        ("Compute 12 + 5 - 3 now", "Compute 12 - 5 + 3 now"),
        (r"Simplify \(a+b\) as far as it goes", r"Simplify \(a-b\) as far as it goes"),
        (r"Find 6 \times 3 please", r"Find 6 \div 3 please"),
        ("Solve $x^2=4$ over the reals", "Solve $x^2>4$ over the reals"),
    ],
)
def test_problems_that_differ_in_an_operator_are_no_copies(left: str, right: str) -> None:
    assert near(left, right, threshold=0.1) == set()
    assert dedup.exact_pairs({1: left, 2: right}) == []


def test_prices_in_dollars_are_no_formula() -> None:
    text = "Tom has $5 and buys food for $3 and after that he goes to see a friend of his in town."
    assert near(text, text.replace("buys food", "buys bread"), threshold=0.5) == {(0, 1)}


def test_a_hyphen_of_prose_is_no_operator() -> None:
    assert dedup.operators("a two-digit number, e-mail - and a 5-year plan") == ()
    assert dedup.operators("3 − 4 and x-y and -2") == ("-", "-", "-")


def test_near_pairs_are_those_of_comparing_all_with_all() -> None:
    chance = random.Random(7)
    words = [chr(97 + i) * 3 for i in range(8)]
    base = [chance.choices(words, k=25) for _ in range(8)]
    texts = {}
    for row in range(80):
        text = list(base[row % 8])
        for _ in range(row % 4):
            text[chance.randrange(25)] = chance.choice(words)
        texts[row] = " ".join(text)
    grams = {pk: set(dedup.shingles(text)) for pk, text in texts.items()}
    for threshold in (0.4, 0.7):
        wanted = {
            (a, b)
            for a in texts
            for b in texts
            if a < b and dedup.jaccard(grams[a], grams[b]) >= threshold
        }
        found = {(a, b) for a, b, _ in dedup.near_pairs(texts, threshold)}
        assert found <= wanted
        assert len(found) >= 0.95 * len(wanted) > 50


def test_exact_copies_differ_in_case_space_and_punctuation_only() -> None:
    texts = {1: "What is 2.5 of it?", 2: "what   is 2.5 of it", 3: "What is 25 of it?"}
    texts[4] = "What is 2 5 of it?"
    assert dedup.exact_pairs(texts) == [(1, 2, 1.0)]


def test_a_cluster_is_named_by_its_smallest_problem() -> None:
    found = dedup.clusters_of([(5, 9, 0.7), (3, 5, 0.8), (10, 11, 1.0), (9, 3, 0.6)])
    assert found == {3: {5: 0.8, 9: 0.7}, 10: {11: 1.0}}


def test_the_job_stores_clusters_and_a_second_run_gives_the_same(
    source: Any, run_job: Callable[..., Any]
) -> None:
    text = STEM.format(a=12, b=3)
    ids = add(source, text, OTHER, text.replace("farmer", "woman"), STEM.format(a=1, b=3))
    for _ in range(2):
        job = run_job(dedup.run_dedup, "dedup", method="near")
        assert members("near") == {ids[0]: {ids[2]}}
        assert job.counts == {"checked": 4, "clusters": 1, "duplicates": 1}
        assert job.done == job.total == 4
    assert DuplicateCluster.objects.get().parameters == {"threshold": 0.6}


def test_methods_stand_side_by_side(source: Any, run_job: Callable[..., Any]) -> None:
    text = STEM.format(a=12, b=3)
    ids = add(source, text, text.replace(",", ""), text.replace("farmer", "woman"))
    run_job(dedup.run_dedup, "dedup", method="near")
    run_job(dedup.run_dedup, "dedup", method="exact")
    assert members("near") == {ids[0]: {ids[1], ids[2]}}
    assert members("exact") == {ids[0]: {ids[1]}}


@pytest.mark.parametrize(
    "params", [{"method": "magic"}, {"threshold": "high"}, {"threshold": 0}, {"threshold": 1.5}]
)
def test_bad_parameters_fail_with_their_reason(
    params: dict[str, Any], run_job: Callable[..., Any]
) -> None:
    with pytest.raises(JobError) as error:
        run_job(dedup.run_dedup, "dedup", **params)
    assert error.value.code == "bad_params"


def embed(ids: Sequence[int], *vectors: dict[int, float]) -> None:
    for pk, sparse in zip(ids, vectors, strict=True):
        vector = [sparse.get(i, 0.0) for i in range(EMBEDDING_DIMENSIONS)]
        Problem.objects.filter(pk=pk).update(embedding=vector)


def test_semantic_copies_are_near_by_cosine_and_share_their_numbers(
    source: Any, run_job: Callable[..., Any]
) -> None:
    ids = add(source, "Add 3 to 4", "Sum 4 with 3", "Add 3 to 5", "Something else")
    embed(ids, {0: 1.0}, {0: 2.0, 1: 0.1}, {0: 1.0}, {1: 1.0})
    run_job(dedup.run_dedup, "dedup", method="semantic")
    assert members("semantic") == {ids[0]: {ids[1]}}
    assert DuplicateMember.objects.get().score == pytest.approx(0.99875, abs=1e-4)


def test_texts_without_a_known_token_are_no_copies(
    source: Any, run_job: Callable[..., Any]
) -> None:
    ids = add(source, "🙂🙂", "🙃", "hello")
    embed(ids, {}, {}, {0: 1.0})
    assert run_job(dedup.run_dedup, "dedup", method="semantic").counts["clusters"] == 0


def test_semantic_without_vectors_says_what_to_run(run_job: Callable[..., Any]) -> None:
    with pytest.raises(JobError, match="embed"):
        run_job(dedup.run_dedup, "dedup", method="semantic")


def choose(pk: int, decision: str, user: Any) -> int:
    return dedup.decide(Problem.objects.get(pk=pk), decision, user)


def test_the_problem_that_a_person_names_is_the_one_to_use_now_and_after_later_runs(
    source: Any, run_job: Callable[..., Any], user: Any
) -> None:
    text = STEM.format(a=12, b=3)
    ids = add(source, text, text.replace(",", ""), text.replace("farmer", "woman"))
    for method in ("near", "exact"):
        run_job(dedup.run_dedup, "dedup", method=method)
    assert choose(ids[2], "keep", user) == 1
    assert choose(ids[1], "keep", user) == 2
    for _ in range(2):
        assert members("near") == {ids[1]: {ids[0], ids[2]}}
        assert members("exact") == {ids[1]: {ids[0]}}
        run_job(dedup.run_dedup, "dedup", method="near")


def test_a_problem_that_a_person_called_no_copy_is_none_now_and_after_later_runs(
    source: Any, run_job: Callable[..., Any], user: Any
) -> None:
    text = STEM.format(a=12, b=3)
    ids = add(source, text, text.replace(",", ""), text.replace("farmer", "woman"))
    run_job(dedup.run_dedup, "dedup", method="near")
    choose(ids[0], "distinct", user)
    for _ in range(2):
        assert members("near") == {ids[1]: {ids[2]}}
        run_job(dedup.run_dedup, "dedup", method="near")
    choose(ids[2], "distinct", user)
    assert not DuplicateCluster.objects.exists()
    assert run_job(dedup.run_dedup, "dedup", method="near").counts["clusters"] == 0
    choose(ids[0], "keep", user)  # taken back: a copy again, and the one to use
    choose(ids[2], "keep", user)
    run_job(dedup.run_dedup, "dedup", method="near")
    assert members("near") == {ids[2]: {ids[0], ids[1]}}
