"""The pages of review: queues, one item at a time, and what the screen's script sends."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from curation import access, jobs, paths
from curation.models import Trace
from curation.models.project import Role
from curation.sandbox.client import VerifierClient
from curation.segmentation import Cut, apply_cuts
from reviews import decisions, queues, screen
from reviews.models import Assignment, Guideline, Queue, Review
from workers import dispatch

MAX_BODY = 2_000_000


@login_required
def queue_list(request: HttpRequest, slug: str) -> HttpResponse:
    """The project's queues and how far each is."""
    project = access.access_project(request.user, slug)
    role = access.require(request.user, project, Role.VIEWER)
    rows = [(q, queues.progress(q)) for q in Queue.objects.filter(project=project).order_by("pk")]
    rank = access.RANK[role]
    context = {
        "project": project,
        "rows": rows,
        "can_review": rank >= access.RANK[Role.REVIEWER],
        "can_curate": rank >= access.RANK[Role.CURATOR],
        "recent": Review.objects.filter(trace__project=project)
        .select_related("user", "item__queue")
        .order_by("-pk")[:20],
        "role": role,
    }
    return render(request, "reviews/queues.html", context)


@login_required
@require_POST
def queue_fill(request: HttpRequest, slug: str) -> HttpResponse:
    """Make or top up a queue: a job that puts matching traces into it."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    filters: dict[str, Any] = {}
    if verdict := request.POST.get("verdict"):
        filters["verdict"] = verdict
    if request.POST.get("has_proposals"):
        filters["has_proposals"] = True
    if source := request.POST.get("source"):
        filters["source"] = source
    params = {
        "queue": request.POST.get("name", "")[:100],
        "filters": filters,
        "overlap": request.POST.get("overlap") or 1,
        "limit": request.POST.get("limit") or queues.DEFAULT_LIMIT,
    }
    with transaction.atomic():
        job = jobs.create_job(project=project, kind="queue", params=params, user=request.user)
        dispatch.wake_after_commit()
    return redirect("job", slug, job.pk)


@login_required
def queue_next(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Lease the next item and open it."""
    project = access.access_project(request.user, slug, Role.REVIEWER)
    queue = Queue.objects.filter(project=project, pk=pk).first()
    if queue is None:
        raise Http404("no such queue")
    assignment = queues.next_assignment(queue, request.user)
    if assignment is None:
        context = {"project": project, "queue": queue, "progress": queues.progress(queue)}
        return render(request, "reviews/finished.html", context)
    return redirect("review", slug, assignment.pk)


def access_assignment(request: HttpRequest, slug: str, pk: int) -> Assignment:
    """The reviewer's own assignment; anyone else's does not exist."""
    project = access.access_project(request.user, slug, Role.REVIEWER)
    assignment = (
        Assignment.objects.filter(pk=pk, user_id=request.user.pk or 0, item__queue__project=project)
        .select_related("item__queue__project", "user")
        .first()
    )
    if assignment is None:
        raise Http404("no such assignment")
    return assignment


@login_required
def review(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The review screen."""
    assignment = access_assignment(request, slug, pk)
    trace = Trace.objects.select_related("problem").get(pk=assignment.item.trace_id)
    segmentation = screen.newest_segmentation(trace)
    state = screen.state_of(trace, segmentation) | {
        "epoch": assignment.epoch,
        "draft": assignment.draft,
        "done": assignment.state == Assignment.State.DONE,
    }
    context = {
        "owner": assignment.item.queue.project,
        "assignment": assignment,
        "queue": assignment.item.queue,
        "progress": queues.progress(assignment.item.queue),
        "trace": trace,
        "problem": trace.problem,
        "pieces": screen.pieces_of(trace, segmentation),
        "state": state,
        "decisions": Review.Decision.choices,
        "guideline": Guideline.objects.filter(project=trace.project_id).order_by("version").last(),
        **screen.side_of(trace),
    }
    return render(request, "reviews/review.html", context)


def body_of(request: HttpRequest) -> dict[str, Any]:
    """The JSON object of a request; BadReview when there is none."""
    if len(request.body) > MAX_BODY:
        raise decisions.BadReview("too_large", "the submission is too large")
    try:
        data = json.loads(request.body)
    except ValueError as error:
        raise decisions.BadReview("bad_json", "not JSON") from error
    if not isinstance(data, dict):
        raise decisions.BadReview("bad_json", "an object is needed")
    return data


def refused(error: decisions.BadReview) -> JsonResponse:
    return JsonResponse({"code": error.code, "detail": str(error)}, status=400)


@login_required
@require_POST
def draft(request: HttpRequest, slug: str, pk: int) -> JsonResponse:
    """Keep what the reviewer has so far, and renew the lease."""
    assignment = access_assignment(request, slug, pk)
    try:
        data = body_of(request)
    except decisions.BadReview as error:
        return refused(error)
    queues.save_draft(assignment, data)
    alive = queues.renew(assignment.pk, assignment.epoch)
    return JsonResponse({"saved": True, "lease": alive})


@login_required
@require_POST
def preview(request: HttpRequest, slug: str, pk: int) -> JsonResponse:
    """What is left after the cuts, and what the verifier says of it; nothing is stored."""
    assignment = access_assignment(request, slug, pk)
    trace = Trace.objects.select_related("problem").get(pk=assignment.item.trace_id)
    try:
        cuts = decisions.check_ranges(
            trace.text, decisions.parse({**body_of(request), "decision": "sound"}).cuts, "cuts"
        )
    except decisions.BadReview as error:
        return refused(error)
    derived = apply_cuts(trace.text, [Cut(c["start"], c["end"], c["reason"]) for c in cuts])
    item: dict[str, Any] = {
        "kind": trace.problem.kind,
        "response": derived.text,
        "reference": trace.problem.reference_answer,
        "options": {},
    }
    (verdict,) = VerifierClient(paths.verifier_socket(), attempts=2).verify_batch([item])
    answer = {"chars": len(derived.text), "verdict": verdict.verdict, "reason": verdict.reason}
    return JsonResponse(answer | {"extracted": verdict.extracted})


@login_required
@require_POST
def submit(request: HttpRequest, slug: str, pk: int) -> JsonResponse:
    """Store the judgement; 409 keeps it as a draft when the lease is gone."""
    assignment = access_assignment(request, slug, pk)
    try:
        data = body_of(request)
        epoch = data.get("epoch")
        if not isinstance(epoch, int):
            raise decisions.BadReview("bad_epoch", "epoch: a number is needed")
        stored = decisions.submit(assignment, epoch, decisions.parse(data))
    except decisions.BadReview as error:
        return refused(error)
    except queues.LeaseExpired as error:
        queues.save_draft(assignment, data)
        detail = f"{error}; what you sent is kept as a draft"
        return JsonResponse({"code": "lease_expired", "detail": detail}, status=409)
    dispatch.wake_after_commit()
    following = reverse("queue_next", args=[slug, assignment.item.queue_id])
    return JsonResponse({"review": stored.pk, "next": following})


@login_required
@require_POST
def skip(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Give the item back with a reason and go on."""
    assignment = access_assignment(request, slug, pk)
    queues.skip(assignment, request.POST.get("reason", ""))
    return redirect("queue_next", slug, assignment.item.queue_id)
