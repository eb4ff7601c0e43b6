"""Comments, notices, adjudication, quality."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from curation import access
from curation.models import Trace
from curation.models.project import Role
from reviews import adjudication, comments, figures, quality, queues
from reviews.manage import is_number
from reviews.models import Comment, Queue, QueueItem, Review
from reviews.submission import BadReview
from reviews.views.common import body_of, login_required, page, refused


def trace_in(request: HttpRequest, slug: str, pk: int, role: Role) -> Trace:
    project = access.access_project(request.user, slug, role)
    return access.access_object(request.user, Trace, pk, role, project)


@login_required
@require_POST
def comment_add(request: HttpRequest, slug: str, pk: int) -> JsonResponse:
    """A comment on a range of a trace, or on the whole."""
    trace = trace_in(request, slug, pk, Role.REVIEWER)
    try:
        row = comments.add_comment(trace, request.user, body_of(request))
    except BadReview as error:
        return refused(error)
    return JsonResponse(comments.comment_json(row, request.user), status=201)


def comment_in(request: HttpRequest, slug: str, pk: int, comment: int) -> Comment:
    trace = trace_in(request, slug, pk, Role.REVIEWER)
    row = Comment.objects.filter(trace=trace, pk=comment).select_related("user").first()
    if row is None:
        raise Http404("no such comment")
    return row


@login_required
@require_POST
def comment_edit(request: HttpRequest, slug: str, pk: int, comment: int) -> JsonResponse:
    """New words for one's own comment, or with ``{"delete": true}`` none any more."""
    row = comment_in(request, slug, pk, comment)
    try:
        data = body_of(request)
        if data.get("delete") is True:
            comments.delete_comment(row, request.user)
        else:
            comments.edit_comment(row, request.user, data)
    except BadReview as error:
        return refused(error)
    return JsonResponse(comments.comment_json(row, request.user))


@login_required
@require_POST
def comment_resolve(request: HttpRequest, slug: str, pk: int, comment: int) -> JsonResponse:
    """Mark a comment as settled, or open it again."""
    row = comment_in(request, slug, pk, comment)
    comments.resolve(row, row.resolved_at is None)
    row.refresh_from_db()
    return JsonResponse(comments.comment_json(row, request.user))


@login_required
def notices(request: HttpRequest, slug: str) -> HttpResponse:
    """What waits for the reader of the page; POST marks all as read."""
    project = access.access_project(request.user, slug)
    role = access.require(request.user, project, Role.VIEWER)
    if request.method == "POST":
        chosen = request.POST.get("notice") or ""
        url = comments.mark_read(project, request.user, int(chosen) if is_number(chosen) else None)
        return redirect(url) if url else redirect("notices", slug)
    return page(request, project, role, "notices", rows=comments.notices(project, request.user))


@login_required
def adjudicate(request: HttpRequest, slug: str) -> HttpResponse:
    """Items that reviewers disagree on; POST opens one for the person who settles it."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    role = access.require(request.user, project, Role.CURATOR)
    if request.method == "POST":
        item = QueueItem.objects.filter(
            queue__project=project, pk=request.POST.get("item") or 0
        ).first()
        if item is None:
            raise Http404("no such item")
        try:
            return redirect("review", slug, adjudication.begin(item, request.user).pk)
        except BadReview as error:
            messages.error(request, str(error))
            return redirect("adjudicate", slug)
    rows = [(item, adjudication.views_of(item)) for item in adjudication.disputed(project)[:100]]
    settled = (
        Review.objects.filter(item__queue__project=project, adjudicates=True)
        .select_related("user", "item__queue")
        .order_by("-pk")[:20]
    )
    return page(request, project, role, "adjudicate", rows=rows, settled=settled)


@login_required
def quality_page(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Progress, people and agreement of a queue."""
    project = access.access_project(request.user, slug, Role.REVIEWER)
    role = access.require(request.user, project, Role.REVIEWER)
    queue = Queue.objects.filter(project=project, pk=pk).first()
    if queue is None:
        raise Http404("no such queue")
    curates = access.RANK[role] >= access.RANK[Role.CURATOR]
    everyone = quality.people_for(queue, request.user, curates=curates)
    days = quality.over_time(queue) if curates else []
    return page(
        request,
        project,
        role,
        "quality",
        queue=queue,
        progress=queues.progress(queue),
        people=everyone,
        agreement=quality.agreement_of(queue) if curates else None,
        days=list(reversed(days)),
        pictures={
            "agreement": figures.agreement_picture(days),
            "throughput": figures.throughput_picture(days),
            "coverage": figures.coverage_picture(quality.seen(queue)),
        }
        if curates
        else {},
        gold=figures.gold_picture(everyone) if any(p.answered for p in everyone) else "",
    )
