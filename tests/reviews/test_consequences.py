"""What a decision would do to the next export, held against what it then does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from curation.models import (
    Benchmark,
    BenchmarkHit,
    BenchmarkItem,
    DuplicateCluster,
    DuplicateMember,
    Job,
    Problem,
    Recipe,
    ReviewOutcome,
    Schedule,
    Source,
    Trace,
    Verdict,
)
from curation.selection.core import select_problem
from curation.selection.presets import PRESETS
from curation.selection.queries import candidates_of
from curation.selection.run import run_select
from curation.selection.storage import store_recipe
from curation.traces import text_fields
from reviews import decisions, plans, pruning, queues
from reviews.consequences import consequences
from reviews.models import Assignment
from tests.reviews.test_queues import bob, make_queue  # noqa: F401

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def judged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No verifier service here: what is left after cuts is judged as correct."""
    said = {"verdict": "correct", "score": None, "reason": "", "extracted": "2"}
    monkeypatch.setattr(pruning, "judge", lambda problem, text: said)
    yield


def verify(trace: Trace, verdict: str = "correct", model: str = "") -> None:
    Verdict.objects.create(
        trace=trace, verifier="math", version="1", reference_sha256="r", verdict=verdict
    )
    Trace.objects.filter(pk=trace.pk).update(model=model)


def taken(project: Any, person: Any, n: int = 2, **settings: Any) -> Assignment:
    queue = make_queue(project, n)
    for name, value in settings.items():
        setattr(queue, name, value)
    queue.save()
    for trace in Trace.objects.filter(project=project):
        verify(trace)
    assignment = queues.next_assignment(queue, person)
    assert assignment is not None
    return assignment


def cut(trace: Trace) -> dict[str, Any]:
    start = trace.text.index("one and one")
    return {"start": start, "end": start + 4, "reason": "repeat"}


def told(assignment: Assignment, **fields: Any) -> dict[str, Any]:
    trace = Trace.objects.get(pk=assignment.item.trace_id)
    submission = decisions.parse(fields) if fields else None
    found = consequences(assignment, trace, submission)
    json.dumps(found)  # REST has to be able to send it
    return found


def submit(assignment: Assignment, **fields: Any) -> None:
    decisions.submit(assignment, assignment.epoch, decisions.parse(fields))


@pytest.mark.parametrize("decision", ["sound", "flawed", "bad_problem", "give_up"])
@pytest.mark.parametrize("cutting", [False, True])
@pytest.mark.parametrize("recipe", ["sft-verified", "sft-reviewed", "dpo-concise", "redi"])
def test_what_is_foretold_is_what_happens(
    project: Any, user: Any, decision: str, cutting: bool, recipe: str
) -> None:
    assignment = taken(project, user, 3)
    last = Trace.objects.order_by("-pk")[0]
    Verdict.objects.filter(trace=last).update(verdict="incorrect")
    store_recipe(project, PRESETS[recipe])
    trace = Trace.objects.get(pk=assignment.item.trace_id)
    fields: dict[str, Any] = {"decision": decision, "cuts": [cut(trace)] if cutting else []}
    plan = told(assignment, **fields)["plans"][0]
    assert not Trace.objects.filter(origin="derived").exists() and not Job.objects.exists()
    submit(assignment, **fields)
    derived = Trace.objects.filter(origin="derived").first()
    if derived is not None:
        verify(derived)
    outcome = select_problem(candidates_of([trace.problem_id], PRESETS[recipe]), PRESETS[recipe])
    assert plan["rows"]["after"] == len(outcome.rows)
    inside = {c.trace_id for row in outcome.rows for c in (row.chosen, row.rejected) if c}
    reasons = {e.trace_id: e.reason for e in outcome.exclusions}
    for row in plan["traces"]:
        pk = row["trace"] or (derived.pk if derived else None)
        assert row["after"]["in"] == (pk in inside)
        assert row["after"]["in"] or row["after"]["reason"] == reasons.get(pk, "not_there")


def test_a_rejected_trace_makes_room_for_another_and_the_build_says_so(
    project: Any, user: Any, run_job: Any
) -> None:
    assignment = taken(project, user, 2)
    run_job(run_select, "select", recipe="sft-verified")
    plan = told(assignment, decision="flawed")["plans"][0]
    mine, other = plan["traces"]
    assert mine["name"] == "this trace" and mine["before"]["form"] == "SFT row"
    assert (mine["after"]["in"], mine["after"]["reason"]) == (False, "review_rejected")
    assert other["before"]["reason"] == "not_best" and other["after"]["in"]
    assert plan["rows"] == {"before": 1, "after": 1, "change": 0}
    plan = told(assignment, decision="bad_problem")["plans"][0]
    assert (plan["build"]["rows"], plan["build"]["rows_after"]) == (1, 0)
    assert plan["build"]["sources"] == [{"name": "made", "before": 1.0, "after": 0.0, "rows": -1}]
    assert sum(n for _, _, n in plan["build"]["lengths"]) == plan["build"]["read"] == 1


def test_a_cut_puts_the_shorter_trace_in_its_place(project: Any, user: Any) -> None:
    assignment = taken(project, user, 1)
    found = told(assignment, decision="sound", cuts=[cut(assignment.item.trace)])
    whole, shorter = found["plans"][0]["traces"]
    assert whole["after"]["reason"] == "replaced_by_derived"
    assert whole["after"]["detail"] == "by its cut"
    assert shorter["name"] == "without your cuts" and shorter["trace"] is None
    assert shorter["before"]["reason"] == "not_there" and shorter["after"]["form"] == "SFT row"
    assert found["length"]["chars"][0] - found["length"]["chars"][1] == 4
    assert any("verified it" in said for said in found["conditions"])


def test_a_pair_names_its_partner(project: Any, user: Any) -> None:
    assignment = taken(project, user, 2)
    other = Trace.objects.order_by("-pk")[0]
    Verdict.objects.filter(trace=other).update(verdict="incorrect")
    name = next(n for n, r in PRESETS.items() if r.kind == "dpo" and r.pairing[:7] == "correct")
    store_recipe(project, PRESETS[name])
    before = told(assignment)["plans"][0]["traces"][0]["before"]
    assert (before["form"], before["partner"]) == ("chosen of a pair", other.pk)


def test_with_more_reviewers_it_waits_and_tells_nothing_of_what_the_others_said(
    project: Any,
    user: Any,
    bob: Any,  # noqa: F811
) -> None:
    assignment = taken(project, user, 1, overlap=2, policy="unanimous")
    found = told(assignment, decision="sound")
    assert found["outcome"]["waits"] == 1 and "one more review" in found["conditions"][0]
    theirs = queues.next_assignment(assignment.item.queue, bob)
    assert theirs is not None
    seen = []
    for decision in ("sound", "flawed"):
        submit(theirs, decision=decision)
        seen.append(told(assignment, decision="sound"))
    assert seen[0] == seen[1] and seen[0]["outcome"]["waits"] == 0
    assert seen[0]["outcome"]["decision"] == "accept" and seen[0]["outcome"]["assumed"]


def test_who_settles_decides_alone(project: Any, user: Any) -> None:
    assignment = taken(project, user, 1, overlap=2)
    assignment.adjudicates = True
    found = told(assignment, decision="flawed")
    assert found["outcome"]["waits"] == 0 and not found["outcome"]["assumed"]
    assert found["outcome"]["policy"] == "adjudicated"


@pytest.mark.parametrize("hidden", ["verdict", "teacher", "others"])
def test_nothing_is_told_that_the_queue_hides(project: Any, user: Any, hidden: str) -> None:
    assignment = taken(project, user, 2, hide=[hidden, "proposals"])
    assert told(assignment, decision="sound") == {"withheld": [hidden]}
    decisions.commit(assignment, "sound", 1.0)
    assert told(assignment, decision="sound")["plans"]


def test_a_gold_item_looks_like_any_other(project: Any, user: Any) -> None:
    assignment = taken(project, user, 1)
    plain = told(assignment, decision="flawed")
    assignment.item.gold = {"decision": "flawed"}
    assignment.item.save()
    assert told(assignment, decision="flawed") == plain


def test_a_submission_that_would_be_refused_is_said_so(project: Any, user: Any) -> None:
    assignment = taken(project, user, 1, min_coverage=0.9)
    found = told(assignment, decision="sound", coverage=0.5)
    assert "would not be taken" in found["conditions"][0]
    assert not told(assignment, decision="sound", coverage=1.0)["conditions"]


def test_schedules_come_before_recipes_and_nothing_is_stored(project: Any, user: Any) -> None:
    assignment = taken(project, user, 1)
    found = told(assignment, decision="sound")
    assert [p["by"] for p in found["plans"]] == ["preset"] and not Recipe.objects.exists()
    store_recipe(project, PRESETS["sft-verified"])
    assert [p["by"] for p in told(assignment)["plans"]] == ["recipe"]
    made: list[tuple[str, dict[str, Any]]] = [
        ("export", {"recipe": "sft-verified", "source": "elsewhere"}),
        ("export", {"selection": 12}),
        ("export", {"recipe": "no such"}),
        ("verify", {"then": [{"kind": "export", "params": {"recipe": "sft-verified"}}]}),
        ("grade", {}),
    ]
    for i, (kind, params) in enumerate(made):
        Schedule.objects.create(
            project=project, name=f"s{i}", cron="0 3 * * *", kind=kind, params=params
        )
    Schedule.objects.create(
        project=project, name="off", cron="0 3 * * *", kind="export", enabled=False,
        params={"recipe": "sft-verified"},
    )  # fmt: skip
    listed = told(assignment, decision="sound")["plans"]
    assert [p["name"] for p in listed] == ["s0", "s1", "s2", "s3"]
    assert "elsewhere" in listed[0]["why"] and "frozen" in listed[1]["why"]
    assert "no recipe no such" in listed[2]["why"]
    assert listed[3]["traces"] and listed[3]["next"]


def test_a_long_list_of_plans_says_how_many_are_left_out(project: Any, user: Any) -> None:
    assignment = taken(project, user, 1)
    for i in range(plans.MOST + 2):
        store_recipe(project, type(PRESETS["sft-verified"])(name=f"r{i}"))
    found = told(assignment, decision="sound")
    assert (len(found["plans"]), found["plans_total"]) == (plans.MOST, plans.MOST + 2)


def test_copies_and_benchmarks_of_the_problem_stand_beside_it(project: Any, user: Any) -> None:
    assignment = taken(project, user, 1)
    problem = Problem.objects.get()
    cluster = DuplicateCluster.objects.create(project=project, method="near", kept=problem)
    DuplicateMember.objects.create(cluster=cluster, problem=problem)
    exam = Benchmark.objects.create(project=project, name="exam")
    item = BenchmarkItem.objects.create(benchmark=exam, text="1+1", norm_sha256="n")
    BenchmarkHit.objects.create(problem=problem, item=item, method="ngram", score=0.8)
    found = told(assignment, decision="sound")
    assert found["copies"][0]["size"] == 1 and found["copies"][0]["kept"]
    assert [h["benchmark"] for h in found["overlap"]] == ["exam"]
    assert found["plans"][0]["traces"][0]["before"]["reason"] == "contaminated"


def test_an_older_cut_loses_its_acceptance_when_the_cuts_change(project: Any, user: Any) -> None:
    assignment = taken(project, user, 1)
    trace = Trace.objects.get(pk=assignment.item.trace_id)
    submit(assignment, decision="sound", cuts=[cut(trace)])
    old = Trace.objects.get(origin="derived")
    verify(old)
    assignment.refresh_from_db()
    rows = told(assignment, decision="sound")["plans"][0]["traces"]
    moved = {r["trace"]: (r["before"]["reason"], r["after"]["reason"]) for r in rows}
    assert moved[trace.pk] == ("replaced_by_derived", "")
    assert moved[old.pk] == ("", "derived_not_reviewed")
    assert ReviewOutcome.objects.count() == 1


def test_the_page_and_rest_say_the_same_and_read_no_more_for_a_larger_project(
    project: Any, user: Any, client: Client, run_job: Any
) -> None:
    assignment = taken(project, user, 2)
    run_job(run_select, "select", recipe="sft-verified")
    client.force_login(user)
    queues.save_draft(assignment, {"decision": "flawed"})
    rest = client.get(f"/api/v1/assignments/{assignment.pk}/preview/").json()
    assert rest["decision"] == "flawed" and rest["plans"][0]["traces"]
    other = client.get(f"/api/v1/assignments/{assignment.pk}/preview/?decision=sound").json()
    assert other["outcome"]["decision"] == "accept"
    bad = client.get(f"/api/v1/assignments/{assignment.pk}/preview/?decision=maybe")
    assert bad.status_code == 400
    address = f"/p/{project.slug}/review/{assignment.pk}/consequences/"
    counts = []
    for n in range(2):
        with CaptureQueriesContext(connection) as seen:
            answer = client.post(address, {"decision": "flawed"}, content_type="application/json")
        counts.append(len(seen))
        make_more(project, n)
    assert counts[0] == counts[1]
    html = answer.content.decode()
    assert "review rejected" in html and "<svg" in html and 'data-line="' in html
    assert client.post(address, {"cuts": [{}], "decision": "sound"},
                       content_type="application/json").status_code == 400  # fmt: skip


def make_more(project: Any, n: int) -> None:
    source = Source.objects.get(project=project)
    for i in range(20):
        problem = Problem.objects.create(
            project=project, source=source, text=str(i), text_sha256="b", norm_sha256=f"b{n}-{i}"
        )
        trace = Trace.objects.create(
            project=project, problem=problem, source=source, origin="imported", identity="x",
            **text_fields("\\boxed{2}"),
        )  # fmt: skip
        verify(trace)
