"""A worker is killed in the middle of each kind of job: nothing lost, nothing twice, it ends.

Two projects get the same input. In ``calm`` every kind of job runs undisturbed; in ``struck`` the
worker's whole process group is killed with SIGKILL while ``0 < done < total``. What the jobs wrote,
read without ids and times, must be the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from curation.exports.manifest import verify_export
from tests.fakes.openai_server import ScriptedServer
from tests.workers.stack import Stack, running_stack

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

PROBLEMS, BAD_ROWS, COPIES = 1200, 3, 20
ASKED, SAMPLES = 60, 4
KINDS = ("import", "verify", "grade", "segment", "select", "queue", "export", "generate")
# The table in whose write a kind is hit, where the writes are long enough to be met.
WRITES = {
    "import": "curation_trace",
    "verify": "curation_verdict",
    "segment": "curation_segment",
    "generate": "curation_trace",
}
# Counts that name rows of one project.
IDS = ("selection", "export")

SUBJECT = "t.text_sha256 AS trace, t.sample_no, t.model, p.text_sha256 AS problem"
OF_TRACE = "JOIN curation_trace t ON t.id = {0}.trace_id JOIN curation_problem p ON p.id = t.problem_id"
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
}


def made_rows(seed: int = 7) -> Iterator[str]:
    """Lines of a JSONL file: sums with two traces each, some copies, some lines that are broken."""
    draw = random.Random(seed)
    lines = []
    for _ in range(PROBLEMS):
        a, b, c = (draw.randrange(10, 9999) for _ in range(3))
        right = a + b + c
        traces = [
            f"<think>\nAdd {a} and {b}: {a + b}. Then {c}: {said}.\n\n"
            f"Wait, let me check that again. {a} + {b} + {c} = {said}.\n</think>\n\n"
            f"The answer is \\boxed{{{said}}}."
            for said in (right, right + draw.randrange(2))
        ]
        row = {"problem": f"What is {a} + {b} + {c}?", "answer": str(right), "generations": traces}
        lines.append(json.dumps(row))
    lines += lines[:COPIES] + ['{"problem": '] * BAD_ROWS
    draw.shuffle(lines)
    yield from lines


@dataclass
class World:
    """A stack with the two projects, and what each kind of job left behind in the calm one."""

    stack: Stack
    teacher: ScriptedServer
    projects: dict[str, int]
    jobs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    wrote: dict[str, list[list[str]]] = field(default_factory=dict)

    def params(self, name: str, kind: str) -> dict[str, Any]:
        """The parameters of a kind of job in a project."""
        home = self.stack.home
        if kind == "import":
            return {"path": str(home / "made.jsonl"), "name": "made", "licence": "CC0-1.0"}
        if kind == "select":
            return {"recipe": "dpo-correct-incorrect"}
        if kind == "queue":
            return {"queue": "reading", "limit": 10_000}
        if kind == "export":
            selection = self.jobs[name, "select"]["counts"]["selection"]
            return {"selection": selection, "out": str(home / f"out-{name}")}
        if kind == "generate":
            return {"teacher": "fake", "n": SAMPLES, "limit": ASKED}
        return {}

    def start(self, name: str, kind: str) -> int:
        """A new job of this kind; those it builds on are run before, if they are missing."""
        for earlier in KINDS[: KINDS.index(kind)]:
            if (name, earlier) not in self.jobs:
                self.run(name, earlier)
        return self.stack.new_job(self.projects[name], kind, **self.params(name, kind))

    def run(self, name: str, kind: str) -> dict[str, Any]:
        """The row of a job of this kind that ran undisturbed."""
        return self.end(name, kind, self.start(name, kind))

    def end(self, name: str, kind: str, job: int) -> dict[str, Any]:
        """Wait until the job is done, keep and return its row."""
        row = self.stack.ended(job)
        assert row["state"] == "done", (row, self.stack.tail("worker"))
        self.jobs[name, kind] = row
        return row

    def written(self, name: str, kind: str) -> list[list[str]]:
        """All that a kind of job wrote into a project, without ids and times, in one order."""
        found = [self.stack.rows(query, self.projects[name]) for query in WRITTEN[kind]]
        return [sorted(json.dumps(row, sort_keys=True) for row in rows) for rows in found]

    def calm(self, kind: str) -> tuple[dict[str, Any], list[list[str]]]:
        """Job and rows of the undisturbed run of this kind."""
        if kind not in self.wrote:
            self.run("calm", kind)
            self.wrote[kind] = self.written("calm", kind)
        return self.jobs["calm", kind], self.wrote[kind]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_stack() as stack, ScriptedServer(latency=0.05) as teacher:
        (stack.home / "made.jsonl").write_text("\n".join(made_rows()) + "\n")
        projects = {name: stack.new_project(name) for name in ("calm", "struck", "flood")}
        for project in projects.values():
            stack.new_teacher(project, "fake", teacher.url, concurrency=2, samples_per_request=2)
        yield World(stack, teacher, projects)


def counts_of(job: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in job["counts"].items() if name not in IDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_killed_in_the_middle_of_a_job_loses_nothing_and_does_nothing_twice(
    world: World, kind: str
) -> None:
    calm, expected = world.calm(kind)
    asked_before = len(world.teacher.chats)
    job = world.start("struck", kind)
    hit = world.stack.strike(job, WRITES.get(kind))
    assert 0 < hit.done < hit.total
    world.stack.start("worker")
    row = world.end("struck", kind, job)
    assert row["attempts"] == 2
    assert (row["done"], row["total"]) == (calm["done"], calm["total"])
    assert world.written("struck", kind) == expected
    assert counts_of(row) == counts_of(calm)
    print(kind, hit, asked_before)
