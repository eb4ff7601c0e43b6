"""Repeats and methods by a model's vectors: made texts and made vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from curation.jobs import JobError
from curation.models import CutProposal, Segmentation
from curation.segmentation import analyse, apply_cuts, check_derived
from curation.segmentation.meaning import find_reworded, reworded_cuts, things, with_meaning
from curation.segments import run_segment
from tests.curation.test_segments import make_trace  # noqa: F401 a fixture

FIRST = "The two numbers have a sum of 12 and a product of 35, as it says."
AGAIN = "It says that the sum of the two numbers is 12, and 35 is their product."
OTHER = "The two numbers have a sum of 12 and a product of 36, as it says."
TEXT = (
    f"<think>\nI need the larger of two numbers.\n\n{FIRST}\n\nTry 5 · 7 = 35, and 5 + 7 = 12.\n\n"
    f"{AGAIN}\n\n{OTHER}\n\nThe larger one is 7.\n\nSo the answer is 7.\n</think>\n\n"
    "The answer is \\boxed{7}."
)


def by_topic(bodies: Sequence[str]) -> list[list[float]]:
    """Sentences about a sum point the same way, all others another."""
    return [[1.0, 0.1] if "sum" in body else [0.0, 1.0] for body in bodies]


def test_a_leaf_in_other_words_is_found_and_one_with_another_number_is_not() -> None:
    analysis = analyse(TEXT, "7")
    found = find_reworded(TEXT, analysis.segments, by_topic)
    said = {TEXT[analysis.segments[i].start : analysis.segments[i].end].strip(): f
            for i, f in found.items()}  # fmt: skip
    assert list(said) == [AGAIN]
    first, near = said[AGAIN]
    assert TEXT[analysis.segments[first].start :].startswith(FIRST)
    assert near == pytest.approx(1.0)


def test_what_is_far_in_meaning_or_known_already_is_not_found() -> None:
    analysis = analyse(TEXT, "7")
    vectors = iter([[1.0, 0.0], [0.0, 1.0]])
    assert find_reworded(TEXT, analysis.segments, lambda b: [next(vectors) for _ in b]) == {}
    everything = set(range(len(analysis.segments)))
    assert find_reworded(TEXT, analysis.segments, by_topic, everything) == {}
    assert find_reworded("", [], by_topic) == {}


def test_what_a_leaf_speaks_of_keeps_its_order_and_its_words_of_contrast() -> None:
    assert things("so x - y = 1 and a_2") != things("so y - x = 1 and a_2")
    assert things("the first circle has 3") != things("the second circle has 3")
    assert things("it can be 3") != things("it can't be 3")
    assert things("\\log_{7x} 2") != things("\\log_{7} 2")
    assert things("\\( x \\) is 2.5, I see a way") == ("x", "2.5")
    assert things("Substituting these back:") == ()


def test_reworded_leaves_are_cut_where_the_trace_reads_on_without_them() -> None:
    better = with_meaning(analyse(TEXT, "7"), by_topic)
    (cut,) = reworded_cuts(better)
    assert "says again what the segment at" in cut.reason
    derived = apply_cuts(TEXT, [cut])
    assert AGAIN not in derived.text and FIRST in derived.text
    assert check_derived(TEXT, derived, "7") == []
    wrong = TEXT.replace("\\boxed{7}", "\\boxed{5}")
    assert reworded_cuts(with_meaning(analyse(wrong, "7"), by_topic)) == []
    assert reworded_cuts(analyse(TEXT, "7")) == []


@pytest.mark.django_db
def test_a_job_with_vectors_reads_beside_the_one_without(
    run_job: Callable[..., Any],
    make_trace: Callable[..., Any],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("curation.segments.encoder_of", lambda name: by_topic)
    trace = make_trace(TEXT, "7")
    run_job(run_segment, "segment")
    job = run_job(run_segment, "segment", vectors="minilm")
    assert job.counts["traces"] == 1
    assert run_job(run_segment, "segment", vectors="minilm").counts["traces"] == 0
    plain, better = Segmentation.objects.filter(trace=trace).order_by("pk")
    assert better.segmenter == f"{plain.segmenter}+vectors:minilm"
    assert (plain.summary["reworded"], better.summary["reworded"]) == (0, 1)
    assert better.summary["savings"]["reworded"]["tokens"] > 5
    proposal = CutProposal.objects.get(policy="reworded")
    assert TEXT[proposal.start : proposal.end].strip() == AGAIN


@pytest.mark.django_db
def test_an_unknown_encoder_is_named(run_job: Callable[..., Any]) -> None:
    with pytest.raises(JobError) as raised:
        run_job(run_segment, "segment", vectors="word2vec")
    assert raised.value.code == "unknown_vectors"
