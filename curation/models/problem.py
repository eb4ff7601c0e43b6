"""Problems, where each was seen, their near copies and their overlap with benchmarks."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from pgvector.django import VectorField

from curation.models.project import Project
from curation.models.source import Source
from curation.textsearch import search_words

EMBEDDING_DIMENSIONS = 256


class WordsField(models.TextField[str, str]):
    """The words of the row's ``text`` for search; made whenever a row is written."""

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        """The words, also for ``bulk_create``; a text that was not loaded keeps its words."""
        if "text" not in model_instance.get_deferred_fields():
            setattr(model_instance, self.attname, search_words(model_instance.text))  # type: ignore[attr-defined]
        return str(super().pre_save(model_instance, add))


class Problem(models.Model):
    """One question. Its text never changes; ``norm_sha256`` decides exact duplicates."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="problems")
    source = models.ForeignKey(Source, models.CASCADE, related_name="problems")
    text = models.TextField()
    text_sha256 = models.CharField(max_length=64)
    norm_sha256 = models.CharField(max_length=64)
    kind = models.CharField(max_length=32, default="math")  # names a verifier
    category = models.CharField(max_length=64, blank=True)
    language = models.CharField(max_length=16, blank=True)
    reference_answer = models.TextField(null=True, blank=True)
    reference_solution = models.TextField(null=True, blank=True)
    choices = models.JSONField(null=True, blank=True)
    tests = models.JSONField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    # Held back from selections: the problems on which students are measured.
    held_back = models.BooleanField(default=False)
    char_count = models.IntegerField(default=0)
    search_text = WordsField(blank=True)
    embedding = VectorField(dimensions=EMBEDDING_DIMENSIONS, null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "norm_sha256"], name="one_problem_per_text")
        ]
        indexes = [models.Index(fields=["project", "id"]), models.Index(fields=["source", "id"])]

    def __str__(self) -> str:
        return f"problem {self.pk}"


class ProblemOccurrence(models.Model):
    """One row of one source in which a problem stood, with that row's own evidence."""

    problem = models.ForeignKey(Problem, models.CASCADE, related_name="occurrences")
    source = models.ForeignKey(Source, models.CASCADE, related_name="occurrences")
    file = models.CharField(max_length=500)
    file_sha256 = models.CharField(max_length=64)
    line = models.BigIntegerField()
    byte_offset = models.BigIntegerField()
    reference_answer = models.TextField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "file", "file_sha256", "line", "problem"],
                name="one_occurrence_per_row",
            )
        ]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class DuplicateCluster(models.Model):
    """Problems that a method found to be copies of one another; ``kept`` is the one to use."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="duplicate_clusters")
    method = models.CharField(max_length=32)
    parameters = models.JSONField(default=dict)
    kept = models.ForeignKey(Problem, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "method", "kept"], name="one_cluster")
        ]

    def __str__(self) -> str:
        return f"cluster {self.pk}"


class DuplicateMember(models.Model):
    cluster = models.ForeignKey(DuplicateCluster, models.CASCADE, related_name="members")
    problem = models.ForeignKey(Problem, models.CASCADE, related_name="duplicate_memberships")
    score = models.FloatField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "problem"], name="one_cluster_member")
        ]

    def __str__(self) -> str:
        return f"{self.cluster_id}: {self.problem_id}"


class DuplicateChoice(models.Model):
    """What a person said of a problem among its copies; append-only, the newest holds.

    Clusters are made anew by each run, so what people decided is kept by problem.
    """

    class Decision(models.TextChoices):
        KEEP = "keep", "the one to use"
        DISTINCT = "distinct", "no copy"

    problem = models.ForeignKey(Problem, models.CASCADE, related_name="duplicate_choices")
    decision = models.CharField(max_length=10, choices=Decision.choices)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["problem", "-id"], name="newest_duplicate_choice")]

    def __str__(self) -> str:
        return f"{self.problem_id}: {self.decision}"


class Benchmark(models.Model):
    """A named evaluation set that problems are checked against."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="benchmarks")
    name = models.CharField(max_length=200)
    revision = models.CharField(max_length=200, blank=True)
    licence = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_benchmark")]

    def __str__(self) -> str:
        return self.name


class BenchmarkItem(models.Model):
    benchmark = models.ForeignKey(Benchmark, models.CASCADE, related_name="items")
    text = models.TextField()
    norm_sha256 = models.CharField(max_length=64)
    answer = models.TextField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["benchmark", "norm_sha256"], name="one_benchmark_item")
        ]

    def __str__(self) -> str:
        return f"item {self.pk}"


class BenchmarkHit(models.Model):
    """Evidence that a problem overlaps a benchmark item; never a reason to delete by itself."""

    problem = models.ForeignKey(Problem, models.CASCADE, related_name="benchmark_hits")
    item = models.ForeignKey(BenchmarkItem, models.CASCADE, related_name="hits")
    method = models.CharField(max_length=32)
    score = models.FloatField()
    evidence = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["problem", "item", "method"], name="one_benchmark_hit")
        ]

    def __str__(self) -> str:
        return f"{self.problem_id} ~ {self.item_id}"


class OverlapDecision(models.Model):
    """What a person said of a problem beside a benchmark item; append-only, the newest holds.

    Hits are made anew by each run; a decision is of the two texts and stays.
    """

    class Decision(models.TextChoices):
        CONTAMINATED = "contaminated", "the same question"
        CLEAR = "clear", "another question"

    problem = models.ForeignKey(Problem, models.CASCADE, related_name="overlap_decisions")
    item = models.ForeignKey(BenchmarkItem, models.CASCADE, related_name="decisions")
    decision = models.CharField(max_length=12, choices=Decision.choices)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["problem", "item", "-id"], name="newest_overlap_decision")]

    def __str__(self) -> str:
        return f"{self.problem_id} ~ {self.item_id}: {self.decision}"
