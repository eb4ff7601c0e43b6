"""Importing: upload a file or name a path, look at how its columns are read, start the job."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from curation import access
from curation.ingest import read_params
from curation.job_rules import Right, allowed_path, check_job, may_offer_paths
from curation.jobs import JobError
from curation.models import Project
from curation.models.project import Role
from curation.regularfiles import walk_files
from curation.server_paths import Use
from curation.sources.mapping import ROLES, Mapping
from curation.sources.plan import Input, files, open_input
from curation.sources.records import BadRow, ProblemRecord, Reject
from curation.uploads import keep_upload
from curation.views.common import page
from curation.views.forms import ImportForm, MappingForm
from curation.views.jobs import Refused, start

SALT = "whittle.import"
TOKEN_SECONDS = 24 * 3600
LOOKED_AT = 200  # rows
SHOWN = 5
MAX_LOOK_BYTES = 256 * 2**20
TEXT_SHOWN = 400


@dataclass
class Look:
    """How the first rows of a file would be read."""

    adapter: str = ""
    about: str = ""
    mapping: Mapping | None = None
    files: int = 0
    rows: int = 0
    problems: list[ProblemRecord] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    trouble: str = ""

    def mapping_text(self) -> str:
        """The mapping as a person would write it: role -> column or columns."""
        if self.mapping is None:
            return ""
        roles = {column.role: self.mapping.of(column.role) for column in self.mapping.columns}
        plain: dict[str, Any] = {r: c[0] if len(c) == 1 else c for r, c in roles.items()}
        if self.mapping.constants:
            plain["constants"] = self.mapping.constants
        return json.dumps(plain, indent=2, ensure_ascii=False)


def look(project: Project, params: dict[str, Any]) -> Look:
    """Read the first rows as the import would; nothing is stored."""
    try:
        path = allowed_path(project, params["path"], Use.READ)
        if size_of(path) > MAX_LOOK_BYTES:
            return Look(trouble="This is too large to look into here; the job shows its mapping.")
        checked = read_params(params)
        inputs = files(path, checked.adapter)
        if not inputs:
            return Look(trouble="It holds no file of a known format.")
        found = open_input(
            inputs[0], adapter=checked.adapter, mapping=checked.mapping, limits=checked.limits
        )
        return take_rows(found, Look(files=len(inputs)))
    except (JobError, BadRow, OSError, ValueError) as error:
        return Look(trouble=str(error))


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; links count as themselves."""
    every = walk_files(path) if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in every)


def take_rows(found: Input, seen: Look) -> Look:
    """Fill in what the first rows give."""
    seen.adapter, seen.about, seen.mapping = found.adapter.name, found.adapter.about, found.mapping
    for item in islice(found.rows(), LOOKED_AT):
        seen.rows += 1
        if isinstance(item, Reject):
            seen.rejects.append(item)
        elif len(seen.problems) < SHOWN:
            seen.problems += item.problems[: SHOWN - len(seen.problems)]
    return seen


def import_params(project: Project, user: Any, form: ImportForm) -> dict[str, Any] | None:
    """Parameters of a job that this user may start, or None with an error on the form."""
    data = form.cleaned_data
    names = ("name", "adapter", "licence")
    try:
        path = str(keep_upload(project, data["file"])) if data["file"] else data["path"]
        params = {"path": path} | {name: data[name] for name in names if data[name]}
        check_job(project, "import", params, right=Right.AUTHOR, user=user)
        read_params(params)
        if not Path(path).exists():
            raise JobError("no_such_path", "there is no such path on the server")
    except JobError as error:
        form.add_error(None if data["file"] else "path", str(error))
        return None
    return params


def token_of(project: Project, params: dict[str, Any]) -> str:
    """The parameters in a form that a browser may carry but not change."""
    return signing.dumps({"project": project.pk, "params": params}, salt=SALT, compress=True)


def params_of(project: Project, token: str) -> dict[str, Any] | None:
    """What ``token_of`` packed for this project, or None."""
    try:
        data = signing.loads(token, salt=SALT, max_age=TOKEN_SECONDS)
    except signing.BadSignature:
        return None
    params: dict[str, Any] = data["params"]
    return params if data["project"] == project.pk else None


@login_required
def source_import(request: HttpRequest, slug: str) -> HttpResponse:
    """Upload a file, or name one on the server; then look at it, or start at once."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    form = ImportForm(
        request.POST or None,
        request.FILES or None,
        may_name_path=may_offer_paths(request.user, project),
        initial={"name": request.GET.get("name", "")},
    )
    if request.method == "POST" and form.is_valid():
        params = import_params(project, request.user, form)
        if params is not None and "at_once" in request.POST:
            return redirect("job", slug, start(request, project, "import", params).pk)
        if params is not None:
            query = urlencode({"token": token_of(project, params)})
            return redirect(f"{reverse('source_look', args=[slug])}?{query}")
    return page(request, project, "sources/import.html", form=form)


@login_required
def source_look(request: HttpRequest, slug: str) -> HttpResponse:
    """How the columns would be read; the mapping can be changed before the import starts."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    token = request.POST.get("token") or request.GET.get("token", "")
    params = params_of(project, token)
    if params is None:
        return redirect("source_import", slug)
    form = MappingForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data["mapping"]
        params |= {"mapping": given} if given else {}
        seen = look(project, params)
        if "start" in request.POST and not seen.trouble:
            try:
                return redirect("job", slug, start(request, project, "import", params).pk)
            except Refused as error:
                seen.trouble = str(error)
    else:
        seen = look(project, params)
        form = form if form.is_bound else MappingForm(initial={"mapping": seen.mapping_text()})
    return page(
        request,
        project,
        "sources/look.html",
        form=form,
        token=token,
        look=seen,
        name=params["name"],
        roles=ROLES,
        text_shown=TEXT_SHOWN,
    )
