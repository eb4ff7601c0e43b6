"""What all resources share: scoping to the user's projects, allow-listed filters, roles."""

from __future__ import annotations

from typing import Any, TypeVar

from django.core.exceptions import ValidationError as DjangoError
from django.db.models import BooleanField, Model, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, viewsets

from curation import access
from curation.models import Project
from curation.models.project import Role

M = TypeVar("M", bound=Model)
PROJECT = OpenApiParameter("project", str, description="slug of a project")


def allowed_projects(request: Any, role: Role = Role.VIEWER) -> QuerySet[Project]:
    """The projects in which the caller has the role; a token may be narrowed to one of them."""
    projects = access.projects_of(request.user, role)
    token = request.auth
    if token is not None and token.project_id is not None:
        projects = projects.filter(pk=token.project_id)
    return projects


def project_for(request: Any, slug: Any, role: Role) -> Project:
    """The project named in a request, with the caller's role checked; 404 for a stranger."""
    if not isinstance(slug, str):
        raise serializers.ValidationError({"project": "the slug of a project is needed"})
    project = allowed_projects(request).filter(slug=slug).first()
    if project is None:
        return access.access_project(None_User, slug)  # raises Http404
    access.require(request.user, project, role)
    return project


class _Nobody:
    is_authenticated = is_active = is_superuser = False


None_User = _Nobody()


class Scoped(viewsets.GenericViewSet[Any]):
    """A queryset that ends at the caller's projects; ``?project=slug`` narrows it."""

    project_path = "project"
    # Query parameter -> ORM lookup. Nothing else is ever passed to filter().
    filters: dict[str, str] = {}
    read_role = Role.VIEWER
    write_role = Role.CURATOR
    write_scope = "write"

    def get_queryset(self) -> QuerySet[Any]:
        found = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return found.none()
        mine = allowed_projects(self.request, self.read_role)
        found = found.filter(**{f"{self.project_path}__in": mine})
        query = self.request.query_params
        if "project" in query:
            found = found.filter(**{f"{self.project_path}__slug": query["project"]})
        return self.filtered(found)

    def filtered(self, found: QuerySet[Any]) -> QuerySet[Any]:
        for name, lookup in self.filters.items():
            if name in self.request.query_params:
                given: Any = self.request.query_params[name]
                if given in ("true", "false") and self.is_switch(lookup):
                    given = given == "true"
                try:
                    found = found.filter(**{lookup: given})
                except (TypeError, ValueError, DjangoError) as error:
                    raise serializers.ValidationError({name: "not a possible value"}) from error
        return found

    def is_switch(self, lookup: str) -> bool:
        """Whether a filter is a yes or no of this resource's own rows."""
        rows: QuerySet[Any] = super().get_queryset()
        fields = {f.name: f for f in rows.model._meta.get_fields()}
        counted = rows.query.annotations.get(lookup)
        field = counted.output_field if counted is not None else fields.get(lookup)
        return isinstance(field, BooleanField)

    def check_role(self, item: Any) -> None:
        owner = item
        for part in self.project_path.split("__"):
            owner = getattr(owner, part)
        access.require(self.request.user, owner, self.write_role)


class ReadOnly(mixins.ListModelMixin, mixins.RetrieveModelMixin, Scoped):
    """List and detail."""


class Editable(
    mixins.CreateModelMixin, mixins.UpdateModelMixin, mixins.DestroyModelMixin, ReadOnly
):
    """List, detail, create, change, delete, by the role ``write_role``."""

    def perform_create(self, serializer: serializers.BaseSerializer[Any]) -> None:
        slug = self.request.data.get("project") if hasattr(self.request.data, "get") else None
        serializer.save(project=project_for(self.request, slug, self.write_role))

    def perform_update(self, serializer: serializers.BaseSerializer[Any]) -> None:
        self.check_role(serializer.instance)
        serializer.save()

    def perform_destroy(self, instance: Any) -> None:
        self.check_role(instance)
        instance.delete()


def documented(name: str) -> Any:
    """Names a resource's list parameters in the OpenAPI page."""
    return extend_schema_view(list=extend_schema(parameters=[PROJECT], tags=[name]))
