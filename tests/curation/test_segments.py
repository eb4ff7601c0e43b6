"""Storing segmentations: whole, once, and resumable."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from curation.jobs import JobError
from curation.segmentation.tokens import load as load_tokenizer
from curation.segments import SEGMENTER, run_segment, store_segmentation

pytestmark = pytest.mark.django_db

TEXT = (
    "<think>\nI need to find 2 + 3 · 4.\n\nFirst 3 · 4 = 12, then 2 + 12 = 14.\n\n"
    "So the answer is 14.\n\nWait, let me check: 12 + 2 = 14. Yes, that is right. 𝑥 🎉\n\n"
    "Alternatively, 4 + 4 + 4 + 2 = 14 as well.\n</think>\n\nThe answer is \\boxed{14}."
)


@pytest.fixture
def make_trace(project: Any) -> Callable[..., Any]:
    from curation.models import Problem, Source, Trace

    source = Source.objects.create(project=project, name="made")

    def make(text: str = TEXT, reference: str | None = "14", number: int = 0) -> Any:
        digest = hashlib.sha256(f"{number}{text}".encode()).hexdigest()
        problem = Problem.objects.create(
            project=project,
            source=source,
            text=f"question {number}",
            text_sha256=digest,
            norm_sha256=digest,
            reference_answer=reference,
        )
        return Trace.objects.create(
            project=project,
            problem=problem,
            source=source,
            origin="imported",
            identity=digest,
            text=text,
            text_sha256=digest,
            char_count=len(text),
            token_count=100,
        )

    return make


def test_a_job_stores_leaves_that_partition_the_text(
    run_job: Callable[..., Any], make_trace: Callable[..., Any]
) -> None:
    from curation.models import Segmentation

    trace = make_trace()
    job = run_job(run_segment, "segment")
    stored = Segmentation.objects.get(trace=trace)
    rows = list(stored.segments.order_by("index"))
    assert "".join(TEXT[row.start : row.end] for row in rows) == TEXT
    assert stored.segmenter == SEGMENTER
    assert stored.leaves == len(rows) == job.counts["segments"]
    assert job.counts["traces"] == 1
    for row in rows:
        quoted = hashlib.sha256(TEXT[row.start : row.end].encode()).hexdigest()
        assert row.quote_sha256 == quoted


def test_a_job_stores_the_first_correct_answer_and_what_may_follow_it_no_more(
    run_job: Callable[..., Any], make_trace: Callable[..., Any]
) -> None:
    from curation.models import CutProposal, Segmentation

    trace = make_trace()
    run_job(run_segment, "segment")
    stored = Segmentation.objects.get(trace=trace)
    assert TEXT[stored.first_correct :].startswith("answer is 14.")
    proposal = CutProposal.objects.get(segmentation=stored)
    assert proposal.policy == "after-first-correct"
    assert TEXT[proposal.start : proposal.end].startswith("Wait, let me check")
    assert TEXT[proposal.end :].startswith("</think>")
    assert "14" in proposal.reason
    counter = load_tokenizer(stored.tokenizer)
    quoted = TEXT[proposal.start : proposal.end]
    assert proposal.tokens == counter.count(quoted)
    assert stored.tokens == stored.trace.token_count == counter.count(TEXT)


def test_a_second_run_writes_nothing(
    run_job: Callable[..., Any], make_trace: Callable[..., Any]
) -> None:
    from curation.models import CutProposal, Segment

    make_trace()
    run_job(run_segment, "segment")
    before = (list(Segment.objects.values_list("pk")), list(CutProposal.objects.values_list("pk")))
    job = run_job(run_segment, "segment")
    after = (list(Segment.objects.values_list("pk")), list(CutProposal.objects.values_list("pk")))
    assert before == after
    assert job.counts == {"traces": 0, "segments": 0, "proposals": 0}


def test_a_run_fills_only_the_gaps(
    run_job: Callable[..., Any], make_trace: Callable[..., Any]
) -> None:
    from curation.models import Segmentation

    done, missing = make_trace(number=1), make_trace(number=2)
    store_segmentation(done, "14")
    job = run_job(run_segment, "segment")
    assert job.counts["traces"] == 1
    assert Segmentation.objects.filter(trace__in=[done, missing]).count() == 2


def test_a_run_may_be_limited_to_a_source_or_to_ids(
    run_job: Callable[..., Any], make_trace: Callable[..., Any]
) -> None:
    from curation.models import Segmentation

    one, two = make_trace(number=1), make_trace(number=2)
    assert run_job(run_segment, "segment", source="elsewhere").counts["traces"] == 0
    assert run_job(run_segment, "segment", ids=[two.pk]).counts["traces"] == 1
    assert list(Segmentation.objects.values_list("trace", flat=True)) == [two.pk]
    assert run_job(run_segment, "segment", source="made").counts["traces"] == 1
    assert Segmentation.objects.filter(trace=one).exists()


def test_an_unknown_policy_is_refused(
    run_job: Callable[..., Any], make_trace: Callable[..., Any]
) -> None:
    make_trace()
    with pytest.raises(JobError, match="after-first-correct"):
        run_job(run_segment, "segment", policy="everything")


def test_the_policy_chosen_is_the_policy_stored(
    run_job: Callable[..., Any], make_trace: Callable[..., Any]
) -> None:
    from curation.models import CutProposal

    line = "The second line gives 7 times 8, which is 56 in all.\n\n"
    work = f"First 2 + 3 = 5.\n\n{line}Something else is said here.\n\n{line}Now it is done.\n"
    make_trace(text=f"<think>\n{work}</think>\n\n5")
    run_job(run_segment, "segment", policy="repeats")
    assert set(CutProposal.objects.values_list("policy", flat=True)) == {"repeats"}


def test_without_a_reference_nothing_is_proposed_after_an_answer(
    run_job: Callable[..., Any], make_trace: Callable[..., Any]
) -> None:
    from curation.models import CutProposal, Segmentation

    make_trace(reference=None)
    run_job(run_segment, "segment")
    assert Segmentation.objects.get().first_correct is None
    assert not CutProposal.objects.exists()


def test_many_traces_are_taken_in_several_batches(
    run_job: Callable[..., Any], make_trace: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from curation import segments

    monkeypatch.setattr(segments, "BATCH_TRACES", 2)
    for number in range(5):
        make_trace(number=number)
    job = run_job(run_segment, "segment")
    assert (job.done, job.total, job.counts["traces"]) == (5, 5, 5)


def test_a_lost_lease_stops_before_anything_is_written(
    project: Any, make_trace: Callable[..., Any]
) -> None:
    from curation import jobs
    from curation.models import Job, Segmentation

    make_trace()
    job = jobs.create_job(project=project, kind="segment", wake=False)
    epoch = jobs.claim(job.pk)
    assert epoch is not None
    Job.objects.filter(pk=job.pk).update(lease_epoch=epoch + 1)
    with pytest.raises(jobs.LeaseLost):
        run_segment(jobs.JobContext(Job.objects.get(pk=job.pk), epoch))
    assert not Segmentation.objects.exists()


def test_another_reference_or_tokenizer_makes_a_reading_stale(
    run_job: Callable[..., Any], make_trace: Callable[..., Any], project: Any
) -> None:
    from curation.models import Problem, Segmentation

    trace = make_trace()
    run_job(run_segment, "segment")
    Problem.objects.update(reference_answer="12")
    job = run_job(run_segment, "segment")
    stored = Segmentation.objects.get(trace=trace)
    assert job.counts["traces"] == 1
    assert TEXT[: stored.first_correct or 0].count("12") <= 1
    project.settings = {"tokenizer": "demo-teacher"}
    project.save()
    assert run_job(run_segment, "segment").counts["traces"] == 1
    assert Segmentation.objects.get(trace=trace).tokenizer == "demo-teacher"
    assert run_job(run_segment, "segment").counts["traces"] == 0


def test_a_new_segmenter_lists_what_moved_and_keeps_the_old_reading(
    run_job: Callable[..., Any], make_trace: Callable[..., Any]
) -> None:
    from curation.models import Segment, Segmentation
    from curation.segments import quote_hash

    trace = make_trace()
    old = Segmentation.objects.create(trace=trace, segmenter="rules-0", leaves=2)
    for index, (start, end) in enumerate(((0, 8), (8, 60))):
        Segment.objects.create(
            segmentation=old, index=index, start=start, end=end, kind="fact",
            quote_sha256=quote_hash(TEXT, start, end),
        )  # fmt: skip
    run_job(run_segment, "segment")
    new = Segmentation.objects.get(trace=trace, segmenter=SEGMENTER)
    assert new.reanchored["from"] == "rules-0"
    assert (new.reanchored["same"], new.reanchored["moved_count"]) == (1, 1)
    assert new.reanchored["moved"][0][:2] == [8, 60]
    assert new.reanchored["lost"] == []
    assert Segmentation.objects.filter(trace=trace).count() == 2


def test_all_policies_can_be_stored_and_the_summary_has_the_savings_of_each(
    run_job: Callable[..., Any], make_trace: Callable[..., Any]
) -> None:
    from curation.models import CutProposal, Segmentation

    make_trace()
    run_job(run_segment, "segment", policy="all")
    summary = Segmentation.objects.get().summary
    assert set(CutProposal.objects.values_list("policy", flat=True)) == set(summary["savings"])
    saved = summary["savings"]["after-first-correct"]
    assert 0 < saved["tokens"] < saved["characters"]
    assert summary["turn_count"] >= 1 and summary["waste"] > 0


@pytest.mark.parametrize(
    ("settings", "params", "code"),
    [
        ({"tokenizer": "nobody"}, {}, "unknown_tokenizer"),
        ({}, {"kinds": "nobody"}, "unknown_kinds"),
    ],
)
def test_unknown_tokenizers_and_classifiers_are_named(
    run_job: Callable[..., Any], make_trace: Callable[..., Any], project: Any,
    settings: dict[str, str], params: dict[str, str], code: str,
) -> None:  # fmt: skip
    make_trace()
    project.settings = settings
    project.save()
    with pytest.raises(JobError) as raised:
        run_job(run_segment, "segment", **params)
    assert raised.value.code == code


@pytest.mark.slow
def test_a_trained_classifier_gives_its_kinds_and_its_name(
    run_job: Callable[..., Any], make_trace: Callable[..., Any]
) -> None:
    pytest.importorskip("sklearn", reason="training needs the extra 'demo'")
    from curation.models import Segmentation
    from curation.segmentation import training
    from curation.segments import kinds_folder

    said = (("Maybe it is red.", "uncertainty"), ("We know that it is red.", "fact"))
    rows = [
        training.Labelled(f"t{n}", f"p{n % 4}", text, frozenset({kind}))
        for n in range(12)
        for text, kind in said
    ]
    model = training.train(rows, "tiny")
    assert model.classify([text for text, _ in said]) == [kind for _, kind in said]
    scores = training.measure([kind for _, kind in said] * 12, rows)
    assert scores["reflection"].f1 == 1.0
    model.save(kinds_folder())
    trace = make_trace()
    run_job(run_segment, "segment", kinds="tiny")
    stored = Segmentation.objects.get(trace=trace)
    assert stored.segmenter == f"{SEGMENTER}+tiny"
    assert stored.summary["kinds_version"] == "tiny"
    assert stored.summary["kinds"]["tag"] == 2
