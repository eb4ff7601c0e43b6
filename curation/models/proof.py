"""Proof by continuation: what a model wrote from a prefix of a trace, and whether it was right."""

from __future__ import annotations

from django.db import models

from curation.models.endpoint import ModelEndpoint
from curation.models.trace import Trace


class ContinuationProbe(models.Model):
    """One continuation of one prefix by one model; never changed, asked for once.

    ``arm`` says what the prefix is: ``original`` (the text up to where it is cut), ``pruned`` (the
    same without the cuts of ``policy``), ``random`` (as much cut elsewhere), ``empty``, ``prefix``
    (a step of a search), ``switch`` (Retro-Search: without the change of approach at its end).
    """

    class Arm(models.TextChoices):
        ORIGINAL = "original", "original"
        PRUNED = "pruned", "pruned"
        RANDOM = "random", "random cuts"
        EMPTY = "empty", "empty prefix"
        PREFIX = "prefix", "search"
        SWITCH = "switch", "switch suppressed"

    trace = models.ForeignKey(Trace, models.CASCADE, related_name="probes")
    endpoint = models.ForeignKey(ModelEndpoint, models.CASCADE, related_name="probes")
    arm = models.CharField(max_length=10, choices=Arm.choices)
    policy = models.CharField(max_length=64, blank=True)
    # Where the prefix ends in the trace, and what of the trace it holds: [[start, end], ...].
    position = models.IntegerField()
    kept = models.JSONField(default=list)
    prefix_sha256 = models.CharField(max_length=64)
    sampling_hash = models.CharField(max_length=64)
    sampling = models.JSONField(default=dict)
    sample_no = models.IntegerField()
    text = models.TextField()  # the continuation alone
    finish_reason = models.CharField(max_length=32, blank=True)
    tokens = models.IntegerField(null=True)
    verdict = models.CharField(max_length=12)
    extracted = models.TextField(null=True, blank=True)
    reference_sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "trace", "endpoint", "arm", "policy", "prefix_sha256", "sampling_hash",
                    "sample_no",
                ],
                name="one_continuation",
            )
        ]  # fmt: skip
        indexes = [models.Index(fields=["endpoint", "arm"])]

    def __str__(self) -> str:
        return f"{self.trace_id} {self.arm} at {self.position} #{self.sample_no}: {self.verdict}"
