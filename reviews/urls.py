"""Routes of the review pages and of the REST API of people."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from reviews import api
from reviews.views import asked, compare, guiding, people, queues, screen

router = SimpleRouter()
router.register("queues", api.Queues, basename="queues")
router.register("queue-items", api.QueueItems, basename="queue-items")
router.register("assignments", api.Assignments, basename="assignments")
router.register("reviews", api.Reviews, basename="reviews")
router.register("preferences", api.Preferences, basename="preferences")
router.register("comments", api.Comments, basename="comments")
router.register("guidelines", api.Guidelines, basename="guidelines")
router.register("notifications", api.Notifications, basename="notifications")

P = "p/<slug:slug>/"
Q = f"{P}queues/<int:pk>/"
R = f"{P}review/<int:pk>/"
urlpatterns = [
    path("api/v1/", include(router.urls)),
    path(f"{P}queues/", queues.queue_list, name="queues"),
    path(f"{P}queues/fill/", queues.queue_fill, name="queue_fill"),
    path(Q, queues.queue_detail, name="queue"),
    path(f"{Q}next/", queues.queue_next, name="queue_next"),
    path(f"{Q}bulk/", queues.queue_bulk, name="queue_bulk"),
    path(f"{Q}settings/", queues.queue_settings, name="queue_settings"),
    path(f"{Q}views/", queues.save_view, name="queue_views"),
    path(f"{Q}quality/", people.quality_page, name="queue_quality"),
    path(R, screen.review, name="review"),
    path(f"{R}draft/", screen.draft, name="review_draft"),
    path(f"{R}beat/", screen.beat, name="review_beat"),
    path(f"{R}commit/", screen.commit, name="review_commit"),
    path(f"{R}preview/", screen.preview, name="review_preview"),
    path(f"{R}diff/", screen.diff, name="review_diff"),
    path(f"{R}consequences/", screen.consequences, name="review_consequences"),
    path(f"{R}tokens/", screen.token_counts, name="review_tokens"),
    path(f"{R}checks/", screen.checks, name="review_checks"),
    path(f"{R}checks/code/", screen.code_checks, name="review_code_checks"),
    path(f"{R}checks/steps/", screen.step_scores, name="review_step_scores"),
    path(f"{R}submit/", screen.submit, name="review_submit"),
    path(f"{R}skip/", screen.skip, name="review_skip"),
    path(f"{P}compare/", compare.compare_page, name="compare"),
    path(f"{P}compare/checks/", compare.compare_checks, name="compare_checks"),
    path(f"{P}compare/checks/code/", compare.compare_code, name="compare_code"),
    path(f"{P}compare/prefer/", compare.prefer, name="prefer"),
    path(f"{P}read/<int:pk>/", compare.read, name="read"),
    path(f"{P}read/<int:pk>/comments/", people.comment_add, name="comment_add"),
    path(f"{P}read/<int:pk>/comments/<int:comment>/", people.comment_edit, name="comment_edit"),
    path(
        f"{P}read/<int:pk>/comments/<int:comment>/resolve/",
        people.comment_resolve,
        name="comment_resolve",
    ),
    path(f"{P}guidelines/", guiding.guideline_page, name="guidelines"),
    path(f"{P}guidelines/preview/", guiding.guideline_preview, name="guideline_preview"),
    path(f"{P}notices/", people.notices, name="notices"),
    path(f"{P}adjudicate/", people.adjudicate, name="adjudicate"),
    path(f"{P}review-schema/", asked.schema_page, name="review_schema"),
]
