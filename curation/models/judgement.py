"""What models say of traces, what traces say of references, and what people decide of both."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from curation.models.endpoint import ModelEndpoint
from curation.models.problem import Problem
from curation.models.project import Project
from curation.models.trace import Trace


class JudgePrompt(models.Model):
    """One version of a project's own judge prompt; a change is a new version, never an edit."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="judge_prompts")
    name = models.CharField(max_length=40)
    version = models.IntegerField()
    spec = models.JSONField()  # curation.judges.prompts.JudgePrompt as JSON
    sha256 = models.CharField(max_length=64)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name", "version"], name="one_judge_prompt_version"
            ),
            models.UniqueConstraint(
                fields=["project", "name", "sha256"], name="one_judge_prompt_text"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class JudgeVote(models.Model):
    """One answer of one judge. ``identity`` is a SHA-256 of judge, prompt, sampling, reference,
    the other trace of a pair, order, round and number: asked once, never twice."""

    trace = models.ForeignKey(Trace, models.CASCADE, related_name="judge_votes")
    other = models.ForeignKey(Trace, models.CASCADE, null=True, related_name="+")
    endpoint = models.ForeignKey(ModelEndpoint, models.SET_NULL, null=True, related_name="+")
    judge = models.CharField(max_length=300)  # the model's name
    verifier = models.CharField(max_length=64)
    version = models.CharField(max_length=64)
    reference_sha256 = models.CharField(max_length=64, blank=True)
    identity = models.CharField(max_length=64)
    order = models.IntegerField(default=0)
    round = models.IntegerField(default=0)
    number = models.IntegerField(default=0)
    verdict = models.CharField(max_length=12)
    score = models.FloatField(null=True)
    location = models.IntegerField(null=True)  # first wrong step, -1 for none (step review)
    reason = models.CharField(max_length=64, blank=True)
    text = models.TextField(blank=True)
    manifest = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["trace", "identity"], name="one_judge_vote")]
        indexes = [models.Index(fields=["verifier", "id"])]

    def __str__(self) -> str:
        return f"{self.trace_id} {self.verifier} #{self.number}: {self.verdict}"


class PseudoReference(models.Model):
    """An answer that traces agree on. Evidence only: never a reference, never compared as one
    without saying so."""

    problem = models.ForeignKey(Problem, models.CASCADE, related_name="pseudo_references")
    method = models.CharField(max_length=32)  # majority, heimdall
    params = models.JSONField(default=dict)
    params_sha256 = models.CharField(max_length=64)
    answer = models.TextField(null=True, blank=True)  # null: no answer reached the bar
    votes = models.IntegerField(default=0)
    total = models.IntegerField(default=0)
    share = models.FloatField(null=True)
    table = models.JSONField(default=list)  # every answer with its votes
    models_voting = models.JSONField(default=list)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["problem", "method", "params_sha256"], name="one_pseudo_reference"
            )
        ]

    def __str__(self) -> str:
        return f"{self.problem_id} {self.method}: {self.votes}/{self.total}"


class ReferenceDispute(models.Model):
    """A reference that traces or a reviewer contradict, or a problem that no trace solves."""

    class Reason(models.TextChoices):
        MAJORITY = "majority", "a majority contradicts the reference"
        ALL_FAIL = "all_fail", "no attempt is correct"
        REVIEWER = "reviewer", "a reviewer says it is wrong"

    problem = models.ForeignKey(Problem, models.CASCADE, related_name="disputes")
    reason = models.CharField(max_length=10, choices=Reason.choices)
    reference = models.TextField(null=True, blank=True)
    reference_sha256 = models.CharField(max_length=64)
    majority = models.TextField(null=True, blank=True)
    votes = models.IntegerField(default=0)
    total = models.IntegerField(default=0)
    share = models.FloatField(null=True)
    table = models.JSONField(default=list)
    third_model = models.CharField(max_length=300, blank=True)
    third_answer = models.TextField(null=True, blank=True)
    suggestion = models.CharField(max_length=16, blank=True)  # replace, keep, look
    said = models.JSONField(default=list, blank=True)  # [{"by", "answer", "why"}], by reviewers
    updated_at = models.DateTimeField(auto_now=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["problem", "reason", "reference_sha256"], name="one_dispute"
            )
        ]

    def __str__(self) -> str:
        return f"{self.problem_id}: {self.reason}"


class DisputeDecision(models.Model):
    """What a person decided; append-only, the newest row is current."""

    class Decision(models.TextChoices):
        KEEP = "keep", "keep the reference"
        REPLACE = "replace", "replace the reference"
        BAD_PROBLEM = "bad_problem", "the problem is bad"
        HARD = "hard", "right, and hard"
        REOPEN = "reopen", "look again"

    dispute = models.ForeignKey(ReferenceDispute, models.CASCADE, related_name="decisions")
    decision = models.CharField(max_length=12, choices=Decision.choices)
    old_reference = models.TextField(null=True, blank=True)
    new_reference = models.TextField(null=True, blank=True)
    note = models.TextField(blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["dispute", "-id"])]

    def __str__(self) -> str:
        return f"{self.dispute_id}: {self.decision}"


class RewardSeries(models.Model):
    """Rewards of one problem over one training run, one per epoch; null where one is missing."""

    problem = models.ForeignKey(Problem, models.CASCADE, related_name="reward_series")
    run = models.CharField(max_length=100)
    model = models.CharField(max_length=300, blank=True)
    values = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["problem", "run"], name="one_reward_series")]

    def __str__(self) -> str:
        return f"{self.run}: {self.problem_id}"
