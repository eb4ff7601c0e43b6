"""API tokens of a project: made, shown once, revoked."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from curation import access
from curation import tokens as domain
from curation.models import ApiToken, Project
from curation.models.project import Role
from curation.views.common import page
from curation.views.forms import TokenForm


def visible(user: Any, project: Project) -> QuerySet[ApiToken]:
    """Tokens narrowed to the project: all of them for an owner, else the user's own; and the
    user's own tokens that reach every project."""
    rows = ApiToken.objects.select_related("user")
    own = Q(user=user, project=None)
    if access.role_in(user, project) == Role.OWNER:
        return rows.filter(Q(project=project) | own)
    return rows.filter(Q(project=project, user=user) | own)


def show(request: HttpRequest, project: Project, form: TokenForm, secret: str = "") -> HttpResponse:
    """The page of tokens; ``secret`` is shown this once."""
    rows = visible(request.user, project).order_by("revoked_at", "-pk")[:200]
    response = page(request, project, "tokens/list.html", tokens=rows, form=form, secret=secret)
    if secret:
        response["Cache-Control"] = "no-store"
    return response


@login_required
def tokens(request: HttpRequest, slug: str) -> HttpResponse:
    """Tokens that reach this project."""
    project = access.access_project(request.user, slug)
    return show(request, project, TokenForm())


@login_required
@require_POST
def token_add(request: HttpRequest, slug: str) -> HttpResponse:
    """Make a token for this project and show its secret once."""
    project = access.access_project(request.user, slug)
    form = TokenForm(request.POST)
    if not form.is_valid():
        return show(request, project, form)
    data = form.cleaned_data
    _, secret = domain.create_token(
        user=request.user,
        scopes=data["scopes"],
        name=data["name"],
        project=project,
        days=data["days"] or None,
    )
    return show(request, project, TokenForm(), secret)


@login_required
@require_POST
def token_revoke(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """End a token at once."""
    project = access.access_project(request.user, slug)
    found = get_object_or_404(visible(request.user, project), pk=pk)
    domain.revoke(found)
    messages.success(request, f"Token {found.prefix}… was revoked.")
    return redirect("tokens", slug)
