"""Routes of the review pages and of the REST API of people."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from reviews import api, views

router = SimpleRouter()
router.register("queues", api.Queues, basename="queues")
router.register("assignments", api.Assignments, basename="assignments")
router.register("reviews", api.Reviews, basename="reviews")

P = "p/<slug:slug>/"
urlpatterns = [
    path("api/v1/", include(router.urls)),
    path(f"{P}queues/", views.queue_list, name="queues"),
    path(f"{P}queues/fill/", views.queue_fill, name="queue_fill"),
    path(f"{P}queues/<int:pk>/next/", views.queue_next, name="queue_next"),
    path(f"{P}review/<int:pk>/", views.review, name="review"),
    path(f"{P}review/<int:pk>/draft/", views.draft, name="review_draft"),
    path(f"{P}review/<int:pk>/preview/", views.preview, name="review_preview"),
    path(f"{P}review/<int:pk>/submit/", views.submit, name="review_submit"),
    path(f"{P}review/<int:pk>/skip/", views.skip, name="review_skip"),
]
