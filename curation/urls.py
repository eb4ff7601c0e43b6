"""Root routes; the only module that knows all others."""

from django.urls import include, path

urlpatterns = [
    path("", include("curation.api.urls")),
    path("", include("curation.views.urls")),
    path("", include("reviews.urls")),
]
