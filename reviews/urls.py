"""Routes of the review pages."""

urlpatterns: list[object] = []
