"""What a model said when it was asked to split, label or smooth a trace, and what became of it."""

from __future__ import annotations

from django.db import models

from curation.models.endpoint import ModelEndpoint
from curation.models.trace import Trace


class RefineAnswer(models.Model):
    """One answer of one model about one part of a trace; never changed, asked for once.

    ``start`` and ``end`` are the part that was asked about: a stretch of leaves, or what was cut at
    a seam. A refused answer is kept with its reason (``segmentation.llm``) and changes nothing.
    """

    class Task(models.TextChoices):
        SPLIT = "split", "split"
        LABEL = "label", "label"
        SMOOTH = "smooth", "smooth"

    trace = models.ForeignKey(Trace, models.CASCADE, related_name="refine_answers")
    endpoint = models.ForeignKey(ModelEndpoint, models.CASCADE, related_name="refine_answers")
    task = models.CharField(max_length=8, choices=Task.choices)
    policy = models.CharField(max_length=64, blank=True)  # whose cuts were smoothed
    start = models.IntegerField()
    end = models.IntegerField()
    prompt_sha256 = models.CharField(max_length=64)
    sampling_hash = models.CharField(max_length=64)
    sample_no = models.IntegerField()
    text = models.TextField(blank=True)
    finish_reason = models.CharField(max_length=32, blank=True)
    tokens = models.IntegerField(null=True)
    accepted = models.BooleanField()
    reason = models.CharField(max_length=32, blank=True)
    detail = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "trace", "endpoint", "task", "start", "prompt_sha256", "sampling_hash",
                    "sample_no",
                ],
                name="one_refine_answer",
            )
        ]  # fmt: skip
        indexes = [models.Index(fields=["endpoint", "task", "reason"])]

    def __str__(self) -> str:
        said = "accepted" if self.accepted else self.reason
        return f"{self.trace_id} {self.task} {self.start}-{self.end} #{self.sample_no}: {said}"
