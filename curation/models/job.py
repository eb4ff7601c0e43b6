"""Background work. PostgreSQL owns the truth: Redis and Celery only wake workers."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from curation.models.project import Project


class Job(models.Model):
    """One piece of background work, leased by one process at a time.

    ``lease_until`` is on the database's clock. ``lease_epoch`` grows with every claim; whoever
    writes under an older epoch is refused (curation.jobs).
    """

    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    FINAL = (State.DONE, State.FAILED, State.CANCELLED)

    project = models.ForeignKey(Project, models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=32)
    params = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True)
    counts = models.JSONField(default=dict)
    # What a handler must remember between attempts, e.g. the row an import has come to.
    checkpoint = models.JSONField(default=dict)
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    attempts = models.IntegerField(default=0)
    lease_epoch = models.IntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    # When its worker last went through its work, on the database's clock. The lease alone does not
    # tell: a thread renews it also while the work hangs in one call.
    progress_at = models.DateTimeField(null=True)
    not_before = models.DateTimeField(null=True)
    woken_at = models.DateTimeField(null=True)  # when a worker was last told of it
    worker = models.CharField(max_length=200, blank=True)
    cancel_requested = models.BooleanField(default=False)
    # Made by a command typed on the server, which may name any path (curation.job_rules).
    operator_paths = models.BooleanField(default=False, db_default=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    retry_of = models.ForeignKey("self", models.SET_NULL, null=True, related_name="retries")
    schedule_run = models.ForeignKey("ScheduleRun", models.SET_NULL, null=True, related_name="jobs")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["project", "-id"]),
            models.Index(
                fields=["state", "lease_until"],
                name="job_open",
                condition=models.Q(state__in=["queued", "running"]),
            ),
        ]

    def __str__(self) -> str:
        return f"job {self.pk} {self.kind}"


class JobLog(models.Model):
    job = models.ForeignKey(Job, models.CASCADE, related_name="log_lines")
    level = models.CharField(max_length=8, default="info")
    message = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.message[:80]


class Outbox(models.Model):
    """A message to be sent after its transaction: wake a job, call a webhook."""

    topic = models.CharField(max_length=32)
    payload = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["id"], name="outbox_unsent", condition=models.Q(sent_at=None))
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.pk}"


class IdempotencyKey(models.Model):
    """The answer to a POST that carried an ``Idempotency-Key``."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    request_sha256 = models.CharField(max_length=64)
    job = models.ForeignKey(Job, models.CASCADE, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_idempotency_key")]

    def __str__(self) -> str:
        return self.key


class Schedule(models.Model):
    """Work that starts by itself: a cron line (UTC), the kind of job and its parameters."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="schedules")
    name = models.CharField(max_length=100)
    cron = models.CharField(max_length=100)
    kind = models.CharField(max_length=32)
    params = models.JSONField(default=dict)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_schedule")]

    def __str__(self) -> str:
        return self.name


class ScheduleRun(models.Model):
    """One firing; the unique key lets several beats run without doubling anything."""

    schedule = models.ForeignKey(Schedule, models.CASCADE, related_name="runs")
    fire_time = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["schedule", "fire_time"], name="one_schedule_run")
        ]

    def __str__(self) -> str:
        return f"{self.schedule_id} at {self.fire_time:%F %T}"


class Webhook(models.Model):
    project = models.ForeignKey(Project, models.CASCADE, related_name="webhooks")
    url = models.CharField(max_length=1000)
    secret = models.CharField(max_length=100)
    events = models.JSONField(default=list)
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.url


class WebhookDelivery(models.Model):
    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=64)
    payload = models.JSONField()
    attempts = models.IntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    last_status = models.IntegerField(null=True)
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.event} to {self.webhook_id}"


class ProcessBeat(models.Model):
    """A sign of life of a worker, beat or other process, on the database's clock."""

    kind = models.CharField(max_length=32)
    name = models.CharField(max_length=200)
    info = models.JSONField(default=dict)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "name"], name="one_process")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
