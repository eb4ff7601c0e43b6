"""Recipes and the selections they froze."""

from __future__ import annotations

from django.db import models

from curation.models.problem import Problem
from curation.models.project import Project
from curation.models.trace import Trace


class Recipe(models.Model):
    """A versioned specification (curation.selection); a version never changes."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="recipes")
    name = models.CharField(max_length=100)
    version = models.IntegerField(default=1)
    spec = models.JSONField()
    spec_sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name", "version"], name="one_recipe"),
            models.UniqueConstraint(
                fields=["project", "name", "spec_sha256"], name="one_recipe_per_spec"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Selection(models.Model):
    """Rows frozen by a recipe; ``sha256`` is of their ids and text hashes."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="selections")
    recipe = models.ForeignKey(Recipe, models.PROTECT, related_name="selections")
    sha256 = models.CharField(max_length=64)
    candidates = models.IntegerField()
    selected = models.IntegerField()
    excluded = models.JSONField(default=dict)  # reason -> count
    summary = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["recipe", "sha256"], name="one_selection")]

    def __str__(self) -> str:
        return f"selection {self.pk}"


class SelectionRow(models.Model):
    """One row of the training set: a trace, or a pair of a chosen and a rejected trace."""

    selection = models.ForeignKey(Selection, models.CASCADE, related_name="rows")
    position = models.IntegerField()
    problem = models.ForeignKey(Problem, models.PROTECT, related_name="+")
    trace = models.ForeignKey(Trace, models.PROTECT, related_name="+")
    rejected = models.ForeignKey(Trace, models.PROTECT, null=True, related_name="+")
    hashes = models.JSONField(default=dict)  # problem, trace, rejected -> SHA-256 of the text
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["selection", "position"], name="one_selection_row")
        ]

    def __str__(self) -> str:
        return f"{self.selection_id}#{self.position}"


class SelectionExclusion(models.Model):
    """A candidate that was left out, and why."""

    selection = models.ForeignKey(Selection, models.CASCADE, related_name="exclusions")
    problem = models.ForeignKey(Problem, models.CASCADE, related_name="+")
    trace = models.ForeignKey(Trace, models.CASCADE, null=True, related_name="+")
    reason = models.CharField(max_length=64)
    detail = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["selection", "reason"])]

    def __str__(self) -> str:
        return f"{self.trace_id}: {self.reason}"
