"""REST: the structure of traces, what models were asked about it, and what they answered."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from curation import models
from curation.api.base import ReadOnly, Scoped, documented
from curation.proof_results import turn_tables
from curation.segmentation.components import find_components
from curation.segmentation.types import Segment


class ProbeSerializer(serializers.ModelSerializer[models.ContinuationProbe]):
    class Meta:
        model = models.ContinuationProbe
        fields = [
            "id", "trace", "endpoint", "arm", "policy", "position", "kept", "prefix_sha256",
            "sampling_hash", "sample_no", "text", "finish_reason", "tokens", "verdict",
            "extracted", "created_at",
        ]  # fmt: skip


class RefineAnswerSerializer(serializers.ModelSerializer[models.RefineAnswer]):
    class Meta:
        model = models.RefineAnswer
        fields = [
            "id", "trace", "endpoint", "task", "policy", "start", "end", "prompt_sha256",
            "sampling_hash", "sample_no", "text", "finish_reason", "tokens", "accepted", "reason",
            "detail", "created_at",
        ]  # fmt: skip


@documented("continuation probes")
class Probes(ReadOnly):
    queryset = models.ContinuationProbe.objects.all()
    serializer_class = ProbeSerializer
    project_path = "trace__project"
    filters = {"trace": "trace", "arm": "arm", "policy": "policy", "verdict": "verdict"}


@documented("answers of models that split, label or smooth")
class RefineAnswers(ReadOnly):
    queryset = models.RefineAnswer.objects.all()
    serializer_class = RefineAnswerSerializer
    project_path = "trace__project"
    filters = {"trace": "trace", "task": "task", "reason": "reason"}


class TraceStructure(Scoped):
    """Components of a trace's attempts, its turns, and what probes say of each turn."""

    queryset = models.Trace.objects.all().select_related("project")

    @extend_schema(responses=OpenApiTypes.OBJECT, tags=["traces"])
    def retrieve(self, request: Request, pk: str) -> Response:
        """By the newest segmentation; empty lists before there is one."""
        trace = self.get_object()
        newest = models.Segmentation.objects.filter(trace=trace).order_by("-pk").first()
        values: list[dict[str, Any]] = [
            {"turn": number, "judge": table.judge, "action": d.action, "reason": d.reason}
            | asdict(d.chunk)
            for table in turn_tables(trace, newest)
            for number, _, d in table.rows
        ]
        return Response(
            {
                "trace": trace.pk,
                "segmenter": newest.segmenter if newest else None,
                "turns": newest.summary.get("turns", []) if newest else [],
                "components": [asdict(c) for c in find_components(trace.text, _leaves(newest))],
                "turn_values": values,
            }
        )


def _leaves(segmentation: models.Segmentation | None) -> list[Segment]:
    rows = models.Segment.objects.filter(segmentation=segmentation).order_by("index")
    found = rows.values_list("start", "end", "kind", "path") if segmentation else []
    return [Segment(start, end, kind, tuple(path)) for start, end, kind, path in found]
