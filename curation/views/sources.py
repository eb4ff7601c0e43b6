"""Sources: the list, one source with its rejected rows, and importing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from curation import access
from curation.models import (
    ImportReject,
    Job,
    Problem,
    ProblemOccurrence,
    Source,
    SourceFile,
    Trace,
)
from curation.views.common import Filter, filtered, is_filtered, keyset, options, page
from curation.views.forms import WorkForm
from curation.views.jobs import cards

RAW_SHOWN = 4000


def counted(ids: Iterable[int], model: Any) -> dict[int, int]:
    """Source id -> number of rows of ``model`` that belong to it."""
    rows = model.objects.filter(source_id__in=list(ids)).values("source_id")
    return dict(rows.annotate(n=Count("pk")).values_list("source_id", "n"))


@login_required
def sources(request: HttpRequest, slug: str) -> HttpResponse:
    """All sources with what came out of them."""
    project = access.access_project(request.user, slug)
    rows = Source.objects.filter(project=project)
    filters = [
        Filter(
            "q", "Name", lambda q, v: q.filter(name__icontains=v), placeholder="name of a source"
        )
    ]
    found = keyset(filtered(rows, request.GET, filters), request.GET)
    ids = [source.pk for source in found.rows]
    return page(
        request,
        project,
        "sources/list.html",
        slice=found,
        filters=filters,
        filtered=is_filtered(filters),
        rows_in=counted(ids, ProblemOccurrence),
        problems=counted(ids, Problem),
        traces=counted(ids, Trace),
        rejects=counted(ids, ImportReject),
    )


def rejected_by_reason(source: Source, kept: dict[str, int]) -> list[tuple[str, int, int]]:
    """(reason, rejected rows, rows of which the text is kept), most first.

    Files count once, when they were read to their end; until then what is kept is what is known.
    """
    exact: Counter[str] = Counter()
    for counts in SourceFile.objects.filter(source=source).values_list("rejected", flat=True):
        exact.update(counts)
    reasons = exact.keys() | kept.keys()
    rows = [(r, max(exact[r], kept.get(r, 0)), kept.get(r, 0)) for r in reasons]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def imports_of(source: Source) -> list[Job]:
    """The newest imports into a source."""
    jobs = Job.objects.filter(project_id=source.project_id, kind="import")
    return list(jobs.filter(params__name=source.name).order_by("-pk")[:10])


@login_required
def source(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One source: mapping, counts, files, imports and rejected rows."""
    project = access.access_project(request.user, slug)
    found = access.access_object(request.user, Source, pk, project=project)
    rejects = ImportReject.objects.filter(source=found)
    kept = dict(rejects.values_list("reason").annotate(n=Count("pk")))
    reasons = rejected_by_reason(found, kept)
    filters = [
        Filter(
            "reason", "Reason", lambda q, v: q.filter(reason=v), options([r for r, *_ in reasons])
        )
    ]
    rows = filtered(rejects.defer("raw"), request.GET, filters)
    ids = [found.pk]
    return page(
        request,
        project,
        "sources/detail.html",
        source=found,
        reasons=reasons,
        filters=filters,
        slice=keyset(rows, request.GET, newest_first=False),
        jobs=cards(imports_of(found)),
        files=SourceFile.objects.filter(source=found).order_by("name")[:200],
        counts=[
            ("rows taken", counted(ids, ProblemOccurrence).get(found.pk, 0)),
            ("rows rejected", sum(n for _, n, _ in reasons)),
            ("problems", counted(ids, Problem).get(found.pk, 0)),
            ("traces", counted(ids, Trace).get(found.pk, 0)),
        ],
        form=WorkForm(project=project, initial={"source": found.name}),
    )


@login_required
def reject(request: HttpRequest, slug: str, pk: int, reject_pk: int) -> HttpResponse:
    """One rejected row as it was in the file."""
    project = access.access_project(request.user, slug)
    found = get_object_or_404(ImportReject, pk=reject_pk, source_id=pk, source__project=project)
    raw = bytes(found.raw)
    return page(
        request,
        project,
        "sources/reject.html",
        reject=found,
        raw=raw[:RAW_SHOWN].decode("utf-8", "backslashreplace"),
        raw_bytes=len(raw),
        raw_cut=len(raw) > RAW_SHOWN,
    )
