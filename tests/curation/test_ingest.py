"""The import job on real tables: exact counts, no second effect, nothing lost when killed."""

from __future__ import annotations

import hashlib
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

TABLES = ("source", "sourcefile", "problem", "problemoccurrence", "trace", "importreject")
THINK = "<think>\nTry {n}.\n</think>\n\n{n}"


def dump() -> dict[str, Any]:
    """Every column of every domain table, and where the id sequences stand."""
    from django.db import connection

    found: dict[str, Any] = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT t::text FROM curation_{table} t ORDER BY id")
            rows = [row[0] for row in cursor.fetchall()]
            cursor.execute(f"SELECT last_value FROM curation_{table}_id_seq")
            found[table] = (rows, cursor.fetchone())
    return found


def contents() -> dict[str, list[Any]]:
    """What the tables say, without ids and times."""
    from curation.models import ImportReject, Problem, ProblemOccurrence, SourceFile, Trace

    models = (ImportReject, Problem, ProblemOccurrence, SourceFile, Trace)
    return {model.__name__: sorted(map(_content, model.objects.all())) for model in models}


def _content(row: Any) -> str:
    skipped = ("id", "created_at", "source_id", "problem_id", "project_id", "search_text")
    values = {k: str(v) for k, v in vars(row).items() if k not in skipped and k != "_state"}
    return json.dumps(values, sort_keys=True)


def write(path: Path, *rows: Any) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(line + "\n" for line in lines))
    return path


def row(number: int, *answers: str, **more: Any) -> dict[str, Any]:
    texts = list(answers) or [THINK.format(n=number)]
    return {"question": f"What is {number}?", "gt": str(number), "generations": texts, **more}


@pytest.fixture
def run(run_job: Callable[..., Any]) -> Callable[..., Any]:
    def run_it(path: Path, name: str = "made", **params: Any) -> Any:
        from curation.ingest import run_import

        return run_job(run_import, "import", path=str(path), name=name, **params)

    return run_it


def adds_up(counts: dict[str, Any]) -> bool:
    whole = counts["rows"] == counts["accepted"] + counts["duplicate"] + counts["rejected"]
    return whole and sum(counts["reject_reasons"].values()) == counts["rejected"]


def test_each_row_is_accepted_a_duplicate_or_rejected(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    from curation.models import ImportReject, Problem, ProblemOccurrence, Trace

    path = write(
        tmp_path / "data.jsonl",
        row(1),
        row(1),  # the same again
        row(1, "another sample"),  # a known problem with a new trace
        {"question": "WHAT  is 1?"},  # the same problem, written otherwise
        '{"question": "half',
        row(2, "a", "a"),  # two equal samples are two traces
        {"question": ""},
        {"question": "\ud800"},
    )
    counts = run(path).counts
    assert adds_up(counts)
    assert {name: counts[name] for name in ("rows", "accepted", "duplicate", "rejected")} == {
        "rows": 8,
        "accepted": 3,
        "duplicate": 2,
        "rejected": 3,
    }
    assert counts["reject_reasons"] == {"invalid_json": 1, "no_problem": 1, "surrogate": 1}
    assert (counts["problems_created"], counts["traces_created"]) == (2, 4)
    assert (Problem.objects.count(), Trace.objects.count()) == (2, 4)
    assert ProblemOccurrence.objects.count() == 5
    assert [(r.line, r.reason) for r in ImportReject.objects.order_by("line")] == [
        (5, "invalid_json"),
        (7, "no_problem"),
        (8, "surrogate"),
    ]


def test_the_same_import_again_changes_nothing(run: Callable[..., Any], tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *(row(n, "x", "y") for n in range(30)), "bad", row(3))
    first = run(path, licence="MIT").counts
    before = dump()
    second = run(path, licence="MIT").counts
    assert dump() == before
    assert adds_up(second)
    assert (second["rows"], second["accepted"], second["duplicate"]) == (32, 0, 31)
    assert second["rejected"] == first["rejected"] == 1
    assert (second["problems_created"], second["traces_created"]) == (0, 0)


def test_a_stored_row_says_where_it_came_from(run: Callable[..., Any], tmp_path: Path) -> None:
    from curation.models import ImportReject, ProblemOccurrence, Source, SourceFile

    path = write(tmp_path / "p.jsonl", row(1), "bad", row(2))
    run(path, licence="Apache-2.0")
    data = path.read_bytes()
    for found in (*ProblemOccurrence.objects.all(), *ImportReject.objects.all()):
        line = data[found.byte_offset :].split(b"\n")[0]
        assert data.split(b"\n")[found.line - 1] == line
        assert found.file_sha256 == hashlib.sha256(data).hexdigest()
    assert bytes(ImportReject.objects.get().raw) == b"bad\n"
    file = SourceFile.objects.get()
    assert (file.name, file.bytes, file.rows) == ("p.jsonl", len(data), 3)
    source = Source.objects.get()
    assert (source.licence, source.adapter, source.uri) == ("Apache-2.0", "generic", "p.jsonl")
    (way,) = source.mapping["ways"]
    assert {c["column"]: c["role"] for c in way["mapping"]["columns"]} == {
        "question": "problem",
        "generations": "response",
        "gt": "reference_answer",
    }


def test_a_trace_is_stored_as_given_with_its_ranges_and_evidence(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    from curation.models import Trace, Verdict

    text = "<think>\r\n𝑥 e\u0301 \U0001f600 \u202e\n</think>\n\n4\t "
    given = row(1, text, model="m", score=[True], finish_reasons=["length"])
    run(write(tmp_path / "t.jsonl", given))
    trace = Trace.objects.get()
    assert trace.text == text
    assert (
        text[trace.reasoning_start : trace.reasoning_end].strip() == "𝑥 e\u0301 \U0001f600 \u202e"
    )
    assert (trace.model, trace.truncated, trace.origin) == ("m", True, "imported")
    assert trace.upstream == {"score": True}
    assert not Verdict.objects.exists()


def test_what_a_row_says_about_a_known_trace_is_kept(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    from curation.models import ProblemOccurrence, Trace

    run(write(tmp_path / "t.jsonl", row(1, "x", score=[True]), row(1, "x", score=[False])))
    trace = Trace.objects.get()
    assert trace.upstream == {"score": True}
    second = ProblemOccurrence.objects.get(line=2)
    assert second.metadata["evidence_on_known_traces"] == [
        {"identity": trace.identity, "upstream": {"score": False}}
    ]


def test_contradicting_references_are_kept_and_shown(
    run: Callable[..., Any], project: Any, tmp_path: Path
) -> None:
    from curation.models import Problem
    from curation.problems import conflicting_references

    rows = [{"question": "q?", "gt": answer} for answer in ("27", "27.0", "28", 27)]
    counts = run(write(tmp_path / "c.jsonl", *rows)).counts
    assert counts["reference_conflicts"] == 1
    assert Problem.objects.get().reference_answer == "27"
    (found,) = conflicting_references(project)
    assert (found.line, found.reference_answer) == (3, "28")


def test_a_missing_reference_is_filled_by_a_later_row(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    from curation.models import Problem

    run(write(tmp_path / "a.jsonl", {"question": "q?"}), "one")
    counts = run(write(tmp_path / "b.jsonl", {"question": "q?", "gt": "4"}), "two").counts
    assert (counts["references_filled"], counts["duplicate"]) == (1, 1)
    assert Problem.objects.get().reference_answer == "4"


def test_a_problem_of_another_source_is_seen_twice_and_kept_once(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    from curation.models import Problem, ProblemOccurrence

    path = write(tmp_path / "a.jsonl", row(1), row(2))
    run(path, "one")
    counts = run(path, "two").counts
    assert (counts["accepted"], counts["duplicate"]) == (0, 2)
    assert Problem.objects.count() == 2
    assert ProblemOccurrence.objects.count() == 4


def test_projects_do_not_share_problems(run: Callable[..., Any], tmp_path: Path) -> None:
    from curation.ingest import run_import
    from curation.jobs import JobContext, claim, create_job
    from curation.models import Job, Problem, Project

    path = write(tmp_path / "a.jsonl", row(1))
    run(path)
    other = Project.objects.create(slug="other", name="Other")
    job = create_job(project=other, kind="import", params={"path": str(path), "name": "made"})
    run_import(JobContext(Job.objects.get(pk=job.pk), claim(job.pk) or 0))
    assert Problem.objects.count() == 2


def test_a_folder_of_several_formats_is_one_source(run: Callable[..., Any], tmp_path: Path) -> None:
    import gzip

    import pyarrow as pa
    import pyarrow.parquet as pq
    import zstandard

    (tmp_path / "in").mkdir()
    rows = [row(n) for n in range(5)]
    lines = "".join(json.dumps(r) + "\n" for r in rows).encode()
    (tmp_path / "in" / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "in" / "b.json").write_text(json.dumps([row(n) for n in range(4, 9)]))
    (tmp_path / "in" / "c.jsonl.zst").write_bytes(zstandard.compress(lines + b"oops"))
    (tmp_path / "in" / "d.csv").write_text('question,answer\n"What is 9?",9\nbad\n')
    pq.write_table(pa.Table.from_pylist([row(10)]), tmp_path / "in" / "e.parquet")
    (tmp_path / "in" / "README.md").write_text("no data")
    job = run(tmp_path / "in")
    assert adds_up(job.counts)
    assert (job.counts["rows"], job.counts["accepted"]) == (19, 11)
    assert job.counts["reject_reasons"] == {"invalid_json": 1, "column_count": 1}
    assert job.counts["problems_created"] == 11
    messages = " ".join(job.log_lines.values_list("message", flat=True))
    assert "README.md" in messages


def test_a_broken_file_costs_only_itself(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no parquet")
    write(tmp_path / "b.jsonl", row(1))
    counts = run(tmp_path).counts
    assert adds_up(counts)
    assert counts["reject_reasons"] == {"parquet_unreadable": 1}
    assert counts["accepted"] == 1


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"name": ""}, "bad_name"),
        ({"name": "x" * 201}, "bad_name"),
        ({"name": "a\x07b"}, "bad_name"),
        ({"path": ""}, "bad_path"),
        ({"path": "/nowhere/at/all"}, "unreadable"),
        ({"adapter": "no_such"}, "unknown_adapter"),
        ({"mapping": {"problem": 3}}, "bad_params"),
        ({"mapping": {"problem": "q"}, "adapter": "gsm8k"}, "bad_mapping"),
        ({"limits": {"depth": -1}}, "bad_params"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_code_and_nothing_written(
    run_job: Callable[..., Any], tmp_path: Path, params: dict[str, Any], code: str
) -> None:
    from curation.ingest import run_import
    from curation.jobs import JobError
    from curation.models import Source

    path = write(tmp_path / "a.jsonl", row(1))
    given = {"path": str(path), "name": "made"} | params
    with pytest.raises(JobError) as caught:
        run_job(run_import, "import", **given)
    assert caught.value.code == code
    assert not Source.objects.exists()


def test_an_empty_folder_is_told(run: Callable[..., Any], tmp_path: Path) -> None:
    from curation.jobs import JobError

    with pytest.raises(JobError, match="no file of a known format"):
        run(tmp_path)


def test_a_given_mapping_is_used(run: Callable[..., Any], tmp_path: Path) -> None:
    from curation.models import Problem, Source

    path = write(tmp_path / "m.jsonl", {"frage": "q", "antwort": "4", "question": "not this"})
    run(path, mapping={"problem": "frage", "reference_answer": "antwort"})
    assert Problem.objects.get().text == "q"
    assert Source.objects.get().mapping["ways"][0]["mapping"]["columns"][0]["column"] == "frage"


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
    run: Callable[..., Any],
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
    expected = run(tmp_path).counts
    whole = contents()
    Source.objects.all().delete()

    job = jobs.create_job(
        project=project, kind="import", params={"path": str(tmp_path), "name": "made"}
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
        project=project, kind="import", params={"path": str(path), "name": "made"}
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
        project=project, kind="import", params={"path": str(path), "name": "made"}
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


@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, project: Any, run: Callable[..., Any]
) -> None:
    from django.db import connection

    from curation import ingest, jobs
    from curation.models import Job, Source

    path = write(tmp_path / "a.jsonl", *(row(n % 300) for n in range(800)), "bad")
    expected = run(path).counts
    whole = contents()
    Source.objects.all().delete()
    job = jobs.create_job(
        project=project, kind="import", params={"path": str(path), "name": "made"}
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
        made.append(jobs.create_job(project=project, kind="import", params=params))

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


REAL = os.environ.get("WHITTLE_REAL_DATA")
# Folder -> rows, problems, traces of the whole import; rejected rows would be listed by reason.
WHOLE = {
    "skythought": (560, 70, 560),
    "gsm8k": (2638, 1319, 5276),
    "thought-anchors": (24, 6, 24),
    "qwen-math-eval": (1070, 1070, 0),
    "olymmath": (200, 200, 0),
    "zeroeval": (1442, 721, 1442),
    "mr-gsm8k": (496, 387, 410),
}


@pytest.mark.skipif(not REAL, reason="WHITTLE_REAL_DATA is not set")
@pytest.mark.parametrize("folder", WHOLE)
def test_a_published_data_set_imports_whole_and_a_second_time_changes_nothing(
    run: Callable[..., Any], folder: str
) -> None:
    path = Path(str(REAL)) / folder
    counts = run(path, folder).counts
    assert adds_up(counts)
    assert counts["rejected"] == 0
    found = (counts["rows"], counts["problems_created"], counts["traces_created"])
    assert found == WHOLE[folder]
    before = dump()
    again = run(path, folder).counts
    assert dump() == before
    assert (again["rows"], again["duplicate"]) == (counts["rows"], counts["rows"])
