"""JSON shapes of the resources. Lists leave long texts out; details hold them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from curation import models, schedules
from curation.job_rules import check_slug
from curation.jobs import JobError
from workers.handlers import HANDLERS


class Base(serializers.ModelSerializer[Any]):
    """``project`` is a slug everywhere; a name that is taken is a 400, not a crash."""

    project: Any = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    unique_name = ""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        name = self.unique_name
        if name and name in attrs:
            slug = self.initial_data.get("project") or getattr(
                getattr(self.instance, "project", None), "slug", None
            )
            same = self.Meta.model._default_manager.filter(  # type: ignore[attr-defined]
                project__slug=slug, **{name: attrs[name]}
            )
            if self.instance is not None:
                same = same.exclude(pk=self.instance.pk)
            if same.exists():
                raise serializers.ValidationError({name: "is taken in this project"})
        return attrs


class ProjectSerializer(serializers.ModelSerializer[models.Project]):
    class Meta:
        model = models.Project
        fields = ["id", "slug", "name", "description", "settings", "created_at"]
        read_only_fields = ["created_at"]

    def validate_slug(self, value: str) -> str:
        """A name under which no earlier project's uploads lie."""
        if self.instance is None or self.instance.slug != value:
            check_slug(value)
        return value


class SourceSerializer(Base):
    unique_name = "name"

    class Meta:
        model = models.Source
        fields = [
            "id", "project", "name", "adapter", "licence", "uri", "revision", "mapping",
            "created_at",
        ]  # fmt: skip
        read_only_fields = ["adapter", "mapping", "created_at"]


class ProblemRow(Base):
    source: Any = serializers.SlugRelatedField(slug_field="name", read_only=True)

    class Meta:
        model = models.Problem
        fields = [
            "id", "project", "source", "kind", "category", "language", "reference_answer",
            "held_back", "char_count", "text_sha256", "created_at",
        ]  # fmt: skip


class ProblemDetail(ProblemRow):
    class Meta(ProblemRow.Meta):
        fields = [
            *ProblemRow.Meta.fields, "text", "reference_solution", "choices", "tests", "metadata",
        ]  # fmt: skip


class BenchmarkSerializer(Base):
    unique_name = "name"
    items = serializers.ListField(
        child=serializers.CharField(max_length=100_000, trim_whitespace=False),
        write_only=True,
        required=False,
        help_text="texts of the benchmark's problems",
    )
    size = serializers.IntegerField(read_only=True)

    class Meta:
        model = models.Benchmark
        fields = ["id", "project", "name", "revision", "licence", "items", "size", "created_at"]


class TeacherSerializer(Base):
    unique_name = "name"

    class Meta:
        model = models.ModelEndpoint
        fields = [
            "id", "project", "name", "kind", "base_url", "model", "revision", "api_key_env",
            "output_licence", "system_prompt", "sampling", "limits", "capabilities", "probed_at",
            "enabled", "paused_reason", "created_at",
        ]  # fmt: skip
        read_only_fields = ["capabilities", "probed_at", "created_at"]


class TraceRow(Base):
    class Meta:
        model = models.Trace
        fields = [
            "id", "project", "problem", "source", "endpoint", "origin", "model", "sample_no",
            "char_count", "token_count", "reasoning_start", "reasoning_end", "answer_start",
            "answer_end", "tag_style", "reasoning_closed", "finish_reason", "truncated",
            "prompt_tokens", "completion_tokens", "latency_ms", "text_sha256", "parent",
            "created_at",
        ]  # fmt: skip


class TraceDetail(TraceRow):
    class Meta(TraceRow.Meta):
        fields = [
            *TraceRow.Meta.fields, "text", "messages", "sampling", "manifest", "upstream",
            "metadata", "kept_ranges", "insertions",
        ]  # fmt: skip


class VerdictSerializer(serializers.ModelSerializer[models.Verdict]):
    class Meta:
        model = models.Verdict
        fields = [
            "id", "trace", "verifier", "version", "verdict", "score", "method", "reason",
            "extracted", "detail", "created_at",
        ]  # fmt: skip


class DifficultySerializer(serializers.ModelSerializer[models.Difficulty]):
    class Meta:
        model = models.Difficulty
        fields = [
            "id", "problem", "model", "sampling_hash", "policy", "correct", "incorrect",
            "unverifiable", "error", "pass_rate", "wilson_low", "wilson_high", "updated_at",
        ]  # fmt: skip


class SegmentSerializer(serializers.ModelSerializer[models.Segment]):
    trace = serializers.IntegerField(source="segmentation.trace_id", read_only=True)
    segmenter = serializers.CharField(source="segmentation.segmenter", read_only=True)

    class Meta:
        model = models.Segment
        fields = ["id", "trace", "segmenter", "index", "start", "end", "kind", "path",
                  "quote_sha256"]  # fmt: skip


class RecipeSerializer(Base):
    class Meta:
        model = models.Recipe
        fields = ["id", "project", "name", "version", "spec", "spec_sha256", "created_at"]
        read_only_fields = ["version", "spec_sha256", "created_at"]


class SelectionSerializer(Base):
    recipe_name = serializers.CharField(source="recipe.name", read_only=True)
    recipe_version = serializers.IntegerField(source="recipe.version", read_only=True)

    class Meta:
        model = models.Selection
        fields = [
            "id", "project", "recipe", "recipe_name", "recipe_version", "sha256", "candidates",
            "selected", "excluded", "summary", "created_at",
        ]  # fmt: skip


class ExportSerializer(Base):
    id = serializers.CharField(source="digest")
    state = serializers.SerializerMethodField()
    files = serializers.SerializerMethodField()

    class Meta:
        model = models.Export
        fields = [
            "id", "project", "selection", "format", "state", "rows", "bytes", "files", "manifest",
            "created_at",
        ]  # fmt: skip

    def get_state(self, export: models.Export) -> str:
        return "done"

    def get_files(self, export: models.Export) -> list[dict[str, Any]]:
        files: list[dict[str, Any]] = export.manifest.get("files", [])
        return files


class JobSerializer(Base):
    class Meta:
        model = models.Job
        fields = [
            "id", "project", "kind", "params", "state", "done", "total", "counts", "error_code",
            "error", "attempts", "cancel_requested", "retry_of", "created_at", "started_at",
            "finished_at",
        ]  # fmt: skip


class JobRequest(serializers.Serializer[Any]):
    project = serializers.CharField(max_length=64)
    kind = serializers.ChoiceField(choices=sorted(HANDLERS))
    params = serializers.DictField(required=False, default=dict)


class ScheduleSerializer(Base):
    unique_name = "name"

    class Meta:
        model = models.Schedule
        fields = ["id", "project", "name", "cron", "kind", "params", "enabled", "created_at"]

    def validate_cron(self, value: str) -> str:
        try:
            schedules.check_cron(value)
        except JobError as error:
            raise serializers.ValidationError(str(error)) from error
        return value

    def validate_kind(self, value: str) -> str:
        if value not in HANDLERS:
            raise serializers.ValidationError(f"one of {', '.join(sorted(HANDLERS))}")
        return value


class WebhookSerializer(Base):
    class Meta:
        model = models.Webhook
        fields = ["id", "project", "url", "secret", "events", "enabled", "disabled_reason",
                  "created_at"]  # fmt: skip
        read_only_fields = ["disabled_reason"]
        extra_kwargs = {"secret": {"write_only": True}}
