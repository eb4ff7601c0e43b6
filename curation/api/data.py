"""Resources of the data: projects, sources, problems, benchmarks, models, traces and what is
known of them."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Count, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from curation import access
from curation.api import serializers as shapes
from curation.api.base import Editable, ReadOnly, allowed_projects, documented, project_for
from curation.grants import approve_endpoint
from curation.judging.imported import MAX_ROWS, import_steps
from curation.models import (
    Benchmark,
    Difficulty,
    Membership,
    ModelEndpoint,
    Problem,
    Project,
    Segment,
    Source,
    Trace,
    Verdict,
)
from curation.models.project import Role


class StepsRequest(serializers.Serializer[Any]):
    project = serializers.CharField(max_length=64)
    rows = serializers.ListField(
        child=serializers.DictField(),
        max_length=MAX_ROWS,
        help_text='{"trace": id, "model": name, "steps": [{"start", "end", "score", "reason"}]}',
    )


class Projects(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.CreateModelMixin,
    mixins.UpdateModelMixin,
    viewsets.GenericViewSet[Project],
):
    """Projects of the caller; whoever makes one owns it."""

    queryset = Project.objects.all()
    serializer_class = shapes.ProjectSerializer
    lookup_field = "slug"
    write_scope = "write"

    def get_queryset(self) -> QuerySet[Project]:
        if getattr(self, "swagger_fake_view", False):
            return Project.objects.none()
        return allowed_projects(self.request)

    def perform_create(self, serializer: serializers.BaseSerializer[Project]) -> None:
        access.require_project_creation(self.request.user)
        token: Any = self.request.auth
        if token is not None and token.project_id is not None:
            raise serializers_error("this token is narrowed to one project")
        with transaction.atomic():
            project = serializer.save()
            user: Any = self.request.user
            Membership.objects.create(project=project, user=user, role=Role.OWNER)

    def perform_update(self, serializer: serializers.BaseSerializer[Project]) -> None:
        assert serializer.instance is not None
        access.require(self.request.user, serializer.instance, Role.OWNER)
        serializer.save()


def serializers_error(message: str) -> serializers.ValidationError:
    return serializers.ValidationError({"project": message})


@documented("sources")
class Sources(mixins.UpdateModelMixin, ReadOnly):
    """Sources; an import makes them."""

    queryset = Source.objects.all().select_related("project")
    serializer_class = shapes.SourceSerializer
    filters = {"name": "name"}

    def perform_update(self, serializer: serializers.BaseSerializer[Source]) -> None:
        self.check_role(serializer.instance)
        serializer.save()


@documented("problems")
class Problems(ReadOnly):
    """Problems; the list leaves texts out."""

    queryset = Problem.objects.all()
    filters = {"source": "source__name", "kind": "kind", "category": "category",
               "held_back": "held_back"}  # fmt: skip

    def get_serializer_class(self) -> Any:
        return shapes.ProblemRow if self.action == "list" else shapes.ProblemDetail

    def get_queryset(self) -> QuerySet[Problem]:
        found = super().get_queryset().select_related("project", "source").defer("embedding")
        if self.action == "list":
            found = found.defer("text", "reference_solution", "tests", "search_text", "embedding")
        return found


@documented("benchmarks")
class Benchmarks(Editable):
    """Evaluation sets that problems are checked against."""

    queryset = Benchmark.objects.all().select_related("project").annotate(size=Count("items"))
    serializer_class = shapes.BenchmarkSerializer

    def perform_create(self, serializer: serializers.BaseSerializer[Benchmark]) -> None:
        from curation.decontamination import add_items

        items = serializer.validated_data.pop("items", [])
        with transaction.atomic():
            super().perform_create(serializer)
            benchmark: Any = serializer.instance
            add_items(benchmark, items)
            benchmark.size = benchmark.items.count()


@documented("teachers")
class Teachers(Editable):
    """Models behind an OpenAI-compatible endpoint: teachers, students, judges."""

    queryset = ModelEndpoint.objects.all().select_related("project")
    serializer_class = shapes.TeacherSerializer
    filters = {"kind": "kind", "name": "name"}

    def perform_create(self, serializer: serializers.BaseSerializer[ModelEndpoint]) -> None:
        slug = self.request.data.get("project") if hasattr(self.request.data, "get") else None
        project = project_for(self.request, slug, self.write_role)
        with transaction.atomic():
            approve_endpoint(project, serializer.validated_data, None, self.request.user)
            serializer.save(project=project)

    def perform_update(self, serializer: serializers.BaseSerializer[ModelEndpoint]) -> None:
        old: Any = serializer.instance
        self.check_role(old)
        with transaction.atomic():
            approve_endpoint(old.project, serializer.validated_data, old, self.request.user)
            serializer.save()


@documented("traces")
class Traces(ReadOnly):
    """Traces; the list leaves texts out."""

    queryset = Trace.objects.all().select_related("project")
    filters = {"problem": "problem", "source": "source__name", "model": "model",
               "origin": "origin", "verdict": "verdicts__verdict"}  # fmt: skip

    def get_serializer_class(self) -> Any:
        return shapes.TraceRow if self.action == "list" else shapes.TraceDetail

    def get_queryset(self) -> QuerySet[Trace]:
        found: QuerySet[Trace] = super().get_queryset()
        if self.action == "list":
            found = found.defer("text", "messages", "manifest", "upstream", "metadata", "sampling")
        return found.distinct() if "verdict" in self.request.query_params else found


@documented("verdicts")
class Verdicts(ReadOnly):
    """Verdicts of every verifier; those of process reward models hold a score for each step."""

    queryset = Verdict.objects.all()
    serializer_class = shapes.VerdictSerializer
    project_path = "trace__project"
    filters = {"trace": "trace", "verifier": "verifier", "verdict": "verdict"}

    @extend_schema(request=StepsRequest, responses={201: OpenApiTypes.OBJECT})
    @action(detail=False, methods=["post"])
    def steps(self, request: Request) -> Response:
        """Store step scores that a process reward model gave elsewhere; a bad row is told, and the
        others are stored."""
        asked = StepsRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        project = project_for(request, asked.validated_data["project"], Role.CURATOR)
        return Response(import_steps(project, asked.validated_data["rows"]), status=201)


@documented("difficulties")
class Difficulties(ReadOnly):
    queryset = Difficulty.objects.all()
    serializer_class = shapes.DifficultySerializer
    project_path = "problem__project"
    filters = {"problem": "problem", "model": "model"}


@documented("segments")
class Segments(ReadOnly):
    queryset = Segment.objects.all().select_related("segmentation")
    serializer_class = shapes.SegmentSerializer
    project_path = "segmentation__trace__project"
    filters = {"trace": "segmentation__trace", "kind": "kind"}
