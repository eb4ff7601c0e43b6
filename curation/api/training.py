"""The trainer's side of the API; the shapes are written down in docs/training.md."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from curation import access, training
from curation.api.base import ReadOnly, documented, project_for
from curation.api.errors import Conflict
from curation.api.pagination import IdCursorPagination
from curation.models import Export, Problem, TrainingRun
from curation.models.project import Role


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object of a request."""
    if not isinstance(request.data, dict):
        raise serializers.ValidationError({"detail": "an object is needed"})
    return request.data


def epoch_of(request: Request) -> int | None:
    """``?epoch=``, by which a trainer says which taking of the run it speaks for."""
    given = request.query_params.get("epoch")
    if given is None:
        return None
    if not given.isdecimal():
        raise serializers.ValidationError({"epoch": "a whole number"})
    return int(given)


@contextmanager
def conflicts() -> Iterator[None]:
    """409 for a trainer that does not have the run."""
    try:
        yield
    except training.NotYours as error:
        raise Conflict(str(error)) from error


class RunSerializer(serializers.ModelSerializer[TrainingRun]):
    project: Any = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    export = serializers.CharField(source="export.digest", read_only=True)
    method = serializers.SerializerMethodField()
    base_model = serializers.SerializerMethodField()
    config = serializers.SerializerMethodField()
    last_step = serializers.IntegerField(source="step", read_only=True)

    class Meta:
        model = TrainingRun
        fields = [
            "id", "project", "name", "state", "export", "method", "base_model", "config", "worker",
            "epoch", "last_step", "total_steps", "error", "model_path", "student", "summary",
            "created_at", "started_at", "finished_at",
        ]  # fmt: skip

    def get_method(self, run: TrainingRun) -> str:
        return str(run.config.get("method", "sft"))

    def get_base_model(self, run: TrainingRun) -> str:
        return str(run.config.get("base_model", ""))

    def get_config(self, run: TrainingRun) -> dict[str, Any]:
        return dict(run.config.get("config") or {})


class RunRequest(serializers.Serializer[Any]):
    project = serializers.CharField()
    export = serializers.CharField(help_text="id of a finished export")
    name = serializers.CharField(required=False, default="", max_length=100)
    method = serializers.ChoiceField(choices=["sft", "dpo"], required=False)
    config = serializers.DictField(required=False, default=dict)


class HeldBackSerializer(serializers.ModelSerializer[Problem]):
    class Meta:
        model = Problem
        fields = ["id", "text", "kind", "reference_answer"]


@documented("training-runs")
class TrainingRuns(ReadOnly):
    """Training runs; a trainer takes queued ones and reports back."""

    queryset = TrainingRun.objects.all().select_related("project", "export__selection")
    serializer_class = RunSerializer
    filters = {"state": "state"}
    write_scope = "train"

    @extend_schema(request=RunRequest, responses={201: RunSerializer})
    def create(self, request: Request) -> Response:
        asked = RunRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        data = asked.validated_data
        project = project_for(request, data["project"], Role.CURATOR)
        export = Export.objects.filter(project=project, digest=data["export"]).last()
        if export is None:
            raise Http404("no such export")
        run = training.create_run(
            project=project,
            export=export,
            config=data["config"],
            name=data["name"],
            method=data.get("method", ""),
        )
        return Response(self.get_serializer(run).data, status=201)

    def held(self) -> TrainingRun:
        """The run of this request, for its trainer to write to."""
        run: TrainingRun = self.get_object()
        access.require(self.request.user, run.project, Role.CURATOR)
        return run

    def living(self) -> TrainingRun:
        run = self.held()
        if run.state not in {TrainingRun.State.RUNNING, TrainingRun.State.CANCELLED}:
            raise Conflict("this run is not running")
        return run

    @extend_schema(request=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str | None = None) -> Response:
        run = self.held()
        worker = str(body_of(request).get("worker") or "")[:200]
        if not worker:
            raise serializers.ValidationError({"worker": "a name is needed"})
        versions = orjson.dumps(body_of(request).get("versions") or {}).decode()
        with conflicts():
            training.take(run, worker, versions)
        return Response(self.get_serializer(run).data)

    @extend_schema(request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["post"])
    def metrics(self, request: Request, pk: str | None = None) -> Response:
        run = self.living()
        if not isinstance(request.data, list):
            raise serializers.ValidationError({"metrics": "a list is needed"})
        try:
            with conflicts():
                accepted = training.record_metrics(run, request.data, epoch_of(request))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise serializers.ValidationError({"metrics": f"bad item: {error}"}) from error
        return Response({"accepted": accepted, "state": run.state})

    @extend_schema(responses=HeldBackSerializer(many=True))
    @action(detail=True, methods=["get"], url_path="held-back")
    def held_back(self, request: Request, pk: str | None = None) -> Response:
        pages = IdCursorPagination()
        page = pages.paginate_queryset(training.held_back(self.get_object()), request, self)
        return pages.get_paginated_response(HeldBackSerializer(page, many=True).data)

    @extend_schema(request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["post"])
    def evaluations(self, request: Request, pk: str | None = None) -> Response:
        run = self.living()
        with conflicts():
            training.record_evaluation(run, body_of(request), epoch_of(request))
        return Response({"state": run.state})

    @extend_schema(request=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["post"])
    def finish(self, request: Request, pk: str | None = None) -> Response:
        run = self.held()
        with conflicts():
            training.finish(run, body_of(request))
        run.refresh_from_db()
        return Response(self.get_serializer(run).data)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str | None = None) -> Response:
        run = self.held()
        training.cancel(run)
        run.refresh_from_db()
        return Response(self.get_serializer(run).data)
