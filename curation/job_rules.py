"""What a job may be, asked whenever one is made or runs, from whichever door it comes.

Pages, REST, schedules, chains, retries and commands all make jobs by ``jobs.create_job``, and each
job is asked about again by ``jobs.run_claimed``: a row that was stored before a rule, or a folder
that was put elsewhere since, gets no further.
"""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Any

from django.conf import settings

from curation import paths
from curation.job_params import BadParameter, Step, read_chain
from curation.models import Membership, Project
from curation.models.project import Role
from curation.regularfiles import NotRegular, check_regular
from curation.server_paths import (
    PATH_PARAMS,
    PathRefused,
    Places,
    Use,
    allow_path,
    is_one_name,
    may_serve,
    named_paths,
)
from curation.sources.limits import Limits


class JobError(Exception):
    """An expected failure of a job: a reason code and a sentence for the person who reads it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Right(StrEnum):
    """On whose word a job names paths of the server."""

    AUTHOR = "author"  # of the user who asks now, who must own the project
    STORED = "stored"  # of whoever was allowed to store it: a schedule, a chain, a finished job
    OPERATOR = "operator"  # of a command typed on the server


def places() -> Places:
    """The folders of this copy that the rule of paths speaks of."""
    return Places(paths.home(), tuple(settings.IMPORT_ROOTS), Path(settings.EXPORT_ROOT))


def check_job(
    project: Project, kind: object, params: object, *, right: Right, user: Any = None
) -> None:
    """JobError for a job that cannot be, or that names a path it may not have.

    Looks at the whole chain (``then``) at every level. Codes: ``unknown_kind``,
    ``bad_parameter``, ``owner_needed``, ``bad_path``, ``path_not_allowed``,
    ``not_a_regular_file``.
    """
    if isinstance(kind, str) and kind not in PATH_PARAMS:
        raise JobError("unknown_kind", f"no such kind of job: {kind[:60]}")
    try:
        steps = read_chain(kind, params, PATH_PARAMS.keys())
    except BadParameter as error:
        raise JobError("bad_parameter", str(error)) from None
    for step in steps:
        check_step(project, step, right, user)


def check_step(project: Project, step: Step, right: Right, user: Any) -> None:
    """JobError unless the job may use each path that its parameters name."""
    if right is Right.AUTHOR and not (user is not None and user.is_superuser):
        check_limits(step)
    for name, given, use in named_paths(step.kind, step.params):
        if right is Right.AUTHOR and not may_name_path(user, project, given, use):
            raise JobError("owner_needed", "Only an owner may name a path of the server.")
        path = allowed_path(project, given, use, operator=right is Right.OPERATOR, name=name)
        check_kind_of_file(path, use)


def check_limits(step: Step) -> None:
    """JobError ``limit_too_high`` for an import's limit above the usual one.

    Anybody may lower them. An administrator, and a command on the server, may raise them; what one
    of these has stored (a schedule, a chain) keeps that.
    """
    usual = asdict(Limits())
    for name, value in (step.params.get("limits") or {}).items() if step.kind == "import" else ():
        if name in usual and isinstance(value, int) and value > usual[name]:
            raise JobError(
                "limit_too_high",
                f"limits.{name} is at most {usual[name]}; an administrator may raise it",
            )


def allowed_path(
    project: Project, given: object, use: Use, *, operator: bool = False, name: str = "path"
) -> Path:
    """The resolved path if the rule allows it (``server_paths``), else JobError."""
    try:
        return allow_path(given, use, places(), project.slug, operator=operator)
    except PathRefused as error:
        raise JobError(error.code, f"{name}: {error}") from None


def may_name_path(user: Any, project: Project, given: object, use: Use) -> bool:
    """Whether this user's word is enough: an owner's, or anybody's for the project's uploads."""
    if owns(user, project):
        return True
    uploads_only = Places(paths.home(), (), Path("/nowhere"))
    try:
        allow_path(given, use, uploads_only, project.slug)
    except PathRefused:
        return False
    return True


def owns(user: Any, project: Project) -> bool:
    """Whether a user owns the project, as a superuser owns every one."""
    if user is None or not user.is_authenticated or not user.is_active:
        return False
    if user.is_superuser:
        return True
    return Membership.objects.filter(project=project, user=user, role=Role.OWNER).exists()


def may_offer_paths(user: Any, project: Project) -> bool:
    """Whether a page may ask this user for a path of the server: one could be allowed."""
    return bool(settings.IMPORT_ROOTS) and owns(user, project)


def check_kind_of_file(path: Path, use: Use) -> None:
    """JobError ``not_a_regular_file`` for what is there and neither a plain file nor a folder."""
    try:
        if path.is_dir() or not path.exists():
            return
        if use is Use.WRITE:
            raise NotRegular(f"{path.name}: not a folder")
        check_regular(path, path.stat())
    except NotRegular as error:
        raise JobError("not_a_regular_file", str(error)) from None
    except OSError:  # not ours to look into: opening it will say so
        return


def check_slug(slug: str) -> None:
    """JobError ``slug_taken`` while files uploaded under this name by an earlier project are there.

    Whoever has the name may import what lies in its folder of uploads.
    """
    if is_one_name(slug) and (paths.home() / "uploads" / slug).exists():
        raise JobError("slug_taken", "files of an earlier project of this name are still here")


def check_served(folder: Path) -> None:
    """JobError ``path_not_allowed`` for an export's folder whose files are not served."""
    if not may_serve(folder, places()):
        raise JobError("path_not_allowed", "this folder is not one that exports may be in")
