"""A worker is killed in the middle of each kind of job: nothing lost, nothing twice, it ends.

Two projects get the same input. In ``calm`` every kind of job runs undisturbed; in ``struck`` the
worker's whole process group is killed with SIGKILL while ``0 < done < total``. What the jobs wrote,
read without ids and times, must be the same.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from curation.exports.manifest import verify_export
from tests.fakes.openai_server import ScriptedServer
from tests.workers.fault_steps import (
    ASKED,
    ELSEWHERE,
    LAST,
    MIDDLE,
    OWN,
    RECIPES,
    SAMPLES,
    STEPS,
    VOTES,
    WRITTEN,
    made_file,
    made_model,
    made_rows,
)
from tests.workers.stack import AT_START, ROOT, Hit, Stack, running_stack, wait_for
from workers.handlers import HANDLERS

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


@dataclass
class World:
    """A stack with the two projects, and what each kind of job left behind in the calm one."""

    stack: Stack
    teacher: ScriptedServer
    projects: dict[str, int]
    jobs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    wrote: dict[str, list[list[str]]] = field(default_factory=dict)

    def params(self, name: str, step: str) -> dict[str, Any]:
        """The parameters of a step's job in a project."""
        home = self.stack.home
        if step == "import":
            return {"path": str(home / "made.jsonl"), "name": "made", "licence": "CC0-1.0"}
        if step in RECIPES:
            return {"recipe": RECIPES[step]}
        if step in ("export", "publish"):
            made = self.jobs[name, "select" if step == "export" else "freeze"]
            selection = made["counts"]["selection"]
            return {"selection": selection, "out": str(home / f"out-{name}")}
        given: dict[str, dict[str, Any]] = {
            "decontaminate": {"benchmark": "made"},
            "queue": {"queue": "reading", "limit": 10_000},
            "generate": {"teacher": "fake", "n": SAMPLES, "limit": ASKED},
            "make_problems": {"generator": "saturn", "n": 1_000},
            "consensus": {"min_votes": 2},
            "judge": {"judge": "fake", "limit": 150},
            "rank": {"verifier": "judge-made-solution-check", "source": "made"},
            "prove": {"teacher": "fake", "mode": "chunks", "k": 1, "limit": 44},
            "probe": {"teacher": "fake"},
            "refine": {"teacher": "fake", "task": "label", "limit": 100},
            "derive": {"form": "policy"},
        }
        return given.get(step, {})

    def prepare(self, name: str, step: str) -> None:
        """Run what a step builds on, where it is missing."""
        for earlier in list(STEPS)[: list(STEPS).index(step)]:
            if (name, earlier) not in self.jobs:
                self.run(name, earlier)

    def start(self, name: str, step: str) -> int:
        """A new job of this step."""
        if step == "rank":
            self.stack.rows(VOTES, self.projects[name])
        return self.stack.new_job(self.projects[name], STEPS[step], **self.params(name, step))

    def run(self, name: str, step: str) -> dict[str, Any]:
        """The row of a job of this step that ran undisturbed, after what it builds on."""
        self.prepare(name, step)
        row = self.end(name, step, self.start(name, step))
        if name == "calm":  # also of what only a later step asked for: none runs there twice
            self.wrote[step] = self.written(name, step)
        return row

    def end(self, name: str, step: str, job: int) -> dict[str, Any]:
        """Wait until the job is done by itself; keep and return its row."""
        row = self.stack.ended(job)
        assert row["state"] == "done", (row, self.stack.tail("worker"))
        self.jobs[name, step] = row
        return row

    def written(self, name: str, step: str) -> list[list[str]]:
        """All that a step's kind wrote into a project, without ids and times, in one order."""
        queries = WRITTEN[STEPS[step]]
        found = [self.stack.rows(query, self.projects[name]) for query in queries]
        return [sorted(json.dumps(row, sort_keys=True) for row in rows) for rows in found]

    def calm(self, step: str) -> dict[str, Any]:
        """The job of the undisturbed run of this step; what it wrote is kept in ``wrote``."""
        if step not in self.wrote:
            self.run("calm", step)
        return self.jobs["calm", step]

    def is_like_calm(self, name: str, step: str) -> None:
        """Assert that the step's job in a project ended with the same counts, rows and files."""
        calm, row = self.calm(step), self.jobs[name, step]
        assert (row["done"], row["total"]) == (calm["done"], calm["total"])
        assert counts_of(row) == counts_of(calm)
        written = self.written(name, step)
        assert all(written) or step == "generate"
        assert written == self.wrote[step]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    model = tmp_path_factory.mktemp("model")
    made_model(model)
    with (
        running_stack(WHITTLE_EMBEDDING_MODEL=str(model)) as stack,
        ScriptedServer(latency=0.05) as teacher,
    ):
        made_file(stack.home / "made.jsonl")
        projects = {
            n: stack.new_project(n)
            for n in ("calm", "struck", "thrice", "woken", "flushed", "demo")
        }
        items = [row["problem"] for row in made_rows()[::40]]
        for project in projects.values():
            stack.new_teacher(project, "fake", teacher.url, concurrency=2, samples_per_request=2)
            stack.new_benchmark(project, "made", items)
        yield World(stack, teacher, projects)


@pytest.fixture(autouse=True)
def whole_stack(world: World) -> None:
    """Each test begins with every part running, whatever one before it left dead."""
    for name in AT_START:
        if name not in world.stack.children:
            world.stack.start(name)


def counts_of(job: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in job["counts"].items() if name not in OWN}


def strike(world: World, step: str) -> tuple[int, Hit]:
    """Start a step in the struck project and kill the worker in its middle."""
    world.prepare("struck", step)
    if step not in LAST:
        job = world.start("struck", step)
        hit = world.stack.strike(job, MIDDLE[step])
        assert 0 < hit.done < hit.total
        return job, hit
    return world.stack.strike_at_write(LAST[step], lambda: world.start("struck", step))


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_in_the_middle_of_a_job_loses_nothing_and_does_nothing_twice(
    world: World, step: str
) -> None:
    world.calm(step)
    job, hit = strike(world, step)
    asked = len(world.teacher.chats)
    world.stack.start("worker")
    row = world.end("struck", step, job)
    print(f"{step}: {hit}")
    assert row["attempts"] == 2
    world.is_like_calm("struck", step)
    if STEPS[step] == "generate":  # what was stored is not asked for again
        assert (len(world.teacher.chats) - asked) * 2 == hit.total - hit.done
    if STEPS[step] == "export":
        is_the_same_export(world, row)


def test_a_worker_killed_while_the_demo_waits_for_its_teacher(world: World) -> None:
    stack, port = world.stack, world.stack.home / "run" / "teacher.port"
    job = stack.new_job(world.projects["demo"], "demo")
    wait_for("the demo to wait", lambda: stack.rows(SAID, job))
    stack.kill("worker")
    port.write_text(str(world.teacher.port))
    try:
        stack.start("worker")
        row = stack.ended(job)
    finally:
        port.unlink()
    assert (row["state"], row["attempts"]) == ("done", 2)
    query = "SELECT 1 FROM curation_modelendpoint WHERE project_id = %s AND name = 'demo-teacher'"
    assert len(stack.rows(query, world.projects["demo"])) == 1


def test_every_kind_of_job_is_hit() -> None:
    assert set(STEPS.values()) | set(ELSEWHERE) == set(HANDLERS)
    assert set(ELSEWHERE.values()) <= set(globals())


def is_the_same_export(world: World, row: dict[str, Any]) -> None:
    """Assert that the files are whole, alone, and those an undisturbed export makes."""
    out, project = Path(row["params"]["out"]), world.projects["struck"]
    assert verify_export(out / row["counts"]["export"]) == []
    known = world.stack.rows("SELECT digest FROM curation_export WHERE project_id = %s", project)
    visible = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    assert visible == {export["digest"] for export in known}
    params = {"selection": row["params"]["selection"], "out": str(world.stack.home / "again")}
    again = world.stack.ended(world.stack.new_job(project, "export", **params))
    assert again["counts"] == row["counts"]
    world.stack.rows("DELETE FROM curation_export WHERE path LIKE %s", "%/again/%")


def test_messages_that_come_three_times_change_nothing(world: World) -> None:
    world.calm("verify")
    world.stack.start("second")
    try:
        job = world.start("thrice", "import")
        publish(world.stack, [job] * 3)
        jobs = {"import": world.end("thrice", "import", job)}
        queued = {step: world.start("thrice", step) for step in ("embed", "verify")}
        old = [row["id"] for row in world.jobs.values()]
        publish(world.stack, [*queued.values()] * 3 + old * 3)
        jobs |= {step: world.end("thrice", step, job) for step, job in queued.items()}
        wait_for("an empty queue", lambda: waiting(world.stack) == 0)
    finally:
        world.stack.kill("second", signal.SIGTERM)
    assert {row["attempts"] for row in jobs.values()} == {1}
    for step in jobs:
        world.is_like_calm("thrice", step)
    assert not world.stack.rows(
        "SELECT id, state, kind FROM curation_job WHERE state <> 'done' OR attempts > 2"
    )


def test_a_worker_that_wakes_up_after_its_lease_writes_nothing(world: World) -> None:
    world.calm("verify")
    world.run("woken", "import")
    stack = world.stack
    job = world.start("woken", "verify")
    freeze(stack, job)
    stack.start("second")
    try:
        row = world.end("woken", "verify", job)
        wrote = world.written("woken", "verify")
        stack.send("worker", signal.SIGCONT)
        wait_for("the sleeper to notice", lambda: "lease lost" in stack.tail("worker"))
    finally:
        stack.kill("second", signal.SIGTERM)
    assert row["attempts"] == 2
    assert stack.job(job) == row
    assert world.written("woken", "verify") == wrote
    world.is_like_calm("woken", "verify")


def freeze(stack: Stack, job: int) -> None:
    """Stop the worker's group in the middle of its job, but not inside a transaction."""

    def frozen() -> bool:
        if stack.middle(job) is None:
            return False
        stack.send("worker", signal.SIGSTOP)
        time.sleep(0.05)  # what was sent just before may still be carried out
        if stack.middle(job) and not stack.rows(INSIDE):
            return True
        stack.send("worker", signal.SIGCONT)
        return False

    wait_for("the middle of a job", frozen, step=0.01)


def test_an_emptied_redis_loses_no_queued_job(world: World) -> None:
    stack, steps = world.stack, ("embed", "verify")
    for step in steps:
        world.calm(step)
    world.run("flushed", "import")
    stack.kill("worker", signal.SIGTERM)
    jobs = {step: world.start("flushed", step) for step in steps}
    wait_for("messages", lambda: waiting(stack) >= len(jobs))
    with redis.Redis.from_url(stack.redis_url) as client:
        client.flushall()
        assert waiting(stack) == 0
    stack.start("worker")
    for step, job in jobs.items():
        world.end("flushed", step, job)
        world.is_like_calm("flushed", step)


SAID = "SELECT 1 FROM curation_joblog WHERE job_id = %s"
INSIDE = """
SELECT 1 FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND state LIKE 'idle in transaction%%'
"""
HEALTH = """
import json, os, time, django
django.setup()
from django.test import Client
while True:
    answer = Client().get("/healthz", headers={"host": "127.0.0.1"}).content
    print(json.dumps(json.loads(answer)), flush=True)
    time.sleep(0.2)
"""
# The times that Whittle has without any setting.
USUAL = {"PROCESS_BEAT_SECONDS": "", "PROCESS_DEAD_SECONDS": ""}


def test_dead_parts_show_in_healthz_within_15_seconds(world: World) -> None:
    stack = world.stack
    for name in AT_START:
        stack.kill(name, signal.SIGTERM)
        stack.start(name, **USUAL)
    environment = stack.environment | USUAL | {"DJANGO_SETTINGS_MODULE": "curation.settings"}
    command = [sys.executable, "-c", HEALTH]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT) as child:
        assert child.stdout is not None
        reports = map(json.loads, child.stdout)
        next(r for r in reports if r["workers"] and r["beat"] == r["verifier"] == "ok")
        for name in AT_START:
            stack.kill(name)
        killed = time.monotonic()
        dead = ("no worker is alive", "beat unavailable", "verifier unavailable")
        report = next(r for r in reports if all(word in str(r["problems"]) for word in dead))
        seconds = time.monotonic() - killed
        child.kill()
    assert report["status"] == "degraded"
    assert seconds <= 15


def publish(stack: Stack, jobs: list[int]) -> None:
    """Send the message of each of these jobs once more."""
    from workers.apps import app

    with app.connection_for_write(stack.redis_url) as link:
        for job in jobs:
            app.send_task("workers.run_job", args=(job,), queue="default", connection=link)


def waiting(stack: Stack) -> int:
    """Messages that no worker has taken yet."""
    with redis.Redis.from_url(stack.redis_url) as client:
        return int(client.llen("whittle:default")) + int(client.llen("whittle:llm"))
