"""Pages that would give away what a queue hides, for people who still have to judge."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from curation.models import Project, Trace
from curation.views.common import page
from reviews.screen import hidden_from, open_reviews


def held_back(
    request: HttpRequest, project: Project, problem_id: int, trace: Trace | None = None
) -> HttpResponse | None:
    """The page shown instead (status 200), or None when nothing is hidden from this person.

    Verdicts, teachers, proposals and other traces stand in many places of these pages, so they
    are held back whole; the page that only reads a trace knows what to leave out.
    """
    hidden = hidden_from(request.user, problem_id)
    if not hidden:
        return None
    return page(
        request,
        project,
        "traces/held_back.html",
        hidden=sorted(hidden),
        trace=trace,
        waiting=open_reviews(request.user, problem_id),
    )
