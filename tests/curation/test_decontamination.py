"""Overlap with benchmarks: what is evidence, what is not, what a second run leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from curation import decontamination, problems
from curation.decontamination import Index, cleaned, ngrams
from curation.jobs import JobError
from curation.models import Benchmark, BenchmarkHit, OverlapDecision, Problem, Source

ITEM = (
    "Every morning Aya goes for a nine kilometre walk and stops at a coffee shop afterwards, and "
    "the walk takes her four hours including the minutes spent in the shop."
)
PREFACE = "Answer the question below with care and give a single number."


@pytest.fixture
def source(project: Any) -> Any:
    return Source.objects.create(project=project, name="made")


@pytest.fixture
def benchmark(project: Any) -> Any:
    made = Benchmark.objects.create(project=project, name="exam")
    decontamination.add_items(made, [ITEM, "An item of a wholly different kind about two trains."])
    return made


def add(source: Any, *texts: str) -> list[int]:
    return [
        Problem.objects.create(
            project=source.project,
            source=source,
            text=text,
            text_sha256=problems.sha256(text),
            norm_sha256=problems.norm_hash(text),
        ).pk
        for text in texts
    ]


def test_an_item_that_stands_there_is_not_doubled(benchmark: Any) -> None:
    assert decontamination.add_items(benchmark, [ITEM.upper(), " ", "One more item."]) == 1
    assert benchmark.items.count() == 3


def test_cleaning_keeps_letters_only() -> None:
    assert cleaned("What is 3_4 + X?  Größe") == "whatisxgröße"


def test_a_text_shorter_than_the_ngram_is_one_ngram() -> None:
    assert ngrams("Two words") == {"two words"}
    assert ngrams("...") == set()
    assert len(ngrams("a b c d e f g h i")) == 2


def test_a_copy_in_other_punctuation_is_found_by_both_methods() -> None:
    hits = Index([(7, ITEM)]).hits(ITEM.upper().replace(",", ";"), set(), 0.5)
    assert [(pk, method, score) for pk, method, score, _ in hits] == [
        (7, "cleaned", 1.0),
        (7, "8-gram", 1.0),
    ]


def test_a_short_prompt_does_not_match_by_its_letters() -> None:
    assert Index([(1, "Solve 2x = 6.")]).hits("Solve 9x = 5.", set(), 0.5) == []


def test_the_score_is_the_share_of_the_problems_ngrams() -> None:
    text = f"{PREFACE} {ITEM}"
    (hit,) = Index([(1, ITEM)]).hits(text, set(), 0.5)
    assert hit[2] == len(ngrams(ITEM)) / len(ngrams(text))
    assert Index([(1, ITEM)]).hits(text, set(), hit[2] + 0.01) == []


def test_frequent_ngrams_say_nothing() -> None:
    assert Index([(1, PREFACE)]).hits(f"{PREFACE} {ITEM}", ngrams(PREFACE), 0.01) == []


def test_of_equal_items_the_first_are_named() -> None:
    long = f"{ITEM} {PREFACE}"
    items = [(pk, f"{ITEM} {pk}") for pk in range(9, 0, -1)]
    hits = Index(items).hits(long, set(), 0.3)
    assert [pk for pk, method, _, _ in hits if method == "8-gram"] == [1, 2, 3]


def test_the_job_stores_evidence_and_replaces_it(
    source: Any, benchmark: Any, run_job: Callable[..., Any]
) -> None:
    copy, _ = add(source, ITEM + " How long?", "A clean problem about something else entirely.")
    for _ in range(2):
        job = run_job(decontamination.run_decontaminate, "decontaminate", benchmark="exam")
        assert job.counts == {"checked": 2, "hits": 1, "contaminated": 1}
        assert job.done == job.total == 2
        hit = BenchmarkHit.objects.get()
        assert (hit.problem_id, hit.item.text, hit.method) == (copy, ITEM, "8-gram")
        assert 0.9 < hit.score < 1
        assert len(hit.evidence["shared"]) == 5


def test_evidence_of_another_benchmark_stays(
    project: Any, source: Any, benchmark: Any, run_job: Callable[..., Any]
) -> None:
    add(source, ITEM)
    decontamination.add_items(Benchmark.objects.create(project=project, name="second"), [ITEM])
    for name in ("exam", "second", "second"):
        run_job(decontamination.run_decontaminate, "decontaminate", benchmark=name)
    found = BenchmarkHit.objects.values_list("item__benchmark__name", "method")
    assert sorted(found) == [
        ("exam", "8-gram"),
        ("exam", "cleaned"),
        ("second", "8-gram"),
        ("second", "cleaned"),
    ]


def test_blocks_together_check_every_problem_once(
    source: Any, benchmark: Any, run_job: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decontamination, "BLOCK", 2)
    add(source, *(f"{ITEM} Version {i}?" for i in range(5)))
    job = run_job(decontamination.run_decontaminate, "decontaminate", benchmark="exam")
    assert job.counts["checked"] == job.counts["contaminated"] == 5


@pytest.mark.parametrize("share", ["much", 0, -1, 1.01])
def test_a_bad_share_fails_with_its_reason(
    share: Any, benchmark: Any, run_job: Callable[..., Any]
) -> None:
    with pytest.raises(JobError) as error:
        run_job(
            decontamination.run_decontaminate, "decontaminate", benchmark="exam", containment=share
        )
    assert error.value.code == "bad_params"


def test_an_unknown_benchmark_fails_with_its_reason(run_job: Callable[..., Any]) -> None:
    with pytest.raises(JobError) as error:
        run_job(decontamination.run_decontaminate, "decontaminate", benchmark="none")
    assert error.value.code == "no_such_benchmark"


def test_the_shared_words_are_found_where_they_stand_in_both_texts() -> None:
    text = f"𝑥 {PREFACE}\r\n{ITEM} Then she rests."
    ((start, end),) = decontamination.shared_ranges(text, ITEM.upper())
    assert text[start:end] == ITEM.rstrip(".")
    assert decontamination.shared_ranges(ITEM, text) == [(0, len(ITEM) - 1)]
    assert decontamination.shared_ranges(text, "of another kind") == []
    assert decontamination.shared_ranges("Two, words!", "two words") == [(0, 10)]
    assert decontamination.shared_ranges("...", "...") == []


def test_the_newest_decision_about_two_texts_holds_also_for_hits_of_a_later_run(
    source: Any, benchmark: Any, user: Any, run_job: Callable[..., Any]
) -> None:
    (pk,) = add(source, ITEM)
    standing = decontamination.standing
    for decisions in ((), ("contaminated",), ("clear",), ("contaminated", "clear")):
        run_job(decontamination.run_decontaminate, "decontaminate", benchmark="exam")
        hits = BenchmarkHit.objects.filter(problem=pk)
        for decision in decisions:
            item = hits[0].item
            OverlapDecision.objects.create(problem_id=pk, item=item, decision=decision, user=user)
        last = decisions[-1] if decisions else None
        assert {hit.decision for hit in decontamination.decided(hits)} == {last}
        assert standing(hits).exists() == (last != "clear")
