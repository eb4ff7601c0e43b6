"""What the pages of people share: access to an assignment, JSON in and out."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from curation import access
from curation.models import Project
from curation.models.project import Role
from reviews.decisions import BadReview
from reviews.models import Assignment, Notification

MAX_BODY = 4_000_000

__all__ = ["MAX_BODY", "access_assignment", "body_of", "login_required", "page", "refused"]


def page(
    request: HttpRequest, project: Project, role: Role, template: str, **context: Any
) -> HttpResponse:
    """A page of the project, with what its role may do and how many notices wait."""
    rank = access.RANK[role]
    mine = Notification.objects.filter(user_id=request.user.pk or 0, project=project)
    context |= {
        "project": project,
        "role": role,
        "can_review": rank >= access.RANK[Role.REVIEWER],
        "can_curate": rank >= access.RANK[Role.CURATOR],
        "waiting": mine.filter(read_at=None).count(),
    }
    return render(request, f"reviews/{template}.html", context)


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


def body_of(request: HttpRequest) -> dict[str, Any]:
    """The JSON object of a request; BadReview when there is none."""
    if len(request.body) > MAX_BODY:
        raise BadReview("too_large", "the submission is too large")
    try:
        data = json.loads(request.body)
    except ValueError as error:
        raise BadReview("bad_json", "not JSON") from error
    if not isinstance(data, dict):
        raise BadReview("bad_json", "an object is needed")
    return data


def refused(error: BadReview) -> JsonResponse:
    return JsonResponse({"code": error.code, "detail": str(error)}, status=400)
