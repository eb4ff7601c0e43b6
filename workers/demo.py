"""The demo project: made problems, a real small teacher, and one job after another."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import httpx
from django.db import transaction

from curation import decontamination, jobs, paths, training
from curation.jobs import JobContext, JobError
from curation.models import Benchmark, Export, ModelEndpoint, Problem, Project, Schedule
from workers.demo_teacher.problems import make_problems

SLUG = "demo"
SEED = 7
PROBLEMS = int(os.environ.get("WHITTLE_DEMO_PROBLEMS") or 200)
FIRST, FIRST_SAMPLES = 20, 4
EMBED = os.environ.get("WHITTLE_DEMO_EMBED", "1") != "0"
HELD_BACK = 60
SAMPLES = int(os.environ.get("WHITTLE_DEMO_SAMPLES") or 8)
SAMPLING = {"temperature": 0.8, "max_tokens": 400}
LIMITS = {"concurrency": 32}  # batches of this size cost the CPU least
WAIT_SECONDS = 900
COPIES = 4  # problems that stand in the file a second time, in other words
EXAM, EXAM_SEED, EXAM_SIZE, PLANTED = "demo exam", 11, 17, 3
NIGHTLY = {"selection_or_recipe": "sft-verified", "format": "trl_sft"}
# A short run: that a student learns is shown by docs/training.md, with many more steps.
TRAINING = {"max_steps": 40, "held_back": {"generator": "demo", "n": 24, "seed": 1}}
TEACHER = "demo-teacher"
LICENCE = "CC0-1.0"


def problems_file() -> Path:
    # Among the project's uploads: what its jobs may read, also when a person tries one again.
    return paths.home() / "uploads" / SLUG / "made" / "problems.jsonl"


def write_problems() -> Path:
    """The demo's problems as a JSONL file: PROBLEMS to train on, HELD_BACK to measure with.

    A few of the first stand at the end once more, for the page of duplicates: they come behind
    all that is asked of the teacher.
    """
    path = problems_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    train = [*make_problems(PROBLEMS, SEED)]
    held = make_problems(HELD_BACK, SEED, "held-back")
    rows = [(p.text, p.answer, "train") for p in train]
    rows += [(p.text, p.answer, "held-back") for p in held]
    rows += [(in_other_words(p.text), p.answer, "copy") for p in train[:COPIES]]
    lines = [json.dumps({"problem": t, "answer": str(a), "split": split}) for t, a, split in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def in_other_words(text: str) -> str:
    """The same question as somebody else might have typed it."""
    return text.replace(" now?", " in the end?") if " now?" in text else text.rstrip("?.") + " !"


def exam_items() -> list[str]:
    """Items of a made benchmark; the last PLANTED quote problems of the demo."""
    stories = [p.text for p in make_problems(PROBLEMS, SEED) if " now?" in p.text]
    fresh = [p.text for p in make_problems(EXAM_SIZE, EXAM_SEED)]
    quoted = [f"Question {i}. {text}" for i, text in enumerate(stories[:PLANTED], EXAM_SIZE + 1)]
    return fresh + quoted


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
        exam = Benchmark.objects.create(project=project, name=EXAM, licence=LICENCE)
        decontamination.add_items(exam, exam_items())
        Schedule.objects.create(
            project=project, name="nightly", cron="0 3 * * *", kind="export", params=NIGHTLY
        )
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
    more = PROBLEMS > FIRST or SAMPLES > FIRST_SAMPLES
    return [
        {"kind": "import", "params": problems},
        *({"kind": "dedup", "params": {"method": method}} for method in ("near", "exact")),
        {"kind": "decontaminate", "params": {"benchmark": EXAM}},
        {"kind": "demo", "params": {}},
        *stages(min(FIRST, PROBLEMS), min(FIRST_SAMPLES, SAMPLES)),
        {"kind": "demo", "params": {"step": "train"}},
        *(stages(PROBLEMS, SAMPLES) if more else []),
        *([{"kind": "embed", "params": {}}] if EMBED else []),
    ]


def stages(limit: int, samples: int) -> list[dict[str, Any]]:
    """From generation to exports for the first ``limit`` problems, ``samples`` traces each."""
    sampled = {"teacher": TEACHER, "n": samples, "sampling": SAMPLING, "limit": limit}
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
            "limits": LIMITS,
        },
    )
    return endpoint


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/models", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def run_demo(ctx: JobContext) -> None:
    """Job ``demo``: mark the held-back problems, wait until the teacher answers, register it.

    With the param ``step: train``: queue a short training run on the newest export.
    """
    if ctx.params.get("step") == "train":
        queue_training(ctx)
        return
    with ctx.chunk():
        held = Problem.objects.filter(project=ctx.project, metadata__split="held-back")
        ctx.advance(held.update(held_back=True))
    wait_for_teacher(ctx)
    with ctx.chunk():
        register_teacher(ctx.project)
        ctx.advance(1, teachers=1)


def queue_training(ctx: JobContext) -> None:
    """A first student, unless there is one or this copy has no trainer."""
    if os.environ.get("WHITTLE_TRAINER", "1").lower() in {"0", "no", "off", "false"}:
        ctx.log("no training run: this copy has no trainer")
        return
    with ctx.chunk():
        exports = Export.objects.filter(project=ctx.project, format="trl_sft").order_by("-pk")
        export = exports.first()
        if export is not None and not ctx.project.training_runs.exists():
            training.create_run(
                project=ctx.project, export=export, config=TRAINING, name="first student"
            )
            ctx.advance(1, runs=1)


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
