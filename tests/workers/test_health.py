"""What health says of the supervisor's parts."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from curation import embedded, jobs
from curation.models import Job
from curation.views.health import chip
from workers import health


def part(state: str, restarts: int, ago: float) -> dict[str, Any]:
    return {"pid": 1, "state": state, "restarts": restarts, "since": time.time() - ago}


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    record: dict[str, Any] = {"pid": os.getpid(), "started": time.time() - 5, "children": {}}
    monkeypatch.setattr(embedded, "supervisor_state", lambda: record)
    return record


def test_a_part_that_was_started_again_is_news_for_two_minutes(supervised: dict[str, Any]) -> None:
    supervised["children"] = {
        "web": part("running", 0, 5),
        "beat": part("running", 2, 7),
        "teacher": part("running", 1, 130),
    }
    (told,) = health.restarts()
    assert told == {"part": "beat", "restarts": 2, "seconds": 7}
    shown = chip({"status": "ok", "problems": [], "restarted": [told]})
    assert (shown.css, shown.label) == ("warn", "beat was started again 7 s ago")


def test_a_part_that_is_down_is_a_problem(supervised: dict[str, Any]) -> None:
    supervised["children"] = {"worker-llm": part("waiting", 3, 1), "web": part("running", 0, 1)}
    fine = dict.fromkeys(("database", "redis", "beat", "verifier", "sandbox"), "ok")
    found = health.problems_of(fine | {"workers": 2, "stalled_jobs": 0}, {})
    assert found == ["worker-llm ended and is being started again"]


@pytest.mark.django_db
def test_a_running_job_that_stopped_moving_is_a_problem(
    supervised: dict[str, Any], project: Any, settings: Any
) -> None:
    job = jobs.create_job(project=project, kind="verify")
    jobs.claim(job.pk)
    assert health.health()["stalled_jobs"] == 0
    still = timezone.now() - dt.timedelta(seconds=settings.JOB_STALL_SECONDS / 4 + 1)
    Job.objects.filter(pk=job.pk).update(progress_at=still)
    report = health.health()
    assert report["stalled_jobs"] == 1
    assert "1 running job has stopped moving" in report["problems"]


def report(*problems: str) -> dict[str, Any]:
    return {"problems": list(problems), "teacher": "ok"}


def test_a_young_copy_starts_until_all_was_well_once(
    supervised: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHITTLE_HOME", str(tmp_path))
    (tmp_path / "run").mkdir()
    supervised["children"] = {"web": part("running", 0, 5), "beat": part("stopped", 0, 5)}
    assert health.status_of(report("no worker is alive")) == "starting"
    assert health.status_of(report()) == "ok"
    assert health.status_of(report("no worker is alive")) == "degraded"
    supervised["pid"] = os.getppid()  # the next start of the same copy
    assert health.status_of(report("no worker is alive")) == "starting"


@pytest.mark.parametrize(
    ("beat", "age"),
    [(part("waiting", 0, 1), 5), (part("running", 1, 1), 5), (part("running", 0, 61), 61)],
)
def test_a_part_that_ended_or_stays_silent_is_no_part_that_starts(
    supervised: dict[str, Any], beat: dict[str, Any], age: int
) -> None:
    supervised["children"] = {"web": part("running", 0, age), "beat": beat}
    supervised["started"] = time.time() - age
    assert health.status_of(report("beat unavailable: no sign of life")) == "degraded"


@pytest.mark.parametrize("pid", [0, -1, 2**30, "x"])
def test_what_a_dead_supervisor_left_is_not_believed(
    supervised: dict[str, Any], pid: object
) -> None:
    supervised |= {"pid": pid, "children": {"web": part("waiting", 3, 1)}}
    assert health.parts() == {}
