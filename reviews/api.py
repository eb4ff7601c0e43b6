"""Queues, assignments and reviews over REST: the same functions that the pages call."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from curation import access
from curation.api.base import Editable, ReadOnly, documented
from curation.api.errors import Conflict
from curation.api.serializers import Base
from curation.api.training import body_of
from curation.models.project import Role
from reviews import decisions, queues
from reviews.models import Assignment, Queue, Review


class QueueSerializer(Base):
    unique_name = "name"

    class Meta:
        model = Queue
        fields = ["id", "project", "name", "filters", "overlap", "order", "policy", "enabled",
                  "created_at"]  # fmt: skip


class AssignmentSerializer(serializers.ModelSerializer[Assignment]):
    trace = serializers.IntegerField(source="item.trace_id", read_only=True)
    queue = serializers.IntegerField(source="item.queue_id", read_only=True)

    class Meta:
        model = Assignment
        fields = ["id", "queue", "trace", "user", "state", "epoch", "lease_until", "skip_reason",
                  "draft", "started_at", "finished_at"]  # fmt: skip


class ReviewSerializer(serializers.ModelSerializer[Review]):
    class Meta:
        model = Review
        fields = ["id", "item", "trace", "user", "decision", "cuts", "first_error", "note",
                  "guideline_version",
                  "coverage", "seconds", "segmenter", "created_at"]  # fmt: skip


@documented("queues")
class Queues(Editable):
    queryset = Queue.objects.all().select_related("project")
    serializer_class = QueueSerializer
    filters = {"name": "name"}

    @extend_schema(request=None, responses=AssignmentSerializer)
    @action(detail=True, methods=["post"])
    def next(self, request: Request, pk: str | None = None) -> Response:
        """Lease the caller's next item; 204 when there is none."""
        queue: Queue = self.get_object()
        access.require(request.user, queue.project, Role.REVIEWER)
        assignment = queues.next_assignment(queue, request.user)
        if assignment is None:
            return Response(status=204)
        return Response(AssignmentSerializer(assignment).data)


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
    def skip(self, request: Request, pk: str | None = None) -> Response:
        assignment: Assignment = self.get_object()
        queues.skip(assignment, str(body_of(request).get("reason") or ""))
        assignment.refresh_from_db()
        return Response(self.get_serializer(assignment).data)

    @extend_schema(request=OpenApiTypes.OBJECT, responses={201: ReviewSerializer})
    @action(detail=True, methods=["post"])
    def submit(self, request: Request, pk: str | None = None) -> Response:
        assignment: Assignment = self.get_object()
        access.require(request.user, assignment.item.queue.project, Role.REVIEWER)
        try:
            review = decisions.submit(assignment, self.epoch(), decisions.parse(request.data))
        except decisions.BadReview as error:
            raise serializers.ValidationError({error.code: str(error)}) from error
        except queues.LeaseExpired as error:
            queues.save_draft(assignment, body_of(request))
            raise Conflict(f"{error}; what you sent is kept as a draft") from error
        return Response(ReviewSerializer(review).data, status=201)


@documented("reviews")
class Reviews(ReadOnly):
    queryset = Review.objects.all()
    serializer_class = ReviewSerializer
    project_path = "item__queue__project"
    filters = {"trace": "trace", "queue": "item__queue", "decision": "decision"}
