"""Routes of the review pages."""

from django.urls import path

from reviews import views

P = "p/<slug:slug>/"
urlpatterns = [
    path(f"{P}queues/", views.queue_list, name="queues"),
    path(f"{P}queues/fill/", views.queue_fill, name="queue_fill"),
    path(f"{P}queues/<int:pk>/next/", views.queue_next, name="queue_next"),
    path(f"{P}review/<int:pk>/", views.review, name="review"),
    path(f"{P}review/<int:pk>/draft/", views.draft, name="review_draft"),
    path(f"{P}review/<int:pk>/preview/", views.preview, name="review_preview"),
    path(f"{P}review/<int:pk>/submit/", views.submit, name="review_submit"),
    path(f"{P}review/<int:pk>/skip/", views.skip, name="review_skip"),
]
