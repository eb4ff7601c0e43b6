"""Traces beside each other, and the order that a person gives them; reading without judging."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from curation import access
from curation.models import Project, Trace
from curation.models.project import Role
from reviews import compare, screen
from reviews.comments import comments_json
from reviews.manage import HIDEABLE
from reviews.models import Preference
from reviews.outline import outline
from reviews.submission import BadReview
from reviews.views.common import body_of, login_required, refused


def asked(request: HttpRequest, project: Project) -> list[Trace]:
    """The traces of ``?t=1&t=2``; BadReview where they cannot be compared."""
    ids = [int(v) for v in request.GET.getlist("t") if v.isdigit() and len(v) < 16]
    return compare.traces_of(project, ids)


@login_required
def compare_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Two to four traces of one problem: ``?t=1&t=2``."""
    project = access.access_project(request.user, slug)
    role = access.require(request.user, project, Role.VIEWER)
    try:
        traces = asked(request, project)
    except BadReview as error:
        return render(request, "reviews/finished.html",
                      {"project": project, "problem": str(error)}, status=400)  # fmt: skip
    problem = traces[0].problem
    hidden = screen.hidden_from(request.user, problem.pk)
    columns = compare.columns_of(traces, hidden)
    mine = Preference.objects.filter(problem=problem, user_id=request.user.pk or 0).order_by("-pk")
    state = {
        "traces": [t.pk for t in traces],
        "rows": compare.align(columns),
        "chars": [c.chars for c in columns],
        "starts": [c.starts for c in columns],
    }
    context = {
        "owner": project,
        "problem": problem,
        "columns": columns,
        "clusters": compare.clusters(columns),
        "prefix": compare.shared_prefix(traces),
        "state": state,
        "others": Trace.objects.filter(problem=problem)
        .exclude(pk__in=[t.pk for t in traces])
        .only(*screen.LIGHT)
        .order_by("pk")[:20],
        "show_verdict": "verdict" not in hidden,
        "show_teacher": "teacher" not in hidden,
        "mine": mine.first(),
        "can_review": access.RANK[role] >= access.RANK[Role.REVIEWER],
        "strengths": compare.STRENGTHS[1:],
        "query": "&".join(f"t={t.pk}" for t in traces),
    }
    return render(request, "reviews/compare.html", context)


@login_required
def compare_checks(request: HttpRequest, slug: str) -> JsonResponse:
    """Equations, step scores and last answers of the traces that are compared."""
    return said_of_columns(request, slug, Role.VIEWER, compare.evidence_of)


@login_required
def compare_code(request: HttpRequest, slug: str) -> JsonResponse:
    """What the sandbox says of their Python blocks; it works, so reviewers only may ask."""
    return said_of_columns(request, slug, Role.REVIEWER, compare.code_of)


def said_of_columns(
    request: HttpRequest, slug: str, role: Role, say: Callable[[list[Trace], bool], list[Any]]
) -> JsonResponse:
    """What ``say`` tells of the traces; it is told whether this person may see verdicts now."""
    project = access.access_project(request.user, slug, role)
    try:
        traces = asked(request, project)
    except BadReview as error:
        return refused(error)
    judged = "verdict" not in screen.hidden_from(request.user, traces[0].problem_id)
    return JsonResponse({"columns": say(traces, judged)})


@login_required
@require_POST
def prefer(request: HttpRequest, slug: str) -> JsonResponse:
    """Store an order of traces of one problem."""
    project = access.access_project(request.user, slug, Role.REVIEWER)
    try:
        row = compare.save_preference(project, request.user, body_of(request))
    except BadReview as error:
        return refused(error)
    return JsonResponse({"preference": row.pk, "ranking": row.ranking}, status=201)


@login_required
def read(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """A whole trace to read, with its comments and without a queue."""
    project = access.access_project(request.user, slug)
    trace = access.access_object(request.user, Trace, pk, Role.VIEWER, project)
    segmentation = screen.newest_segmentation(trace)
    pieces = screen.pieces_of(trace, segmentation)
    hidden = screen.hidden_from(request.user, trace.problem_id)
    verdict = "verdict" not in hidden
    answers = screen.answers_of(segmentation, verdict)
    state = {
        "chars": len(trace.text),
        "tokens": trace.token_count or trace.completion_tokens,
        "structure": screen.structure_of(pieces),
        "answers": answers,
        "first": screen.first_box(pieces) if verdict else None,
        "proposals": screen.proposals_of(segmentation) if "proposals" not in hidden else [],
        "comments": comments_json(trace, request.user),
        "readOnly": True,
        "trace": trace.pk,
    }
    context = {
        "owner": project,
        "trace": trace,
        "problem": trace.problem,
        "pieces": pieces,
        "outline": outline(pieces, answers, verdict),
        "text": screen.text_html(pieces, verdict),
        "state": state,
        **{f"show_{thing}": thing not in hidden for thing in HIDEABLE},
        **screen.side_of(trace),
    }
    return render(request, "reviews/read.html", context)
