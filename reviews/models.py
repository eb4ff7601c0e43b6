"""People: guidelines, queues, assignments (leases) and append-only reviews."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from curation.models import Project, Trace


class Guideline(models.Model):
    """One version of a project's guideline; a change is a new version."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="guidelines")
    version = models.IntegerField()
    text = models.TextField()  # Markdown
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "version"], name="one_guideline_version")
        ]

    def __str__(self) -> str:
        return f"guideline v{self.version}"


class Queue(models.Model):
    """Traces to be judged, each by ``overlap`` people."""

    class Order(models.TextChoices):
        POSITION = "position", "as filled"
        LONGEST = "longest", "longest first"
        WASTE = "waste", "most proposed savings first"

    project = models.ForeignKey(Project, models.CASCADE, related_name="queues")
    name = models.CharField(max_length=100)
    # What fills it: allow-listed keys of reviews.queues.FILTERS.
    filters = models.JSONField(default=dict, blank=True)
    overlap = models.IntegerField(default=1)
    order = models.CharField(max_length=10, choices=Order.choices, default=Order.POSITION)
    # How several reviews of one trace become an outcome (reviews.consensus).
    policy = models.CharField(max_length=32, default="single")
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_queue")]

    def __str__(self) -> str:
        return self.name


class QueueItem(models.Model):
    queue = models.ForeignKey(Queue, models.CASCADE, related_name="items")
    trace = models.ForeignKey(Trace, models.CASCADE, related_name="queue_items")
    position = models.IntegerField()
    savings = models.IntegerField(default=0)  # characters that proposals would drop
    finished = models.BooleanField(default=False)  # as many reviews as the overlap asks for
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["queue", "trace"], name="one_queue_item")]
        indexes = [models.Index(fields=["queue", "finished", "position"])]

    def __str__(self) -> str:
        return f"{self.queue_id}: {self.trace_id}"


class Assignment(models.Model):
    """A renewable lease of one item by one reviewer, on the database's clock.

    Whoever submits names the epoch of the lease; when another person has taken the item meanwhile
    and no place is left, the text is kept as a draft and said so.
    """

    class State(models.TextChoices):
        OPEN = "open", "open"
        DONE = "done", "done"
        SKIPPED = "skipped", "skipped"

    item = models.ForeignKey(QueueItem, models.CASCADE, related_name="assignments")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="assignments")
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    epoch = models.IntegerField(default=1)
    lease_until = models.DateTimeField()
    skip_reason = models.CharField(max_length=200, blank=True)
    draft = models.JSONField(default=dict, blank=True)
    draft_saved_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "user"], name="one_assignment_per_reviewer")
        ]
        indexes = [models.Index(fields=["user", "state"])]

    def __str__(self) -> str:
        return f"{self.item_id} to {self.user_id}"


class Review(models.Model):
    """One judgement; append-only. A change is a new row, the newest of a reviewer is current."""

    class Decision(models.TextChoices):
        SOUND = "sound", "sound"
        FLAWED = "flawed", "flawed"
        BAD_PROBLEM = "bad_problem", "bad problem"
        GIVE_UP = "give_up", "give up"

    item = models.ForeignKey(QueueItem, models.PROTECT, related_name="reviews")
    trace = models.ForeignKey(Trace, models.PROTECT, related_name="reviews")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="reviews")
    decision = models.CharField(max_length=12, choices=Decision.choices)
    # [{"start", "end", "reason", "quote_sha256", "proposal": id or null}], code points.
    cuts = models.JSONField(default=list)
    first_error = models.IntegerField(null=True)  # start of the first wrong step
    note = models.TextField(blank=True)
    guideline_version = models.IntegerField(null=True)
    coverage = models.FloatField(null=True)
    seconds = models.FloatField(null=True)  # on task, idle time left out
    segmenter = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["item", "user", "-id"])]

    def __str__(self) -> str:
        return f"{self.trace_id} by {self.user_id}: {self.decision}"


class StepLabel(models.Model):
    """A label on a range of the trace: -1 wrong, 0 no progress, +1 right. Unset has no row."""

    review = models.ForeignKey(Review, models.CASCADE, related_name="step_labels")
    start = models.IntegerField()
    end = models.IntegerField()
    label = models.SmallIntegerField()
    quote_sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["review", "start", "end"], name="one_step_label"),
            models.CheckConstraint(condition=models.Q(label__in=[-1, 0, 1]), name="label_known"),
        ]

    def __str__(self) -> str:
        return f"{self.start}-{self.end}: {self.label}"
