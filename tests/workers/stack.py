"""Whittle's own processes on a home and database of their own, for tests that kill them.

The database and Redis are the embedded ones; worker, beat and verifier service are real children,
each the leader of a process group, so that a kill takes a worker with its pool. The test talks to
them as any other process would: through the database and through Redis.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

from curation import embedded
from tests.home import SHORT

ROOT = Path(__file__).resolve().parents[2]
CELERY = (sys.executable, "-W", "ignore", "-m", "celery", "-q", "-A", "workers.apps")
COMMANDS = {
    "worker": (
        *(*CELERY, "worker", "--queues", "default,llm", "--concurrency", "1"),
        *("--loglevel", "INFO", "--without-gossip", "--without-mingle"),
    ),
    "second": (
        *(*CELERY, "worker", "--queues", "default,llm", "--concurrency", "1"),
        *("--loglevel", "INFO", "--without-gossip", "--without-mingle", "--hostname", "second@%h"),
    ),
    "beat": (*CELERY, "beat", "--loglevel", "INFO", "--pidfile", ""),
    "verifier": (sys.executable, "-m", "workers.verifier_service", "--workers", "1"),
}
AT_START = ("verifier", "beat", "worker")
FINAL = ("done", "failed", "cancelled")
NEW_JOB = """
INSERT INTO curation_job (project_id, kind, params, state, done, counts, checkpoint, error_code,
    error, attempts, lease_epoch, worker, cancel_requested, operator_paths, created_at)
VALUES (%s, %s, %s, 'queued', 0, '{}', '{}', '', '', 0, 0, '', false, true, clock_timestamp())
RETURNING id
"""
NEW_OUTBOX = """
INSERT INTO curation_outbox (topic, payload, created_at)
VALUES ('job', jsonb_build_object('job', %s::bigint), clock_timestamp())
"""
NEW_PROJECT = """
INSERT INTO curation_project (slug, name, description, settings, created_at)
VALUES (%s, %s, '', '{}', clock_timestamp()) RETURNING id
"""
NEW_TEACHER = """
INSERT INTO curation_modelendpoint (project_id, name, kind, base_url, model, revision, api_key_env,
    output_licence, system_prompt, sampling, limits, capabilities, enabled, paused_reason,
    created_at)
VALUES (%s, %s, 'teacher', %s, 'fake', '', '', '', '', %s, %s, '{}', true, '', clock_timestamp())
"""
NEW_GRANT = """
INSERT INTO curation_endpointgrant (project_id, scheme, host, port, key_variable, private, note,
    created_at)
VALUES (%s, 'http', '127.0.0.1', %s, '', true, '', clock_timestamp())
"""
NEW_BENCHMARK = """
INSERT INTO curation_benchmark (project_id, name, revision, licence, created_at)
VALUES (%s, %s, '', '', clock_timestamp()) RETURNING id
"""
NEW_ITEM = (
    "INSERT INTO curation_benchmarkitem (benchmark_id, text, norm_sha256) VALUES (%s, %s, %s)"
)
WRITING = """
SELECT 1 FROM pg_locks WHERE relation = %s::regclass AND mode = 'RowExclusiveLock' AND granted = %s
"""
T = TypeVar("T")


@contextlib.contextmanager
def home_is(home: Path) -> Iterator[None]:
    """Let code of this process that asks for the home see ``home``."""
    before = os.environ.get("WHITTLE_HOME")
    os.environ["WHITTLE_HOME"] = str(home)
    try:
        yield
    finally:
        if before is None:
            del os.environ["WHITTLE_HOME"]
        else:
            os.environ["WHITTLE_HOME"] = before


def wait_for(what: str, ask: Callable[[], T | None], seconds: float = 60, step: float = 0.05) -> T:
    """The first true answer of ``ask``; AssertionError that names ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(step)
    return answer


@dataclass(frozen=True)
class Hit:
    """Where a kill met a job: its row as committed, and whether it was writing just then."""

    done: int
    total: int
    writing: bool


@dataclass
class Stack:
    """A home with its servers and children."""

    home: Path
    dsn: dict[str, Any] = field(default_factory=dict)
    redis_url: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    servers: dict[str, Any] = field(default_factory=dict)
    link: Any = None

    def connect(self) -> None:
        """Open the test's own connection, anew after the database was away."""
        if self.link is not None:
            self.link.close()
        self.link = psycopg.connect(**self.dsn, autocommit=True)

    def start(self, name: str, **environment: str) -> None:
        """Start a part; nothing waits for it."""
        log = self.home / "log" / f"{name}.log"
        with log.open("ab") as output:
            self.children[name] = subprocess.Popen(
                COMMANDS[name],
                cwd=ROOT,
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a part's whole process group."""
        os.killpg(self.children[name].pid, number)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End a part with its whole group and wait until it is gone."""
        child = self.children.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        child.wait(timeout=30)
        with contextlib.suppress(ProcessLookupError):  # whoever of the group ignored the signal
            os.killpg(child.pid, signal.SIGKILL)

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """The rows of a query, each a dict."""
        with self.link.cursor(row_factory=dict_row) as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall()) if cursor.description else []

    def value(self, query: str, *values: Any) -> Any:
        """The only value of a query."""
        (row,) = self.rows(query, *values)
        return next(iter(row.values()))

    def new_project(self, slug: str) -> int:
        """The id of a new, empty project."""
        return int(self.value(NEW_PROJECT, slug, slug))

    def new_teacher(self, project: int, name: str, url: str, **limits: Any) -> None:
        """A teacher at ``url``."""
        values = (project, name, url, json.dumps({"max_tokens": 64}), json.dumps(limits))
        self.rows(NEW_TEACHER, *values)
        self.rows(NEW_GRANT, project, urlsplit(url).port)

    def new_benchmark(self, project: int, name: str, texts: list[str]) -> None:
        """A benchmark with an item for each text."""
        benchmark = self.value(NEW_BENCHMARK, project, name)
        for text in texts:
            self.rows(NEW_ITEM, benchmark, text, hashlib.sha256(text.encode()).hexdigest())

    def new_job(self, project: int, kind: str, **params: Any) -> int:
        """The id of a queued job, with the outbox row that wakes a worker."""
        with self.link.transaction():
            job = int(self.value(NEW_JOB, project, kind, json.dumps(params)))
            self.rows(NEW_OUTBOX, job)
        return job

    def job(self, job: int) -> dict[str, Any]:
        """A job's row."""
        (row,) = self.rows("SELECT * FROM curation_job WHERE id = %s", job)
        return row

    def ended(self, job: int, seconds: float = 60) -> dict[str, Any]:
        """The job's row when it has ended by itself."""

        def over() -> dict[str, Any] | None:
            row = self.job(job)
            return row if row["state"] in FINAL else None

        try:
            return wait_for(f"the end of job {job}", over, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.job(job)}\n{self.tail('worker')}") from None

    def tail(self, name: str, lines: int = 30) -> str:
        """The end of a part's log."""
        path = self.home / "log" / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def strike(self, job: int, table: str | None = None, seconds: float = 60) -> Hit:
        """Kill the worker's group with SIGKILL while ``0 < done < total``; where it hit.

        The group is stopped before the row is judged, so that nothing moves in between. With
        ``table``, the moment is inside a transaction that writes to it; such a moment is waited
        for until half of the work is done. Else, or then, the row itself is locked, which holds
        the worker at its next chunk.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            row = self.job(job)
            assert row["state"] not in FINAL, f"{job} ended before it was hit: {row}"
            half = row["total"] is None or row["done"] * 2 <= row["total"]
            hit = self._hit_writing(job, table) if table and half else self._hit_edge(job)
            if hit is not None:
                return hit
        raise AssertionError(f"never in the middle: {self.job(job)}\n{self.tail('worker')}")

    def strike_at_write(self, table: str, start: Callable[[], int]) -> tuple[int, Hit]:
        """Kill the worker's group inside the transaction that writes to ``table``.

        For kinds that write once, at their end: the table is locked before ``start`` lets the
        worker begin, so the writer waits in the middle of its transaction until it is killed.
        """
        with psycopg.connect(**self.dsn) as holder:
            holder.execute(f"LOCK TABLE {table} IN SHARE MODE")
            job = start()
            wait_for(f"a write to {table}", lambda: self.rows(WRITING, table, False), step=0.01)
            row = self.job(job)
            assert row["state"] == "running"
            self.kill("worker")
        return job, Hit(row["done"], row["total"] or 0, writing=True)

    def _hit_writing(self, job: int, table: str) -> Hit | None:
        if not (self.rows(WRITING, table, True) and self.middle(job)):
            return None
        self.send("worker", signal.SIGSTOP)
        time.sleep(0.02)  # what was sent just before may still be carried out
        middle = self.middle(job)
        if middle is None or not self.rows(WRITING, table, True):
            self.send("worker", signal.SIGCONT)
            return None
        self.kill("worker")
        return Hit(*middle, writing=True)

    def _hit_edge(self, job: int) -> Hit | None:
        with self.link.transaction():
            self.rows("SELECT 1 FROM curation_job WHERE id = %s FOR UPDATE", job)
            middle = self.middle(job)
            if middle is None:
                return None
            self.kill("worker")
            assert self.middle(job) == middle
        return Hit(*middle, writing=False)

    def middle(self, job: int) -> tuple[int, int] | None:
        """Done and total while the job is in the middle of its work, else None."""
        row = self.job(job)
        inside = row["state"] == "running" and row["total"] and 0 < row["done"] < row["total"]
        return (row["done"], row["total"]) if inside else None


def manage(stack: Stack, *arguments: str) -> str:
    """Output of a management command in the stack's home."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=stack.environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def environment_of(home: Path) -> dict[str, str]:
    """What the parts are told: short times, their home, and no outside server."""
    outside = ("DATABASE_URL", "REDIS_URL")
    kept = {name: value for name, value in os.environ.items() if name not in outside}
    return kept | SHORT | {"WHITTLE_HOME": str(home), "WHITTLE_TEACHER": "off"}


@contextlib.contextmanager
def running_stack(**environment: str) -> Iterator[Stack]:
    """Database, Redis, verifier, beat and one worker on a fresh home; all gone at the end."""
    from workers.services.embedded import EmbeddedPostgres, EmbeddedRedis

    home = Path(tempfile.mkdtemp(prefix="wf"))
    stack = Stack(home, environment=environment_of(home) | environment)
    with home_is(home):
        stack.servers = {"postgres": EmbeddedPostgres(durable=False), "redis": EmbeddedRedis()}
        for server in stack.servers.values():
            server.start()
        stack.dsn, stack.redis_url = embedded.database_dsn(), embedded.redis_url()
    try:
        manage(stack, "migrate", "--verbosity", "0")
        stack.connect()
        for name in AT_START:
            stack.start(name)
        yield stack
    finally:
        _end(stack)


def _end(stack: Stack) -> None:
    for name in list(stack.children):
        stack.kill(name)
    if stack.link is not None:
        stack.link.close()
    with home_is(stack.home):
        for server in reversed(stack.servers.values()):
            server.stop()
    shutil.rmtree(stack.home, ignore_errors=True)
