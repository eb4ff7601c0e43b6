"""Where rows came from, and the rows that could not be taken."""

from __future__ import annotations

from django.db import models

from curation.models.project import Project


class Source(models.Model):
    """A named origin of problems and traces: a data set, a file, a generator."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="sources")
    name = models.CharField(max_length=200)
    adapter = models.CharField(max_length=64, blank=True)
    licence = models.CharField(max_length=200, blank=True)
    uri = models.CharField(max_length=1000, blank=True)
    revision = models.CharField(max_length=200, blank=True)
    # The mapping from columns to fields that was detected or given (curation.sources.mapping).
    mapping = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_source_name")]

    def __str__(self) -> str:
        return self.name


class SourceFile(models.Model):
    """One file of a source by content; counts are those of the first complete import."""

    source = models.ForeignKey(Source, models.CASCADE, related_name="files")
    name = models.CharField(max_length=500)
    sha256 = models.CharField(max_length=64)
    bytes = models.BigIntegerField()
    rows = models.BigIntegerField(null=True, blank=True)
    # Reason -> rejected rows, all of them; ImportReject keeps the text of the first ones only.
    rejected = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "name", "sha256"], name="one_source_file")
        ]

    def __str__(self) -> str:
        return self.name


class ImportReject(models.Model):
    """A row that was not taken: where it stood, why, and what it was (first 64 KiB)."""

    source = models.ForeignKey(Source, models.CASCADE, related_name="rejects")
    file = models.CharField(max_length=500)
    file_sha256 = models.CharField(max_length=64)
    line = models.BigIntegerField()
    byte_offset = models.BigIntegerField()
    reason = models.CharField(max_length=64)
    detail = models.TextField(blank=True)
    raw = models.BinaryField()
    raw_sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "file", "file_sha256", "line"], name="one_reject_per_row"
            )
        ]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.reason}"
