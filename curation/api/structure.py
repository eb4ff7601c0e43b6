"""REST: what models were asked about the structure of traces, and what they answered."""

from __future__ import annotations

from rest_framework import serializers

from curation import models
from curation.api.base import ReadOnly, documented


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
