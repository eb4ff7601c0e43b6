"""How long work stands still after a part is killed or freezes, with the settings Whittle has.

    python benchmarks/recovery.py [--repeat 3] [--only worker_killed …]

A copy of Whittle runs under its supervisor. A job asks a scripted model for answers; in the middle
of it something is struck: the worker or PostgreSQL is killed with SIGKILL, PostgreSQL or the
process that runs the job freezes, or an import of a FIFO stands before others. Seconds are from
the strike (from the thaw, where PostgreSQL froze) until the job stores again under a newer lease
or goes on under its own. Lost and doubled answers are counted when the job has ended. The limit
is 60 seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from curation import embedded
from tests.e2e.site import Site, running_site
from tests.fakes.openai_server import ScriptedServer
from tests.workers.stack import Stack, home_is, wait_for

LIMIT = 60.0
PROBLEMS, SAMPLES = 60, 4
LATENCY = (
    1.5  # seconds until the model answers: the job lasts long enough to be struck in the middle
)
FROZEN = 15.0  # seconds for which PostgreSQL does not answer
# Whittle's own times; nothing that this does not need.
SETTINGS = {
    "JOB_SWEEP_SECONDS": "", "JOB_LEASE_SECONDS": "", "PROCESS_BEAT_SECONDS": "",
    "WHITTLE_DEMO": "0", "WHITTLE_TEACHER": "0", "WHITTLE_TRAINER": "0",
}  # fmt: skip
STORED = """
SELECT count(*) AS every, count(DISTINCT (problem_id, sample_no)) AS different
FROM curation_trace WHERE project_id = %s
"""
OTHERS = """
SELECT count(*) FROM curation_job
WHERE project_id = %s AND kind <> 'generate' AND state IN ('queued', 'running')
"""


class Copy:
    """The running copy, a project with problems, and a connection to its database."""

    def __init__(self, site: Site, teacher: ScriptedServer) -> None:
        self.site, self.teacher = site, teacher
        with home_is(site.home):
            self.stack = Stack(site.home, dsn=embedded.database_dsn())
        self.stack.connect()
        self.strikes = 0

    def child(self, name: str) -> psutil.Process:
        """The process of a part, as the supervisor noted it."""
        record = embedded.read_json(self.site.home / "run" / "supervisor.json")
        return psutil.Process(record["children"][name]["pid"])

    def postmaster(self) -> psutil.Process:
        found = (self.site.home / "postgres").glob("**/postmaster.pid")
        return psutil.Process(int(next(found).read_text().split()[0]))

    def start(self) -> tuple[int, int]:
        """A new project with a job that asks for PROBLEMS x SAMPLES answers: (project, job)."""
        self.strikes += 1
        slug = f"strike-{self.strikes}"
        rows = [{"question": f"What is {i} + {self.strikes}?", "answer": str(i + self.strikes)}
                for i in range(PROBLEMS)]  # fmt: skip
        path = self.site.home / f"{slug}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        options = ("--project", slug, "--name", "made", "--licence", "CC0-1.0")
        self.site.manage("import", str(path), *options)
        project = int(self.stack.value("SELECT id FROM curation_project WHERE slug = %s", slug))
        self.stack.new_teacher(project, "fake", self.teacher.url, concurrency=4)
        return project, self.stack.new_job(project, "generate", teacher="fake", n=SAMPLES)

    def job(self, job: int) -> dict[str, Any] | None:
        """The job's row; None while the database is away."""
        try:
            return self.stack.job(job)
        except psycopg.OperationalError:
            try:
                self.stack.connect()
            except psycopg.OperationalError:
                time.sleep(0.2)
            return None

    def stored(self, project: int) -> tuple[int, int]:
        """(answers, answers that differ in problem or sample)."""
        (row,) = self.stack.rows(STORED, project)
        return int(row["every"]), int(row["different"])

    def runner(self, job: int) -> psutil.Process:
        """The process that runs a job: it holds the job's lease."""
        worker = str(self.stack.job(job)["worker"])
        return psutil.Process(int(worker.rsplit(":", 1)[-1]))


def kill_worker(copy: Copy, job: int) -> Callable[[], None] | None:
    os.killpg(copy.child("worker-llm").pid, signal.SIGKILL)
    return None


def kill_postgres(copy: Copy, job: int) -> Callable[[], None] | None:
    copy.postmaster().kill()
    return None


def freeze_postgres(copy: Copy, job: int) -> Callable[[], None] | None:
    master = copy.postmaster()
    family = [master, *master.children(recursive=True)]
    for process in family:
        process.suspend()
    time.sleep(FROZEN)
    for process in family:
        process.resume()
    return None


def freeze_runner(copy: Copy, job: int) -> Callable[[], None] | None:
    frozen = copy.runner(job)
    frozen.suspend()
    return lambda: frozen.resume() if frozen.is_running() else None


def import_fifos(copy: Copy, job: int) -> Callable[[], None] | None:
    """Two imports of a FIFO that nobody writes to, for each of the two workers one."""
    pipe = copy.site.home / f"pipe-{copy.strikes}.jsonl"
    os.mkfifo(pipe)
    project = int(copy.stack.job(job)["project_id"])
    for _ in range(2):
        copy.stack.new_job(project, "import", path=str(pipe), name="pipe", licence="CC0-1.0")
    copy.stack.new_job(project, "segment")  # has to get a worker all the same
    return None


STRIKES = {
    "worker_killed": kill_worker,
    "postgres_killed": kill_postgres,
    "postgres_frozen": freeze_postgres,
    "runner_frozen": freeze_runner,
    "fifo_imports": import_fifos,
}


# Where the job has to be taken up by another process, under a newer lease.
TAKEN_UP = {"worker_killed", "runner_frozen"}


def has_moved(copy: Copy, job: int, project: int, before: tuple[int, int], newer: bool) -> bool:
    """Whether more is stored than ``before`` (answers, epoch); ``newer``: under a later epoch."""
    row = copy.job(job)
    if row is None or (newer and row["lease_epoch"] == before[1]):
        return False
    return copy.stored(project)[0] > before[0]


def strike(copy: Copy, name: str) -> dict[str, Any]:
    """Strike once in the middle of a job; what became of it."""
    project, job = copy.start()
    wait_for("a part of the answers", lambda: copy.stored(project)[0] >= PROBLEMS, 120)
    before = copy.stored(project)[0], int(copy.stack.job(job)["lease_epoch"])
    begun = time.monotonic()
    undo = STRIKES[name](copy, job)
    if name == "postgres_frozen":
        begun = time.monotonic()
    if name == "fifo_imports":
        wait_for("the imports to end", lambda: not copy.stack.value(OTHERS, project), 300)
    else:
        newer = name in TAKEN_UP
        wait_for("progress", lambda: has_moved(copy, job, project, before, newer), 300)
    seconds = time.monotonic() - begun
    row = wait_for("the end", lambda: ended(copy.job(job)), 600, 0.5)
    if undo is not None:
        undo()
    every, different = copy.stored(project)
    return {
        "state": row["state"],
        "seconds": round(seconds, 1),
        "lost": PROBLEMS * SAMPLES - different,
        "doubled": every - different,
    }


def ended(row: dict[str, Any] | None) -> dict[str, Any] | None:
    return row if row and row["state"] in {"done", "failed", "cancelled"} else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=STRIKES, default=list(STRIKES))
    given = parser.parse_args()
    figures: dict[str, Any] = {"limit_seconds": LIMIT}
    print(f"{'struck':18}{'median s':>10}{'longest s':>11}{'lost':>6}{'doubled':>9}  state")
    with ScriptedServer(latency=LATENCY) as teacher, running_site(**SETTINGS) as site:
        copy = Copy(site, teacher)
        for name in given.only:
            rows = [strike(copy, name) for _ in range(given.repeat)]
            seconds = [row["seconds"] for row in rows]
            sums = {key: sum(row[key] for row in rows) for key in ("lost", "doubled")}
            states = sorted({row["state"] for row in rows})
            figures[name] = {"seconds": seconds, "states": states, **sums}
            print(
                f"{name:18}{statistics.median(seconds):>10.1f}{max(seconds):>11.1f}"
                f"{sums['lost']:>6}{sums['doubled']:>9}  {', '.join(states)}",
                flush=True,
            )
    print(json.dumps({"name": "recovery", "figures": figures}))


if __name__ == "__main__":
    main()
