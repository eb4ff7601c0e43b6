"""What the page views share: the frame of a project's page, keyset pages, GET filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Generic, TypeVar, cast

from django.contrib.auth.decorators import login_required
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render

from curation import access
from curation.models import Project
from curation.models.project import Role

M = TypeVar("M", bound=Model)
PAGE = 50
MAX_ID = 2**63 - 1


def signed_in(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """``login_required`` for views that fragments poll.

    A fragment that asks after the session has ended makes the browser load its page again, which
    leads to the login, and does not get the login page in its own place.
    """
    guarded = login_required(view)

    @wraps(view)
    def ask(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.htmx and not request.user.is_authenticated:  # type: ignore[attr-defined]
            return HttpResponse(status=204, headers={"HX-Refresh": "true"})
        return guarded(request, *args, **kwargs)

    return ask


def frame(request: HttpRequest, project: Project) -> dict[str, Any]:
    """What every page of a project needs: the project and what this user may do in it."""
    role = access.role_in(request.user, project)
    rank = access.RANK[role] if role else -1
    return {
        "project": project,
        "role": role,
        "can_curate": rank >= access.RANK[Role.CURATOR],
        "can_own": rank >= access.RANK[Role.OWNER],
    }


def page(
    request: HttpRequest, project: Project, template: str, *, status: int = 200, **context: Any
) -> HttpResponse:
    """A page inside the project's frame."""
    return render(request, template, frame(request, project) | context, status=status)


@dataclass
class Slice(Generic[M]):
    """One page of a list: its rows and the query strings of its neighbours (empty: none)."""

    rows: list[M]
    previous: str = ""
    next: str = ""


def _identity(given: str | None) -> int | None:
    """A row id from a query string, or None."""
    text = given or ""
    return int(text) if text.isascii() and text.isdigit() and int(text) <= MAX_ID else None


def _link(params: QueryDict, name: str, value: int) -> str:
    query = params.copy()
    for key in ("after", "before"):
        query.pop(key, None)
    query[name] = str(value)
    return f"?{query.urlencode()}"


def keyset(
    rows: QuerySet[M], params: QueryDict, *, size: int = PAGE, newest_first: bool = True
) -> Slice[M]:
    """One page of ``rows`` by id: as fast at the end of a table as at its start.

    ``after`` names the last row of the page before in reading order, ``before`` the first row of
    the page behind; anything else in them is ignored.
    """
    after, before = _identity(params.get("after")), _identity(params.get("before"))
    backwards = before is not None and after is None
    if after is not None:
        rows = rows.filter(**{"pk__lt" if newest_first else "pk__gt": after})
    elif before is not None:
        rows = rows.filter(**{"pk__gt" if newest_first else "pk__lt": before})
    rows = rows.order_by("-pk" if newest_first != backwards else "pk")
    found = list(rows[: size + 1])
    more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    if not found:
        return Slice([])
    earlier, later = (more, True) if backwards else (after is not None, more)
    return Slice(
        found,
        _link(params, "before", cast(int, found[0].pk)) if earlier else "",
        _link(params, "after", cast(int, found[-1].pk)) if later else "",
    )


@dataclass
class Filter:
    """A field of a list's filter bar: free text where ``options`` is None, else a choice.

    ``always`` is the choice that holds when none was made; without it, none means all.
    """

    name: str
    label: str
    apply: Callable[[Any, str], Any]
    options: Sequence[tuple[str, str]] | None = None
    placeholder: str = ""
    always: str = ""
    value: str = field(default="", init=False)

    def read(self, params: QueryDict) -> None:
        """Take the value from the query string; a value outside the options is dropped."""
        given = params.get(self.name, "").strip().replace("\x00", "")[:200]
        allowed = None if self.options is None else {value for value, _ in self.options}
        self.value = given if allowed is None or given in allowed else self.always


def filtered(rows: QuerySet[M], params: QueryDict, filters: Sequence[Filter]) -> QuerySet[M]:
    """``rows`` narrowed by those filters that the query string sets."""
    for item in filters:
        item.read(params)
        if item.value:
            rows = item.apply(rows, item.value)
    return rows


def is_filtered(filters: Sequence[Filter]) -> bool:
    return any(item.value != item.always for item in filters)


def options(values: Sequence[str]) -> list[tuple[str, str]]:
    """Choices whose label is their value."""
    return [(value, value) for value in values if value]
