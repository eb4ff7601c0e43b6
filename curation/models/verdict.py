"""What verifiers said. Rule, model and execution verdicts stand side by side."""

from __future__ import annotations

from django.db import models

from curation.models.trace import Trace


class Verdict(models.Model):
    """One verifier version's verdict on one trace against one reference."""

    class Value(models.TextChoices):
        CORRECT = "correct", "correct"
        INCORRECT = "incorrect", "incorrect"
        UNVERIFIABLE = "unverifiable", "unverifiable"
        ERROR = "error", "error"

    trace = models.ForeignKey(Trace, models.CASCADE, related_name="verdicts")
    verifier = models.CharField(max_length=64)
    version = models.CharField(max_length=64)
    # SHA-256 of the reference that was compared with: a new reference is a new verdict.
    reference_sha256 = models.CharField(max_length=64)
    verdict = models.CharField(max_length=12, choices=Value.choices)
    score = models.FloatField(null=True)
    method = models.CharField(max_length=64, blank=True)
    reason = models.CharField(max_length=64, blank=True)
    extracted = models.TextField(null=True, blank=True)
    detail = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["trace", "verifier", "version", "reference_sha256"], name="one_verdict"
            )
        ]
        indexes = [models.Index(fields=["verifier", "verdict"])]

    def __str__(self) -> str:
        return f"{self.trace_id} {self.verifier}: {self.verdict}"
