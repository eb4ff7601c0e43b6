"""Queues: the list, filling one, its items with filters and bulk actions, taking the next."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST

from curation import access, jobs
from curation.models import Problem, Project, Source
from curation.models.project import Role
from reviews import filling, gold, manage, queues
from reviews.adjudication import disputed
from reviews.consensus import POLICIES
from reviews.models import Assignment, Queue, QueueItem, Review, SavedView
from reviews.submission import BadReview
from reviews.views.common import login_required, page
from workers import dispatch

PAGE = 100
NUMBERS = ("min_chars", "max_chars")
SHARES = ("min_pass_rate", "max_pass_rate", "min_doubt", "min_waste")
WORDS = ("verdict", "source", "model", "problem_kind", "category", "origin")
FLAGS = ("has_proposals", "verdicts_differ", "reviews_differ", "reviewed", "truncated")


@login_required
def queue_list(request: HttpRequest, slug: str) -> HttpResponse:
    """The project's queues and how far each is."""
    project = access.access_project(request.user, slug)
    role = access.require(request.user, project, Role.VIEWER)
    every = list(Queue.objects.filter(project=project).order_by("pk"))
    done = queues.progress_of(every)
    rows = [(queue, done[queue.pk]) for queue in every]
    name = request.user.get_username()
    mine = [(q, p) for q, p in rows if not q.members or name in q.members or role != Role.REVIEWER]
    return page(
        request,
        project,
        role,
        "queues",
        rows=mine,
        recent=Review.objects.filter(item__queue__project=project)
        .filter(manage.readable(request.user, [project] if curates(role) else []))
        .select_related("user", "item__queue")
        .order_by("-pk")[:20],
        disputed=disputed(project).count(),
        policies=sorted(POLICIES),
        orders=Queue.Order.choices,
        hideable=manage.HIDEABLE,
        verdicts=("correct", "incorrect", "unverifiable", "error"),
        sources=Source.objects.filter(project=project).order_by("name")[:200],
        kinds=kinds_of(project),
    )


def curates(role: Role) -> bool:
    return access.RANK[role] >= access.RANK[Role.CURATOR]


def kinds_of(project: Project) -> list[str]:
    """The kinds of problems that the project has."""
    kinds = Problem.objects.filter(project=project).order_by("kind").values_list("kind", flat=True)
    return [kind for kind in kinds.distinct()[:40] if kind]


def filters_of(post: Any) -> dict[str, Any]:
    """The filters of the form; empty fields are left out."""
    found: dict[str, Any] = {n: post[n] for n in WORDS if post.get(n)}
    found |= {n: int(post[n]) for n in NUMBERS if post.get(n)}
    found |= {n: float(post[n]) for n in SHARES if post.get(n)}
    return found | {n: post[n] == "1" for n in FLAGS if post.get(n)}


@login_required
@require_POST
def queue_fill(request: HttpRequest, slug: str) -> HttpResponse:
    """Make or top up a queue: a job that puts matching traces into it."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    post = request.POST
    try:
        params = {
            "queue": post.get("name", ""),
            "filters": filters_of(post),
            "overlap": post.get("overlap") or 1,
            "limit": post.get("limit") or filling.DEFAULT_LIMIT,
            "order": post.get("order") or Queue.Order.POSITION.value,
            "policy": post.get("policy") or "single",
            "hide": post.getlist("hide"),
            "enabled": post.get("enabled", "1") == "1",
        }
        filling.checked_fill(project, params)
    except ValueError:
        messages.error(request, "A number is needed")
        return redirect("queues", slug)
    except jobs.JobError as error:
        messages.error(request, str(error))
        return redirect("queues", slug)
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
@require_http_methods(["GET", "HEAD", "POST"])
def queue_next(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The next item: POST leases it and opens it; GET opens what is in hand, or offers a button."""
    project = access.access_project(request.user, slug, Role.REVIEWER)
    queue = queue_of(project, pk)
    if request.method == "POST":
        return take_next(request, queue)
    may = queues.may_take(queue, request.user)
    if may and (held := queues.in_hand(queue, request.user)):
        return redirect("review", slug, held.pk)
    if not may or queues.next_free(queue, request.user) is None:
        return nothing_left(request, project, queue)
    role = access.require(request.user, project, Role.REVIEWER)
    minutes = max(1, round(settings.ASSIGNMENT_LEASE_SECONDS / 60))
    done = queues.progress(queue)
    return page(request, project, role, "offer", queue=queue, progress=done, minutes=minutes)


def take_next(request: HttpRequest, queue: Queue) -> HttpResponse:
    """Lease this reviewer's next item and open it; the page that says why when there is none."""
    assignment = queues.next_assignment(queue, request.user)
    if assignment is None:
        return redirect("queue_next", queue.project.slug, queue.pk)
    return redirect("review", queue.project.slug, assignment.pk)


def nothing_left(request: HttpRequest, project: Project, queue: Queue) -> HttpResponse:
    """Why there is nothing to review, and where to go from here."""
    role = access.require(request.user, project, Role.REVIEWER)
    lead = project.memberships.filter(role__in=(Role.CURATOR, Role.OWNER))
    mine = Assignment.objects.filter(item__queue=queue, user_id=request.user.pk or 0)
    return page(
        request,
        project,
        role,
        "finished",
        queue=queue,
        progress=queues.progress(queue),
        why=queues.why_nothing(queue, request.user),
        screening=gold.screening_of(queue, request.user),
        leads=[m.user.get_username() for m in lead.select_related("user")[:5]],
        judged=mine.filter(state="done").count(),
        skipped=mine.filter(state="skipped").count(),
    )


STATES = {
    "open": Q(judged_enough=False),
    "finished": Q(judged_enough=True),
    "gold": Q(gold__isnull=False),
    "skipped": Q(assignments__state="skipped"),
    "held": Q(assignments__state="open"),
}


def items_of(queue: Queue, query: Any, only: Any = None) -> QuerySet[QueueItem]:
    """A queue's items by state, verdict, decision, person and doubt; texts are not read.

    With ``only`` a filter tells nothing but of this person's own work: what others decided, what
    is gold and what the queue hides is not asked about.
    """
    if only is not None:
        query = own_query(queue, query, only)
    rows = queue.items.select_related("trace__problem").defer(
        "trace__text", "trace__messages", "trace__problem__text"
    )
    # One condition, so that "skipped" and a person mean that this person skipped it.
    rows = rows.annotate(**manage.judged_enough())
    asked = STATES.get(query.get("state"), Q())
    if person := query.get("person"):
        asked &= Q(assignments__user__username=person)
    rows = rows.filter(asked)
    if decision := query.get("decision"):
        by = {} if only is None else {"reviews__user": only}
        rows = rows.filter(reviews__decision=decision, **by)
    if verdict := query.get("verdict"):
        rows = rows.filter(trace__verdicts__verdict=verdict)
    if (doubt := query.get("doubt")) and manage.is_number(doubt.replace(".", "", 1)):
        rows = rows.filter(doubt__gte=float(doubt))
    return rows.distinct().order_by(*queues.ORDER[Queue.Order(queue.order)])


def own_query(queue: Queue, query: Any, user: Any) -> dict[str, str]:
    """What of a query somebody may ask who does not curate."""
    told = {k: v for k, v in query.items() if k in manage.VIEW_KEYS}
    if told.get("state") in ("gold", "skipped", "held"):
        told["person"] = user.get_username()
    if told.get("person") not in (None, "", user.get_username()) or told.get("state") == "gold":
        told = {k: v for k, v in told.items() if k not in ("person", "state")}
    if "verdict" in queue.hide:
        told = {k: v for k, v in told.items() if k not in ("verdict", "doubt")}
    return told


@login_required
def queue_detail(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """A queue's items, with filters, saved views and bulk actions."""
    project = access.access_project(request.user, slug, Role.REVIEWER)
    role = access.require(request.user, project, Role.REVIEWER)
    queue = queue_of(project, pk)
    own = None if curates(role) else request.user
    paginator = Paginator(items_of(queue, request.GET, own), PAGE)
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
        states=[s for s in STATES if own is None or s != "gold"],
        decisions=Review.Decision.choices,
        verdicts=("correct", "incorrect", "unverifiable", "error"),
        open_doubt=own is None or "verdict" not in queue.hide,
        open_savings=own is None or "proposals" not in queue.hide,
        holders=manage.holders(items.object_list, own),
        members=names_of(project, queue),
        gold_items=queue.items.filter(gold__isnull=False).count() if own is None else 0,
        gold_asked=(queue.screening or {}).get("items") or 0,
        actions=manage.ACTIONS,
        policies=sorted(POLICIES),
        orders=Queue.Order.choices,
        hideable=manage.HIDEABLE,
    )


def names_of(project: Project, queue: Queue) -> list[str]:
    """Whom the form offers: members, and who is chosen already, so that saving drops nobody."""
    chosen = {*queue.members, *(queue.screening or {}).get("let_in", [])}
    return sorted(chosen | {m.user.get_username() for m in reviewers_of(project)})


def reviewers_of(project: Project) -> Any:
    """Members who may review, by name."""
    rows = project.memberships.exclude(role=Role.VIEWER).select_related("user")
    return rows.order_by("user__username")[:200]


@login_required
@require_POST
def queue_bulk(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One action on the chosen items."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    queue = queue_of(project, pk)
    chosen = [int(v) for v in request.POST.getlist("item") if manage.is_number(v)]
    try:
        done = manage.bulk(queue, request.POST.get("action", ""), chosen, request.POST)
        dispatch.wake_after_commit()
        left = len(chosen) - done
        note = f", {left} left as they were" if left > 0 else ""
        messages.success(request, f"{done} of {len(chosen)} items changed{note}")
    except BadReview as error:
        messages.error(request, str(error))
    return redirect("queue", slug, pk)


@login_required
@require_POST
def queue_settings(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Overlap, order, people, policy, what is hidden, gold and screening."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    queue = queue_of(project, pk)
    try:
        manage.configure(queue, manage.from_form(request.POST))
        dispatch.wake_after_commit()
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
