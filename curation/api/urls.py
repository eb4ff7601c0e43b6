"""Routes of the REST API and of health."""

urlpatterns: list[object] = []
