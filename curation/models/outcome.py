"""What people decided: the only thing that selection reads of reviews."""

from __future__ import annotations

from django.db import models

from curation.models.trace import Trace


class ReviewOutcome(models.Model):
    """One decision of the reviewers on a trace; append-only, the newest row is current."""

    class Decision(models.TextChoices):
        ACCEPT = "accept", "accept"
        REJECT = "reject", "reject"
        BAD_PROBLEM = "bad_problem", "bad problem"
        UNDECIDED = "undecided", "undecided"

    trace = models.ForeignKey(Trace, models.CASCADE, related_name="outcomes")
    decision = models.CharField(max_length=12, choices=Decision.choices)
    cuts = models.JSONField(default=list)  # [{"start", "end", "reason", "quote_sha256"}]
    derived = models.ForeignKey(Trace, models.SET_NULL, null=True, related_name="+")
    coverage = models.FloatField(null=True)  # least share of the text that was on screen
    seconds = models.FloatField(null=True)  # least time on task, idle time left out
    agreement = models.FloatField(null=True)
    guideline_version = models.IntegerField(null=True)
    policy = models.CharField(max_length=64)  # how several reviews became one outcome
    reviews = models.JSONField(default=list)  # ids of the reviews it stands on
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["trace", "-id"])]

    def __str__(self) -> str:
        return f"{self.trace_id}: {self.decision}"
