"""What probes at the ends of turns say, on the pages, over REST and as proposals; components."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from curation import tokens
from curation.models import (
    ContinuationProbe,
    CutProposal,
    ModelEndpoint,
    Problem,
    Segmentation,
    Source,
    Trace,
)
from curation.proof_results import propose_turns, turn_tables, values_of
from curation.segmentation import analyse, segment
from curation.segmentation.chunks import DROP, KEEP_LONG, Thresholds, decide, drop_cuts
from curation.segmentation.components import find_components
from curation.segmentation.prefixes import ChunkValue, chunk_points
from curation.segments import run_segment
from tests.curation.test_segmentation_multiturn import TEXT

RATES = (0, 0, 4, 4)  # right continuations of four, at the start and at the end of each turn


def test_components_are_runs_of_leaves_that_are_their_attempts_to_the_code_point() -> None:
    leaves = segment(TEXT, "360")
    found = find_components(TEXT, leaves)
    inside = [leaf for leaf in leaves if len(leaf.path) > 1]
    assert "".join(TEXT[c.start : c.end] for c in found) == "".join(
        TEXT[leaf.start : leaf.end] for leaf in inside
    )
    assert [(c.attempt, c.name) for c in found][:3] == [
        ("Solution 1", "calculation"), ("Solution 1", "answer"), ("Solution 1", "check"),
    ]  # fmt: skip
    assert all(leaves[i].path[1] == c.attempt for c in found for i in range(c.first, c.last))


def test_self_talk_is_set_apart_and_a_fact_within_a_calculation_belongs_to_it() -> None:
    text = TEXT.replace(
        "That is a round number.", "Wait, 2 + 2 = 4, and 3 + 3 = 6.\n\nThat seems right.\n\nHmm."
    )
    names = [c.name for c in find_components(text, segment(text, "360"))]
    assert "self-affirmation" in names
    assert find_components("", []) == []


def test_what_may_go_is_cut_in_whole_leaves_and_only_where_the_answer_stays() -> None:
    analysis = analyse(TEXT, "360")
    points = chunk_points(analysis)
    values = [
        ChunkValue(a, b, 10, before, after, after - before, 0.0)
        for a, b, before, after in zip(points, points[1:], (0, 0, 1), (0, 1, 1), strict=False)
    ]
    decisions = decide(values)
    cuts = drop_cuts(analysis, decisions)
    starts = {leaf.start for leaf in analysis.segments}
    assert cuts and all(cut.start in starts for cut in cuts)
    assert [d.action for d in decisions if d.chunk.start <= cuts[0].start < d.chunk.end] == [DROP]
    harmful = decide([ChunkValue(points[0], points[-1], 9, 1, 0, -1, 0.0)], Thresholds())
    assert drop_cuts(analysis, harmful) == []
    assert drop_cuts(analyse(TEXT, "1"), decisions) == []


@pytest.fixture
def trace(project: Any, run_job: Any) -> Trace:
    source = Source.objects.create(project=project, name="made")
    problem = Problem.objects.create(
        project=project, source=source, text="q", text_sha256="q", norm_sha256="q",
        reference_answer="360",
    )  # fmt: skip
    made = Trace.objects.create(
        project=project, problem=problem, source=source, origin="imported", model="alpha",
        identity="t", text=TEXT, text_sha256="t", char_count=len(TEXT),
    )  # fmt: skip
    run_job(run_segment, "segment")
    judge = ModelEndpoint.objects.create(project=project, name="judge", model="j")
    for at, right in zip(chunk_points(analyse(TEXT, "360")), RATES, strict=False):
        for number in range(4):
            ContinuationProbe.objects.create(
                trace=made, endpoint=judge, arm="prefix", position=at, prefix_sha256=str(at),
                sampling_hash="h", sample_no=number, text="",
                verdict="correct" if number < right else "incorrect",
            )  # fmt: skip
    return made


@pytest.mark.django_db
def test_the_page_of_a_trace_shows_each_turn_with_its_decision(
    trace: Trace, project: Any, user: Any, client: Client
) -> None:
    client.force_login(user)
    answer = client.get(f"/p/{project.slug}/traces/{trace.pk}/")
    (table,) = answer.context["turn_tables"]
    assert (table.judge, [(n, a) for n, a, _ in table.rows][:2]) == (
        "judge", [(1, "350"), (2, "360")],
    )  # fmt: skip
    assert table.rows[1][2].action == KEEP_LONG
    assert b"+100" in answer.content and b"keep long" in answer.content
    assert "calculation" in answer.content.decode()
    assert turn_tables(trace, None) == []


@pytest.mark.django_db
def test_the_page_of_structure_counts_decisions_per_model(
    trace: Trace, project: Any, user: Any, client: Client
) -> None:
    client.force_login(user)
    (row,) = client.get(f"/p/{project.slug}/structure/").context["long_short"]
    assert (row.judge, row.turns) == ("judge", 3)
    assert [(name, n) for name, n, _ in row.actions] == [
        ("keep long", 1), ("make short", 1), ("drop", 1),
    ]  # fmt: skip
    assert sum(share for *_, share in row.actions) == pytest.approx(1)


@pytest.mark.django_db
def test_turns_that_can_go_become_proposals_that_a_later_decision_replaces(trace: Trace) -> None:
    analysis = analyse(TEXT, "360")
    judge = ModelEndpoint.objects.get()
    decisions = decide(values_of(trace, chunk_points(analysis), judge))
    assert propose_turns(trace, analysis, decisions) == 1
    assert propose_turns(trace, analysis, decisions) == 0
    proposal = CutProposal.objects.get(policy="long-short")
    assert proposal.reason == "100% are right without it"
    assert (proposal.tokens or 0) > 5
    assert propose_turns(trace, analysis, []) == 0
    assert not CutProposal.objects.filter(policy="long-short").exists()


@pytest.mark.django_db
def test_the_structure_of_a_trace_over_rest_and_for_no_stranger(
    trace: Trace, project: Any, user: Any, django_user_model: Any
) -> None:
    def get(who: Any) -> Any:
        _, secret = tokens.create_token(user=who, scopes=["read"])
        return Client(headers={"authorization": f"Bearer {secret}"}).get(
            f"/api/v1/traces/{trace.pk}/structure/"
        )

    found = get(user).json()
    assert found["segmenter"] == Segmentation.objects.get().segmenter
    assert [turn["answer"] for turn in found["turns"]] == ["350", "360", "360", ""]
    assert found["components"][0]["attempt"] == "Solution 1"
    assert [row["action"] for row in found["turn_values"]] == ["make short", "keep long", "drop"]
    assert get(django_user_model.objects.create_user("mallory")).status_code == 404
    Segmentation.objects.all().delete()
    assert get(user).json() == {
        "trace": trace.pk, "segmenter": None, "turns": [], "components": [], "turn_values": [],
    }  # fmt: skip
