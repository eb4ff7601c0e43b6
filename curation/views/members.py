"""Members of a project: invite, change role, remove, disable an account, reset a password."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.views.decorators.http import require_POST

from curation import access
from curation.models import Membership, Project
from curation.models.project import Role
from curation.views.common import page
from curation.views.forms import InviteForm, RoleForm

User = get_user_model()


def members_of(project: Project) -> list[Membership]:
    """All memberships with their users, by name."""
    rows = Membership.objects.filter(project=project).select_related("user")
    return list(rows.order_by("user__username"))


def may_manage_account(actor: Any, target: Any) -> bool:
    """Whether ``actor`` may disable ``target`` or set its password.

    Whoever can set a password can become that person, so an owner may do so only where this gives
    no more than the owner has: the target is in no project that the actor does not own.
    """
    if actor.is_superuser:
        return True
    if target.is_superuser:
        return False
    owned = Membership.objects.filter(user=actor, role=Role.OWNER).values("project")
    return not Membership.objects.filter(user=target).exclude(project__in=owned).exists()


def last_owner(membership: Membership) -> bool:
    """Whether the project would be without an owner if this one went."""
    owners = Membership.objects.filter(
        project_id=membership.project_id, role=Role.OWNER, user__is_active=True
    )
    return membership.role == Role.OWNER and not owners.exclude(pk=membership.pk).exists()


def password_link(request: HttpRequest, user: Any) -> str:
    """A link with which the user can set a password once."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    path = reverse("password_set", args=[uid, default_token_generator.make_token(user)])
    return request.build_absolute_uri(path)


@login_required
def members(request: HttpRequest, slug: str) -> HttpResponse:
    """Who is in the project."""
    project = access.access_project(request.user, slug)
    return show(request, project, InviteForm())


def show(
    request: HttpRequest, project: Project, form: InviteForm, *, link: str = "", whose: str = ""
) -> HttpResponse:
    """The page of members, with a password link where one was just made."""
    return page(
        request,
        project,
        "members/list.html",
        members=members_of(project),
        roles=Role.choices,
        form=form,
        link=link,
        whose=whose,
    )


@login_required
@require_POST
def member_invite(request: HttpRequest, slug: str) -> HttpResponse:
    """Add a person; someone without an account gets one, and the owner a link to pass on."""
    project = access.access_project(request.user, slug, Role.OWNER)
    form = InviteForm(request.POST)
    if not form.is_valid():
        return show(request, project, form)
    with transaction.atomic():
        user, created = User.objects.get_or_create(username=form.cleaned_data["username"])
        if created:
            user.set_unusable_password()
            user.save()
        member, joined = Membership.objects.get_or_create(
            project=project, user=user, defaults={"role": form.cleaned_data["role"]}
        )
    if not joined:
        form.add_error("username", f"{user.get_username()} is {member.role} here already.")
        return show(request, project, form)
    link = password_link(request, user) if created else ""
    return show(request, project, InviteForm(), link=link, whose=user.get_username())


def membership(request: HttpRequest, slug: str, pk: int) -> tuple[Project, Membership]:
    """The project, if the user owns it, and one membership in it."""
    project = access.access_project(request.user, slug, Role.OWNER)
    rows = Membership.objects.select_related("user")
    return project, get_object_or_404(rows, pk=pk, project=project)


@login_required
@require_POST
def member_role(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Change a member's role; a project keeps an owner."""
    _, found = membership(request, slug, pk)
    form = RoleForm(request.POST)
    if not form.is_valid():
        messages.error(request, "There is no such role.")
    elif form.cleaned_data["role"] != Role.OWNER and last_owner(found):
        messages.error(request, "A project needs an owner: make another one first.")
    else:
        Membership.objects.filter(pk=found.pk).update(role=form.cleaned_data["role"])
        messages.success(request, f"{found.user} is {form.cleaned_data['role']} now.")
    return redirect("members", slug)


@login_required
@require_POST
def member_remove(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Take a person out of the project; what they judged stays."""
    _, found = membership(request, slug, pk)
    if last_owner(found):
        messages.error(request, "A project needs an owner: make another one first.")
    else:
        found.delete()
        messages.success(request, f"{found.user} was removed from the project.")
    return redirect("members", slug)


@login_required
@require_POST
def member_disable(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Switch an account off or on again; its tokens and sessions go dead with it."""
    _, found = membership(request, slug, pk)
    user: Any = found.user
    if not may_manage_account(request.user, user) or user == request.user:
        messages.error(request, "This account is not yours to switch: remove the member instead.")
    elif user.is_active and last_owner(found):
        messages.error(request, "A project needs an owner: make another one first.")
    else:
        User.objects.filter(pk=user.pk).update(is_active=not user.is_active)
        messages.success(request, f"{user} is {'disabled' if user.is_active else 'enabled'} now.")
    return redirect("members", slug)


@login_required
@require_POST
def member_password(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Make a link with which a member sets a new password."""
    project, found = membership(request, slug, pk)
    if not may_manage_account(request.user, found.user):
        messages.error(request, "Only an administrator may reset this account's password.")
        return redirect("members", slug)
    link = password_link(request, found.user)
    return show(request, project, InviteForm(), link=link, whose=str(found.user))
