"""The demo: what it is made of, before any model answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from curation import dedup, jobs
from curation.decontamination import run_decontaminate
from curation.ingest import run_import
from curation.jobs import Handler
from curation.models import BenchmarkHit, DuplicateMember, Export, Job, Problem, Project, Schedule
from curation.schedules import check_cron
from curation.selection.presets import PRESETS
from curation.selection.run import run_select
from workers import demo, handlers

pytestmark = pytest.mark.django_db


def run(handler: Handler, kind: str, project: Project, **params: Any) -> None:
    """Do a job of the project in this process."""
    job = jobs.create_job(project=project, kind=kind, params=params)
    epoch = jobs.claim(job.pk)
    assert epoch is not None
    handler(jobs.JobContext(Job.objects.get(pk=job.pk), epoch))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(demo, "PROBLEMS", 30)
    monkeypatch.setattr(demo, "HELD_BACK", 5)
    yield
    demo.problems_file().unlink(missing_ok=True)


def test_the_demo_is_made_once_with_a_job_for_all_that_follows(user: Any) -> None:
    project = demo.make_demo(user)
    assert project and demo.make_demo(user) is None
    job = Job.objects.get()
    kinds = [job.kind, *(step["kind"] for step in job.params["then"])]
    assert set(kinds) <= set(handlers.HANDLERS)
    assert kinds[:5] == ["import", "dedup", "dedup", "decontaminate", "demo"]
    asked = [step["params"] for step in job.params["then"] if step["kind"] == "generate"]
    assert [(p["limit"], p["n"]) for p in asked] == [(20, 4), (30, 8)]
    schedule = Schedule.objects.get()
    check_cron(schedule.cron)
    assert schedule.params["selection_or_recipe"] in PRESETS


def test_its_copies_and_planted_exam_questions_are_found_and_nothing_else(
    user: Any,
) -> None:
    project = demo.make_demo(user)
    assert project
    first = Job.objects.get()
    rows = [json.loads(line) for line in demo.problems_file().read_text().splitlines()]
    run(run_import, "import", project, path=first.params["path"], name=first.params["name"])
    assert Problem.objects.filter(project=project).count() == len(rows) == 30 + 5 + demo.COPIES
    asked = Problem.objects.order_by("pk").values_list("metadata__split", flat=True)[:30]
    assert set(asked) == {"train"}, "what is asked of the teacher stands first"
    for method in ("near", "exact"):
        run(dedup.run_dedup, "dedup", project, method=method)
    copies = DuplicateMember.objects.select_related("problem", "cluster__kept")
    assert {m.problem_id for m in copies} == set(
        Problem.objects.filter(metadata__split="copy").values_list("pk", flat=True)
    )
    assert {m.cluster.kept.metadata["split"] for m in copies} == {"train"}
    run(run_decontaminate, "decontaminate", project, benchmark=demo.EXAM)
    hits = BenchmarkHit.objects.filter(problem__metadata__split="train")
    assert hits.values("problem").distinct().count() == demo.PLANTED


def test_a_short_training_run_is_queued_once_on_the_newest_export(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = Project.objects.create(slug="d", name="D")
    run(demo.run_demo, "demo", project, step="train")
    assert not project.training_runs.exists()  # no export yet
    run(run_select, "select", project, recipe="sft-verified")
    selection = project.selections.get()
    for digest in ("0" * 64, "1" * 64):
        export = Export.objects.create(
            project=project,
            selection=selection,
            format="trl_sft",
            digest=digest,
            path="x",
            manifest={},
            rows=0,
            bytes=0,
        )
    monkeypatch.setenv("WHITTLE_TRAINER", "0")
    run(demo.run_demo, "demo", project, step="train")
    assert not project.training_runs.exists()
    monkeypatch.setenv("WHITTLE_TRAINER", "1")
    for _ in range(2):
        run(demo.run_demo, "demo", project, step="train")
    assert project.training_runs.get().export == export
