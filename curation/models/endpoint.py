"""Models behind an OpenAI-compatible endpoint: teachers, students and judges."""

from __future__ import annotations

from django.conf import settings
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


class EndpointGrant(models.Model):
    """An address that an administrator lets a project call, and the key that may be sent there.

    Without a ``project`` it holds for all of them. Revoked ones stay, so that it is known what was
    allowed when.
    """

    project = models.ForeignKey(Project, models.CASCADE, null=True, blank=True, related_name="+")
    scheme = models.CharField(max_length=5)
    host = models.CharField(max_length=253)
    port = models.PositiveIntegerField()
    key_variable = models.CharField(max_length=100, blank=True)
    # Whether the host's name may lead into a private network or to this machine.
    private = models.BooleanField(default=False)
    note = models.CharField(max_length=200, blank=True)
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "scheme", "host", "port", "key_variable"],
                condition=models.Q(revoked_at=None),
                nulls_distinct=False,
                name="one_grant",
            )
        ]

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port} {self.key_variable}".rstrip()
