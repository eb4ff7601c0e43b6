"""Recipes and selections as rows: versions that never change, rows frozen with their hashes."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any, Self

import orjson
from django.db import IntegrityError, connection, transaction
from django.db.models import Max, Model
from psycopg import sql

from curation.jobs import JobError
from curation.models import Project, Selection, SelectionExclusion, SelectionRow
from curation.models import Recipe as StoredRecipe
from curation.selection.candidates import Candidate, Outcome, SelectedRow
from curation.selection.digest import SelectionDigest, recipe_sha256
from curation.selection.presets import PRESETS
from curation.selection.recipe import Recipe, RecipeError, recipe_from_dict

SPOOL_BYTES = 16 * 1024 * 1024


def store_recipe(project: Project, recipe: Recipe) -> StoredRecipe:
    """The stored version that says what ``recipe`` says; a new version when there is none.

    The version number is the project's own count for that name: what the recipe carries is
    ignored.
    """
    sha256 = recipe_sha256(recipe)
    same = StoredRecipe.objects.filter(project=project, name=recipe.name, spec_sha256=sha256)
    for _ in range(5):
        found = same.first()
        if found is not None:
            return found
        try:
            with transaction.atomic():
                return _next_version(project, recipe, sha256)
        except IntegrityError:  # another process stored a version meanwhile
            continue
    raise JobError("recipe_busy", f"recipe {recipe.name} is being changed by others")


def _next_version(project: Project, recipe: Recipe, sha256: str) -> StoredRecipe:
    named = StoredRecipe.objects.filter(project=project, name=recipe.name)
    version = (named.aggregate(last=Max("version"))["last"] or 0) + 1
    return StoredRecipe.objects.create(
        project=project,
        name=recipe.name,
        version=version,
        spec={**recipe.to_dict(), "version": version},
        spec_sha256=sha256,
    )


def store_spec(project: Project, name: str, spec: dict[str, Any]) -> StoredRecipe:
    """The stored version of the recipe that ``spec`` spells out under ``name``.

    A new version is made when none says the same. Raises JobError ``bad_recipe``.
    """
    try:
        return store_recipe(project, recipe_from_dict({**spec, "name": name}))
    except RecipeError as error:
        raise JobError("bad_recipe", str(error)) from error


def find_recipe(project: Project, given: Any) -> StoredRecipe:
    """The stored recipe for a name, ``name@version`` or a whole specification.

    A name means the newest stored version, else the preset of that name, which is stored. Raises
    JobError ``unknown_recipe`` or ``bad_recipe``.
    """
    if isinstance(given, dict):
        if not isinstance(given.get("name"), str):
            raise JobError("bad_recipe", "name: missing")
        return store_spec(project, given["name"], given)
    found = named_recipe(project, str(given))
    return store_recipe(project, found) if isinstance(found, Recipe) else found


def named_recipe(project: Project, given: str) -> StoredRecipe | Recipe:
    """What ``name`` or ``name@version`` means here: a stored version, or a preset that nobody has
    stored yet. Raises JobError ``unknown_recipe``."""
    name, _, version = given.partition("@")
    stored = StoredRecipe.objects.filter(project=project, name=name).order_by("-version")
    if version:
        stored = stored.filter(version=int(version)) if version.isdecimal() else stored.none()
    found = stored.first()
    if found is not None:
        return found
    if name in PRESETS and version in ("", "1"):
        return PRESETS[name]
    raise JobError("unknown_recipe", f"no recipe {given}; presets are {', '.join(PRESETS)}")


def recipe_of(stored: StoredRecipe) -> Recipe:
    """The recipe that a stored version holds. Raises JobError when it is no longer readable."""
    try:
        return recipe_from_dict(stored.spec)
    except RecipeError as error:
        raise JobError("bad_recipe", f"recipe {stored}: {error}") from error


class Draft:
    """A selection being made: rows and reasons on disk, its digest and sums in memory."""

    def __init__(self, recipe: Recipe) -> None:
        """Start empty."""
        self.digest = SelectionDigest(recipe)
        self.selected = self.candidates = 0
        self.excluded: Counter[str] = Counter()
        self._verifiers: Counter[tuple[str, str]] = Counter()
        self._licences: Counter[str] = Counter()
        self._sources: Counter[str] = Counter()
        self._chars: Counter[str] = Counter()
        self._problems = 0
        self._files = ExitStack()
        open_one = self._files.enter_context
        self._rows = open_one(tempfile.SpooledTemporaryFile(SPOOL_BYTES))  # noqa: SIM115
        self._exclusions = open_one(tempfile.SpooledTemporaryFile(SPOOL_BYTES))  # noqa: SIM115

    def __enter__(self) -> Self:
        """The draft itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give back the disk space."""
        self._files.close()

    def add(self, outcome: Outcome) -> None:
        """Take in the outcome of one problem."""
        self._problems += bool(outcome.rows)
        for row in outcome.rows:
            self._add_row(row)
        for excluded in outcome.exclusions:
            self.candidates += 1
            self.excluded[excluded.reason] += 1
            line = [outcome.problem_id, excluded.trace_id, excluded.reason, excluded.detail[:300]]
            self._exclusions.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def _add_row(self, row: SelectedRow) -> None:
        self.digest.add(row)
        self.selected += 1
        self._licences[row.chosen.licence] += 1
        self._sources[row.chosen.source] += 1
        for side, candidate in (("chosen", row.chosen), ("rejected", row.rejected)):
            if candidate is not None:
                self.candidates += 1
                self._chars[side] += candidate.chars
                for verdict in candidate.verdicts:
                    self._verifiers[verdict.verifier, verdict.version] += 1
        line = orjson.dumps(_frozen(row), option=orjson.OPT_APPEND_NEWLINE)
        self._rows.write(line)

    def summary(self) -> dict[str, Any]:
        """What manifests and pages say of the selection besides its counts."""
        return {
            "problems": self._problems,
            "chars": dict(sorted(self._chars.items())),
            "verifiers": [
                {"name": name, "version": version, "verdicts": n}
                for (name, version), n in sorted(self._verifiers.items())
            ],
            "licences": dict(sorted(self._licences.items())),
            "sources": dict(sorted(self._sources.items())),
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows in order, as ``_frozen`` made them."""
        self._rows.seek(0)
        for line in self._rows:
            yield orjson.loads(line)

    def exclusions(self) -> Iterator[tuple[int, int, str, str]]:
        """Problem id, trace id, reason and detail of each candidate left out."""
        self._exclusions.seek(0)
        for line in self._exclusions:
            yield tuple(orjson.loads(line))


def _frozen(row: SelectedRow) -> dict[str, Any]:
    """A row as it is stored: ids, the hashes they must keep, and what may change elsewhere."""
    chosen, rejected = row.chosen, row.rejected
    hashes = {"problem": chosen.problem_sha256, "trace": chosen.text_sha256}
    if rejected is not None:
        hashes["rejected"] = rejected.text_sha256
    return {
        "problem_id": chosen.problem_id,
        "trace_id": chosen.trace_id,
        "rejected_id": rejected.trace_id if rejected is not None else None,
        "hashes": hashes,
        "detail": _detail(chosen, rejected),
    }


def _detail(chosen: Candidate, rejected: Candidate | None) -> dict[str, Any]:
    detail: dict[str, Any] = {"source": chosen.source, "licence": chosen.licence}
    detail["chars"] = chosen.chars
    if rejected is not None:
        detail["rejected_chars"] = rejected.chars
    return detail


def freeze(project: Project, stored: StoredRecipe, draft: Draft) -> tuple[Selection, bool]:
    """The selection that ``draft`` describes and whether it is new; in the caller's transaction.

    The same rows by the same recipe are the same selection, so a second run changes nothing.
    """
    selection, created = Selection.objects.get_or_create(
        recipe=stored,
        sha256=draft.digest.hexdigest(),
        defaults={
            "project": project,
            "candidates": draft.candidates,
            "selected": draft.selected,
            "excluded": dict(sorted(draft.excluded.items())),
            "summary": draft.summary(),
        },
    )
    if created:
        _write_rows(selection, draft)
        _write_exclusions(selection, draft)
    return selection, created


def _write_rows(selection: Selection, draft: Draft) -> None:
    rows = (
        (
            selection.pk,
            position,
            row["problem_id"],
            row["trace_id"],
            row["rejected_id"],
            orjson.dumps(row["hashes"]).decode(),
            orjson.dumps(row["detail"]).decode(),
        )
        for position, row in enumerate(draft.rows())
    )
    ids = ("selection_id", "position", "problem_id", "trace_id", "rejected_id")
    _copy(SelectionRow, (*ids, "hashes", "detail"), rows)


def _write_exclusions(selection: Selection, draft: Draft) -> None:
    rows = ((selection.pk, *line) for line in draft.exclusions())
    ids = ("selection_id", "problem_id", "trace_id")
    _copy(SelectionExclusion, (*ids, "reason", "detail"), rows)


def _copy(model: type[Model], columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    """Stream rows into a model's table by COPY: a selection may exclude millions."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(model._meta.db_table),
        sql.SQL(", ").join(sql.Identifier(name) for name in columns),
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
