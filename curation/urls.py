"""Root routes; the only module that knows all others."""

from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.templatetags.static import static
from django.urls import include, path, re_path


def moved_file(request: HttpRequest, name: str) -> HttpResponseRedirect:
    """A static file under the address of another release, or under none."""
    if static(name) == request.path:
        raise Http404("no such file")
    return HttpResponseRedirect(static(name))


handler400 = "curation.failures.bad_request"
handler404 = "curation.failures.not_found"
handler500 = "curation.failures.server_error"
urlpatterns = [
    path("", include("curation.api.urls")),
    path("", include("curation.views.urls")),
    path("", include("reviews.urls")),
    re_path(r"^static/(?:[0-9a-f]{16}/)?(?P<name>(?:css|js|img|vendor)/.+)$", moved_file),
]
