"""Which paths of the server's disk a job may read or write: the one rule, for every door. Pure.

Nothing is allowed unless it is named here. A job reads below IMPORT_ROOTS and among its own
project's uploads, and writes below EXPORT_ROOT. The rest of WHITTLE_HOME (passwords, keys, the
database) is out of reach even when one of those settings contains it. A command typed on the
server may name any file and folder but the kernel's. ``curation.job_rules`` asks when a job is
made and when it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from curation.regularfiles import KERNEL_FOLDERS

MAX_PATH = 4096


class Use(StrEnum):
    """What a job does with a path."""

    READ = "read"
    WRITE = "write"
    NEVER = "never"  # a library would take a path here; nobody may give one


# Kind of job -> its parameters that are paths; a dot leads into an object. A kind that is not
# here cannot be made, and no other parameter reaches the file system.
PATH_PARAMS: dict[str, dict[str, Use]] = {
    "import": {"path": Use.READ},
    "export": {"out": Use.WRITE},
    "make_problems": {"knobs.data_file": Use.NEVER},
    "dedup": {},
    "decontaminate": {},
    "generate": {},
    "verify": {},
    "grade": {},
    "consensus": {},
    "judge": {},
    "rank": {},
    "segment": {},
    "prove": {},
    "refine": {},
    "derive": {},
    "select": {},
    "embed": {},
    "probe": {},
    "queue": {},
    "demo": {},
}
# Names that mean a path somewhere: in another kind of job they are a mistake, and are refused.
PATH_NAMES = frozenset(
    name for each in PATH_PARAMS.values() for name, use in each.items() if use is not Use.NEVER
)


class PathRefused(Exception):
    """A path that a job may not have: a reason code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of one copy that the rule speaks of, as the settings give them."""

    home: Path
    import_roots: tuple[Path, ...]
    export_root: Path

    @property
    def uploads(self) -> Path:
        """Where uploads are kept, one folder a project."""
        return (self.home / "uploads").resolve()

    @property
    def exports(self) -> Path:
        """The only folder below the home that exports may go to."""
        return (self.home / "exports").resolve()


def named_paths(kind: str, params: Mapping[str, Any]) -> Iterator[tuple[str, Any, Use]]:
    """(parameter, what was given, use) of each path that the parameters of one job name."""
    declared = PATH_PARAMS.get(kind, {})
    for name, use in declared.items():
        given = value_at(params, name)
        if given not in (None, ""):
            yield name, given, use
    for name in PATH_NAMES - declared.keys():
        if params.get(name) not in (None, ""):
            yield name, params[name], Use.NEVER


def value_at(params: Mapping[str, Any], name: str) -> Any:
    """The value under a dotted name; None where there is none."""
    value: Any = params
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def allow_path(
    given: object, use: Use, places: Places, slug: str, *, operator: bool = False
) -> Path:
    """The resolved path, if a job of the project ``slug`` may use it so; else PathRefused.

    ``operator``: the path was typed on the server, in a command. What is not there yet may be
    named. The answer is the same for a path that exists and one that does not.
    """
    if use is Use.NEVER:
        raise PathRefused("path_not_allowed", "this kind of job takes no path of the server")
    path = resolve_path(given)
    if holds_kernel_files(path):
        raise PathRefused("path_not_allowed", f"{path} is the kernel's, or holds what is")
    if not operator:
        allowed = may_read if use is Use.READ else may_write
        if not allowed(path, places, slug):
            raise PathRefused("path_not_allowed", WHY[use])
    return path


WHY = {
    Use.READ: "a job reads only below the server's IMPORT_ROOTS and the project's own uploads: "
    "upload the file, or ask an administrator to import it with the command `import`",
    Use.WRITE: "a job writes only below the server's EXPORT_ROOT: leave `out` away, or ask an "
    "administrator to export with the command `export`",
}


def resolve_path(given: object) -> Path:
    """An absolute path without links; PathRefused ``bad_path`` for what is none."""
    if not isinstance(given, str) or not given.strip():
        raise PathRefused("bad_path", "a path is a text")
    if len(given) > MAX_PATH or not given.startswith("/") or min(given) < " ":
        raise PathRefused("bad_path", f"give an absolute path of up to {MAX_PATH} plain characters")
    try:
        given.encode()  # half a character is no name of a file
        return Path(given).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise PathRefused("bad_path", "this path leads nowhere") from error


def holds_kernel_files(path: Path) -> bool:
    """Whether a path is below one of the kernel's folders, or above it (as ``/`` is)."""
    return any(path.is_relative_to(k) or k.is_relative_to(path) for k in KERNEL_FOLDERS)


def may_read(path: Path, places: Places, slug: str) -> bool:
    """Below the project's own uploads, or below an import root and apart from the home."""
    own = places.uploads / slug
    if is_one_name(slug) and path.is_relative_to(own):
        return True
    if touches(path, places.home.resolve()) or touches(path, places.uploads):
        return False
    return any(path.is_relative_to(root.resolve()) for root in places.import_roots)


def may_write(path: Path, places: Places, slug: str) -> bool:
    """Below the export root and, inside the home, only in its folder ``exports``."""
    if not path.is_relative_to(places.export_root.resolve()):
        return False
    return path.is_relative_to(places.exports) or not touches(path, places.home.resolve())


def may_serve(folder: Path, places: Places) -> bool:
    """Whether files of an export that stands in ``folder`` may be read by those who may see it.

    Its place was allowed when it was written; later settings change nothing of that, but the
    kernel's files and the rest of the home are never served.
    """
    if holds_kernel_files(folder):
        return False
    home = places.home.resolve()
    return folder.is_relative_to(places.exports) or not folder.is_relative_to(home)


def touches(path: Path, folder: Path) -> bool:
    """Whether a path is in a folder or holds it."""
    return path.is_relative_to(folder) or folder.is_relative_to(path)


def is_one_name(slug: str) -> bool:
    return bool(slug) and slug not in (".", "..") and "/" not in slug and "\0" not in slug
