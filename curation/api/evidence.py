"""Resources of evidence: judge prompts and votes, pseudo-references, disputes, reward series,
levels of a student, and the calibration of puzzle generators."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.base import PROJECT, ReadOnly, documented, project_for
from curation.difficulty import measures
from curation.difficulty.levels import WEIGHTS, sample_to
from curation.disputes import decide_dispute
from curation.judging.prompts import store_prompt
from curation.models import (
    DisputeDecision,
    JudgePrompt,
    JudgeVote,
    PseudoReference,
    ReferenceDispute,
    RewardSeries,
)
from curation.models.project import Role
from curation.puzzles import calibration

MAX_SERIES = 20_000


class JudgePromptSerializer(serializers.ModelSerializer[JudgePrompt]):
    project: Any = serializers.SlugRelatedField(slug_field="slug", read_only=True)

    class Meta:
        model = JudgePrompt
        fields = ["id", "project", "name", "version", "spec", "sha256", "created_at"]


class PromptRequest(serializers.Serializer[Any]):
    project = serializers.CharField(max_length=64)
    spec = serializers.DictField()


class JudgeVoteSerializer(serializers.ModelSerializer[JudgeVote]):
    class Meta:
        model = JudgeVote
        fields = [
            "id", "trace", "other", "judge", "verifier", "version", "order", "round", "number",
            "verdict", "score", "location", "reason", "text", "manifest", "created_at",
        ]  # fmt: skip


class PseudoReferenceSerializer(serializers.ModelSerializer[PseudoReference]):
    class Meta:
        model = PseudoReference
        fields = [
            "id", "problem", "method", "params", "answer", "votes", "total", "share", "table",
            "models_voting", "updated_at",
        ]  # fmt: skip


class DisputeSerializer(serializers.ModelSerializer[ReferenceDispute]):
    decision = serializers.CharField(source="current", read_only=True, allow_null=True)

    class Meta:
        model = ReferenceDispute
        fields = [
            "id", "problem", "reason", "reference", "majority", "votes", "total", "share", "table",
            "third_model", "third_answer", "suggestion", "decision", "created_at",
        ]  # fmt: skip


class DecisionRequest(serializers.Serializer[Any]):
    decision = serializers.ChoiceField(choices=DisputeDecision.Decision.choices)
    new_reference = serializers.CharField(required=False, allow_blank=True, max_length=20_000)
    note = serializers.CharField(required=False, allow_blank=True, max_length=10_000)


class RewardSeriesSerializer(serializers.ModelSerializer[RewardSeries]):
    class Meta:
        model = RewardSeries
        fields = ["id", "problem", "run", "model", "values", "created_at"]


class SeriesRequest(serializers.Serializer[Any]):
    project = serializers.CharField(max_length=64)
    run = serializers.CharField(max_length=100)
    model = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    series = serializers.ListField(
        child=serializers.DictField(),
        max_length=MAX_SERIES,
        help_text='rows as {"problem": id, "values": [0, 0.5, null, 1]}',
    )


@documented("judge-prompts")
class JudgePrompts(ReadOnly):
    """The project's own judge prompts; a change is a new version."""

    queryset = JudgePrompt.objects.all().select_related("project")
    serializer_class = JudgePromptSerializer
    filters = {"name": "name"}

    @extend_schema(request=PromptRequest, responses={201: JudgePromptSerializer})
    def create(self, request: Request) -> Response:
        asked = PromptRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        project = project_for(request, asked.validated_data["project"], Role.CURATOR)
        try:
            stored = store_prompt(project, asked.validated_data["spec"], request.user)
        except ValueError as problem:
            raise serializers.ValidationError({"spec": str(problem)}) from problem
        return Response(self.get_serializer(stored).data, status=201)


@documented("judge-votes")
class JudgeVotes(ReadOnly):
    """Every answer a judge gave, with its text."""

    queryset = JudgeVote.objects.all()
    serializer_class = JudgeVoteSerializer
    project_path = "trace__project"
    filters = {"trace": "trace", "verifier": "verifier"}


@documented("pseudo-references")
class PseudoReferences(ReadOnly):
    """What attempts agree on; no references."""

    queryset = PseudoReference.objects.all()
    serializer_class = PseudoReferenceSerializer
    project_path = "problem__project"
    filters = {"problem": "problem", "method": "method"}


@documented("disputes")
class Disputes(ReadOnly):
    """Disputed references; ``decide`` appends a decision."""

    queryset = ReferenceDispute.objects.all().select_related("problem__project")
    serializer_class = DisputeSerializer
    project_path = "problem__project"
    filters = {"reason": "reason", "suggestion": "suggestion", "problem": "problem"}

    def get_queryset(self) -> QuerySet[Any]:
        newest = DisputeDecision.objects.filter(dispute=OuterRef("pk")).order_by("-pk")
        current = Subquery(newest.values("decision")[:1])
        found: QuerySet[Any] = super().get_queryset().annotate(current=current)
        return found

    @extend_schema(request=DecisionRequest, responses={201: DisputeSerializer})
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, pk: str | None = None) -> Response:
        found = self.get_object()
        asked = DecisionRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        data = asked.validated_data
        replaces = data["decision"] == DisputeDecision.Decision.REPLACE
        role = Role.CURATOR if replaces else Role.REVIEWER
        project_for(request, found.problem.project.slug, role)
        try:
            decide_dispute(
                found, request.user, data["decision"],
                new_reference=data.get("new_reference", ""), note=data.get("note", ""),
            )  # fmt: skip
        except ValueError as problem:
            raise serializers.ValidationError({"decision": str(problem)}) from problem
        return Response(self.get_serializer(self.get_object()).data, status=201)


@documented("reward-series")
class RewardSeriesSet(mixins.CreateModelMixin, ReadOnly):
    """Rewards of problems over a training run; POST stores many rows of one run."""

    queryset = RewardSeries.objects.all()
    serializer_class = RewardSeriesSerializer
    project_path = "problem__project"
    filters = {"problem": "problem", "run": "run"}

    @extend_schema(request=SeriesRequest, responses={201: OpenApiTypes.OBJECT})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        asked = SeriesRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        data = asked.validated_data
        project = project_for(request, data["project"], Role.CURATOR)
        try:
            counts = measures.import_rewards(project, data["run"], data["model"], data["series"])
        except ValueError as problem:
            raise serializers.ValidationError({"run": str(problem)}) from problem
        return Response(counts, status=201)

    @extend_schema(
        responses=OpenApiTypes.OBJECT, parameters=[PROJECT, OpenApiParameter("run", str)]
    )
    @action(detail=False, methods=["get"])
    def scores(self, request: Request) -> Response:
        """LIM (None: undefined), historical variance and weakness of each problem of a run."""
        query = request.query_params
        project = project_for(request, query.get("project"), Role.VIEWER)
        rows = measures.reward_rows(project, query.get("run", ""))
        shown = [
            {"problem": r.problem, "lim": r.lim, "variance": r.variance, "ddof": 0,
             "weakness": r.weakness}
            for r in rows[:MAX_SERIES]
        ]  # fmt: skip
        return Response({"results": shown})


class LevelSample(APIView):
    """Levels of problems for a named student, and a sample to a target histogram."""

    write_scope = "read"

    @extend_schema(
        responses=OpenApiTypes.OBJECT,
        tags=["difficulties"],
        parameters=[
            PROJECT,
            OpenApiParameter("model", str),
            OpenApiParameter("sampling_hash", str),
            OpenApiParameter("policy", str),
            OpenApiParameter("total", int),
            OpenApiParameter("seed", int),
        ],
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        project = project_for(request, query.get("project"), Role.VIEWER)
        total, seed = (_whole(query.get(name, "0"), name) for name in ("total", "seed"))
        group = measures.Group(
            query.get("model", ""), query.get("sampling_hash", ""), query.get("policy", "checked")
        )
        levels = measures.levels(project, group)
        drawn = sample_to({pk: one.level for pk, one in levels.items()}, total, WEIGHTS, seed)
        return Response(
            {
                "weights": WEIGHTS,
                "available": drawn.available,
                "wanted": drawn.wanted,
                "shortage": drawn.shortage,
                "problems": drawn.ids,
            }
        )


def _whole(given: str, name: str) -> int:
    if not given.isascii() or not given.isdigit() or len(given) > 9:
        raise serializers.ValidationError({name: "a whole number"})
    return int(given)


class Calibrations(APIView):
    """How models fared with the settings of puzzle generators."""

    write_scope = "read"

    @extend_schema(
        responses=OpenApiTypes.OBJECT,
        tags=["difficulties"],
        parameters=[PROJECT, OpenApiParameter("generator", str)],
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        project = project_for(request, query.get("project"), Role.VIEWER)
        rows = [
            {
                "generator": row.setting.generator,
                "level": row.setting.level,
                "knobs": row.setting.knobs,
                "difficulty": row.formula,
                "model": row.model,
                "sampling_hash": row.sampling_hash,
                "policy": row.policy,
                "puzzles": row.problems,
                "correct": row.correct,
                "graded": row.graded,
                "pass_rate": row.rate,
            }
            for row in calibration(project, query.get("generator") or None)
        ]
        return Response({"results": rows})
