"""The demo project: made problems, a real small teacher, and one job after another."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import httpx
from django.db import transaction

from curation import jobs, paths
from curation.jobs import JobContext, JobError
from curation.models import ModelEndpoint, Problem, Project
from workers.demo_teacher.problems import make_problems

SLUG = "demo"
SEED = 7
PROBLEMS = int(os.environ.get("WHITTLE_DEMO_PROBLEMS") or 200)
FIRST = 20
EMBED = os.environ.get("WHITTLE_DEMO_EMBED", "1") != "0"
HELD_BACK = 60
SAMPLES = int(os.environ.get("WHITTLE_DEMO_SAMPLES") or 8)
SAMPLING = {"temperature": 0.8, "max_tokens": 400}
WAIT_SECONDS = 900
TEACHER = "demo-teacher"
LICENCE = "CC0-1.0"


def problems_file() -> Path:
    return paths.home() / "demo" / "problems.jsonl"


def write_problems() -> Path:
    """The demo's problems as a JSONL file: PROBLEMS to train on, HELD_BACK to measure with."""
    path = problems_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [*make_problems(PROBLEMS, SEED), *make_problems(HELD_BACK, SEED, "held-back")]
    splits = ["train"] * PROBLEMS + ["held-back"] * HELD_BACK
    lines = [
        json.dumps({"problem": p.text, "answer": str(p.answer), "split": split})
        for p, split in zip(rows, splits, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def make_demo(owner: Any) -> Project | None:
    """The demo project and the first job of its chain; None when it was made before."""
    if Project.objects.filter(slug=SLUG).exists():
        return None
    with transaction.atomic():
        project = Project.objects.create(
            slug=SLUG,
            name="Demo: chain sums",
            description="Made arithmetic, answered by the small teacher that comes with Whittle.",
        )
        project.memberships.create(user=owner, role="owner")
        first, *rest = chain()
        jobs.create_job(
            project=project,
            kind=first["kind"],
            params={**first["params"], "then": rest},
            user=owner,
        )
    return project


def chain() -> list[dict[str, Any]]:
    """The demo's jobs in order; each starts when the one before is done.

    A first handful of problems goes through every stage, so that each page has something to show
    within minutes; then the rest follows.
    """
    problems = {"path": str(write_problems()), "name": "demo problems", "licence": LICENCE}
    return [
        {"kind": "import", "params": problems},
        {"kind": "demo", "params": {}},
        *stages(min(FIRST, PROBLEMS)),
        *(stages(PROBLEMS) if PROBLEMS > FIRST else []),
        *([{"kind": "embed", "params": {}}] if EMBED else []),
    ]


def stages(limit: int) -> list[dict[str, Any]]:
    """From generation to exports for the first ``limit`` problems."""
    sampled = {"teacher": TEACHER, "n": SAMPLES, "sampling": SAMPLING, "limit": limit}
    queue = {
        "queue": "Overlong but correct",
        "filters": {"verdict": "correct", "has_proposals": True},
        "limit": 200,
    }
    steps: list[tuple[str, dict[str, Any]]] = [
        ("generate", sampled),
        ("verify", {}),
        ("grade", {}),
        ("segment", {}),
        ("queue", queue),
    ]
    for recipe, form in (("sft-verified", "trl_sft"), ("dpo-correct-incorrect", "trl_dpo")):
        steps += [("select", {"recipe": recipe})]
        steps += [("export", {"selection_or_recipe": recipe, "format": form})]
    return [{"kind": kind, "params": params} for kind, params in steps]


def teacher_address() -> str | None:
    """The demo teacher's base URL, when the supervisor gave it a port."""
    try:
        port = int((paths.home() / "run" / "teacher.port").read_text())
    except (OSError, ValueError):
        return None
    return f"http://127.0.0.1:{port}/v1"


def register_teacher(project: Project) -> ModelEndpoint:
    """The demo teacher as a model; an empty address means the teacher of this copy."""
    endpoint, _ = ModelEndpoint.objects.update_or_create(
        project=project,
        name=TEACHER,
        defaults={
            "base_url": "",
            "model": TEACHER,
            "output_licence": LICENCE,
            "sampling": SAMPLING,
        },
    )
    return endpoint


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/models", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def run_demo(ctx: JobContext) -> None:
    """Job ``demo``: mark the held-back problems, wait until the teacher answers, register it."""
    with ctx.chunk():
        held = Problem.objects.filter(project=ctx.project, metadata__split="held-back")
        ctx.advance(held.update(held_back=True))
    wait_for_teacher(ctx)
    with ctx.chunk():
        register_teacher(ctx.project)
        ctx.advance(1, teachers=1)


def wait_for_teacher(ctx: JobContext) -> None:
    ctx.log("waiting for the demo teacher to load its model")
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        ctx.check()
        address = teacher_address()
        if address is not None and answers(address):
            return
        time.sleep(1)
    raise JobError(
        "teacher_not_ready",
        f"the demo teacher did not answer within {WAIT_SECONDS} s; it needs the demo extra",
    )
