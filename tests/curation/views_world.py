"""A small project in which every page has something to show; used by the tests of the pages."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils import timezone

from curation import jobs, paths
from curation.exports.manifest import build_manifest, export_id
from curation.models import (
    Benchmark,
    BenchmarkHit,
    BenchmarkItem,
    CutProposal,
    Difficulty,
    DuplicateCluster,
    DuplicateMember,
    Export,
    ImportReject,
    Job,
    JobLog,
    ModelEndpoint,
    Problem,
    ProblemOccurrence,
    Project,
    ReviewOutcome,
    Schedule,
    Segment,
    Segmentation,
    Selection,
    SelectionExclusion,
    SelectionRow,
    Source,
    SourceFile,
    Trace,
    TrainingMetric,
    TrainingResult,
    TrainingRun,
    Verdict,
    Webhook,
    WebhookDelivery,
)
from curation.selection.presets import PRESETS
from curation.selection.storage import store_recipe

# What a hostile model may send; each page must show it as the text that it is.
HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=alert(1)>{{7*7}}{% debug %}"
    "</div></textarea> $\\href{javascript:alert(1)}{x}$ \u202egnp.exe"
)
LEAVES = (
    ("problem_setup", "Find the sum. "),
    ("plan", "I add the numbers from left to right.\r\n"),
    ("computation", "First $3 + 4 = 7$, then \\(7 + 5 = 12\\). 𝑥 😀 e\u0301\n"),
    ("final_answer", "So the answer is $$\\boxed{12}$$ "),
    ("self_checking", "Wait, let me check: 3 + 4 + 5 = 12. "),
    ("computation", HOSTILE),
)
TEXT = "".join(text for _, text in LEAVES)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class World:
    """Rows that tests refer to by name."""

    project: Project
    source: Source
    reject: ImportReject
    problem: Problem
    trace: Trace
    derived: Trace
    teacher: ModelEndpoint
    recipe: Any
    selection: Selection
    export: Export
    run: TrainingRun
    job: Job
    schedule: Schedule
    cluster: DuplicateCluster
    hit: BenchmarkHit
    webhook: Webhook
    delivery: WebhookDelivery


def add_problems(project: Project, source: Source, first: int, count: int) -> list[Problem]:
    """Problems ``first``, ``first + 1``, … with an occurrence and a difficulty each."""
    problems = Problem.objects.bulk_create(
        Problem(
            project=project,
            source=source,
            text=f"Problem {i}: what is {i} + {i}? {HOSTILE}",
            text_sha256=sha(f"p{i}"),
            norm_sha256=sha(f"{project.slug} p{i}"),
            reference_answer=str(2 * i),
            char_count=30,
        )
        for i in range(first, first + count)
    )
    ProblemOccurrence.objects.bulk_create(
        ProblemOccurrence(
            problem=p, source=source, file="a.jsonl", file_sha256=sha("f"), line=p.pk, byte_offset=9
        )
        for p in problems
    )
    Difficulty.objects.bulk_create(
        Difficulty(
            problem=p,
            model="teacher-7b",
            policy="checked",
            correct=i % 5,
            incorrect=4 - i % 5,
            unverifiable=0,
            error=1,
            pass_rate=(i % 5) / 4,
            wilson_low=0.1,
            wilson_high=0.9,
        )
        for i, p in enumerate(problems)
    )
    return problems


def add_traces(world_problems: list[Problem], teacher: ModelEndpoint, per_problem: int) -> None:
    """Traces with a verdict each; sample numbers count from zero."""
    traces = Trace.objects.bulk_create(
        Trace(
            project_id=p.project_id,
            problem=p,
            source_id=p.source_id,
            endpoint=teacher,
            origin="generated",
            identity=sha(f"{p.pk} {n}"),
            model=teacher.model,
            text=TEXT,
            text_sha256=sha(TEXT),
            upstream={"is_correct": True},
            char_count=len(TEXT),
            completion_tokens=40 + n,
            sample_no=n,
            finish_reason="stop",
        )
        for p in world_problems
        for n in range(per_problem)
    )
    values = Verdict.Value.values
    Verdict.objects.bulk_create(
        Verdict(
            trace=t,
            verifier="math",
            version="1",
            reference_sha256=sha("12"),
            verdict=values[i % len(values)],
            extracted="12",
            method="exact",
        )
        for i, t in enumerate(traces)
    )


def add_structure(trace: Trace) -> Segmentation:
    """Leaves, a first correct answer and a proposal for what follows it."""
    segmentation = Segmentation.objects.create(
        trace=trace, segmenter="rules-1", leaves=len(LEAVES), first_correct=TEXT.index("\\boxed")
    )
    at = 0
    for i, (kind, text) in enumerate(LEAVES):
        path = ["Check 1"] if i >= 4 else ["Attempt 1"]
        Segment.objects.create(
            segmentation=segmentation,
            index=i,
            start=at,
            end=at + len(text),
            kind=kind,
            path=path,
            quote_sha256=sha(text),
        )
        at += len(text)
    CutProposal.objects.create(
        segmentation=segmentation,
        policy="after-first-correct",
        start=TEXT.index("Wait"),
        end=len(TEXT),
        reason="after a correct answer",
        quote_sha256=sha("x"),
        tokens=11,
    )
    return segmentation


def add_export(project: Project, selection: Selection, folder: Path) -> Export:
    """A real export folder with one file, and its row."""
    from curation.exports.manifest import FileEntry

    body = b'{"messages": []}\n'
    entry = FileEntry("data/train.jsonl", hashlib.sha256(body).hexdigest(), len(body), 1)
    facts = {
        "recipe": selection.recipe.spec,
        "format": "trl_sft",
        "selection_sha256": selection.sha256,
        "counts": {"rows": 1},
        "exclusions": selection.excluded,
        "verifiers": [],
        "licences": {"MIT": 1},
    }
    manifest = build_manifest(facts, [entry])
    root = folder / export_id(manifest)
    (root / "data").mkdir(parents=True)
    (root / "data/train.jsonl").write_bytes(body)
    (root / "manifest.json").write_bytes(manifest)
    import json

    return Export.objects.create(
        project=project,
        selection=selection,
        format="trl_sft",
        digest=root.name,
        path=str(root),
        manifest=json.loads(manifest),
        rows=1,
        bytes=len(body) + len(manifest),
    )


def build(project: Project, user: Any, folder: Path, problems: int = 3) -> World:
    """One of everything, and ``problems`` problems with two traces each."""
    source, reject = add_source(project)
    rows = add_problems(project, source, 1, problems)
    teacher = ModelEndpoint.objects.create(
        project=project,
        name="demo",
        base_url="http://127.0.0.1:9/v1",
        model="teacher-7b",
        capabilities={"n": "no", "seed": "yes", "notes": {"n": "refused"}},
        probed_at=project.created_at,
    )
    add_traces(rows, teacher, 2)
    trace = Trace.objects.filter(problem=rows[0]).order_by("pk")[0]
    add_structure(trace)
    selection = add_selection(trace)
    export = add_export(project, selection, folder)
    webhook, delivery = add_webhook(project)
    return World(
        project=project,
        source=source,
        reject=reject,
        problem=rows[0],
        trace=trace,
        derived=add_derived(trace),
        teacher=teacher,
        recipe=selection.recipe,
        selection=selection,
        export=export,
        run=add_run(export),
        job=add_job(project, user),
        schedule=Schedule.objects.create(
            project=project,
            name="nightly",
            cron="0 3 * * *",
            kind="export",
            params={"format": "trl_sft"},
        ),
        cluster=add_cluster(rows),
        hit=add_hit(rows[0]),
        webhook=webhook,
        delivery=delivery,
    )


def add_source(project: Project) -> tuple[Source, ImportReject]:
    """A source with one file, of which one row was refused."""
    source = Source.objects.create(
        project=project, name="numbers", licence="MIT", mapping={"text": "question"}
    )
    SourceFile.objects.create(source=source, name="a.jsonl", sha256=sha("f"), bytes=12, rows=3)
    reject = ImportReject.objects.create(
        source=source,
        file="a.jsonl",
        file_sha256=sha("f"),
        line=7,
        byte_offset=812,
        reason="bad_json",
        detail=HOSTILE,
        raw=HOSTILE.encode() + b"\xff",
        raw_sha256=sha("r"),
    )
    return source, reject


def add_derived(trace: Trace) -> Trace:
    """The first hundred characters of the trace, as a reviewer accepted them."""
    derived = Trace.objects.create(
        project_id=trace.project_id,
        problem_id=trace.problem_id,
        source_id=trace.source_id,
        origin="derived",
        identity=sha("derived"),
        model="teacher-7b",
        text=TEXT[:100],
        text_sha256=sha(TEXT[:100]),
        char_count=100,
        parent=trace,
        kept_ranges=[[0, 100]],
    )
    ReviewOutcome.objects.create(trace=trace, decision="accept", derived=derived, policy="single")
    return derived


def add_selection(trace: Trace) -> Selection:
    """A frozen selection in which the trace is a row, and is also left out."""
    selection = Selection.objects.create(
        project=trace.project,
        recipe=store_recipe(trace.project, PRESETS["sft-verified"]),
        sha256=sha("s"),
        candidates=2,
        selected=1,
        excluded={"not_correct": 1},
        summary={"licences": {"MIT": 1}, "sources": {"numbers": 1}, "verifiers": []},
    )
    SelectionRow.objects.create(
        selection=selection, position=0, problem=trace.problem, trace=trace, detail={"chars": 9}
    )
    SelectionExclusion.objects.create(
        selection=selection, problem=trace.problem, trace=trace, reason="not_correct"
    )
    return selection


def add_run(export: Export) -> TrainingRun:
    """A training run with a loss curve and three models measured."""
    run = TrainingRun.objects.create(
        project=export.project, export=export, name="first-run", config={"seed": 0}
    )
    TrainingMetric.objects.bulk_create(
        TrainingMetric(run=run, step=s, name="loss", value=2 / (s + 1)) for s in range(20)
    )
    for subject, correct in (("start", 20), ("student", 61), ("teacher", 80)):
        TrainingResult.objects.create(
            run=run, subject=subject, correct=correct, incorrect=100 - correct
        )
    return run


def add_job(project: Project, user: Any) -> Job:
    """An import that is under way."""
    params = {"name": "numbers", "path": str(paths.home() / "uploads" / project.slug / "a/x.csv")}
    job = jobs.create_job(project=project, kind="import", params=params, user=user)
    Job.objects.filter(pk=job.pk).update(
        state="running", total=10, done=4, counts={"accepted": 4, "reject_reasons": {"bad_json": 1}}
    )
    JobLog.objects.create(job=job, message="four rows read")
    job.refresh_from_db()
    return job


def add_cluster(problems: list[Problem]) -> DuplicateCluster:
    """A cluster of these problems, the first of them to be used."""
    kept, *copies = problems
    cluster = DuplicateCluster.objects.create(project=kept.project, method="near", kept=kept)
    for problem in copies:
        DuplicateMember.objects.create(cluster=cluster, problem=problem, score=0.75)
    return cluster


def add_hit(problem: Problem) -> BenchmarkHit:
    """The problem beside an item of the benchmark ``exam`` with the same words."""
    exam, _ = Benchmark.objects.get_or_create(project=problem.project, name="exam")
    item, _ = BenchmarkItem.objects.get_or_create(
        benchmark=exam, text=f"Of the exam. {problem.text}", norm_sha256=sha(f"i{problem.pk}")
    )
    return BenchmarkHit.objects.create(problem=problem, item=item, method="8-gram", score=0.875)


def add_webhook(project: Project) -> tuple[Webhook, WebhookDelivery]:
    """A webhook whose receiver answers 500."""
    hook = Webhook.objects.create(project=project, url="https://hooks.invalid/x", secret="whsec_AA")
    delivery = WebhookDelivery.objects.create(
        webhook=hook,
        event="job.done",
        payload={"type": "job.done", "data": {}},
        attempts=3,
        last_status=500,
        next_attempt_at=timezone.now() + dt.timedelta(hours=1),
    )
    return hook, delivery
