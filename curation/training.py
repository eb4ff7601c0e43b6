"""Training runs: what a trainer takes, reports and brings back (docs/training.md).

The trainer is another process, perhaps on another machine. It holds a run under a lease on the
database's clock; every post of its worker renews it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import Now

from curation import grants
from curation.jobs import JobError
from curation.models import (
    Export,
    ModelEndpoint,
    Problem,
    Project,
    SelectionRow,
    TrainingMetric,
    TrainingResult,
    TrainingRun,
)

LEASE_SECONDS = 60
MAX_METRICS = 5000
MAX_STEP = 2**31 - 1  # of the column
MAX_RESULTS = 20_000
VERDICTS = ("correct", "incorrect", "unverifiable", "error")
ROLES = ("start", "student", "teacher")
State = TrainingRun.State


class NotYours(Exception):
    """The run ended or belongs to another trainer."""


def create_run(
    *, project: Project, export: Export, config: dict[str, Any], name: str = "", method: str = ""
) -> TrainingRun:
    """A queued run; ``method`` follows the export's format, ``base_model`` the demo's student."""
    if export.project_id != project.pk:
        raise JobError("no_such_export", "the export belongs to another project")
    check_teacher(project, config)
    method = method or ("dpo" if "dpo" in export.format else "sft")
    base_model = str(config.get("base_model") or "demo-student-start")
    rest = {key: value for key, value in config.items() if key != "base_model"}
    return TrainingRun.objects.create(
        project=project,
        export=export,
        name=name or f"{method} on {export.digest[:12]}",
        config={"method": method, "base_model": base_model, "config": rest},
    )


def check_teacher(project: Project, config: dict[str, Any]) -> None:
    """The trainer asks ``config["teacher"]`` too, so its address has to be granted."""
    teacher = config.get("teacher")
    if isinstance(teacher, dict) and "base_url" in teacher:
        grants.check_endpoint(project, str(teacher["base_url"] or ""), "")


TAKE = """
UPDATE curation_trainingrun SET state = 'running', epoch = epoch + 1, worker = %(worker)s,
    versions = %(versions)s::jsonb, started_at = coalesce(started_at, clock_timestamp()),
    lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE id = %(run)s AND (state = 'queued' OR worker = %(worker)s AND state = 'running'
    OR (state = 'running' AND lease_until < clock_timestamp()))
"""


def take(run: TrainingRun, worker: str, versions: str) -> None:
    """Give the run to a worker; NotYours when another one lives or the run has ended."""
    try:
        check_teacher(run.project, run.config.get("config") or {})
    except JobError as error:  # what was granted when the run was made may be revoked
        TrainingRun.objects.filter(pk=run.pk, state=State.QUEUED).update(
            state=State.FAILED, error=str(error), finished_at=Now()
        )
        raise NotYours(str(error)) from error
    values: dict[str, int | str] = {"run": run.pk, "worker": worker, "versions": versions}
    values["lease"] = LEASE_SECONDS
    with connection.cursor() as cursor:
        cursor.execute(TAKE, values)
        if cursor.rowcount != 1:
            raise NotYours("another trainer has this run, or it has ended")
    run.refresh_from_db()


@contextmanager
def held(run: TrainingRun, epoch: int | None) -> Iterator[None]:
    """A transaction in which the run has no other trainer; NotYours when it was taken since.

    ``epoch`` is the one that ``take`` gave; None from a trainer that does not tell it.
    """
    with transaction.atomic():
        now = TrainingRun.objects.select_for_update().values_list("epoch", flat=True).get(pk=run.pk)
        if epoch is not None and epoch != now:
            raise NotYours(f"another trainer took this run (epoch {now}, yours is {epoch})")
        yield


def renew(run: TrainingRun) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE curation_trainingrun SET lease_until ="
            " clock_timestamp() + make_interval(secs => %s) WHERE id = %s AND state = 'running'",
            [LEASE_SECONDS, run.pk],
        )


def record_metrics(
    run: TrainingRun, metrics: list[dict[str, Any]], epoch: int | None = None
) -> int:
    """Store metrics by (step, name); a repeat overwrites. Returns how many were stored.

    Numbers that are not finite are left out; ValueError for a step that no run can reach, NotYours
    for an ``epoch`` that is over.
    """
    rows = {}
    for item in metrics[:MAX_METRICS]:
        value = item.get("value")
        if value is None or not math.isfinite(float(value)):
            continue
        key = (int(item["step"]), str(item["name"])[:64])
        if not 0 <= key[0] <= MAX_STEP:
            raise ValueError(f"step {key[0]}")
        rows[key] = TrainingMetric(run=run, step=key[0], name=key[1], value=float(value))
    with held(run, epoch):
        TrainingMetric.objects.bulk_create(
            rows.values(),
            update_conflicts=True,
            unique_fields=["run", "step", "name"],
            update_fields=["value"],
        )
        renew(run)
        set_steps(run, rows)
    return len(rows)


def set_steps(run: TrainingRun, rows: dict[tuple[int, str], TrainingMetric]) -> None:
    last = run.metrics.aggregate(step=Max("step"))["step"] or 0
    totals = [row.value for (_, name), row in rows.items() if name == "steps_total"]
    changes: dict[str, Any] = {"step": last}
    if totals:
        changes["total_steps"] = int(min(max(totals[-1], 0), MAX_STEP))
    TrainingRun.objects.filter(pk=run.pk).update(**changes)


def record_evaluation(
    run: TrainingRun, data: dict[str, Any], epoch: int | None = None
) -> TrainingResult:
    """Store how start, student or teacher did on held-back problems; a repeat overwrites.

    Raises JobError for a message that is none, NotYours for an ``epoch`` that is over.
    """
    if data.get("role") not in ROLES:
        raise JobError("bad_role", f"role: one of {', '.join(ROLES)}")
    counts = {name: count_of(data, name) for name in VERDICTS}
    kept = ("model", "verifier", "sampling", "problems", "pass_rate", "interval")
    detail: dict[str, Any] = {name: data.get(name) for name in (*kept, "problems_sha256")}
    detail["results"] = list(data.get("results") or [])[:MAX_RESULTS]
    with held(run, epoch):
        result, _ = TrainingResult.objects.update_or_create(
            run=run, subject=data["role"], defaults={**counts, "detail": detail}
        )
        renew(run)
    return result


def count_of(data: dict[str, Any], name: str) -> int:
    """A count of a message, 0 when it is missing; JobError ``bad_counts`` when it is none."""
    given = data.get(name) or 0
    if not isinstance(given, int) or not 0 <= given <= MAX_STEP:
        raise JobError("bad_counts", f"{name}: {str(given)[:50]!r} is no count")
    return given


def finish(run: TrainingRun, data: dict[str, Any]) -> None:
    """Record the end of a run; a finished student becomes a model that can be sampled."""
    state = data.get("state")
    if state not in {State.DONE, State.FAILED, State.CANCELLED}:
        raise JobError("bad_state", "state: done, failed or cancelled")
    with transaction.atomic():
        locked = TrainingRun.objects.select_for_update().get(pk=run.pk)
        if locked.state == state and locked.worker == data.get("worker"):
            return
        ended = locked.state not in {State.RUNNING, State.CANCELLED}
        if ended or locked.worker != data.get("worker"):
            raise NotYours("another trainer has this run, or it has ended")
        model = data.get("model") or {}
        if locked.state == State.RUNNING:
            locked.state = state
        if locked.state == State.DONE and model:
            locked.model_path = str(model.get("path") or "")[:1000]
            locked.student = register_student(locked, model)
        locked.error = str(data.get("error") or "")
        locked.finished_at = Now()
        locked.summary = {
            name: data.get(name) for name in ("steps", "rows", "seconds", "resumed_from", "model")
        }
        locked.lease_until = None
        locked.save()


def register_student(run: TrainingRun, model: dict[str, Any]) -> ModelEndpoint:
    """The student as a model of the project; a base URL is added when someone serves it.

    A trainer's word changes students only, never a model that stands at some address.
    """
    name = str(model.get("name") or f"student-{run.pk}")[:100]
    others = ModelEndpoint.objects.filter(project=run.project, name=name)
    if others.exclude(kind=ModelEndpoint.Kind.STUDENT, base_url="").exists():
        name = f"student-{run.pk}"
    endpoint, _ = ModelEndpoint.objects.update_or_create(
        project=run.project,
        name=name,
        defaults={
            "kind": ModelEndpoint.Kind.STUDENT,
            "model": name,
            "revision": run.export.digest[:12],
            "enabled": False,
        },
    )
    return endpoint


def cancel(run: TrainingRun) -> None:
    """Stop a run: a trainer reads it from the answer to its next post."""
    TrainingRun.objects.filter(pk=run.pk, state__in=[State.QUEUED, State.RUNNING]).update(
        state=State.CANCELLED, finished_at=Now()
    )


def held_back(run: TrainingRun) -> QuerySet[Problem]:
    """Problems with a reference answer that no row of the run's export came from."""
    used = SelectionRow.objects.filter(selection=run.export.selection).values("problem")
    problems = Problem.objects.filter(project=run.project).exclude(reference_answer=None)
    chosen = problems.filter(held_back=True)
    return (chosen if chosen.exists() else problems).exclude(pk__in=used).order_by("pk")
