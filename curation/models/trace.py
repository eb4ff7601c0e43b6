"""Traces, and the generations that failed."""

from __future__ import annotations

from django.db import models

from curation.models.endpoint import ModelEndpoint
from curation.models.problem import Problem
from curation.models.project import Project
from curation.models.source import Source


class Trace(models.Model):
    """A completion with its reasoning and its answer. The text never changes.

    All ranges are code points of ``text``. ``identity`` is a SHA-256 that makes the row unique
    inside its problem: of (model, text, copy number in its row) for an import, of (endpoint,
    prompt hash, sampling hash, sample number) for a generation, of (parent, kept ranges) for a
    derived trace.
    """

    class Origin(models.TextChoices):
        IMPORTED = "imported", "imported"
        GENERATED = "generated", "generated"
        DERIVED = "derived", "derived"

    project = models.ForeignKey(Project, models.CASCADE, related_name="traces")
    problem = models.ForeignKey(Problem, models.CASCADE, related_name="traces")
    source = models.ForeignKey(Source, models.CASCADE, null=True, related_name="traces")
    endpoint = models.ForeignKey(ModelEndpoint, models.SET_NULL, null=True, related_name="traces")
    origin = models.CharField(max_length=10, choices=Origin.choices)
    identity = models.CharField(max_length=64)
    model = models.CharField(max_length=300, blank=True)
    # The conversation before the completion: [{"role", "content", ...}].
    messages = models.JSONField(default=list, blank=True)
    text = models.TextField()
    text_sha256 = models.CharField(max_length=64)
    char_count = models.IntegerField()
    token_count = models.IntegerField(null=True)
    # Where the reasoning and the answer stand; null when there is none (curation.segmentation).
    reasoning_start = models.IntegerField(null=True)
    reasoning_end = models.IntegerField(null=True)
    answer_start = models.IntegerField(null=True)
    answer_end = models.IntegerField(null=True)
    tag_style = models.CharField(max_length=32, blank=True)
    reasoning_closed = models.BooleanField(default=True)
    sample_no = models.IntegerField(default=0)
    prompt_hash = models.CharField(max_length=64, blank=True)
    sampling_hash = models.CharField(max_length=64, blank=True)
    sampling = models.JSONField(default=dict, blank=True)
    finish_reason = models.CharField(max_length=32, blank=True)
    truncated = models.BooleanField(default=False)
    prompt_tokens = models.IntegerField(null=True)
    completion_tokens = models.IntegerField(null=True)
    latency_ms = models.IntegerField(null=True)
    manifest = models.JSONField(default=dict, blank=True)
    # What the source said about this trace (flags, scores); evidence, never a verdict.
    upstream = models.JSONField(default=dict, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="derived")
    kept_ranges = models.JSONField(null=True)  # [[start, end], ...] of the parent's text
    insertions = models.JSONField(null=True)  # [[position, text], ...] in the joined text
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["problem", "identity"], name="one_trace_per_identity")
        ]
        indexes = [
            models.Index(fields=["project", "id"]),
            models.Index(fields=["source", "id"]),
            models.Index(fields=["endpoint", "id"]),
        ]

    def __str__(self) -> str:
        return f"trace {self.pk}"


class FailedGeneration(models.Model):
    """A sample that could not be had; kept until a later run fills its place."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="failed_generations")
    problem = models.ForeignKey(Problem, models.CASCADE, related_name="failed_generations")
    endpoint = models.ForeignKey(ModelEndpoint, models.CASCADE, related_name="failed_generations")
    prompt_hash = models.CharField(max_length=64)
    sampling_hash = models.CharField(max_length=64)
    sample_no = models.IntegerField()
    reason = models.CharField(max_length=64)
    detail = models.TextField(blank=True)
    attempts = models.IntegerField(default=1)
    resolved = models.BooleanField(default=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["problem", "endpoint", "prompt_hash", "sampling_hash", "sample_no"],
                name="one_failed_generation",
            )
        ]

    def __str__(self) -> str:
        return f"{self.problem_id} #{self.sample_no}: {self.reason}"
