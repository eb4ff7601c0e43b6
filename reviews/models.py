"""People: guidelines, queues, assignments (leases) and append-only reviews."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from curation.models import Problem, Project, Trace


class Guideline(models.Model):
    """One version of a project's guideline; a change is a new version."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="guidelines")
    version = models.IntegerField()
    text = models.TextField()  # Markdown
    summary = models.CharField(max_length=300, blank=True)  # what is different, in a sentence
    # Which earlier decisions the change may affect: keys of reviews.guidelines.RULES; {} = none.
    affects = models.JSONField(default=dict, blank=True)
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
        DOUBT = "doubt", "most doubtful first"

    project = models.ForeignKey(Project, models.CASCADE, related_name="queues")
    name = models.CharField(max_length=100)
    # What fills it: allow-listed keys of reviews.filters.FILTERS.
    filters = models.JSONField(default=dict, blank=True)
    overlap = models.IntegerField(default=1)
    order = models.CharField(max_length=10, choices=Order.choices, default=Order.POSITION)
    # How several reviews of one trace become an outcome (reviews.consensus).
    policy = models.CharField(max_length=32, default="single")
    # Hidden until the first judgement: any of "teacher", "verdict", "proposals", "others".
    hide = models.JSONField(default=list, blank=True)
    # Who may take from it, by user name; empty: every reviewer of the project.
    members = models.JSONField(default=list, blank=True)
    # Share of a reviewer's items that are gold (0: none), and what screening asks for before the
    # rest: {"items": n, "accuracy": share}; {}: no screening.
    gold_share = models.FloatField(default=0)
    screening = models.JSONField(default=dict, blank=True)
    min_coverage = models.FloatField(default=0)  # a submission that read less is refused
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
    doubt = models.FloatField(default=0)  # how unsure machines and people are, reviews.filters
    reason = models.CharField(max_length=200, blank=True)  # why it stands here
    # What a gold item must come out as: {"decision", "first_error", "cuts"}; null: not gold.
    gold = models.JSONField(null=True, blank=True)
    only_for = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+"
    )
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
    # Counts up with each saved draft: a tab that saves over one it has not seen is told so.
    draft_rev = models.IntegerField(default=0)
    # The first judgement, before hidden things were shown: {"decision", "at", "seconds"}.
    committed = models.JSONField(null=True, blank=True)
    adjudicates = models.BooleanField(default=False)  # beyond the overlap, to settle the others
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
    # Answers to the project's own label schema: {name: value} (reviews.schema).
    values = models.JSONField(default=dict, blank=True)
    flagged = models.BooleanField(default=False)
    # [{"start", "end", "label", "quote_sha256"}]
    spans = models.JSONField(default=list, blank=True)
    kinds = models.JSONField(default=list, blank=True)  # [{"start", "end", "kind", "was"}]
    kept = models.JSONField(default=list, blank=True)  # ranges that must stay, with a reason
    rejected = models.JSONField(default=list, blank=True)  # ids of proposals said no to
    dispute = models.JSONField(null=True, blank=True)  # {"answer", "why"}: the reference is wrong
    # Judgement before the hidden things were shown; equal to the decision when nothing was hidden.
    first_decision = models.CharField(max_length=12, blank=True)
    read = models.JSONField(default=list, blank=True)  # [[start, end, seconds on screen], ...]
    adjudicates = models.BooleanField(default=False)  # settles what earlier reviews disagree on
    created_at = models.DateTimeField(auto_now_add=True)

    # PRM800K's words for the four decisions (github.com/openai/prm800k, README).
    FINISH: ClassVar[dict[str, str]] = {
        "sound": "solution",
        "flawed": "found_error",
        "bad_problem": "bad_problem",
        "give_up": "give_up",
    }

    class Meta:
        indexes = [models.Index(fields=["item", "user", "-id"])]

    def __str__(self) -> str:
        return f"{self.trace_id} by {self.user_id}: {self.decision}"

    @property
    def finish_reason(self) -> str:
        return self.FINISH.get(self.decision, "")


class StepLabel(models.Model):
    """A label on a range of the trace: -1 wrong, 0 no progress, +1 right. Unset has no row."""

    review = models.ForeignKey(Review, models.CASCADE, related_name="step_labels")
    start = models.IntegerField()
    end = models.IntegerField()
    label = models.SmallIntegerField(null=True)  # null: unset, but flagged or with an alternative
    flagged = models.BooleanField(default=False)
    alternative = models.TextField(blank=True)  # a better step in its place
    quote_sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["review", "start", "end"], name="one_step_label"),
            models.CheckConstraint(condition=models.Q(label__in=[-1, 0, 1]), name="label_known"),
        ]

    def __str__(self) -> str:
        return f"{self.start}-{self.end}: {self.label}"


class DraftCopy(models.Model):
    """What a draft was when another tab or device wrote over it: nothing typed is ever lost."""

    assignment = models.ForeignKey(Assignment, models.CASCADE, related_name="copies")
    draft = models.JSONField()
    why = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.assignment_id}: {self.why}"


class Preference(models.Model):
    """An order of two to four traces of one problem by one person; append-only."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="preferences")
    problem = models.ForeignKey(Problem, models.CASCADE, related_name="preferences")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="preferences")
    # [[trace ids that are equally good], ...], best first.
    ranking = models.JSONField()
    # {trace id: code point of the step where it goes another way than the best}.
    diverges = models.JSONField(default=dict, blank=True)
    strength = models.CharField(max_length=16, blank=True)  # "slightly", "clearly", "far"
    note = models.TextField(blank=True)
    seconds = models.FloatField(null=True)
    guideline_version = models.IntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["problem", "user", "-id"])]

    def __str__(self) -> str:
        return f"{self.problem_id} by {self.user_id}: {self.ranking}"


class Comment(models.Model):
    """Words on a range of a trace (or on the whole: no range); a reply has a parent."""

    trace = models.ForeignKey(Trace, models.CASCADE, related_name="comments")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="comments")
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="replies")
    start = models.IntegerField(null=True)
    end = models.IntegerField(null=True)
    quote_sha256 = models.CharField(max_length=64, blank=True)
    text = models.TextField()  # as first written; what it became later is in versions
    resolved_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["trace", "id"])]

    def __str__(self) -> str:
        return f"{self.trace_id} {self.start}-{self.end}"


class CommentVersion(models.Model):
    """What the author of a comment made of it later; append-only, the newest row is current."""

    comment = models.ForeignKey(Comment, models.CASCADE, related_name="versions")
    text = models.TextField(blank=True)
    deleted = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["comment", "-id"])]

    def __str__(self) -> str:
        return f"{self.comment_id}: {'deleted' if self.deleted else 'edited'}"


class Notification(models.Model):
    """Something that waits for one person: a mention, a reply, an item to look at again."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="notices")
    project = models.ForeignKey(Project, models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=16)  # mention, reply, recheck, adjudicated
    text = models.CharField(max_length=300)
    url = models.CharField(max_length=300)
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["user", "project", "-id"])]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.kind}"


class SavedView(models.Model):
    """A named set of filters of a queue's items, of one person or (shared) of the project."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="saved_views")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="saved_views")
    queue = models.ForeignKey(Queue, models.CASCADE, related_name="saved_views")
    name = models.CharField(max_length=100)
    query = models.CharField(max_length=500)
    shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["queue", "user", "name"], name="one_saved_view")
        ]

    def __str__(self) -> str:
        return self.name
