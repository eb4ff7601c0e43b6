"""Queues: the list, filling one, its items with filters and bulk actions, taking the next."""

from __future__ import annotations

import json
from typing import Any

from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.views.decorators.http import require_POST

from curation import access, jobs
from curation.models import Project
from curation.models.project import Role
from reviews import gold, manage, queues
from reviews.adjudication import disputed
from reviews.consensus import POLICIES
from reviews.models import Queue, QueueItem, Review, SavedView
from reviews.submission import BadReview
from reviews.views.common import login_required, page
from workers import dispatch

PAGE = 100
NUMBERS = ("min_chars", "max_chars")
SHARES = ("min_pass_rate", "max_pass_rate", "min_doubt", "min_waste")
WORDS = ("verdict", "source", "model", "problem_kind")
FLAGS = ("has_proposals", "verdicts_differ", "reviews_differ")


@login_required
def queue_list(request: HttpRequest, slug: str) -> HttpResponse:
    """The project's queues and how far each is."""
    project = access.access_project(request.user, slug)
    role = access.require(request.user, project, Role.VIEWER)
    rows = [(q, queues.progress(q)) for q in Queue.objects.filter(project=project).order_by("pk")]
    name = request.user.get_username()
    mine = [(q, p) for q, p in rows if not q.members or name in q.members or role != Role.REVIEWER]
    return page(
        request,
        project,
        role,
        "queues",
        rows=mine,
        recent=Review.objects.filter(trace__project=project)
        .select_related("user", "item__queue")
        .order_by("-pk")[:20],
        disputed=disputed(project).count(),
        policies=sorted(POLICIES),
        orders=Queue.Order.choices,
    )


def filters_of(post: Any) -> dict[str, Any]:
    """The filters of the form; empty fields are left out."""
    found: dict[str, Any] = {n: post[n] for n in WORDS if post.get(n)}
    found |= {n: int(post[n]) for n in NUMBERS if post.get(n)}
    found |= {n: float(post[n]) for n in SHARES if post.get(n)}
    return found | {n: True for n in FLAGS if post.get(n)}


@login_required
@require_POST
def queue_fill(request: HttpRequest, slug: str) -> HttpResponse:
    """Make or top up a queue: a job that puts matching traces into it."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    try:
        filters = filters_of(request.POST)
    except ValueError:
        return render(request, "404.html", {"reason": "a number is needed"}, status=400)
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


def queue_of(project: Project, pk: int) -> Queue:
    queue = Queue.objects.filter(project=project, pk=pk).first()
    if queue is None:
        raise Http404("no such queue")
    return queue


@login_required
def queue_next(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Lease the next item and open it."""
    project = access.access_project(request.user, slug, Role.REVIEWER)
    queue = queue_of(project, pk)
    assignment = queues.next_assignment(queue, request.user)
    if assignment is None:
        context = {
            "project": project,
            "queue": queue,
            "progress": queues.progress(queue),
            "screened": gold.screened(queue, request.user),
            "allowed": not queue.members or request.user.get_username() in queue.members,
        }
        return render(request, "reviews/finished.html", context)
    return redirect("review", slug, assignment.pk)


STATES = {
    "open": Q(finished=False),
    "finished": Q(finished=True),
    "gold": Q(gold__isnull=False),
    "skipped": Q(assignments__state="skipped"),
    "held": Q(assignments__state="open"),
}


def items_of(queue: Queue, query: Any) -> QuerySet[QueueItem]:
    """A queue's items by state, verdict, decision, person and length; texts are not read."""
    rows = queue.items.select_related("trace__problem").defer(
        "trace__text", "trace__messages", "trace__problem__text"
    )
    if (state := query.get("state")) in STATES:
        rows = rows.filter(STATES[state])
    if decision := query.get("decision"):
        rows = rows.filter(reviews__decision=decision)
    if person := query.get("person"):
        rows = rows.filter(assignments__user__username=person)
    if verdict := query.get("verdict"):
        rows = rows.filter(trace__verdicts__verdict=verdict)
    if (doubt := query.get("doubt")) and doubt.replace(".", "", 1).isdigit():
        rows = rows.filter(doubt__gte=float(doubt))
    return rows.distinct().order_by(*queues.ORDER[Queue.Order(queue.order)])


@login_required
def queue_detail(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """A queue's items, with filters, saved views and bulk actions."""
    project = access.access_project(request.user, slug, Role.REVIEWER)
    role = access.require(request.user, project, Role.REVIEWER)
    queue = queue_of(project, pk)
    paginator = Paginator(items_of(queue, request.GET), PAGE)
    items = paginator.get_page(request.GET.get("page"))
    people = Q(user=request.user) | Q(shared=True)
    query = {k: str(v) for k, v in request.GET.items() if k in manage.VIEW_KEYS and v}
    return page(
        request,
        project,
        role,
        "queue",
        queue=queue,
        items=items,
        progress=queues.progress(queue),
        views=SavedView.objects.filter(people, queue=queue).order_by("name"),
        query=query,
        query_text=urlencode(query),
        states=list(STATES),
        decisions=Review.Decision.choices,
        holders=manage.holders(items.object_list),
        actions=manage.ACTIONS,
        policies=sorted(POLICIES),
        orders=Queue.Order.choices,
        hideable=manage.HIDEABLE,
        screening=json.dumps(queue.screening),
    )


@login_required
@require_POST
def queue_bulk(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One action on the chosen items."""
    from django.contrib import messages

    project = access.access_project(request.user, slug, Role.CURATOR)
    queue = queue_of(project, pk)
    chosen = [int(v) for v in request.POST.getlist("item") if v.isdigit()]
    try:
        done = manage.bulk(queue, request.POST.get("action", ""), chosen, request.POST)
        messages.success(request, f"{done} items changed")
    except BadReview as error:
        messages.error(request, str(error))
    return redirect("queue", slug, pk)


@login_required
@require_POST
def queue_settings(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Overlap, order, people, policy, what is hidden, gold and screening."""
    from django.contrib import messages

    project = access.access_project(request.user, slug, Role.CURATOR)
    queue = queue_of(project, pk)
    try:
        manage.configure(queue, manage.from_form(request.POST))
        messages.success(request, "Saved")
    except BadReview as error:
        messages.error(request, str(error))
    return redirect("queue", slug, pk)


@login_required
@require_POST
def save_view(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Keep these filters under a name; an empty list of filters removes it."""
    project = access.access_project(request.user, slug, Role.REVIEWER)
    queue = queue_of(project, pk)
    manage.save_view(queue, request.user, request.POST)
    return redirect("queue", slug, pk)
