"""The page of structure: what it counts of segmented traces, and what it shows without any."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.test import Client

from curation.models import (
    ContinuationProbe,
    ModelEndpoint,
    Problem,
    RefineAnswer,
    Segmentation,
    Source,
    Trace,
)
from curation.segments import run_segment
from curation.views import structure

pytestmark = pytest.mark.django_db
TEXT = (
    "<think>\nI need to find 2 + 3 · 4.\n\nFirst 3 · 4 = 12, then 2 + 12 = 14.\n\n"
    "So the answer is 14.\n\nWait, let me check: 12 + 2 = 14. Yes, that is right.\n\n"
    "Alternatively, 4 + 4 + 4 + 2 = 14 as well.\n</think>\n\nThe answer is \\boxed{14}."
)


@pytest.fixture
def traces(project: Any) -> list[Trace]:
    source = Source.objects.create(project=project, name="made")
    made = []
    for number, model in enumerate(("alpha", "alpha", "beta")):
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        problem = Problem.objects.create(
            project=project, source=source, text=f"q {number}", text_sha256=digest,
            norm_sha256=digest, reference_answer="14",
        )  # fmt: skip
        made.append(
            Trace.objects.create(
                project=project,
                problem=problem,
                source=source,
                origin="imported",
                model=model,
                identity=digest,
                text=TEXT,
                text_sha256=digest,
                char_count=len(TEXT),
            )
        )
    return made


def test_each_teacher_has_its_row_and_savings_of_every_policy(
    traces: list[Trace], project: Any, user: Any, client: Client, run_job: Any
) -> None:
    run_job(run_segment, "segment")
    client.force_login(user)
    answer = client.get(f"/p/{project.slug}/structure/")
    rows = {row.model: row for row in answer.context["teachers"]}
    assert (rows["alpha"].traces, rows["beta"].traces) == (2, 1)
    assert rows["alpha"].answered == 2 and rows["alpha"].loops == 0
    assert 0.3 < rows["alpha"].waste_median < 0.8
    saved = {s.policy: s for s in answer.context["savings"]}
    assert {s.model for s in saved.values()} == {None}  # all teachers
    assert (saved["after-first-correct"].traces, saved["after-first-correct"].proposed) == (3, 3)
    assert 0.3 < saved["after-first-correct"].median < 0.7
    assert 30 < saved["after-first-correct"].tokens < 3 * rows["alpha"].tokens
    assert saved["loops"].proposed == 0
    kinds = {row.model: row for row in answer.context["kinds"]}
    assert list(kinds) == ["alpha", "beta"]
    assert sum(amount for _, amount in kinds["alpha"].amounts) == pytest.approx(1000, rel=0.2)
    assert "hue-exec" in kinds["alpha"].bar


def test_one_teacher_and_one_policy_can_be_chosen_and_others_are_ignored(
    traces: list[Trace], project: Any, user: Any, client: Client, run_job: Any
) -> None:
    run_job(run_segment, "segment")
    client.force_login(user)
    answer = client.get(f"/p/{project.slug}/structure/?model=beta&policy=loops")
    assert {s.model for s in answer.context["savings"]} == {"beta"}
    assert answer.context["policy"] == "loops"
    answer = client.get(f"/p/{project.slug}/structure/?model=<script>&policy=x")
    assert (answer.context["model"], answer.context["policy"]) == ("", "after-first-correct")
    assert b"<script>&" not in answer.content


def test_without_traces_the_page_says_what_to_do(project: Any, user: Any, client: Client) -> None:
    client.force_login(user)
    assert b"No trace has been segmented yet" in client.get(f"/p/{project.slug}/structure/").content


def test_the_newest_reading_counts_and_derived_traces_do_not(
    traces: list[Trace], project: Any, run_job: Any
) -> None:
    run_job(run_segment, "segment")
    Trace.objects.filter(pk=traces[2].pk).update(parent=traces[0])
    assert [row[:2] for row in structure.rows(structure.TEACHERS, p=project.pk)] == [("alpha", 2)]


def test_probes_of_two_policies_are_two_charts_and_refusals_are_counted_by_reason(
    traces: list[Trace], project: Any, user: Any, client: Client, run_job: Any
) -> None:
    run_job(run_segment, "segment")
    judge = ModelEndpoint.objects.create(project=project, name="judge", model="m")
    for policy, verdict in (("repeats", "correct"), ("loops", "incorrect")):
        for arm in ("original", "pruned"):
            ContinuationProbe.objects.create(
                trace=traces[0], endpoint=judge, arm=arm, policy=policy, position=3,
                prefix_sha256=arm, sampling_hash="h", sample_no=0, text="", verdict=verdict,
            )  # fmt: skip
    for number, reason in enumerate(("lost_text", "lost_text", "")):
        RefineAnswer.objects.create(
            trace=traces[0], endpoint=judge, task="split", start=0, end=9, prompt_sha256="p",
            sampling_hash="h", sample_no=number, accepted=not reason, reason=reason,
        )  # fmt: skip
    client.force_login(user)
    answer = client.get(f"/p/{project.slug}/structure/")
    assert [(p.policy, p.judge) for p in answer.context["proofs"]] == [
        ("loops", "judge"), ("repeats", "judge"),
    ]  # fmt: skip
    assert [(p.asked, p.accepted, p.refused) for p in answer.context["passes"]] == [
        (3, 1, [("lost_text", 2)])
    ]
    assert b"lost_text 2" in answer.content


def test_leaves_are_never_counted_as_tokens(
    traces: list[Trace], project: Any, run_job: Any
) -> None:
    run_job(run_segment, "segment")
    for row in Segmentation.objects.all():
        row.summary["kind_tokens"] = None
        row.save()
    assert structure.rows(structure.KIND_TOKENS, p=project.pk) == []
