"""Filters of a queue: what machines doubt, and what is wasted."""

from __future__ import annotations

from typing import Any

import pytest

from curation.jobs import JobError
from curation.models import (
    CutProposal,
    Difficulty,
    Problem,
    Segmentation,
    Source,
    Trace,
    Verdict,
)
from curation.traces import text_fields
from reviews.filters import doubts, matching
from reviews.templatetags.reviewing import filter_words
from tests.reviews.test_queues import make_traces

pytestmark = pytest.mark.django_db


def judge(trace: Trace, *verdicts: str) -> None:
    for number, verdict in enumerate(verdicts):
        Verdict.objects.create(
            trace=trace, verifier=f"v{number}", version="1", reference_sha256="r", verdict=verdict
        )


def with_rate(trace: Trace, rate: float) -> None:
    right = int(8 * rate)
    Difficulty.objects.create(
        problem=trace.problem, model="m", policy="rule", correct=right, incorrect=8 - right,
        unverifiable=0, error=0, pass_rate=rate,
    )  # fmt: skip


@pytest.mark.parametrize("least", [0.0, 0.2, 0.35, 0.5, 0.7, 0.75, 0.8, 0.9, 1.0])
def test_the_doubt_filter_finds_what_the_doubt_of_items_says(project: Any, least: float) -> None:
    ids = []
    for rate in (None, 0.0, 0.125, 0.5, 0.75, 1.0):
        for said in ((), ("error",), ("correct",), ("correct", "incorrect")):
            trace = make_trace(project)
            judge(trace, *said)
            if rate is not None:
                with_rate(trace, rate)
            ids.append(trace.pk)
    wanted = {pk for pk, doubt in doubts(ids).items() if doubt >= least}
    assert set(matching(project, {"min_doubt": least}).values_list("pk", flat=True)) == wanted
    assert least or len(wanted) == len(ids)


def make_trace(project: Any) -> Trace:
    """A trace of a problem of its own."""
    number = Problem.objects.count()
    source, _ = Source.objects.get_or_create(project=project, name="made")
    problem = Problem.objects.create(
        project=project, source=source, text=f"{number}?", text_sha256=f"{number}",
        norm_sha256=f"{number}", reference_answer="2",
    )  # fmt: skip
    return Trace.objects.create(
        project=project, problem=problem, source=source, origin="imported", identity=str(number),
        **text_fields("\\boxed{2}"),
    )  # fmt: skip


def test_the_waste_filter_compares_proposed_cuts_with_the_length(project: Any) -> None:
    none, half, most = make_traces(project, 3)
    again = Segmentation.objects.create(trace=half, segmenter="other", leaves=1)
    CutProposal.objects.create(
        segmentation=again, policy="p", start=0, end=half.char_count // 2, reason="r",
        quote_sha256="q",
    )  # fmt: skip
    for trace, share in ((half, 0.5), (most, 0.9)):
        made = Segmentation.objects.create(trace=trace, segmenter="s", leaves=1)
        CutProposal.objects.create(
            segmentation=made, policy="p", start=0, end=int(trace.char_count * share),
            reason="r", quote_sha256="q",
        )  # fmt: skip

    def found(least: float) -> set[int]:
        return set(matching(project, {"min_waste": least}).values_list("pk", flat=True))

    assert found(0.0) == {none.pk, half.pk, most.pk}
    assert found(0.3) == {half.pk, most.pk}
    assert found(0.8) == {most.pk}


@pytest.mark.parametrize("name", ["min_doubt", "min_waste"])
def test_a_share_outside_of_0_to_1_is_refused(project: Any, name: str) -> None:
    for bad in (1.5, -0.1, "much"):
        with pytest.raises(JobError, match=name):
            matching(project, {name: bad})


def test_filters_are_told_in_words() -> None:
    told = {"has_proposals": True, "reviewed": False, "min_pass_rate": 0.2, "max_chars": 900}
    words = "with proposals, not reviewed, pass rate from 0.2, chars up to 900"
    assert filter_words(told) == words
    assert filter_words({"verdict": ["correct", "error"], "ids": [3, 4]}) == (
        "verdict correct or error, 2 chosen traces"
    )
    assert filter_words({}) == "every trace"
