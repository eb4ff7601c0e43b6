"""Who may do what. One function per kind of object; each view calls one on its first line.

A stranger gets ``Http404``, the same as for an id that does not exist; a member whose role does
not reach gets ``PermissionDenied``.
"""

from __future__ import annotations

from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import Http404

from curation.models import (
    Benchmark,
    BenchmarkHit,
    ContinuationProbe,
    DuplicateCluster,
    Export,
    Job,
    JudgePrompt,
    Membership,
    ModelEndpoint,
    Problem,
    Project,
    Recipe,
    ReferenceDispute,
    RefineAnswer,
    Schedule,
    Selection,
    Source,
    Trace,
    TrainingRun,
    Webhook,
)
from curation.models.project import Role

M = TypeVar("M", bound=Model)
RANK = {Role.VIEWER: 0, Role.REVIEWER: 1, Role.CURATOR: 2, Role.OWNER: 3}
VIEWER, REVIEWER, CURATOR, OWNER = Role.VIEWER, Role.REVIEWER, Role.CURATOR, Role.OWNER
# Path from a model to its project, for the scoping of querysets.
PROJECT_PATH: dict[type[Model], str] = {
    Source: "project",
    Problem: "project",
    Trace: "project",
    Benchmark: "project",
    BenchmarkHit: "problem__project",
    DuplicateCluster: "project",
    ModelEndpoint: "project",
    Recipe: "project",
    Selection: "project",
    Export: "project",
    TrainingRun: "project",
    JudgePrompt: "project",
    ReferenceDispute: "problem__project",
    ContinuationProbe: "trace__project",
    RefineAnswer: "trace__project",
    Job: "project",
    Schedule: "project",
    Webhook: "project",
}


def role_in(user: Any, project: Project) -> Role | None:
    """The user's role in the project, or None; a superuser owns every project."""
    if not user.is_authenticated or not user.is_active:
        return None
    if user.is_superuser:
        return Role.OWNER
    value = Membership.objects.filter(project=project, user=user).values_list("role", flat=True)
    return Role(value[0]) if value else None


def may_create_project(user: Any) -> bool:
    """Whether the user may make a project, and own it: see the setting PROJECT_CREATION."""
    if not user.is_authenticated or not user.is_active:
        return False
    if settings.PROJECT_CREATION == "everyone":
        return True
    if user.is_superuser:
        return True
    # One query, where has_perm makes two on each list of projects.
    right = Permission.objects.filter(content_type__app_label="curation", codename="add_project")
    return right.filter(Q(user=user) | Q(group__user=user)).exists()


def require_project_creation(user: Any) -> None:
    """PermissionDenied, with what to do, for a user who may make no project."""
    if not may_create_project(user):
        raise PermissionDenied(
            "Projects are made by administrators: ask one to make it, or to allow you to make"
            " projects (on the server: manage.py allow_projects NAME).",
        )


def projects_of(user: Any, role: Role = Role.VIEWER) -> QuerySet[Project]:
    """All projects in which the user has at least ``role``."""
    if not user.is_authenticated:
        return Project.objects.none()
    if user.is_superuser:
        return Project.objects.all()
    enough = [each for each in RANK if RANK[each] >= RANK[role]]
    return Project.objects.filter(memberships__user=user, memberships__role__in=enough)


def require(user: Any, project: Project, role: Role) -> Role:
    """The user's role, if it reaches ``role``."""
    have = role_in(user, project)
    if have is None:
        raise Http404("no such project")
    if RANK[have] < RANK[role]:
        raise PermissionDenied(f"this needs the role {role.value}; you are {have.value}")
    return have


def require_administrator(user: Any) -> None:
    """Raise unless the user administers this copy (a superuser), whatever the project."""
    if not (user.is_authenticated and user.is_active and user.is_superuser):
        raise PermissionDenied("this needs an administrator of this copy of Whittle")


def access_project(user: Any, slug: str, role: Role = Role.VIEWER) -> Project:
    """The project ``slug`` if the user has ``role`` in it."""
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        raise Http404("no such project")
    require(user, project, role)
    return project


def access_object(
    user: Any, model: type[M], pk: object, role: Role = Role.VIEWER, project: Project | None = None
) -> M:
    """The object ``pk`` of a project in which the user has ``role``.

    With ``project`` given, an object of another project does not exist.
    """
    path = PROJECT_PATH[model]
    found = scoped(user, model).filter(pk=pk).select_related(path)
    if project is not None:
        found = found.filter(**{path: project})
    item = found.first()
    if item is None:
        raise Http404(f"no such {model._meta.verbose_name}")
    owner: Any = item
    for part in path.split("__"):
        owner = getattr(owner, part)
    require(user, owner, role)
    return item


def scoped(user: Any, model: type[M]) -> QuerySet[M]:
    """All objects of ``model`` in projects that the user may see."""
    manager = model._default_manager
    if not user.is_authenticated:
        return manager.none()
    if user.is_superuser:
        return manager.all()
    return manager.filter(**{f"{PROJECT_PATH[model]}__memberships__user": user})
