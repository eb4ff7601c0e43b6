"""Resources of what was found: copies, overlap with benchmarks, deliveries, agreement of verdicts.

People's decisions on the first two go through the same functions as on the pages.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Prefetch, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation import agreement, decontamination, dedup
from curation.api.base import PROJECT, ReadOnly, documented, project_for
from curation.models import (
    BenchmarkHit,
    DuplicateChoice,
    DuplicateCluster,
    DuplicateMember,
    OverlapDecision,
    Problem,
    Verdict,
    WebhookDelivery,
)
from curation.models.project import Role
from workers import webhooks

MOST_MEMBERS = 100  # of one cluster in an answer
MOST_DISAGREEMENTS = 500


class ClusterSerializer(serializers.ModelSerializer[DuplicateCluster]):
    project: Any = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    size = serializers.SerializerMethodField()
    members = serializers.SerializerMethodField()

    class Meta:
        model = DuplicateCluster
        fields = ["id", "project", "method", "parameters", "kept", "size", "members", "created_at"]

    @extend_schema_field({"type": "integer"})
    def get_size(self, cluster: DuplicateCluster) -> int:
        """Copies of the problem that is kept; more than ``members`` where those are cut short."""
        shown: list[DuplicateMember] = cluster.shown  # type: ignore[attr-defined]
        if len(shown) < MOST_MEMBERS:
            return len(shown)
        return cluster.members.count()

    @extend_schema_field({"type": "array", "items": {"type": "object"}})
    def get_members(self, cluster: DuplicateCluster) -> list[dict[str, Any]]:
        """Copies with their similarity to the problem that is kept."""
        shown: list[DuplicateMember] = cluster.shown  # type: ignore[attr-defined]
        return [{"problem": row.problem_id, "score": row.score} for row in shown]


class ChoiceRequest(serializers.Serializer[Any]):
    problem = serializers.IntegerField()
    decision = serializers.ChoiceField(choices=DuplicateChoice.Decision.choices)


class HitSerializer(serializers.ModelSerializer[BenchmarkHit]):
    benchmark = serializers.CharField(source="item.benchmark.name", read_only=True)
    decision = serializers.CharField(read_only=True, allow_null=True)

    class Meta:
        model = BenchmarkHit
        fields = [
            "id", "problem", "item", "benchmark", "method", "score", "evidence", "decision",
            "created_at",
        ]  # fmt: skip


class OverlapRequest(serializers.Serializer[Any]):
    decision = serializers.ChoiceField(choices=OverlapDecision.Decision.choices)


class DeliverySerializer(serializers.ModelSerializer[WebhookDelivery]):
    class Meta:
        model = WebhookDelivery
        fields = [
            "id", "webhook", "event", "payload", "attempts", "next_attempt_at", "delivered_at",
            "last_status", "last_error", "created_at",
        ]  # fmt: skip


@documented("duplicate-clusters")
class DuplicateClusters(ReadOnly):
    """Problems that a method found to be copies; ``decide`` names the one to use, or no copy."""

    queryset = DuplicateCluster.objects.select_related("project")
    serializer_class = ClusterSerializer
    filters = {"method": "method", "problem": "members__problem", "kept": "kept"}

    def get_queryset(self) -> QuerySet[Any]:
        few = DuplicateMember.objects.order_by("pk")[:MOST_MEMBERS]
        members = Prefetch("members", few, to_attr="shown")
        found: QuerySet[Any] = super().get_queryset().prefetch_related(members)
        return found.distinct() if "problem" in self.request.query_params else found

    @extend_schema(request=ChoiceRequest, responses=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, pk: str | None = None) -> Response:
        """What a person says of one problem of the cluster; ``changed`` counts clusters."""
        cluster: DuplicateCluster = self.get_object()
        self.check_role(cluster)
        asked = ChoiceRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted = asked.validated_data["problem"]
        if wanted != cluster.kept_id and not cluster.members.filter(problem=wanted).exists():
            raise serializers.ValidationError({"problem": "is not in this cluster"})
        problem = Problem.objects.get(pk=wanted)
        changed = dedup.decide(problem, asked.validated_data["decision"], request.user)
        return Response({"changed": changed}, status=201)


@documented("benchmark-hits")
class BenchmarkHits(ReadOnly):
    """Problems beside benchmark items; ``decide`` appends what a person says of the two texts."""

    queryset = BenchmarkHit.objects.all().select_related("item__benchmark", "problem__project")
    serializer_class = HitSerializer
    project_path = "problem__project"
    filters = {"problem": "problem", "benchmark": "item__benchmark__name", "method": "method"}

    def get_queryset(self) -> QuerySet[Any]:
        light = super().get_queryset().defer("problem__text", "problem__embedding", "item__text")
        return decontamination.decided(light)

    @extend_schema(request=OverlapRequest, responses={201: HitSerializer})
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, pk: str | None = None) -> Response:
        hit: BenchmarkHit = self.get_object()
        self.check_role(hit)
        asked = OverlapRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        OverlapDecision.objects.create(
            problem_id=hit.problem_id,
            item_id=hit.item_id,
            decision=asked.validated_data["decision"],
            user=request.user,  # type: ignore[misc]
        )
        return Response(self.get_serializer(self.get_object()).data, status=201)


@documented("webhook-deliveries")
class WebhookDeliveries(ReadOnly):
    """What was sent to the webhooks of projects that the caller owns, and what came of it."""

    queryset = WebhookDelivery.objects.all().select_related("webhook__project")
    serializer_class = DeliverySerializer
    project_path = "webhook__project"
    filters = {"webhook": "webhook", "event": "event"}
    read_role = write_role = Role.OWNER

    @extend_schema(request=None, responses={202: DeliverySerializer})
    @action(detail=True, methods=["post"])
    def again(self, request: Request, pk: str | None = None) -> Response:
        """Send it once more now."""
        delivery: WebhookDelivery = self.get_object()
        self.check_role(delivery)
        webhooks.send_again(delivery)
        transaction.on_commit(webhooks.deliver_in_background, robust=True)
        delivery.refresh_from_db()
        return Response(self.get_serializer(delivery).data, status=202)


class VerdictAgreement(APIView):
    """One verifier version beside the source's flags, the reviewers and every other version."""

    write_scope = "read"

    @extend_schema(
        responses=OpenApiTypes.OBJECT,
        tags=["verdicts"],
        parameters=[
            PROJECT,
            OpenApiParameter("verifier", str),
            OpenApiParameter("version", str, description="the newest where it is not given"),
            OpenApiParameter("voice", str, description="lists what differs from this one"),
            OpenApiParameter("way", str, enum=[*agreement.WAYS]),
            OpenApiParameter("after", int),
        ],
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        project = project_for(request, query.get("project"), Role.VIEWER)
        key = (project.pk, query.get("verifier", ""), self.version_of(project.pk))
        if "voice" in query:
            return Response({"version": key[2], "results": disagreeing(key, query)})
        return Response(
            {"version": key[2], "results": [compared(v) for v in agreement.voices(*key)]}
        )

    def version_of(self, project: int) -> str:
        """The version asked for, or the one of the newest verdict."""
        query = self.request.query_params
        if "version" in query:
            return str(query["version"])
        rows = Verdict.objects.filter(trace__project=project, verifier=query.get("verifier", ""))
        newest = rows.order_by("-pk").values_list("version", flat=True).first()
        return newest or ""


def compared(voice: agreement.Voice) -> dict[str, Any]:
    """One line of the comparison."""
    names = ("both", "same", "more", "less", "open", "agreement", "kappa")
    return {"voice": voice.name} | {name: getattr(voice, name) for name in names}


def disagreeing(key: tuple[int, str, str], query: Any) -> list[dict[str, Any]]:
    """Verdicts that differ from a voice's one way, by id."""
    after, way = query.get("after", "0"), query.get("way", "more")
    if not after.isascii() or not after.isdigit() or len(after) > 18 or way not in agreement.WAYS:
        raise serializers.ValidationError(
            {"way": f"one of {', '.join(agreement.WAYS)}, after a number"}
        )
    ids = agreement.disagreements(
        key, query["voice"], way, after=int(after), limit=MOST_DISAGREEMENTS
    )
    rows = Verdict.objects.filter(pk__in=ids).order_by("pk")
    return [dict(r) for r in rows.values("id", "trace", "verdict", "extracted", "method", "reason")]
