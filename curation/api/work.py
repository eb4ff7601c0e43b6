"""Resources of the work: jobs, schedules, webhooks, recipes, selections, exports."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import Any

import orjson
from django.db import IntegrityError, transaction
from django.http import FileResponse, Http404, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from curation import jobs, schedules
from curation.api import serializers as shapes
from curation.api.base import Editable, ReadOnly, documented, project_for
from curation.api.errors import Unprocessable
from curation.api.training import body_of
from curation.exports.reading import NoSuchFile, open_export_file
from curation.models import (
    Export,
    IdempotencyKey,
    Job,
    Project,
    Recipe,
    Schedule,
    Selection,
    Webhook,
)
from curation.models.project import Role
from workers import dispatch
from workers.webhooks import check_address

KEY = OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)


@documented("jobs")
class Jobs(ReadOnly):
    """Start work with POST; 202 with the job."""

    queryset = Job.objects.all().select_related("project")
    serializer_class = shapes.JobSerializer
    filters = {"kind": "kind", "state": "state"}
    write_scope = "jobs"

    @extend_schema(
        request=shapes.JobRequest, responses={202: shapes.JobSerializer}, parameters=[KEY]
    )
    def create(self, request: Request) -> Response:
        asked = shapes.JobRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        data = asked.validated_data
        project = project_for(request, data["project"], Role.CURATOR)
        with transaction.atomic():
            job = job_once(request, project, data)
            dispatch.wake_after_commit()
        return Response(self.get_serializer(job).data, status=202)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str | None = None) -> Response:
        job = self.get_object()
        self.check_role(job)
        jobs.request_cancel(job)
        job.refresh_from_db()
        return Response(self.get_serializer(job).data, status=202)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str | None = None) -> Response:
        job = self.get_object()
        self.check_role(job)
        with transaction.atomic():
            again = jobs.retry(job, request.user)
            dispatch.wake_after_commit()
        return Response(self.get_serializer(again).data, status=202)

    @extend_schema(responses=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["get"])
    def log(self, request: Request, pk: str | None = None) -> Response:
        lines = self.get_object().log_lines.order_by("pk").values("created_at", "level", "message")
        return Response({"lines": list(lines[:10_000])})


def job_once(request: Any, project: Any, data: dict[str, Any]) -> Job:
    """The job of this request; the one made before when its Idempotency-Key was seen."""
    key = request.headers.get("Idempotency-Key", "")[:200]
    make = {"project": project, "kind": data["kind"], "params": data["params"]}
    if not key:
        return jobs.create_job(**make, user=request.user)
    body = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
    digest = hashlib.sha256(body).hexdigest()
    try:
        with transaction.atomic():
            row = IdempotencyKey.objects.create(user=request.user, key=key, request_sha256=digest)
            row.job = jobs.create_job(**make, user=request.user)
            row.save(update_fields=["job"])
    except IntegrityError:
        row = IdempotencyKey.objects.select_related("job__project").get(user=request.user, key=key)
    if row.request_sha256 != digest:
        raise Unprocessable("this Idempotency-Key was used for another request")
    assert row.job is not None
    return row.job


@documented("schedules")
class Schedules(Editable):
    """Jobs that start by themselves; cron lines are UTC."""

    queryset = Schedule.objects.all().select_related("project")
    serializer_class = shapes.ScheduleSerializer

    def perform_create(self, serializer: serializers.BaseSerializer[Schedule]) -> None:
        slug = self.request.data.get("project") if hasattr(self.request.data, "get") else None
        project = project_for(self.request, slug, self.write_role)
        self.check_job(project, serializer.validated_data)
        super().perform_create(serializer)

    def perform_update(self, serializer: serializers.BaseSerializer[Schedule]) -> None:
        assert serializer.instance is not None
        self.check_role(serializer.instance)
        as_it_was = {"kind": serializer.instance.kind, "params": serializer.instance.params}
        data = as_it_was | serializer.validated_data
        if {"kind", "params"} & serializer.validated_data.keys() or data.get("enabled"):
            self.check_job(serializer.instance.project, data)
        super().perform_update(serializer)

    def check_job(self, project: Project, data: dict[str, Any]) -> None:
        """As for a job that starts now, on the word of who saves the schedule."""
        schedules.check_work(project, data["kind"], data.get("params") or {}, self.request.user)


@documented("webhooks")
class Webhooks(Editable):
    """Addresses that are told of events, signed after Standard Webhooks; seen by owners only."""

    queryset = Webhook.objects.all().select_related("project")
    serializer_class = shapes.WebhookSerializer
    read_role = write_role = Role.OWNER

    def perform_create(self, serializer: serializers.BaseSerializer[Webhook]) -> None:
        check_url(serializer.validated_data)
        super().perform_create(serializer)

    def perform_update(self, serializer: serializers.BaseSerializer[Webhook]) -> None:
        check_url(serializer.validated_data)
        super().perform_update(serializer)


def check_url(data: dict[str, Any]) -> None:
    """Refuse an address that deliveries would refuse."""
    try:
        if "url" in data:
            check_address(data["url"])
    except ValueError as error:
        raise serializers.ValidationError({"url": str(error)}) from error


@documented("recipes")
class Recipes(mixins.CreateModelMixin, ReadOnly):
    """Recipes; another spec under the same name is a new version."""

    queryset = Recipe.objects.all().select_related("project")
    serializer_class = shapes.RecipeSerializer
    filters = {"name": "name"}

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        from curation.selection.recipe import RecipeError, recipe_from_dict
        from curation.selection.storage import store_recipe

        project = project_for(request, body_of(request).get("project"), Role.CURATOR)
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        data = asked.validated_data
        try:
            recipe = store_recipe(project, recipe_from_dict({**data["spec"], "name": data["name"]}))
        except (RecipeError, TypeError) as error:
            raise serializers.ValidationError({"spec": str(error)}) from error
        return Response(self.get_serializer(recipe).data, status=201)


@documented("selections")
class Selections(ReadOnly):
    queryset = Selection.objects.all().select_related("project", "recipe")
    serializer_class = shapes.SelectionSerializer
    filters = {"recipe": "recipe"}


@documented("exports")
class Exports(ReadOnly):
    """Whole exports; their files can be read one by one."""

    queryset = Export.objects.all().select_related("project")
    serializer_class = shapes.ExportSerializer
    lookup_field = "digest"
    lookup_value_regex = "[0-9a-f]{64}"
    filters = {"selection": "selection", "format": "format"}

    def get_object(self) -> Export:
        export: Export | None = (
            self.get_queryset().filter(digest=self.kwargs["digest"]).order_by("-pk").first()
        )
        if export is None:
            raise Http404("no such export")
        return export

    @extend_schema(responses=OpenApiTypes.BINARY)
    def files(self, request: Request, digest: str, path: str) -> HttpResponseBase:
        export = self.get_object()
        try:
            file = open_export_file(export, path)
        except NoSuchFile as error:
            raise Http404(str(error)) from error
        return FileResponse(file, filename=PurePosixPath(path).name, as_attachment=True)
