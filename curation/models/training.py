"""Training runs, what they reported, and what the student then got right."""

from __future__ import annotations

from django.db import models

from curation.models.endpoint import ModelEndpoint
from curation.models.export import Export
from curation.models.project import Project


class TrainingRun(models.Model):
    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    project = models.ForeignKey(Project, models.CASCADE, related_name="training_runs")
    export = models.ForeignKey(Export, models.PROTECT, related_name="training_runs")
    name = models.CharField(max_length=100)
    config = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    # Fences a trainer that was thought dead, as a job's epoch does.
    epoch = models.IntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    worker = models.CharField(max_length=200, blank=True)
    versions = models.JSONField(default=dict, blank=True)  # of the trainer's libraries
    summary = models.JSONField(default=dict, blank=True)  # what its last message said
    step = models.IntegerField(default=0)
    total_steps = models.IntegerField(null=True)
    error = models.TextField(blank=True)
    student = models.ForeignKey(ModelEndpoint, models.SET_NULL, null=True, related_name="+")
    model_path = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class TrainingMetric(models.Model):
    run = models.ForeignKey(TrainingRun, models.CASCADE, related_name="metrics")
    step = models.IntegerField()
    name = models.CharField(max_length=64)
    value = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "step", "name"], name="one_training_metric")
        ]

    def __str__(self) -> str:
        return f"{self.name}@{self.step}"


class TrainingResult(models.Model):
    """Held-back pass rate of one model of a run: its start, its student, or its teacher."""

    run = models.ForeignKey(TrainingRun, models.CASCADE, related_name="results")
    subject = models.CharField(max_length=16)  # start, student, teacher
    correct = models.IntegerField()
    incorrect = models.IntegerField()
    unverifiable = models.IntegerField(default=0)
    error = models.IntegerField(default=0)
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "subject"], name="one_training_result")
        ]

    def __str__(self) -> str:
        return f"{self.subject}: {self.correct}"
