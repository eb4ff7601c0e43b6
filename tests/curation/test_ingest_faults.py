"""The import job when it is stopped, killed, overtaken or not alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.curation.ingest_made import adds_up, contents, row, write


class Stop(Exception):
    pass


def fail_at(monkeypatch: pytest.MonkeyPatch, call: int, *, after: bool) -> None:
    """Make the import fail at a batch, before or after its rows were written."""
    from curation import ingest

    real, seen = ingest.write_batch, [0]

    def write_batch(*args: Any) -> Any:
        seen[0] += 1
        counts = real(*args) if after or seen[0] != call else None
        if seen[0] == call:
            raise Stop
        return counts

    monkeypatch.setattr(ingest, "write_batch", write_batch)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", [1, 3, 5])
def test_an_attempt_that_fails_is_taken_up_behind_its_last_chunk(
    import_path: Callable[..., Any],
    project: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: int,
    after: bool,
) -> None:
    from curation import ingest, jobs
    from curation.models import Job, Source

    monkeypatch.setattr(ingest, "CHUNK_ROWS", 4)
    for name in ("a", "b"):
        lines = [row(n % 13, f"{name}{n % 17}") for n in range(20)]
        write(tmp_path / f"{name}.jsonl", *lines[:9], "bad", *lines[9:])
    expected = import_path(tmp_path).counts
    whole = contents()
    Source.objects.all().delete()

    job = jobs.create_job(
        project=project,
        kind="import",
        params={"path": str(tmp_path), "name": "made"},
        right=jobs.Right.OPERATOR,
    )
    with monkeypatch.context() as patch:
        fail_at(patch, call, after=after)
        epoch = jobs.claim(job.pk) or 0
        with pytest.raises(Stop):
            ingest.run_import(jobs.JobContext(Job.objects.get(pk=job.pk), epoch))
    stopped = Job.objects.get(pk=job.pk)
    assert stopped.counts.get("rows", 0) == 4 * (call - 1)
    Job.objects.filter(pk=job.pk).update(lease_until="2000-01-01T00:00:00Z")
    context = jobs.JobContext(Job.objects.get(pk=job.pk), jobs.claim(job.pk) or 0)
    ingest.run_import(context)
    assert context.job.counts == expected
    assert adds_up(context.job.counts)
    assert contents() == whole


def test_a_file_that_changed_between_attempts_is_not_mixed(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curation import ingest, jobs
    from curation.models import Job

    monkeypatch.setattr(ingest, "CHUNK_ROWS", 4)
    path = write(tmp_path / "a.jsonl", *(row(n) for n in range(20)))
    job = jobs.create_job(
        project=project,
        kind="import",
        params={"path": str(path), "name": "made"},
        right=jobs.Right.OPERATOR,
    )
    with monkeypatch.context() as patch:
        fail_at(patch, 3, after=True)
        with pytest.raises(Stop):
            context = jobs.JobContext(Job.objects.get(pk=job.pk), jobs.claim(job.pk) or 0)
            ingest.run_import(context)
    write(path, *(row(n) for n in range(100, 120)))
    Job.objects.filter(pk=job.pk).update(lease_until="2000-01-01T00:00:00Z")
    context = jobs.JobContext(Job.objects.get(pk=job.pk), jobs.claim(job.pk) or 0)
    with pytest.raises(jobs.JobError) as caught:
        ingest.run_import(context)
    assert caught.value.code == "file_changed"


def test_a_zombie_writes_nothing_more(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curation import ingest, jobs
    from curation.models import Job, Problem

    monkeypatch.setattr(ingest, "CHUNK_ROWS", 4)
    path = write(tmp_path / "a.jsonl", *(row(n) for n in range(20)))
    job = jobs.create_job(
        project=project,
        kind="import",
        params={"path": str(path), "name": "made"},
        right=jobs.Right.OPERATOR,
    )
    zombie = jobs.JobContext(Job.objects.get(pk=job.pk), jobs.claim(job.pk) or 0)
    Job.objects.filter(pk=job.pk).update(lease_until="2000-01-01T00:00:00Z")
    assert jobs.claim(job.pk) == 2
    with pytest.raises(jobs.LeaseLost):
        ingest.run_import(zombie)
    assert not Problem.objects.exists()


CHILD = """
import sys, time, django
from django.conf import settings
name, job_id = sys.argv[1], int(sys.argv[2])
settings.DATABASES["default"]["NAME"] = name
django.setup()
from curation import ingest, jobs
from curation.models import Job
ingest.CHUNK_ROWS = 20
real = ingest.write_batch
def slowly(*args):
    counts = real(*args)
    time.sleep(0.05)  # inside the transaction, so that a kill may also hit it
    return counts
ingest.write_batch = slowly
jobs.run_claimed(Job.objects.get(pk=job_id), jobs.claim(job_id), ingest.run_import)
"""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, project: Any, import_path: Callable[..., Any]
) -> None:
    from django.db import connection

    from curation import ingest, jobs
    from curation.models import Job, Source

    path = write(tmp_path / "a.jsonl", *(row(n % 300) for n in range(800)), "bad")
    expected = import_path(path).counts
    whole = contents()
    Source.objects.all().delete()
    job = jobs.create_job(
        project=project,
        kind="import",
        params={"path": str(path), "name": "made"},
        right=jobs.Right.OPERATOR,
    )
    name = str(connection.settings_dict["NAME"])
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "curation.settings"}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, name, str(job.pk)], env=environment, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while Job.objects.get(pk=job.pk).done < 100 and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    done = Job.objects.get(pk=job.pk).done
    assert 100 <= done < 801
    Job.objects.filter(pk=job.pk).update(lease_until="2000-01-01T00:00:00Z")
    finished = jobs.run_claimed(
        Job.objects.get(pk=job.pk), jobs.claim(job.pk) or 0, ingest.run_import
    )
    assert finished.state == "done"
    assert finished.counts == expected
    assert contents() == whole


@pytest.mark.django_db(transaction=True)
def test_two_imports_at_once_share_what_they_have_in_common(
    tmp_path: Path, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from django.db import connection

    from curation import ingest, jobs
    from curation.models import Job, Problem, Trace

    monkeypatch.setattr(ingest, "CHUNK_ROWS", 5)
    made = []
    for name, numbers in (("one", range(100)), ("two", range(150, 50, -1))):
        path = write(tmp_path / f"{name}.jsonl", *(row(n) for n in numbers))
        params = {"path": str(path), "name": name}
        right = jobs.Right.OPERATOR
        made.append(jobs.create_job(project=project, kind="import", params=params, right=right))

    def work(job: Any) -> None:
        try:
            epoch = jobs.claim(job.pk) or 0
            jobs.run_claimed(Job.objects.get(pk=job.pk), epoch, ingest.run_import)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(job,)) for job in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = [Job.objects.get(pk=job.pk).counts for job in made]
    assert all(map(adds_up, counts))
    assert sum(c["problems_created"] for c in counts) == Problem.objects.count() == 151
    assert sum(c["traces_created"] for c in counts) == Trace.objects.count() == 151
    assert sum(c["accepted"] for c in counts) == 151
