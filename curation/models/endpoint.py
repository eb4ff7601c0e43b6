"""Models behind an OpenAI-compatible endpoint: teachers, students and judges."""

from __future__ import annotations

from django.db import models

from curation.models.project import Project


class ModelEndpoint(models.Model):
    """A named model. The API key itself is never stored, only the variable that holds it."""

    class Kind(models.TextChoices):
        TEACHER = "teacher", "teacher"
        STUDENT = "student", "student"
        JUDGE = "judge", "judge"

    project = models.ForeignKey(Project, models.CASCADE, related_name="endpoints")
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.TEACHER)
    base_url = models.CharField(max_length=500, blank=True)
    model = models.CharField(max_length=300)
    revision = models.CharField(max_length=200, blank=True)
    api_key_env = models.CharField(max_length=100, blank=True)
    output_licence = models.CharField(max_length=200, blank=True)
    system_prompt = models.TextField(blank=True)
    sampling = models.JSONField(default=dict, blank=True)
    limits = models.JSONField(default=dict, blank=True)  # concurrency, requests/min, tokens/min
    capabilities = models.JSONField(default=dict, blank=True)
    probed_at = models.DateTimeField(null=True, blank=True)
    enabled = models.BooleanField(default=True)
    # Set when the endpoint answered 401 or 403: nothing is sent until a person clears it.
    paused_reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_endpoint")]

    def __str__(self) -> str:
        return self.name
