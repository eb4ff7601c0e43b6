"""Small inputs cannot fill the disk or hold a worker, and odd rows do not spoil good ones."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from curation import jobs, paths, uploads
from curation.job_rules import Right, check_job
from curation.jobs import JobError
from curation.models import ImportReject, Job, Membership, Problem, Project, SourceFile
from curation.sources.limits import Limits
from curation.sources.plan import Converted, files, open_input
from curation.sources.records import Reject
from curation.tokens import create_token
from tests.curation.ingest_made import row, write

pytestmark = pytest.mark.django_db


# --- rejects


def test_the_text_of_the_first_rejects_is_kept_and_all_are_counted(
    import_path: Callable[..., Any], tmp_path: Path, settings: Any
) -> None:
    settings.IMPORT_REJECTS_KEPT = 3
    rows = [row(1), *[{"question": ""}] * 10, *["no json"] * 5, row(2)]
    path = write(tmp_path / "a.jsonl", *rows)
    counts = import_path(path).counts
    assert counts["reject_reasons"] == {"no_problem": 10, "invalid_json": 5}
    kept = ImportReject.objects.order_by("line").values_list("reason", "line")
    assert [*kept] == [("no_problem", n) for n in (2, 3, 4)] + [
        ("invalid_json", n) for n in (12, 13, 14)
    ]
    assert SourceFile.objects.get().rejected == {"no_problem": 10, "invalid_json": 5}
    assert Problem.objects.count() == 2
    import_path(path)
    assert ImportReject.objects.count() == 6


def test_the_page_tells_how_many_there_were_and_how_many_are_kept(
    import_path: Callable[..., Any], tmp_path: Path, settings: Any, client: Client, user: Any
) -> None:
    settings.IMPORT_REJECTS_KEPT = 2
    import_path(write(tmp_path / "a.jsonl", row(1), *["no json"] * 5))
    client.force_login(user)
    source = SourceFile.objects.get().source_id
    page = client.get(f"/p/demo/sources/{source}/").content.decode()
    assert "invalid_json 5 (text of the first 2 kept)" in page


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_file_of_nothing_but_rejects_stops_early(
    run_job: Callable[..., Any], tmp_path: Path, settings: Any, name: str
) -> None:
    from curation.ingest import run_import

    settings.IMPORT_ROWS_WITHOUT_ANY = 1000
    packed = (b"{}\n" * 20_000, gzip.compress(b"{}\n" * 20_000))["gz" in name]
    (tmp_path / name).write_bytes(packed)
    params = {"path": str(tmp_path / name), "name": "bad", "licence": "MIT"}
    with pytest.raises(JobError) as refused:
        run_job(run_import, "import", **params)
    assert refused.value.code == "all_rejected" and "no_mapping" in str(refused.value)
    job = Job.objects.get()
    assert job.counts["rows"] == 1000
    assert ImportReject.objects.count() == 1000


def test_one_good_row_among_the_first_is_enough_to_go_on(
    import_path: Callable[..., Any], tmp_path: Path, settings: Any
) -> None:
    settings.IMPORT_ROWS_WITHOUT_ANY = 100
    counts = import_path(write(tmp_path / "a.jsonl", row(1), *["no json"] * 700, row(2))).counts
    assert (counts["rows"], counts["accepted"]) == (702, 2)


# --- limits


@pytest.mark.parametrize("name", [n for n in Limits.__dataclass_fields__])
def test_a_limit_may_be_lowered_by_anybody_and_raised_by_administrators(
    project: Project, user: User, name: str
) -> None:
    usual = getattr(Limits(), name)
    boss = User.objects.create_superuser("boss")

    def ask(value: int, right: Right, by: User) -> None:
        params = {"limits": {name: value}, "name": "x"}
        check_job(project, "import", params, right=right, user=by)
        nested = {"then": [{"kind": "import", "params": params}]}
        check_job(project, "grade", nested, right=right, user=by)

    ask(usual, Right.AUTHOR, user)
    ask(max(1, usual // 2), Right.AUTHOR, user)
    with pytest.raises(JobError, match=f"limits.{name} is at most") as refused:
        ask(usual + 1, Right.AUTHOR, user)
    assert refused.value.code == "limit_too_high"
    ask(usual + 1, Right.AUTHOR, boss)
    ask(usual + 1, Right.OPERATOR, user)


@pytest.mark.parametrize("door", ["jobs/", "schedules/", "then"])
def test_rest_asks_the_same(project: Project, user: User, door: str) -> None:
    _, secret = create_token(user=user, scopes=["write", "jobs"])
    params: dict[str, Any] = {"limits": {"depth": 65}, "name": "x"}
    body: dict[str, Any] = {"project": "demo", "kind": "import", "params": params}
    if door == "then":
        body = body | {"kind": "grade", "params": {"then": [{"kind": "import", "params": params}]}}
    if door == "schedules/":
        body |= {"name": "nightly", "cron": "0 3 * * *"}
    path = "jobs/" if door == "then" else door
    answer = Client().post(
        f"/api/v1/{path}",
        json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {secret}"},
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "limit_too_high"), answer.content
    assert not Job.objects.exists()


# --- uploads


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "home", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def owner(client: Client, user: User, project: Project) -> Client:
    client.force_login(user)
    return client


def upload(client: Client, size: int = 0, **more: Any) -> Any:
    text = json.dumps({"question": "What is 1?", "answer": "1"}).encode() + b"\n"
    file = SimpleUploadedFile("a.jsonl", text + b" " * max(0, size - len(text)))
    data = {"name": "up", "licence": "MIT", "file": file, "at_once": "1"} | more
    return client.post("/p/demo/sources/import/", data)


def kept(home: Path) -> list[Path]:
    return [p for p in (home / "uploads").rglob("*") if p.is_file()]


def test_an_upload_is_kept_in_the_home_until_it_was_imported(
    owner: Client, project: Project, home: Path
) -> None:
    from curation.ingest import run_import

    assert upload(owner).status_code == 302
    job = Job.objects.get()
    assert [str(p) for p in kept(home)] == [job.params["path"]]
    assert uploads.sweep_uploads() == 0
    epoch = jobs.claim(job.pk)
    assert epoch is not None
    run_import(jobs.JobContext(Job.objects.get(pk=job.pk), epoch))
    assert Problem.objects.count() == 1
    assert not kept(home)


def test_an_upload_over_the_limit_is_refused_while_it_comes_in(
    owner: Client, home: Path, settings: Any
) -> None:
    settings.UPLOAD_MAX_BYTES = 3 * 2**20
    assert upload(owner, 3 * 2**20).status_code == 302
    for size in (3 * 2**20 + 1, 9 * 2**20):
        refused = upload(owner, size)
        assert refused.status_code == 413 and b"can be uploaded" in refused.content
    assert Job.objects.count() == 1 and len(kept(home)) == 1


def test_who_is_not_signed_in_uploads_nothing(project: Project, home: Path) -> None:
    """The form is read to find its CSRF token before anybody asks who sends it."""
    client = Client(enforce_csrf_checks=True)
    client.get("/login/")
    assert upload(client, 5 * 2**20).status_code == 413
    assert not kept(home)


def test_a_projects_uploads_have_a_quota(owner: Client, home: Path, settings: Any) -> None:
    settings.UPLOAD_PROJECT_BYTES = 2 * 2**20
    assert upload(owner, 2**20).status_code == 302
    refused = upload(owner, 2**20 + 1)
    assert refused.status_code == 200 and b"would be over" in refused.content
    assert Job.objects.count() == 1


def test_a_full_disk_refuses_uploads_and_stops_imports(
    owner: Client,
    home: Path,
    settings: Any,
    run_job: Callable[..., Any],
    tmp_path: Path,
) -> None:
    from curation.ingest import run_import

    settings.DISK_RESERVE_BYTES = 2**60
    assert upload(owner).status_code == 413
    path = write(tmp_path / "b.jsonl", row(1))
    with pytest.raises(JobError, match="MiB are left") as refused:
        run_job(run_import, "import", path=str(path), name="x", licence="MIT")
    assert refused.value.code == "disk_full"
    settings.DISK_RESERVE_BYTES = 0
    run_job(run_import, "import", path=str(path), name="x", licence="MIT")
    assert Problem.objects.count() == 1


def test_what_nobody_imports_is_deleted_after_days_and_what_a_job_needs_is_not(
    owner: Client, home: Path, settings: Any
) -> None:
    upload(owner)
    (forgotten,) = {p.parent for p in kept(home)}
    Job.objects.update(state=Job.State.FAILED)
    upload(owner)
    needed = next(p.parent for p in kept(home) if p.parent != forgotten)
    weeks_ago = time.time() - 30 * 86_400
    for folder in (forgotten, needed):
        os.utime(folder, (weeks_ago, weeks_ago))
    assert uploads.sweep_uploads() == 1
    assert {p.parent for p in kept(home)} == {needed}


def test_only_uploads_are_forgotten(home: Path) -> None:
    for name in ("uploads/demo/abc/a.jsonl", "uploads/b.jsonl", "exports/demo/c.jsonl"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("x")
        uploads.forget_upload(home / name)
    assert not (home / "uploads/demo/abc").exists()
    assert (home / "uploads/b.jsonl").exists() and (home / "exports/demo/c.jsonl").exists()


def test_a_stranger_to_the_project_uploads_nothing(client: Client, home: Path) -> None:
    Project.objects.create(slug="demo", name="Demo")
    client.force_login(User.objects.create_user("eve"))
    assert upload(client).status_code == 404
    assert not kept(home) and not Membership.objects.exists()


# --- packed files


def test_equal_values_packed_as_one_do_not_hold_a_worker(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = pa.array(["x" * 1000] * 500_000).dictionary_encode()
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"question": column}), path, compression="zstd")
    assert path.stat().st_size < 100_000
    items = list(open_input(files(path)[0], limits=Limits(parquet_ratio=100)).rows())
    assert isinstance(items[-1], Reject) and items[-1].reason == "unpacked_too_large"
    assert len(items) < 500_000


# --- rows of other shapes

GOOD = [{"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(5)]
ODD: dict[str, list[Any]] = {
    "other columns": [{"a": n, "b": "x"} for n in range(20)],
    "notes": [{"version": "1.0", "comment": "made by us", "rows": 5}] * 20,
    "no object": ["just a text"] * 20,
    "nested": [{"meta": {"version": {"major": 1}}}] * 20,
    "comments": ["# a comment", "// another"] * 10,
    "empty objects": [{}] * 20,
    "another table": [{"prompt": f"Say {n}", "completion": f"{n}"} for n in range(20)],
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("where", ["before", "behind", "between"])
def test_odd_rows_do_not_decide_for_good_ones(tmp_path: Path, name: str, where: str) -> None:
    odd = ODD[name]
    rows = {"before": odd + GOOD, "behind": GOOD + odd, "between": odd[:10] + GOOD + odd[10:]}
    path = write(tmp_path / "a.jsonl", *rows[where])
    read = list(open_input(files(path)[0]).rows())
    assert len(read) == len(rows[where])
    texts = [p.text for item in read if isinstance(item, Converted) for p in item.problems]
    good = [text for text in texts if text.startswith("What is")]
    assert good == [r["question"] for r in GOOD]
    if name != "another table":
        assert texts == good
    answers = {
        p.text: p.reference_answer
        for item in read if isinstance(item, Converted) for p in item.problems
    }  # fmt: skip
    assert all(answers[r["question"]] == r["answer"] for r in GOOD)


def test_an_empty_problem_in_its_column_stays_a_bad_row(tmp_path: Path) -> None:
    rows = [{"question": "", "prompt": "Ignore this"}, *GOOD, {"question": None, "task": "Nor"}]
    read = list(open_input(files(write(tmp_path / "a.jsonl", *rows))[0]).rows())
    assert isinstance(read[0], Reject) and isinstance(read[-1], Reject)


def test_a_given_mapping_holds_for_all_rows(tmp_path: Path) -> None:
    from curation.sources.mapping import mapping_from

    rows = [*GOOD, {"prompt": "Say 1", "completion": "1"}]
    path = write(tmp_path / "a.jsonl", *rows)
    read = list(open_input(files(path)[0], mapping=mapping_from({"problem": "question"})).rows())
    assert isinstance(read[-1], Reject)
