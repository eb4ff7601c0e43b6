"""What jobs share that ask a model about traces: which model, how, and about which traces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from curation.endpoints import endpoint_of, find_teacher, split_limits
from curation.jobs import JobContext, JobError
from curation.models import ModelEndpoint, Trace
from curation.teachers.client import Endpoint
from curation.teachers.pacing import Limits
from curation.teachers.sampling import Sampling

DEFAULT_LIMIT = 200


@dataclass(frozen=True)
class Asked:
    """A model with its address, its pace and the sampling of this job."""

    teacher: ModelEndpoint
    endpoint: Endpoint
    limits: Limits
    sampling: Sampling


def asked_of(ctx: JobContext) -> Asked:
    """The model that the job's params ``teacher`` and ``sampling`` name.

    JobError ``bad_parameters`` and those of endpoints; a ``limit`` that is no number is bad too.
    """
    params, teacher = ctx.params, find_teacher(ctx)
    try:
        limits, _ = split_limits(teacher.limits)
        sampling = Sampling.from_dict(dict(teacher.sampling) | dict(params.get("sampling") or {}))
        int(params.get("limit") or DEFAULT_LIMIT)
    except (ValueError, TypeError) as error:
        raise JobError("bad_parameters", str(error)) from None
    return Asked(teacher, endpoint_of(teacher), limits, sampling)


def traces_left(ctx: JobContext) -> int:
    """How many traces the param ``limit`` leaves to this attempt."""
    return max(0, int(ctx.params.get("limit") or DEFAULT_LIMIT) - ctx.job.done)


def closed_traces(ctx: JobContext) -> QuerySet[Trace]:
    """Traces with a closed reasoning that are not derived, by the params ``source`` and ``ids``;
    those behind the checkpoint ``after``."""
    traces = Trace.objects.filter(project=ctx.project, parent=None, reasoning_closed=True)
    if source := ctx.params.get("source"):
        traces = traces.filter(source__name=source)
    if (ids := ctx.params.get("ids")) is not None:
        traces = traces.filter(pk__in=ids)
    after = int(ctx.checkpoint.get("after", 0))
    return traces.filter(pk__gt=after).select_related("problem", "project")


def in_pages(traces: QuerySet[Trace], size: int) -> Iterator[list[Trace]]:
    """The traces in the order of their ids, ``size`` at a time."""
    after = 0
    while page := list(traces.filter(pk__gt=after).order_by("pk")[:size]):
        yield page
        after = page[-1].pk


def bad_parameters(error: Any) -> JobError:
    """The error of a job whose parameters cannot be used."""
    return JobError("bad_parameters", str(error))
