"""Difficulty: always of a named model and sampling."""

from __future__ import annotations

from django.db import models

from curation.models.problem import Problem


class Difficulty(models.Model):
    """Pass rate of one model at one sampling on one problem, with its Wilson 95 % interval."""

    problem = models.ForeignKey(Problem, models.CASCADE, related_name="difficulties")
    model = models.CharField(max_length=300)
    sampling_hash = models.CharField(max_length=64, blank=True)
    policy = models.CharField(max_length=64)
    correct = models.IntegerField()
    incorrect = models.IntegerField()
    unverifiable = models.IntegerField()
    error = models.IntegerField()
    pass_rate = models.FloatField(null=True)
    wilson_low = models.FloatField(null=True)
    wilson_high = models.FloatField(null=True)
    detail = models.JSONField(default=dict, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["problem", "model", "sampling_hash", "policy"], name="one_difficulty"
            )
        ]

    def __str__(self) -> str:
        return f"{self.problem_id} {self.model}: {self.pass_rate}"
