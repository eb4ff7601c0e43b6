"""The review screen, and what its script asks for and sends."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_POST

from curation.brakes import TOOLS
from curation.models import Trace
from curation.templatetags.whittle import deceptive
from reviews import codecheck, decisions, evidence, pruning, queues, scores, screen, tokens
from reviews import consequences as effects
from reviews.adjudication import disagreement_of
from reviews.comments import comments_json
from reviews.guidelines import current_guideline
from reviews.models import Assignment, Review
from reviews.outline import outline
from reviews.schema import schema_of
from reviews.submission import number
from reviews.views.common import access_assignment, body_of, login_required, refused
from reviews.views.queues import take_next
from workers import dispatch


def trace_of(assignment: Assignment) -> Trace:
    return Trace.objects.select_related("problem").get(pk=assignment.item.trace_id)


@login_required
def review(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The review screen."""
    assignment = access_assignment(request, slug, pk)
    trace = trace_of(assignment)
    project = assignment.item.queue.project
    schema = schema_of(project)
    segmentation = screen.newest_segmentation(trace)
    pieces = screen.pieces_of(trace, segmentation)
    state = screen.state_of(trace, segmentation, assignment, pieces, schema)
    state["comments"] = comments_json(trace, request.user)
    state["people"] = [m.user.get_username() for m in members_of(project)]
    state["disagreement"] = disagreement_of(assignment)
    verdict_shown = screen.shown(assignment, "verdict")
    context = {
        "owner": project,
        "assignment": assignment,
        "queue": assignment.item.queue,
        "progress": queues.progress(assignment.item.queue),
        "pieces": pieces,
        "outline": outline(pieces, state["answers"], verdict_shown),
        "text": screen.text_html(pieces, verdict_shown),
        "state": state,
        "schema": schema,
        "decisions": Review.Decision.choices,
        "guideline": current_guideline(project),
        "deceptive": deceptive(trace.text),
        **side_context(assignment, trace),
    }
    return render(request, "reviews/review.html", context)


def members_of(project: Any) -> Any:
    return project.memberships.select_related("user").order_by("user__username")[:200]


def side_context(assignment: Assignment, trace: Trace) -> dict[str, Any]:
    """What stands beside the text; hidden things only after the first judgement."""
    return {
        "owner": assignment.item.queue.project,
        "assignment": assignment,
        "trace": trace,
        "problem": trace.problem,
        "show_verdict": screen.shown(assignment, "verdict"),
        "show_teacher": screen.shown(assignment, "teacher"),
        "show_others": screen.shown(assignment, "others"),
        "show_proposals": screen.shown(assignment, "proposals"),
        **screen.side_of(trace),
    }


@login_required
@require_POST
def draft(request: HttpRequest, slug: str, pk: int) -> JsonResponse:
    """Keep what the reviewer has so far, and renew the lease.

    409 with the other draft when it was changed elsewhere since this tab last saw it; what this
    tab sent is kept as a copy, and it may send it again with ``"force": true``.
    """
    assignment = access_assignment(request, slug, pk)
    try:
        data = body_of(request)
    except decisions.BadReview as error:
        return refused(error)
    base, force = data.pop("rev", None), data.pop("force", False) is True
    try:
        rev, other = queues.save_draft(assignment, data, base, force)
        epoch = decisions.integer(data, "epoch")
    except decisions.BadReview as error:
        return refused(error)
    alive = queues.renew(assignment.pk, assignment.epoch if epoch is None else epoch)
    if other is not None:
        found = {"code": "changed_elsewhere", "draft": other, "rev": rev, "lease": alive}
        return JsonResponse(found, status=409)
    return JsonResponse({"saved": True, "rev": rev, "lease": alive, "until": lease_left(pk)})


def lease_left(pk: int) -> float:
    """Seconds until the lease ends, by the database's clock."""
    return queues.seconds_left(pk)


@login_required
@require_POST
def beat(request: HttpRequest, slug: str, pk: int) -> JsonResponse:
    """Renew the lease: somebody is still reading."""
    assignment = access_assignment(request, slug, pk)
    try:
        epoch = decisions.integer(body_of(request), "epoch") or 0
    except decisions.BadReview as error:
        return refused(error)
    alive = queues.renew(assignment.pk, epoch)
    return JsonResponse({"lease": alive, "until": lease_left(pk)})


@login_required
@require_POST
def commit(request: HttpRequest, slug: str, pk: int) -> JsonResponse:
    """The first judgement: stored, and then what the queue hides is shown."""
    assignment = access_assignment(request, slug, pk)
    try:
        data = body_of(request)
        first = decisions.commit(
            assignment, str(data.get("decision")), number(data, "seconds", 1e6)
        )
    except decisions.BadReview as error:
        return refused(error)
    trace = trace_of(assignment)
    segmentation = screen.newest_segmentation(trace)
    pieces = screen.pieces_of(trace, segmentation)
    html = render_to_string("reviews/_evidence.html", side_context(assignment, trace), request)
    return JsonResponse(
        {
            "committed": first,
            "evidence": html,
            "proposals": screen.proposals_of(segmentation),
            "answers": screen.answers_of(segmentation, True),
            "first": screen.first_box(pieces),
        }
    )


def checked_cuts(request: HttpRequest, trace: Trace) -> list[dict[str, Any]]:
    data = {**body_of(request), "decision": "sound"}
    return decisions.check_ranges(trace.text, decisions.parse(data).cuts, "cuts")


@login_required
@require_POST
def preview(request: HttpRequest, slug: str, pk: int) -> JsonResponse:
    """What is left after the cuts, its seams, and what the verifier says; nothing is stored."""
    assignment = access_assignment(request, slug, pk)
    trace = trace_of(assignment)
    judged = screen.shown(assignment, "verdict")
    try:
        cuts = checked_cuts(request, trace)
        with TOOLS.hold(request.user.pk):
            return JsonResponse(pruning.preview(trace, cuts, judged))
    except decisions.BadReview as error:
        return refused(error)


@login_required
@require_POST
def diff(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Before and after the cuts, as a fragment."""
    trace = trace_of(access_assignment(request, slug, pk))
    try:
        rows = pruning.changes(trace.text, checked_cuts(request, trace))
    except decisions.BadReview as error:
        return refused(error)
    return render(request, "reviews/_diff.html", {"rows": rows})


@login_required
@require_POST
def consequences(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """What the judgement as it stands would do to the next export, as a fragment."""
    assignment = access_assignment(request, slug, pk)
    trace = trace_of(assignment)
    try:
        data = body_of(request)
        submission = decisions.parse(data) if data.get("decision") else None
        found = effects.consequences(assignment, trace, submission)
    except decisions.BadReview as error:
        return refused(error)
    told = {"owner_slug": slug, "line": effects.line_of(found), **effects.with_charts(found)}
    return render(request, "reviews/_consequences.html", told)


@login_required
def token_counts(request: HttpRequest, slug: str, pk: int) -> JsonResponse:
    """Tokens of each box in the student's tokenizer; ``exact`` is false without one."""
    assignment = access_assignment(request, slug, pk)
    tokenizer = tokens.tokenizer_of(schema_of(assignment.item.queue.project))
    if tokenizer is None:
        return JsonResponse({"exact": False})
    trace = trace_of(assignment)
    pieces = screen.pieces_of(trace, screen.newest_segmentation(trace))
    starts = tokens.offsets(tokenizer, trace.text)
    bounds = [*(p.start for p in pieces), len(trace.text)]
    counts = tokens.count_in(starts, bounds)
    return JsonResponse({"exact": True, "total": len(starts), "counts": counts})


@login_required
def checks(request: HttpRequest, slug: str, pk: int) -> JsonResponse:
    """Equations that were checked by machine, with their places."""
    trace = trace_of(access_assignment(request, slug, pk))
    return JsonResponse({"checks": evidence.checks_of(trace.text)})


@login_required
def code_checks(request: HttpRequest, slug: str, pk: int) -> JsonResponse:
    """What the sandbox says of the trace's Python blocks."""
    assignment = access_assignment(request, slug, pk)
    trace = trace_of(assignment)
    solving = screen.shown(assignment, "verdict")
    with TOOLS.hold(request.user.pk):
        found = codecheck.code_checks(trace.text, trace.problem, solving)
    return JsonResponse({"checks": found})


@login_required
def step_scores(request: HttpRequest, slug: str, pk: int) -> JsonResponse:
    """What process reward models said of each step; nothing while the queue hides verdicts."""
    assignment = access_assignment(request, slug, pk)
    if not screen.shown(assignment, "verdict"):
        return JsonResponse({"models": [], "hidden": True})
    return JsonResponse({"models": scores.scores_of(trace_of(assignment))})


@login_required
@require_POST
def submit(request: HttpRequest, slug: str, pk: int) -> JsonResponse:
    """Store the judgement; 409 keeps it as a draft when the lease is gone."""
    assignment = access_assignment(request, slug, pk)
    try:
        data = body_of(request)
        epoch = decisions.integer(data, "epoch")
        if epoch is None:
            raise decisions.BadReview("bad_epoch", "epoch: a number is needed")
        stored = decisions.submit(assignment, epoch, decisions.parse(data))
    except decisions.BadReview as error:
        return refused(error)
    except queues.LeaseExpired as error:
        queues.save_draft(assignment, data, None, True)
        detail = f"{error}; what you sent is kept as a draft"
        return JsonResponse({"code": "lease_expired", "detail": detail}, status=409)
    dispatch.wake_after_commit()
    following = reverse("queue_next", args=[slug, assignment.item.queue_id])
    if assignment.adjudicates:
        following = reverse("adjudicate", args=[slug])
    # ``take``: what follows is taken, by a POST; a GET of it would only offer to.
    told = {"review": stored.pk, "next": following, "take": not assignment.adjudicates}
    return JsonResponse(told)


@login_required
@require_POST
def skip(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Give the item back with a reason and go on."""
    assignment = access_assignment(request, slug, pk)
    try:
        queues.skip(assignment, request.POST.get("reason", ""))
    except decisions.BadReview as error:
        messages.error(request, str(error))
        return redirect("review", slug, pk)
    return take_next(request, assignment.item.queue)
