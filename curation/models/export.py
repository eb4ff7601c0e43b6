"""Exports: files that are a pure function of a selection and a format."""

from __future__ import annotations

from django.db import models

from curation.models.project import Project
from curation.models.selection import Selection


class Export(models.Model):
    """A whole export; ``digest`` is the manifest's SHA-256, the folder's name and public id."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="exports")
    selection = models.ForeignKey(Selection, models.PROTECT, related_name="exports")
    format = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)
    path = models.CharField(max_length=1000)
    manifest = models.JSONField()
    rows = models.BigIntegerField()
    bytes = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "digest", "path"], name="one_export")
        ]

    def __str__(self) -> str:
        return self.digest[:12]
