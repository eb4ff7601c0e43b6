"""The job ``export`` on real tables."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from curation.exports import rows as export_rows
from curation.exports.manifest import verify_export
from curation.exports.run import run_export, sweep_exports
from curation.jobs import JobError
from curation.models import Export, Problem, Project, Selection, Source, Trace
from curation.selection.run import run_select
from tests.curation.test_selection_run import make_problem, make_trace

pytestmark = pytest.mark.django_db
RunJob = Callable[..., Any]


@pytest.fixture
def out(tmp_path: Path, settings: Any) -> Path:
    settings.EXPORT_ROOT = tmp_path / "exports"
    return tmp_path / "exports" / "demo"


@pytest.fixture
def filled(project: Project) -> Project:
    """Ten problems, each with a short and a long correct trace and a wrong one."""
    for number in range(10):
        problem = make_problem(project, f"What is {number} + 4? 𝑥")
        make_trace(problem, f"<think>\r\n{number}+4</think>{number + 4}", "correct")
        make_trace(problem, f"<think>{'hm, ' * 40}</think>{number + 4}", "correct")
        make_trace(problem, "<think>?</think>0", "incorrect")
    return project


def data(folder: Path) -> list[Any]:
    files = sorted((folder / "data").glob("*.jsonl"))
    return [json.loads(line) for f in files for line in f.read_bytes().split(b"\n")[:-1]]


def test_a_recipe_is_selected_and_exported_in_one_job(
    filled: Project, run_job: RunJob, out: Path
) -> None:
    job = run_job(run_export, "export", recipe="sft-verified", format="trl_sft")
    folder = out / job.counts["export"]
    assert verify_export(folder) == []
    rows = data(folder)
    assert [r["messages"][0]["content"] for r in rows] == [
        p.text for p in Problem.objects.order_by("pk")
    ]
    for row in rows:
        assert row["messages"][-1]["content"] == Trace.objects.get(pk=row["trace_id"]).text
    assert (job.counts["rows"], job.counts["files"], job.done) == (10, 3, 10)
    assert job.counts["bytes"] == sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    export = Export.objects.get(digest=job.counts["export"])
    assert (export.rows, export.bytes) == (10, job.counts["bytes"])
    assert export.manifest == json.loads((folder / "manifest.json").read_bytes())


@pytest.mark.parametrize("form", ["trl_dpo", "trl_dpo_parquet", "openai_dpo"])
def test_pairs_are_exported_in_each_format_for_pairs(
    filled: Project, run_job: RunJob, out: Path, form: str
) -> None:
    job = run_job(run_export, "export", recipe="dpo-concise", format=form)
    assert verify_export(out / job.counts["export"]) == []
    assert job.counts["rows"] == 10


def test_the_same_selection_twice_is_the_same_id_and_touches_nothing(
    filled: Project, run_job: RunJob, out: Path
) -> None:
    selection = run_job(run_select, "select", recipe="sft-verified").counts["selection"]
    first = run_job(run_export, "export", selection=selection)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    again = run_job(run_export, "export", selection_or_recipe=str(selection))
    assert again.counts == first.counts
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    assert Export.objects.count() == 1


def test_another_folder_gets_the_same_id(
    filled: Project, run_job: RunJob, out: Path, tmp_path: Path
) -> None:
    first = run_job(run_export, "export", recipe="sft-verified")
    other = run_job(run_export, "export", recipe="sft-verified", out=str(tmp_path / "b"))
    assert first.counts["export"] == other.counts["export"]
    assert verify_export(tmp_path / "b" / other.counts["export"]) == []


def test_an_old_selection_is_exported_as_it_was_frozen(
    filled: Project, run_job: RunJob, out: Path
) -> None:
    job = run_job(run_select, "select", recipe="sft-verified")
    first = run_job(run_export, "export", selection=job.counts["selection"])
    for problem in Problem.objects.all():
        make_trace(problem, "4", "correct")
    Source.objects.update(licence="changed", name="changed")
    again = run_job(run_export, "export", selection=job.counts["selection"])
    assert again.counts["export"] == first.counts["export"]
    fresh = run_job(run_export, "export", recipe="sft-verified")
    assert fresh.counts["export"] != first.counts["export"]


@pytest.mark.parametrize("table", [Trace, Problem])
def test_a_text_that_changed_after_the_freeze_stops_the_export(
    filled: Project, run_job: RunJob, out: Path, table: Any
) -> None:
    selection = run_job(run_select, "select", recipe="sft-verified").counts["selection"]
    name = "trace_id" if table is Trace else "problem_id"
    last = Selection.objects.get(pk=selection).rows.order_by("-position").values_list(name)[0][0]
    table.objects.filter(pk=last).update(text="tampered")
    with pytest.raises(JobError, match=f"{last} is no longer the text that was selected"):
        run_job(run_export, "export", selection=selection)
    assert list(out.iterdir()) == []
    assert not Export.objects.exists()


def test_the_stored_conversation_is_the_prompt(
    project: Project, run_job: RunJob, out: Path
) -> None:
    talk = [{"role": "system", "content": "Be exact."}, {"role": "user", "content": "one?"}]
    full = make_trace(make_problem(project, "1?"), "1", "correct", messages=talk)
    make_trace(make_problem(project, "2?"), "2", "correct", messages=talk[:1])
    child = {"parent": full, "origin": "derived"}
    make_trace(full.problem, "!", "correct", **child)
    from curation.models import ReviewOutcome

    derived = Trace.objects.get(parent=full)
    ReviewOutcome.objects.create(trace=full, decision="accept", policy="p", derived=derived)
    job = run_job(run_export, "export", recipe="sft-verified")
    prompts = [row["messages"][:-1] for row in data(out / job.counts["export"])]
    assert prompts == [talk, [talk[0], {"role": "user", "content": "2?"}]]
    assert data(out / job.counts["export"])[0]["messages"][-1]["content"] == "!"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "bad_params"),
        ({"selection": 10**9}, "unknown_selection"),
        ({"recipe": "nonsense"}, "unknown_recipe"),
        ({"recipe": "sft-verified", "format": "word"}, "unknown_format"),
        ({"recipe": "sft-verified", "format": "trl_dpo"}, "wrong_format"),
        ({"recipe": "sft-verified", "out": "/proc/nowhere"}, "path_not_allowed"),
        ({"recipe": "sft-verified", "out": "/etc/hosts/below"}, "export_failed"),
    ],
)
def test_what_cannot_be_exported_is_an_expected_failure(
    filled: Project, run_job: RunJob, out: Path, params: dict[str, Any], code: str
) -> None:
    with pytest.raises(JobError) as error:
        run_job(run_export, "export", **params)
    assert error.value.code == code


def test_another_projects_selection_is_never_exported(
    filled: Project, run_job: RunJob, out: Path
) -> None:
    selection = run_job(run_select, "select", recipe="sft-verified").counts["selection"]
    stranger = Project.objects.create(slug="stranger", name="Stranger")
    Selection.objects.filter(pk=selection).update(project=stranger)
    with pytest.raises(JobError, match="no selection"):
        run_job(run_export, "export", selection=selection)


def test_texts_are_read_in_blocks(
    filled: Project, run_job: RunJob, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_job(run_export, "export", recipe="sft-verified")
    monkeypatch.setattr(export_rows, "BLOCK", 3)
    blocks = run_job(run_export, "export", recipe="sft-verified", out=str(out / "b"))
    assert whole.counts["export"] == blocks.counts["export"]
    assert blocks.done == 10


def test_sweeping_where_nothing_was_exported_is_no_error(out: Path) -> None:
    assert sweep_exports() == []


KILLED = """
import sys, time, django
django.setup()
from django.conf import settings
from pathlib import Path
settings.DATABASES["default"]["NAME"] = {database!r}
settings.EXPORT_ROOT = Path({out!r}).parent
from curation import jobs
from curation.exports import rows, run
from curation.models import Job
rows.BLOCK = 2
def slow(records):
    for record in records:
        yield record
        print("row", flush=True)
        time.sleep(0.05)
whole = run.export_records
run.export_records = lambda *args: slow(whole(*args))
job = Job.objects.get(pk={job})
jobs.run_claimed(job, jobs.claim(job.pk), run.run_export)
"""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_while_exporting_leaves_nothing_and_the_next_one_finishes(
    filled: Project, run_job: RunJob, out: Path
) -> None:
    from curation import jobs
    from curation.models import Job

    wanted = run_job(run_export, "export", recipe="sft-verified", out=str(out / "whole"))
    Export.objects.all().delete()
    params = {"selection": wanted.counts["selection"]}
    job = jobs.create_job(project=filled, kind="export", params=params)
    code = KILLED.format(database=connection.settings_dict["NAME"], out=str(out), job=job.pk)
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "curation.settings"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment, cwd=settings.BASE_DIR
    ) as process:
        assert process.stdout is not None
        for _ in range(5):
            assert process.stdout.readline() == b"row\n"
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    job.refresh_from_db()
    assert job.state == Job.State.RUNNING
    assert 0 < job.done < 10
    visible = [p for p in out.iterdir() if not p.name.startswith(".")]
    assert visible == [out / "whole"]
    assert not Export.objects.exists()

    deadline = time.monotonic() + 20
    while (epoch := jobs.claim(job.pk)) is None:
        assert time.monotonic() < deadline, "the lease never ran out"
        time.sleep(0.1)
    done = jobs.run_claimed(Job.objects.get(pk=job.pk), epoch, run_export)
    assert done.state == Job.State.DONE
    assert done.counts["export"] == wanted.counts["export"]
    assert verify_export(out / done.counts["export"]) == []
    assert Export.objects.count() == 1
    assert len(sweep_exports(max_age_s=-1)) == 1
