"""A worker is killed in the middle of each kind of job: nothing lost, nothing twice, it ends.

Two projects get the same input. In ``calm`` every kind of job runs undisturbed; in ``struck`` the
worker's whole process group is killed with SIGKILL while ``0 < done < total``. What the jobs wrote,
read without ids and times, must be the same.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from curation.exports.manifest import verify_export
from tests.fakes.openai_server import ScriptedServer
from tests.workers.stack import AT_START, ROOT, Hit, Stack, running_stack, wait_for

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

PROBLEMS, BAD_ROWS, COPIES = 560, 3, 580
ASKED, SAMPLES = 60, 4
# What is run in this order: a name, the kind of job, and how its parameters differ.
STEPS = {
    "import": "import",
    "embed": "embed",
    "dedup": "dedup",
    "decontaminate": "decontaminate",
    "verify": "verify",
    "grade": "grade",
    "segment": "segment",
    "select": "select",
    "freeze": "select",
    "queue": "queue",
    "export": "export",
    "publish": "export",
    "generate": "generate",
    "make_problems": "make_problems",
    "consensus": "consensus",
    "judge": "judge",
    "refine": "refine",
}
# Steps hit in the middle, and the table in whose write, where the writes are long enough for that.
MIDDLE = {
    "import": "curation_trace",
    "verify": "curation_verdict",
    "grade": None,
    "segment": "curation_segment",
    "embed": None,
    "decontaminate": None,
    "select": None,
    "queue": None,
    "export": None,
    "generate": "curation_trace",
    "make_problems": None,
    "consensus": None,
    "judge": "curation_judgevote",
    "refine": "curation_refineanswer",
}
# Steps hit in the transaction that writes the outcome of all their work.
LAST = {
    "dedup": "curation_duplicatemember",
    "freeze": "curation_selectionexclusion",
    "publish": "curation_export",
}
RECIPES = {"select": "dpo-correct-incorrect", "freeze": "sft-verified"}
# Counts that hold row ids or depend on their length: not the same in two projects.
OWN = ("selection", "export", "bytes")

SUBJECT = "t.text_sha256 AS trace, t.sample_no, t.model, p.text_sha256 AS problem"
OF_TRACE = (
    "JOIN curation_trace t ON t.id = {0}.trace_id JOIN curation_problem p ON p.id = t.problem_id"
)
# kind -> queries of all it writes, by project.
WRITTEN: dict[str, tuple[str, ...]] = {
    "import": (
        "SELECT name, adapter, licence, mapping FROM curation_source WHERE project_id = %s",
        "SELECT f.name, f.sha256, f.bytes, f.rows FROM curation_sourcefile f"
        " JOIN curation_source s ON s.id = f.source_id WHERE s.project_id = %s",
        "SELECT text, norm_sha256, kind, reference_answer, metadata, char_count, search_text"
        " FROM curation_problem WHERE project_id = %s",
        "SELECT p.text_sha256, o.file, o.line, o.byte_offset, o.reference_answer"
        " FROM curation_problemoccurrence o JOIN curation_problem p ON p.id = o.problem_id"
        " WHERE p.project_id = %s",
        "SELECT p.text_sha256 AS problem, t.identity, t.text, t.model, t.messages, t.sample_no,"
        " t.reasoning_start, t.reasoning_end, t.answer_start, t.answer_end, t.upstream, t.metadata"
        " FROM curation_trace t JOIN curation_problem p ON p.id = t.problem_id"
        " WHERE t.project_id = %s",
        "SELECT r.file, r.line, r.byte_offset, r.reason, r.raw_sha256 FROM curation_importreject r"
        " JOIN curation_source s ON s.id = r.source_id WHERE s.project_id = %s",
    ),
    "verify": (
        f"SELECT {SUBJECT}, v.verifier, v.version, v.reference_sha256, v.verdict, v.score,"
        f" v.method, v.reason, v.extracted FROM curation_verdict v {OF_TRACE.format('v')}"
        " WHERE t.project_id = %s",
    ),
    "grade": (
        "SELECT p.text_sha256, d.model, d.sampling_hash, d.policy, d.correct, d.incorrect,"
        " d.unverifiable, d.error, d.pass_rate, d.wilson_low, d.detail FROM curation_difficulty d"
        " JOIN curation_problem p ON p.id = d.problem_id WHERE p.project_id = %s",
    ),
    "segment": (
        f"SELECT {SUBJECT}, g.segmenter, g.leaves, g.first_correct, g.summary"
        f" FROM curation_segmentation g {OF_TRACE.format('g')} WHERE t.project_id = %s",
        f'SELECT {SUBJECT}, s.index, s.start, s."end", s.kind, s.path, s.quote_sha256'
        " FROM curation_segment s JOIN curation_segmentation g ON g.id = s.segmentation_id"
        f" {OF_TRACE.format('g')} WHERE t.project_id = %s",
        f'SELECT {SUBJECT}, c.policy, c.start, c."end", c.reason, c.quote_sha256'
        " FROM curation_cutproposal c JOIN curation_segmentation g ON g.id = c.segmentation_id"
        f" {OF_TRACE.format('g')} WHERE t.project_id = %s",
    ),
    "embed": ("SELECT text_sha256, embedding::text FROM curation_problem WHERE project_id = %s",),
    "dedup": (
        "SELECT c.method, c.parameters, k.text_sha256 AS kept, p.text_sha256 AS copy, m.score"
        " FROM curation_duplicatecluster c JOIN curation_problem k ON k.id = c.kept_id"
        " JOIN curation_duplicatemember m ON m.cluster_id = c.id"
        " JOIN curation_problem p ON p.id = m.problem_id WHERE c.project_id = %s",
    ),
    "decontaminate": (
        "SELECT p.text_sha256, i.text, h.method, h.score, h.evidence FROM curation_benchmarkhit h"
        " JOIN curation_problem p ON p.id = h.problem_id"
        " JOIN curation_benchmarkitem i ON i.id = h.item_id WHERE p.project_id = %s",
    ),
    "select": (
        "SELECT name, version, spec FROM curation_recipe WHERE project_id = %s",
        "SELECT candidates, selected, excluded, summary FROM curation_selection"
        " WHERE project_id = %s",
        f"SELECT {SUBJECT}, r.position, r.hashes, r.detail FROM curation_selectionrow r"
        f" {OF_TRACE.format('r')} WHERE t.project_id = %s",
        f"SELECT {SUBJECT}, x.reason FROM curation_selectionexclusion x"
        f" {OF_TRACE.format('x')} WHERE t.project_id = %s",
    ),
    "queue": (
        "SELECT name, filters, overlap FROM reviews_queue WHERE project_id = %s",
        f"SELECT {SUBJECT}, i.position, i.savings FROM reviews_queueitem i"
        f" {OF_TRACE.format('i')} WHERE t.project_id = %s",
    ),
    "export": (
        "SELECT format, rows, manifest -> 'counts' AS counts FROM curation_export"
        " WHERE project_id = %s",
    ),
    "generate": (
        f"SELECT {SUBJECT}, t.text, t.sampling, t.finish_reason, t.completion_tokens,"
        " t.manifest -> 'seed' AS seed FROM curation_trace t"
        " JOIN curation_problem p ON p.id = t.problem_id"
        " WHERE t.project_id = %s AND t.origin = 'generated'",
        "SELECT sample_no FROM curation_failedgeneration WHERE project_id = %s",
    ),
    "make_problems": (
        "SELECT text, norm_sha256, kind, reference_answer, metadata FROM curation_problem"
        " WHERE project_id = %s AND kind = 'logic'",
    ),
    "consensus": (
        "SELECT p.text_sha256, r.method, r.params, r.answer, r.votes, r.total, r.table"
        " FROM curation_pseudoreference r JOIN curation_problem p ON p.id = r.problem_id"
        " WHERE p.project_id = %s",
        f"SELECT {SUBJECT}, v.version, v.verdict, v.score, v.reason FROM curation_verdict v"
        f" {OF_TRACE.format('v')} WHERE t.project_id = %s AND v.verifier LIKE 'consensus-%%'",
    ),
    "judge": (
        f'SELECT {SUBJECT}, j.verifier, j.version, j."order", j.number, j.verdict, j.reason'
        f" FROM curation_judgevote j {OF_TRACE.format('j')} WHERE t.project_id = %s",
        f"SELECT {SUBJECT}, v.version, v.verdict, v.reason FROM curation_verdict v"
        f" {OF_TRACE.format('v')} WHERE t.project_id = %s AND v.verifier LIKE 'judge-%%'",
    ),
    "refine": (
        f'SELECT {SUBJECT}, a.task, a.start, a."end", a.prompt_sha256, a.sample_no, a.text,'
        f" a.accepted, a.reason FROM curation_refineanswer a {OF_TRACE.format('a')}"
        " WHERE t.project_id = %s",
    ),
}


def made_rows(seed: int = 7) -> list[dict[str, Any]]:
    """Sums with two traces each; every twentieth comes again with other punctuation."""
    draw = random.Random(seed)
    rows = []
    for number in range(PROBLEMS):
        a, b, c = (draw.randrange(10, 9999) for _ in range(3))
        right = a + b + c
        traces = [
            f"<think>\nAdd {a} and {b}: {a + b}. Then add {c}.\n\nSo the answer is {said}.\n\n"
            f"Wait, let me check that again. {a} + {b} = {a + b}, and {c} more is {said}.\n\n"
            f"Alternatively, {b} + {c} = {b + c}, and {a} more is {said}.\n</think>\n\n"
            f"The answer is \\boxed{{{said}}}."
            for said in (right, right + draw.randrange(2))
        ]
        text = f"What is the sum of {a} + {b} + {c}?"
        rows.append({"problem": text, "answer": str(right), "generations": traces})
        if number % 20 == 0:
            rows.append(rows[-1] | {"problem": f"What is the sum of: ({a}) + {b} + {c} ...?"})
    return rows


def made_file(path: Path) -> None:
    """A JSONL file of the made rows, some of them twice, and some broken lines."""
    lines = [json.dumps(row) for row in made_rows()]
    lines += lines[:COPIES] + ['{"problem": '] * BAD_ROWS
    random.Random(1).shuffle(lines)
    path.write_text("\n".join(lines) + "\n")


def made_model(folder: Path) -> None:
    """A static embedding model of random vectors for digits and a few words."""
    from model2vec import StaticModel
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[UNK]", *"0123456789", *["what", "is", "the", "sum", "of", "then"]]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    vectors = np.random.default_rng(0).normal(size=(len(words), 256)).astype(np.float32)
    StaticModel(vectors, tokenizer).save_pretrained(str(folder))


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
            "refine": {"teacher": "fake", "task": "label", "limit": 100},
        }
        return given.get(step, {})

    def prepare(self, name: str, step: str) -> None:
        """Run what a step builds on, where it is missing."""
        for earlier in list(STEPS)[: list(STEPS).index(step)]:
            if (name, earlier) not in self.jobs:
                self.run(name, earlier)

    def start(self, name: str, step: str) -> int:
        """A new job of this step."""
        return self.stack.new_job(self.projects[name], STEPS[step], **self.params(name, step))

    def run(self, name: str, step: str) -> dict[str, Any]:
        """The row of a job of this step that ran undisturbed, after what it builds on."""
        self.prepare(name, step)
        return self.end(name, step, self.start(name, step))

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
            self.wrote[step] = self.written("calm", step)
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
            n: stack.new_project(n) for n in ("calm", "struck", "thrice", "woken", "flushed")
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
