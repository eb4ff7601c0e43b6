"""The structure of a trace: leaves that partition its text, and cuts proposed for it."""

from __future__ import annotations

from django.db import models

from curation.models.trace import Trace


class Segmentation(models.Model):
    """One segmenter version's reading of one trace."""

    trace = models.ForeignKey(Trace, models.CASCADE, related_name="segmentations")
    segmenter = models.CharField(max_length=64)
    leaves = models.IntegerField()
    first_correct = models.IntegerField(null=True)  # position of the first correct answer
    summary = models.JSONField(default=dict, blank=True)
    # What it was made with: another reference or tokenizer makes it stale (curation.segments).
    reference_sha256 = models.CharField(max_length=64, blank=True)
    tokenizer = models.CharField(max_length=64, blank=True)
    tokens = models.IntegerField(null=True)  # of the whole text, by that tokenizer
    # Against the segmentation it follows: {"from", "same", "moved": [...], "lost": [...]}.
    reanchored = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["trace", "segmenter"], name="one_segmentation")
        ]

    def __str__(self) -> str:
        return f"{self.trace_id} by {self.segmenter}"


class Segment(models.Model):
    """A leaf: a range of code points with a kind and the path of its parents."""

    segmentation = models.ForeignKey(Segmentation, models.CASCADE, related_name="segments")
    index = models.IntegerField()
    start = models.IntegerField()
    end = models.IntegerField()
    kind = models.CharField(max_length=32)
    path = models.JSONField(default=list)
    quote_sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["segmentation", "index"], name="one_segment_index")
        ]

    def __str__(self) -> str:
        return f"{self.index}: {self.start}-{self.end} {self.kind}"


class CutProposal(models.Model):
    """A range that a named policy proposes to drop, with its reason. Never an edit."""

    segmentation = models.ForeignKey(Segmentation, models.CASCADE, related_name="proposals")
    policy = models.CharField(max_length=64)
    start = models.IntegerField()
    end = models.IntegerField()
    reason = models.CharField(max_length=200)
    quote_sha256 = models.CharField(max_length=64)
    tokens = models.IntegerField(null=True)  # saved, by the project's tokenizer

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["segmentation", "policy", "start", "end"], name="one_cut_proposal"
            )
        ]

    def __str__(self) -> str:
        return f"{self.policy} {self.start}-{self.end}"
