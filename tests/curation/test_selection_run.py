"""The job ``select`` on real tables."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from curation import jobs
from curation.jobs import JobError
from curation.models import (
    Benchmark,
    BenchmarkHit,
    BenchmarkItem,
    Difficulty,
    DuplicateCluster,
    DuplicateMember,
    Job,
    ModelEndpoint,
    OverlapDecision,
    Problem,
    Project,
    Recipe,
    ReviewOutcome,
    Selection,
    SelectionExclusion,
    SelectionRow,
    Source,
    Trace,
    Verdict,
)
from curation.selection.core import select
from curation.selection.presets import PRESETS
from curation.selection.queries import candidates_of, problem_blocks, problems_with_traces
from curation.selection.run import run_select
from curation.selection.storage import store_recipe

pytestmark = pytest.mark.django_db
RunJob = Callable[..., Any]


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_problem(project: Project, text: str, **more: Any) -> Problem:
    source, _ = Source.objects.get_or_create(project=project, name="made", licence="CC0-1.0")
    return Problem.objects.create(
        project=project,
        source=source,
        text=text,
        text_sha256=sha(text),
        norm_sha256=sha(text),
        char_count=len(text),
        **more,
    )


def make_trace(problem: Problem, text: str, verdict: str | None = None, **more: Any) -> Trace:
    number = problem.traces.count()
    values: dict[str, Any] = {"origin": "imported", "model": "teacher", "sample_no": number}
    trace = Trace.objects.create(
        project=problem.project,
        problem=problem,
        identity=sha(f"{number}{text}"),
        text=text,
        text_sha256=sha(text),
        char_count=len(text),
        **(values | more),
    )
    if verdict:
        judge(trace, verdict)
    return trace


def judge(trace: Trace, verdict: str, verifier: str = "math", version: str = "1") -> None:
    Verdict.objects.create(
        trace=trace, verifier=verifier, version=version, reference_sha256="0", verdict=verdict
    )


def excluded(selection: Selection) -> dict[int, str]:
    rows = SelectionExclusion.objects.filter(selection=selection)
    return {row.trace_id: row.reason for row in rows if row.trace_id is not None}


def taken(selection: Selection) -> list[int]:
    return list(selection.rows.order_by("position").values_list("trace_id", flat=True))


def the_selection(job: Any) -> Selection:
    return Selection.objects.get(pk=job.counts["selection"])


def test_a_recipe_freezes_rows_with_their_hashes_and_a_reason_for_the_rest(
    project: Project, run_job: RunJob
) -> None:
    problem = make_problem(project, "2+2?")
    long = make_trace(problem, "<think>2+2=4, again 4</think>4", "correct")
    short = make_trace(problem, "<think>4</think>4", "correct")
    wrong = make_trace(problem, "5", "incorrect")
    unseen = make_trace(problem, "6")
    job = run_job(run_select, "select", recipe="sft-verified")
    selection = the_selection(job)
    assert taken(selection) == [short.pk]
    row = SelectionRow.objects.get(selection=selection)
    assert row.hashes == {"problem": problem.text_sha256, "trace": short.text_sha256}
    assert excluded(selection) == {
        long.pk: "not_best",
        wrong.pk: "incorrect",
        unseen.pk: "not_verified",
    }
    assert job.counts == {
        "candidates": 4,
        "selected": 1,
        "excluded": {"incorrect": 1, "not_best": 1, "not_verified": 1},
        "selection": selection.pk,
    }
    assert (selection.candidates, selection.selected) == (4, 1)
    assert selection.summary["licences"] == {"CC0-1.0": 1}
    assert selection.summary["verifiers"] == [{"name": "math", "version": "1", "verdicts": 1}]


def test_selecting_twice_changes_nothing(project: Project, run_job: RunJob) -> None:
    for number in range(3):
        make_trace(make_problem(project, f"{number}?"), f"{number}", "correct")
    first, again = (run_job(run_select, "select", recipe="sft-verified") for _ in range(2))
    assert first.counts == again.counts
    counts = [m.objects.count() for m in (Recipe, Selection, SelectionRow, SelectionExclusion)]
    assert counts == [1, 1, 3, 0]


def test_a_new_trace_gives_a_new_selection_and_leaves_the_old_one(
    project: Project, run_job: RunJob
) -> None:
    problem = make_problem(project, "1?")
    old_trace = make_trace(problem, "long answer", "correct")
    old = the_selection(run_job(run_select, "select"))
    new_trace = make_trace(problem, "short", "correct")
    new = the_selection(run_job(run_select, "select"))
    assert (taken(old), taken(new)) == ([old_trace.pk], [new_trace.pk])
    assert old.sha256 != new.sha256


def test_the_newest_verdict_of_each_verifier_counts(project: Project, run_job: RunJob) -> None:
    problem = make_problem(project, "1?")
    trace = make_trace(problem, "1", "correct")
    judge(trace, "incorrect", version="2")
    selection = the_selection(run_job(run_select, "select"))
    assert excluded(selection) == {trace.pk: "incorrect"}


def test_a_judge_does_not_count_for_a_policy_that_asks_for_rules(
    project: Project, run_job: RunJob
) -> None:
    trace = make_trace(make_problem(project, "1?"), "1")
    judge(trace, "correct", verifier="judge-small")
    rule = the_selection(run_job(run_select, "select", recipe={"name": "r", "policy": "rule"}))
    judged = the_selection(run_job(run_select, "select", recipe={"name": "j", "policy": "judge"}))
    assert (taken(rule), taken(judged)) == ([], [trace.pk])
    assert excluded(rule) == {trace.pk: "not_verified"}


def test_a_pair_freezes_both_traces(project: Project, run_job: RunJob) -> None:
    problem = make_problem(project, "1?")
    good, bad = make_trace(problem, "1", "correct"), make_trace(problem, "2", "incorrect")
    job = run_job(run_select, "select", recipe="dpo-correct-incorrect")
    row = SelectionRow.objects.get(selection=the_selection(job))
    assert (row.trace_id, row.rejected_id) == (good.pk, bad.pk)
    assert row.hashes["rejected"] == bad.text_sha256


def test_a_derived_form_is_taken_without_a_person_only_where_the_recipe_names_it(
    project: Project, run_job: RunJob
) -> None:
    problem = make_problem(project, "1?")
    parent = make_trace(problem, "1", "correct")
    made = {"metadata": {"derivation": {"form": "turns"}}, "origin": "derived", "parent": parent}
    child = make_trace(problem, "so 1. 1", "correct", **made)
    wrong = make_trace(problem, "so 2. 2", "incorrect", **made)
    recipe = {"name": "mind", "derivations": ["turns"], "per_problem": None}
    selection = the_selection(run_job(run_select, "select", recipe=recipe))
    assert taken(selection) == [child.pk]
    assert excluded(selection) == {parent.pk: "replaced_by_derived", wrong.pk: "incorrect"}
    plain = the_selection(run_job(run_select, "select"))
    assert taken(plain) == [parent.pk]


def test_an_accepted_pruning_replaces_its_parent_and_the_last_word_counts(
    project: Project, run_job: RunJob
) -> None:
    problem = make_problem(project, "1?")
    parent = make_trace(problem, "so 1. wait, 1 again. 1", "correct")
    child = make_trace(problem, "so 1. 1", "correct", parent=parent, origin="derived")
    unseen = the_selection(run_job(run_select, "select"))
    assert excluded(unseen) == {child.pk: "derived_not_reviewed"}
    outcome = {"trace": parent, "policy": "single"}
    ReviewOutcome.objects.create(decision="accept", derived=child, **outcome)
    accepted = the_selection(run_job(run_select, "select"))
    assert taken(accepted) == [child.pk]
    assert excluded(accepted) == {parent.pk: "replaced_by_derived"}
    ReviewOutcome.objects.create(decision="reject", **outcome)
    rejected = the_selection(run_job(run_select, "select"))
    assert taken(rejected) == []
    assert excluded(rejected) == {parent.pk: "review_rejected", child.pk: "derived_not_reviewed"}


def test_only_reviewed_traces_where_the_recipe_wants_people(
    project: Project, run_job: RunJob
) -> None:
    problem = make_problem(project, "1?")
    seen, unseen = make_trace(problem, "seen 1", "correct"), make_trace(problem, "1", "correct")
    ReviewOutcome.objects.create(trace=seen, decision="accept", policy="single")
    selection = the_selection(run_job(run_select, "select", recipe="sft-reviewed"))
    assert taken(selection) == [seen.pk]
    assert excluded(selection) == {unseen.pk: "not_reviewed"}


def test_a_recipe_can_ask_how_much_of_a_trace_its_reviewers_read(
    project: Project, run_job: RunJob
) -> None:
    problem = make_problem(project, "1?")
    names = ("half", "whole", "quick", "parent")
    traces = {n: make_trace(problem, n + " 1" * 40, "correct") for n in names}
    parent = traces["parent"]
    child = make_trace(problem, "short 1", "correct", parent=parent, origin="derived")
    reading = {"half": (0.5, 9), "whole": (1.0, 9), "quick": (1.0, 1), "parent": (1.0, 9)}
    for name, (coverage, seconds) in reading.items():
        ReviewOutcome.objects.create(
            trace=traces[name], decision="accept", policy="single", coverage=coverage,
            seconds=seconds, derived=child if name == "parent" else None,
        )  # fmt: skip
    spec = {"name": "read", "min_review_coverage": 0.9, "max_review_speed": 25.0,
            "per_problem": None}  # fmt: skip
    selection = the_selection(run_job(run_select, "select", recipe=spec))
    assert sorted(taken(selection)) == [traces["whole"].pk, child.pk]
    assert excluded(selection) == {
        traces["half"].pk: "coverage_below",
        traces["quick"].pk: "read_too_fast",
        parent.pk: "replaced_by_derived",
    }


def test_contaminated_copied_and_held_back_problems_are_left_out_with_their_reasons(
    project: Project, run_job: RunJob
) -> None:
    names = ("kept", "copy", "hit", "held")
    problems = {n: make_problem(project, n, held_back=n == "held") for n in names}
    traces = {n: make_trace(p, n, "correct") for n, p in problems.items()}
    cluster = DuplicateCluster.objects.create(
        project=project, method="exact", kept=problems["kept"]
    )
    for name in ("kept", "copy"):
        DuplicateMember.objects.create(cluster=cluster, problem=problems[name])
    benchmark = Benchmark.objects.create(project=project, name="b")
    item = BenchmarkItem.objects.create(benchmark=benchmark, text="hit", norm_sha256="0")
    BenchmarkHit.objects.create(problem=problems["hit"], item=item, method="ngram", score=1)
    selection = the_selection(run_job(run_select, "select"))
    assert taken(selection) == [traces["kept"].pk]
    assert excluded(selection) == {
        traces["copy"].pk: "duplicate_problem",
        traces["hit"].pk: "contaminated",
        traces["held"].pk: "held_back",
    }


def test_an_overlap_that_a_person_called_another_question_leaves_nothing_out(
    project: Project, run_job: RunJob
) -> None:
    problem = make_problem(project, "hit")
    trace = make_trace(problem, "hit", "correct")
    benchmark = Benchmark.objects.create(project=project, name="b")
    for n, decision in enumerate(("clear", "contaminated")):
        item = BenchmarkItem.objects.create(benchmark=benchmark, text="hit", norm_sha256=str(n))
        BenchmarkHit.objects.create(problem=problem, item=item, method="ngram", score=1)
        OverlapDecision.objects.create(problem=problem, item=item, decision=decision)
        selection = the_selection(run_job(run_select, "select"))
        assert taken(selection) == ([trace.pk] if decision == "clear" else [])


def test_the_pass_rate_band_is_about_the_named_model(project: Project, run_job: RunJob) -> None:
    problem = make_problem(project, "1?")
    trace = make_trace(problem, "1", "correct")
    zeros = {"unverifiable": 0, "error": 0, "policy": "rule"}
    for model, right in (("teacher", 8), ("student", 4)):
        Difficulty.objects.create(
            problem=problem,
            model=model,
            correct=right,
            incorrect=8 - right,
            pass_rate=right / 8,
            **zeros,
        )
    own = the_selection(run_job(run_select, "select", recipe="sft-edge"))
    assert excluded(own) == {trace.pk: "pass_rate_above"}
    spec = {**PRESETS["sft-edge"].to_dict(), "pass_rate_model": "student"}
    named = the_selection(run_job(run_select, "select", recipe=spec))
    assert taken(named) == [trace.pk]
    spec["pass_rate_model"] = "nobody"
    unknown = the_selection(run_job(run_select, "select", recipe=spec))
    assert excluded(unknown) == {trace.pk: "not_graded"}


def test_the_licence_of_a_row_names_the_problems_and_the_teachers(
    project: Project, run_job: RunJob
) -> None:
    endpoint = ModelEndpoint.objects.create(
        project=project, name="t", model="t", output_licence="teacher terms"
    )
    make_trace(make_problem(project, "1?"), "1", "correct", endpoint=endpoint, origin="generated")
    selection = the_selection(run_job(run_select, "select"))
    assert selection.summary["licences"] == {"CC0-1.0 + teacher terms": 1}


def test_a_recipe_keeps_its_versions(project: Project) -> None:
    first = store_recipe(project, PRESETS["sft-verified"])
    other = Recipe.objects.create(project=project, name="other", spec={}, spec_sha256="0")
    changed = PRESETS["sft-verified"].to_dict() | {"max_chars": 9, "version": 7}
    from curation.selection.recipe import recipe_from_dict

    second = store_recipe(project, recipe_from_dict(changed))
    again = store_recipe(project, PRESETS["sft-verified"])
    assert (first.version, second.version, again.pk) == (1, 2, first.pk)
    assert second.spec["version"] == 2
    assert other.version == 1


def test_a_name_means_the_newest_version_and_an_older_one_can_be_named(
    project: Project, run_job: RunJob
) -> None:
    make_trace(make_problem(project, "1?"), "1234567890", "correct")
    run_job(run_select, "select", recipe="sft-verified")
    shorter = PRESETS["sft-verified"].to_dict() | {"max_chars": 9}
    run_job(run_select, "select", recipe=shorter)
    assert the_selection(run_job(run_select, "select", recipe="sft-verified")).selected == 0
    assert the_selection(run_job(run_select, "select", recipe="sft-verified@1")).selected == 1


@pytest.mark.parametrize(
    ("recipe", "code"),
    [
        ("nonsense", "unknown_recipe"),
        ("sft-verified@9", "unknown_recipe"),
        ("sft-verified@x", "unknown_recipe"),
        ({"name": "x", "kind": "rl"}, "bad_recipe"),
        ({"kind": "sft"}, "bad_recipe"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_an_expected_failure(
    project: Project, run_job: RunJob, recipe: Any, code: str
) -> None:
    with pytest.raises(JobError) as error:
        run_job(run_select, "select", recipe=recipe)
    assert error.value.code == code


def test_another_projects_traces_and_recipes_are_never_seen(
    project: Project, run_job: RunJob
) -> None:
    stranger = Project.objects.create(slug="stranger", name="Stranger")
    make_trace(make_problem(stranger, "1?"), "1", "correct")
    Recipe.objects.create(project=stranger, name="secret", spec={}, spec_sha256="0")
    assert run_job(run_select, "select").counts["candidates"] == 0
    with pytest.raises(JobError):
        run_job(run_select, "select", recipe="secret")


def test_a_source_can_be_named(project: Project, run_job: RunJob) -> None:
    make_trace(make_problem(project, "1?"), "1", "correct")
    Source.objects.create(project=project, name="empty")
    assert run_job(run_select, "select", source="made").counts["selected"] == 1
    assert run_job(run_select, "select", source="empty").counts["selected"] == 0
    with pytest.raises(JobError):
        run_job(run_select, "select", source="nowhere")


def test_blocks_cover_every_problem_once_and_need_a_fixed_number_of_queries(
    project: Project,
) -> None:
    for number in range(7):
        problem = make_problem(project, f"{number}?")
        for copy in range(3):
            make_trace(problem, f"{number} {copy}", "correct")
    make_problem(project, "without traces")
    blocks = list(problem_blocks(problems_with_traces(project), size=3))
    assert [len(block) for block in blocks] == [3, 3, 1]
    seen = []
    for block in blocks:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            found = candidates_of(block, PRESETS["sft-verified"])
        assert len(queries) == 7
        assert not any('"text"' in q["sql"].split("FROM")[0] for q in queries)
        seen += [o.problem_id for o in select(found, PRESETS["sft-verified"])]
    assert len(seen) == len(set(seen)) == 7


KILLED = """
import sys, time, django
django.setup()
from django.conf import settings
settings.DATABASES["default"]["NAME"] = {database!r}
from curation import jobs
from curation.models import Job
from curation.selection import queries, run
def slow(problems):
    for ids in queries.problem_blocks(problems, size=2):
        yield ids
        print("block", flush=True)
        time.sleep(0.2)
run.problem_blocks = slow
job = Job.objects.get(pk={job})
jobs.run_claimed(job, jobs.claim(job.pk), run.run_select)
"""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_while_selecting_leaves_no_half_selection(
    project: Project, run_job: RunJob
) -> None:
    for number in range(10):
        problem = make_problem(project, f"{number}?")
        make_trace(problem, f"{number}", "correct")
        make_trace(problem, f"not {number}", "incorrect")
    job = jobs.create_job(project=project, kind="select", params={"recipe": "sft-verified"})
    code = KILLED.format(database=connection.settings_dict["NAME"], job=job.pk)
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "curation.settings"}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=environment, cwd=settings.BASE_DIR
    ) as process:
        assert process.stdout is not None
        for _ in range(3):
            assert process.stdout.readline() == b"block\n"
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    job.refresh_from_db()
    assert (job.state, 0 < job.done < 10) == (Job.State.RUNNING, True)
    assert not Selection.objects.exists()

    deadline = time.monotonic() + 20
    while (epoch := jobs.claim(job.pk)) is None:
        assert time.monotonic() < deadline, "the lease never ran out"
        time.sleep(0.1)
    done = jobs.run_claimed(Job.objects.get(pk=job.pk), epoch, run_select)
    assert (done.state, done.done) == (Job.State.DONE, 10)
    assert (done.counts["candidates"], done.counts["selected"]) == (20, 10)
    assert SelectionRow.objects.count() == SelectionExclusion.objects.count() == 10
