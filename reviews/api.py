"""Queues, assignments and reviews over REST: the same functions that the pages call."""

from __future__ import annotations

from typing import Any, cast

from django.db.models.functions import Now
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from curation import access
from curation.api.base import (
    Editable,
    ReadOnly,
    Scoped,
    allowed_projects,
    documented,
    project_for,
)
from curation.api.errors import Conflict
from curation.api.serializers import Base
from curation.api.training import body_of
from curation.brakes import TOOLS
from curation.jobs import JobError
from curation.models import Project, Trace
from curation.models.project import Role
from reviews import adjudication, comments, compare, decisions, guidelines, manage, quality, queues
from reviews.consequences import consequences
from reviews.filters import matching
from reviews.models import (
    Assignment,
    Comment,
    Guideline,
    Notification,
    Preference,
    Queue,
    QueueItem,
    Review,
)

SETTINGS = ("overlap", "order", "policy", "hide", "members", "gold_share", "screening",
            "min_coverage", "enabled")  # fmt: skip


def refused(error: decisions.BadReview) -> serializers.ValidationError:
    return serializers.ValidationError({error.code: str(error)})


class QueueSerializer(Base):
    unique_name = "name"

    class Meta:
        model = Queue
        fields = ["id", "project", "name", "filters", *SETTINGS, "created_at"]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        project = self.project_of()
        for name in set(attrs) & set(SETTINGS):
            try:
                attrs |= manage.checked(project, {name: attrs[name]})
            except decisions.BadReview as error:
                raise serializers.ValidationError({name: str(error)}) from error
        try:
            matching(project, attrs.get("filters") or {})
        except JobError as error:
            raise serializers.ValidationError({"filters": str(error)}) from error
        return super().validate(attrs)

    def project_of(self) -> Project:
        if self.instance is not None:
            return cast(Queue, self.instance).project
        return project_for(self.context["request"], self.initial_data.get("project"), Role.CURATOR)

    def update(self, instance: Queue, validated_data: dict[str, Any]) -> Queue:
        """Settings as the page stores them: another overlap or policy settles the items anew."""
        given = {name: validated_data.pop(name) for name in SETTINGS if name in validated_data}
        super().update(instance, validated_data)
        return manage.configure(instance, given) if given else instance


class QueueItemSerializer(serializers.ModelSerializer[QueueItem]):
    gold = serializers.SerializerMethodField()
    finished = serializers.BooleanField(source="judged_enough", read_only=True)

    @extend_schema_field({"type": "object", "nullable": True})
    def get_gold(self, item: QueueItem) -> dict[str, Any] | None:
        """The expected answer, for curators: who is measured by it must not know it is gold."""
        return item.gold if item.queue.project_id in self.curated else None

    @cached_property
    def curated(self) -> set[int]:
        mine = allowed_projects(self.context["request"], Role.CURATOR)
        return set(mine.values_list("pk", flat=True))

    class Meta:
        model = QueueItem
        fields = ["id", "queue", "trace", "position", "savings", "doubt", "reason", "gold",
                  "finished", "created_at"]  # fmt: skip


class AssignmentSerializer(serializers.ModelSerializer[Assignment]):
    trace = serializers.IntegerField(source="item.trace_id", read_only=True)
    queue = serializers.IntegerField(source="item.queue_id", read_only=True)

    class Meta:
        model = Assignment
        fields = ["id", "queue", "trace", "user", "state", "epoch", "lease_until", "skip_reason",
                  "draft", "draft_rev", "committed", "adjudicates", "started_at",
                  "finished_at"]  # fmt: skip


class ReviewSerializer(serializers.ModelSerializer[Review]):
    finish_reason = serializers.CharField(read_only=True)
    steps = serializers.SerializerMethodField()

    class Meta:
        model = Review
        fields = ["id", "item", "trace", "user", "decision", "finish_reason", "cuts", "steps",
                  "spans", "kinds", "kept", "rejected", "values", "dispute", "first_error",
                  "flagged", "note", "first_decision", "adjudicates", "guideline_version",
                  "coverage", "read", "seconds", "segmenter", "created_at"]  # fmt: skip

    @extend_schema_field({"type": "array", "items": {"type": "object"}})
    def get_steps(self, review: Review) -> list[dict[str, Any]]:
        """PRM800K's fields of each step: rating, flagged, human completion."""
        return [
            {"start": s.start, "end": s.end, "label": s.label, "flagged": s.flagged,
             "alternative": s.alternative, "quote_sha256": s.quote_sha256}
            for s in review.step_labels.all()
        ]  # fmt: skip


@documented("queues")
class Queues(Editable):
    queryset = Queue.objects.all().select_related("project")
    serializer_class = QueueSerializer
    filters = {"name": "name"}

    def perform_destroy(self, instance: Queue) -> None:
        """A queue in which somebody has judged stays, as its reviews do: 409."""
        self.check_role(instance)
        if Review.objects.filter(item__queue=instance).exists():
            raise Conflict("people have judged in this queue: it stays; pause it instead")
        instance.delete()

    @extend_schema(request=None, responses=AssignmentSerializer)
    @action(detail=True, methods=["post"])
    def next(self, request: Request, pk: str | None = None) -> Response:
        """Lease the caller's next item; 204 when there is none, the header Whittle-Reason says why.

        Reasons: paused, for_others, screened, empty, none_for_you, all_done.
        """
        queue: Queue = self.get_object()
        access.require(request.user, queue.project, Role.REVIEWER)
        assignment = queues.next_assignment(queue, request.user)
        if assignment is None:
            why = queues.why_nothing(queue, request.user)
            return Response(status=204, headers={"Whittle-Reason": why})
        return Response(AssignmentSerializer(assignment).data)

    @extend_schema(responses=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["get"])
    def quality(self, request: Request, pk: str | None = None) -> Response:
        """Progress, people and agreement of the queue.

        A reviewer gets their own figures alone: ``agreement`` is null and ``days`` is empty.
        """
        queue: Queue = self.get_object()
        role = access.require(request.user, queue.project, Role.REVIEWER)
        curates = access.RANK[role] >= access.RANK[Role.CURATOR]
        people = quality.people_for(queue, request.user, curates=curates)
        done = queues.progress(queue)
        return Response(
            {
                "progress": {"total": done.total, "finished": done.finished, "open": done.open},
                "people": [vars_of(p) for p in people],
                "agreement": vars_of(quality.agreement_of(queue)) if curates else None,
                "days": [vars_of(day) for day in quality.over_time(queue)] if curates else [],
            }
        )

    @extend_schema(request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["post"])
    def bulk(self, request: Request, pk: str | None = None) -> Response:
        """``{"action", "items": [ids], "decision"}``: one action on many items."""
        queue: Queue = self.get_object()
        access.require(request.user, queue.project, Role.CURATOR)
        data = body_of(request)
        try:
            done = manage.bulk(queue, str(data.get("action")), data.get("items"), data)
        except decisions.BadReview as error:
            raise refused(error) from error
        return Response({"changed": done})


def vars_of(record: Any) -> dict[str, Any]:
    """A frozen record as JSON takes it."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


@documented("queue-items")
class QueueItems(ReadOnly):
    queryset = QueueItem.objects.all().select_related("queue").annotate(**manage.judged_enough())
    serializer_class = QueueItemSerializer
    project_path = "queue__project"
    filters = {"queue": "queue", "trace": "trace", "finished": "judged_enough"}

    @extend_schema(request=None, responses=AssignmentSerializer)
    @action(detail=True, methods=["post"])
    def adjudicate(self, request: Request, pk: str | None = None) -> Response:
        """A place beyond the overlap, to settle what the reviews of the item disagree on."""
        item: QueueItem = self.get_object()
        access.require(request.user, item.queue.project, Role.CURATOR)
        try:
            return Response(AssignmentSerializer(adjudication.begin(item, request.user)).data)
        except decisions.BadReview as error:
            raise refused(error) from error


@documented("assignments")
class Assignments(ReadOnly):
    """The caller's own assignments."""

    queryset = Assignment.objects.all().select_related("item__queue")
    serializer_class = AssignmentSerializer
    project_path = "item__queue__project"
    filters = {"queue": "item__queue", "state": "state"}
    write_scope = "review"

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(user_id=self.request.user.pk)

    def epoch(self) -> int:
        try:
            return int(body_of(self.request)["epoch"])
        except (KeyError, TypeError, ValueError) as error:
            raise serializers.ValidationError({"epoch": "a number is needed"}) from error

    @extend_schema(request=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["post"])
    def renew(self, request: Request, pk: str | None = None) -> Response:
        assignment: Assignment = self.get_object()
        if not queues.renew(assignment.pk, self.epoch()):
            raise Conflict("the lease ran out or was taken anew elsewhere")
        assignment.refresh_from_db()
        return Response(self.get_serializer(assignment).data)

    @extend_schema(request=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["post"])
    def draft(self, request: Request, pk: str | None = None) -> Response:
        """Keep ``{"rev", "draft"}``; 409 when another tab or script saved since ``rev``."""
        assignment: Assignment = self.get_object()
        data = body_of(request)
        kept = data.get("draft")
        if not isinstance(kept, dict):
            raise serializers.ValidationError({"draft": "an object is needed"})
        force = data.get("force") is True
        try:
            _, other = queues.save_draft(assignment, kept, data.get("rev"), force)
        except decisions.BadReview as error:
            raise refused(error) from error
        if other is not None:
            raise Conflict("the draft was changed elsewhere; what you sent is kept as a copy")
        assignment.refresh_from_db()
        return Response(self.get_serializer(assignment).data)

    @extend_schema(request=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["post"])
    def skip(self, request: Request, pk: str | None = None) -> Response:
        """Give the item back with ``{"reason"}``; the lead reads it, others get the item."""
        assignment: Assignment = self.get_object()
        try:
            queues.skip(assignment, str(body_of(request).get("reason") or ""))
        except decisions.BadReview as error:
            raise refused(error) from error
        assignment.refresh_from_db()
        return Response(self.get_serializer(assignment).data)

    @extend_schema(
        responses=OpenApiTypes.OBJECT,
        parameters=[OpenApiParameter("decision", str, enum=Review.Decision.values)],
    )
    @action(detail=True, methods=["get"])
    def preview(self, request: Request, pk: str | None = None) -> Response:
        """What the draft, with this decision or its own, would do to the project's next export."""
        assignment: Assignment = self.get_object()
        trace = Trace.objects.select_related("problem__source").get(pk=assignment.item.trace_id)
        draft = dict(assignment.draft)
        if given := request.query_params.get("decision"):
            draft["decision"] = given
        try:
            submission = decisions.parse(draft) if draft.get("decision") else None
            with TOOLS.hold(request.user.pk):
                return Response(consequences(assignment, trace, submission))
        except decisions.BadReview as error:
            raise refused(error) from error

    @extend_schema(request=OpenApiTypes.OBJECT, responses={201: ReviewSerializer})
    @action(detail=True, methods=["post"])
    def submit(self, request: Request, pk: str | None = None) -> Response:
        assignment: Assignment = self.get_object()
        access.require(request.user, assignment.item.queue.project, Role.REVIEWER)
        try:
            review = decisions.submit(assignment, self.epoch(), decisions.parse(request.data))
        except decisions.BadReview as error:
            raise refused(error) from error
        except queues.LeaseExpired as error:
            queues.save_draft(assignment, body_of(request))
            raise Conflict(f"{error}; what you sent is kept as a draft") from error
        return Response(ReviewSerializer(review).data, status=201)


@documented("reviews")
class Reviews(ReadOnly):
    """Judgements. Who does not curate sees their own, and others' once an item is finished."""

    queryset = Review.objects.all().prefetch_related("step_labels")
    serializer_class = ReviewSerializer
    project_path = "item__queue__project"
    filters = {"trace": "trace", "queue": "item__queue", "decision": "decision", "user": "user",
               "adjudicates": "adjudicates"}  # fmt: skip

    def get_queryset(self) -> Any:
        curated = allowed_projects(self.request, Role.CURATOR)
        return super().get_queryset().filter(manage.readable(self.request.user, curated))


class PreferenceSerializer(Base):
    class Meta:
        model = Preference
        fields = ["id", "project", "problem", "user", "ranking", "diverges", "strength", "note",
                  "seconds", "guideline_version", "created_at"]  # fmt: skip


class Created(mixins.ListModelMixin, mixins.RetrieveModelMixin, Scoped):
    """List, detail and a create that calls a function of the domain."""

    write_scope = "review"

    def perform(self, request: Request) -> Any:
        raise NotImplementedError

    @extend_schema(request=OpenApiTypes.OBJECT)
    def create(self, request: Request) -> Response:
        try:
            row = self.perform(request)
        except decisions.BadReview as error:
            raise refused(error) from error
        return Response(self.get_serializer(row).data, status=201)


@documented("preferences")
class Preferences(Created):
    """Orders of traces of one problem; append-only."""

    queryset = Preference.objects.all().select_related("project")
    serializer_class = PreferenceSerializer
    filters = {"problem": "problem", "user": "user"}

    def perform(self, request: Request) -> Preference:
        data = body_of(request)
        project = project_for(request, data.get("project"), Role.REVIEWER)
        return compare.save_preference(project, request.user, data)


class CommentSerializer(serializers.ModelSerializer[Comment]):
    text = serializers.SerializerMethodField()
    deleted = serializers.SerializerMethodField()
    earlier = serializers.SerializerMethodField()

    class Meta:
        model = Comment
        fields = ["id", "trace", "user", "parent", "start", "end", "quote_sha256", "text",
                  "deleted", "earlier", "resolved_at", "created_at"]  # fmt: skip

    def get_text(self, row: Comment) -> str:
        return comments.current_text(row)

    def get_deleted(self, row: Comment) -> bool:
        return comments.deleted(row)

    def get_earlier(self, row: Comment) -> list[str]:
        """What it said before its author changed it, oldest first."""
        return comments.earlier(row)


@documented("comments")
class Comments(Created):
    """Words on ranges of a trace; an edit or a deletion is a new version of one's own."""

    queryset = Comment.objects.all().select_related("trace__project").prefetch_related("versions")
    serializer_class = CommentSerializer
    project_path = "trace__project"
    filters = {"trace": "trace", "user": "user"}

    def perform(self, request: Request) -> Comment:
        data = body_of(request)
        pk = data.get("trace")
        trace = access.access_object(
            request.user, Trace, pk if type(pk) is int else 0, Role.REVIEWER
        )
        project_for(request, trace.project.slug, Role.REVIEWER)
        return comments.add_comment(trace, request.user, data)

    def own(self) -> Comment:
        row: Comment = self.get_object()
        access.require(self.request.user, row.trace.project, Role.REVIEWER)
        return row

    @extend_schema(request=OpenApiTypes.OBJECT)
    def partial_update(self, request: Request, pk: str | None = None) -> Response:
        """New words for the caller's own comment: ``{"text": …}``."""
        row = self.own()
        try:
            comments.edit_comment(row, request.user, body_of(request))
        except decisions.BadReview as error:
            raise refused(error) from error
        return Response(self.get_serializer(self.get_object()).data)

    def destroy(self, request: Request, pk: str | None = None) -> Response:
        """Take the caller's own comment back; its words stay in the history."""
        try:
            comments.delete_comment(self.own(), request.user)
        except decisions.BadReview as error:
            raise refused(error) from error
        return Response(status=204)


class GuidelineSerializer(Base):
    class Meta:
        model = Guideline
        fields = ["id", "project", "version", "summary", "text", "affects", "author", "created_at"]


@documented("guidelines")
class Guidelines(Created):
    """Versions of the guideline; a new one opens queues for what it may affect."""

    queryset = Guideline.objects.all().select_related("project")
    serializer_class = GuidelineSerializer
    filters = {"version": "version"}
    write_scope = "write"

    def perform(self, request: Request) -> Guideline:
        data = body_of(request)
        project = project_for(request, data.get("project"), Role.CURATOR)
        text, summary = str(data.get("text") or ""), str(data.get("summary") or "")
        row, _ = guidelines.publish(project, request.user, text, summary, data.get("affects") or {})
        return row


class NotificationSerializer(Base):
    class Meta:
        model = Notification
        fields = ["id", "project", "kind", "text", "url", "created_at", "read_at"]


@documented("notifications")
class Notifications(ReadOnly):
    """The caller's own notices."""

    write_scope = "review"
    queryset = Notification.objects.all().select_related("project")
    serializer_class = NotificationSerializer
    filters = {"kind": "kind"}

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(user_id=self.request.user.pk)

    @extend_schema(request=None, responses=OpenApiTypes.OBJECT)
    @action(detail=False, methods=["post"])
    def read(self, request: Request) -> Response:
        """Mark as read: all of the caller's notices, or those that the filters name."""
        rows = self.get_queryset().filter(read_at=None)
        return Response({"read": rows.update(read_at=Now())})
