"""Model endpoints as rows: their address and key, their limits, what a probe found, their pause.

The API key itself is never stored: a row names the environment variable that holds it, and only
variables that are granted with the address (``curation.grants``) can be named.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from typing import Any

from django.db.models.functions import Now

from curation.grants import check_endpoint
from curation.jobs import JobContext, JobError
from curation.models import ModelEndpoint
from curation.teachers.client import Endpoint, TeacherClient
from curation.teachers.outcome import DEFERRED, Failure, TeacherError
from curation.teachers.pacing import Limits
from curation.teachers.probe import YES, Capabilities, probe

TICK = 0.5  # seconds between two tries to reach a server that is starting
# Limits of an endpoint that are ours, beside those of the client.
OWN_LIMITS = {"samples_per_request": 8, "ready_timeout": 120.0, "stream_above": 2048}
OWN_HIGHEST = {"samples_per_request": 10_000, "ready_timeout": 10_000, "stream_above": 10_000_000}


def run_probe(ctx: JobContext) -> None:
    """Job handler. Params: ``teacher``. Finds out what the endpoint can do and stores it."""
    teacher = find_teacher(ctx)
    found = probe_teacher(teacher, ctx)
    counts = {name: int(getattr(found, name) == YES) for name in ("n", "seed", "streaming")}
    with ctx.chunk():
        ctx.restart_counts(**counts)
        ctx.advance()


def find_teacher(ctx: JobContext) -> ModelEndpoint:
    """The model that the job's param ``teacher`` names; JobError ``unknown_teacher``."""
    name = ctx.params.get("teacher")
    teacher = ModelEndpoint.objects.filter(project=ctx.project, name=name).first()
    if teacher is None:
        raise JobError("unknown_teacher", f"this project has no teacher {name!r}")
    return teacher


def split_limits(given: dict[str, Any]) -> tuple[Limits, dict[str, float]]:
    """An endpoint's stored limits as the client's and our own; ValueError for unknown names."""
    theirs = {name: value for name, value in given.items() if name not in OWN_LIMITS}
    own = OWN_LIMITS | {name: value for name, value in given.items() if name in OWN_LIMITS}
    for name, value in own.items():
        highest = OWN_HIGHEST[name]
        if not isinstance(value, int | float) or not 1 <= value <= highest:
            raise ValueError(f"{name} must be a number from 1 to {highest}, not {value!r}")
    return Limits.from_dict(theirs), own


def endpoint_of(teacher: ModelEndpoint) -> Endpoint:
    """The address and key of a model, if both are granted to its project at this moment."""
    allowed = check_endpoint(teacher.project, teacher.base_url, teacher.api_key_env)
    base_url = teacher.base_url or f"{allowed.address}/v1"
    try:
        key = _api_key(teacher.api_key_env)
        return Endpoint(base_url, teacher.model, api_key=key, private=allowed.private)
    except ValueError as error:
        raise JobError("bad_endpoint", str(error)) from None


def _api_key(variable: str) -> str:
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise JobError("api_key_missing", f"the variable {variable} is not set for the workers")
    return key


def probe_teacher(teacher: ModelEndpoint, ctx: JobContext | None = None) -> Capabilities:
    """Ask the endpoint what it can do, waiting for one that is still starting; store the answer."""
    limits, own = split_limits(teacher.limits)
    quick = replace(limits, max_attempts=2, deadline=60.0, attempt_timeout=60.0)
    until = time.monotonic() + float(own["ready_timeout"])
    endpoint = endpoint_of(teacher)
    while True:
        try:
            found = asyncio.run(_probe(endpoint, quick))
            break
        except TeacherError as error:
            _wait_or_give_up(teacher, error.failure, until, ctx)
    stored = {"dtype": teacher.capabilities.get("dtype", "")} | found.as_dict()
    teacher.capabilities = stored
    ModelEndpoint.objects.filter(pk=teacher.pk).update(capabilities=stored, probed_at=Now())
    return found


async def _probe(endpoint: Endpoint, limits: Limits) -> Capabilities:
    async with TeacherClient(endpoint, limits) as client:
        return await probe(client)


def _wait_or_give_up(
    teacher: ModelEndpoint, failure: Failure, until: float, ctx: JobContext | None
) -> None:
    if failure.code != DEFERRED or time.monotonic() > until:
        stop_teacher(teacher, failure)
    if ctx is not None:
        ctx.check()
    time.sleep(TICK)


def stop_teacher(teacher: ModelEndpoint, failure: Failure) -> None:
    """End the job; a refused key or address pauses the teacher until a person has looked."""
    if failure.code == DEFERRED:
        raise JobError("teacher_unavailable", f"{teacher.name}: {failure.message}")
    reason = f"{failure.code}: {failure.message}"[:300]
    if failure.closes_endpoint:
        ModelEndpoint.objects.filter(pk=teacher.pk).update(paused_reason=reason)
    raise JobError("teacher_paused" if failure.closes_endpoint else failure.code, reason)
