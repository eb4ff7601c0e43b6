"""Candidates and a recipe in, rows and reasons out. Pure, and streaming by problem.

A problem's outcome depends on its own candidates alone, so a corpus is selected in the memory
of its largest problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from curation.selection.candidates import Candidate, Candidates, Exclusion, Outcome, SelectedRow
from curation.selection.filters import first_reason, reviewed
from curation.selection.pairing import PAIRINGS, USED_DECISIONS
from curation.selection.policies import CORRECT, INCORRECT, policy_of
from curation.selection.recipe import Recipe
from curation.selection.ties import ranked


def select(candidates: Iterable[Candidate], recipe: Recipe) -> Iterator[Outcome]:
    """One outcome per problem. ``candidates`` come grouped by problem (ascending problem_id).

    Raises ValueError when a problem's candidates are not together: a problem seen in two parts
    would give two "one per problem" rows.
    """
    last: int | None = None
    for problem_id, group in groupby(candidates, key=lambda c: c.problem_id):
        if last is not None and problem_id <= last:
            raise ValueError(f"candidates are not ordered by problem: {problem_id} after {last}")
        last = problem_id
        yield select_problem(list(group), recipe)


def select_problem(candidates: Candidates, recipe: Recipe) -> Outcome:
    """The outcome for the candidates of one problem (at least one candidate)."""
    problem_id = candidates[0].problem_id
    if any(c.review == "bad_problem" for c in candidates):
        return Outcome(
            problem_id, (), tuple(Exclusion(c.trace_id, "bad_problem") for c in candidates)
        )
    usable, excluded = _split_usable(candidates, recipe)
    rows = _sft_rows(usable, recipe) if recipe.kind == "sft" else _dpo_rows(usable, recipe)
    used = {c.trace_id for row in rows for c in _traces(row)}
    unused = (c for c in usable if c.trace_id not in used)
    excluded += [_leftover(c, recipe, bool(rows)) for c in unused]
    return Outcome(problem_id, tuple(rows), tuple(sorted(excluded, key=lambda e: e.trace_id)))


def _traces(row: SelectedRow) -> list[Candidate]:
    return [row.chosen, *([row.rejected] if row.rejected else [])]


def _split_usable(
    candidates: Candidates, recipe: Recipe
) -> tuple[list[Candidate], list[Exclusion]]:
    """Candidates that pass every filter, and the others with their reason."""
    superseded = _superseded(candidates, recipe)
    usable: list[Candidate] = []
    excluded: list[Exclusion] = []
    for candidate in candidates:
        reason = _reason(candidate, recipe, superseded)
        if reason:
            excluded.append(Exclusion(candidate.trace_id, *reason))
        else:
            usable.append(candidate)
    return usable, excluded


def _decision(candidate: Candidate, recipe: Recipe) -> str:
    return policy_of(recipe.policy)(candidate.verdicts, *candidate.labels)


def _wanted(recipe: Recipe) -> frozenset[str]:
    return frozenset({CORRECT}) if recipe.kind == "sft" else USED_DECISIONS[recipe.pairing]


def _reason(
    candidate: Candidate, recipe: Recipe, superseded: dict[int, int]
) -> tuple[str, str] | None:
    """Filters first, then the verdict, then a person's word on what would be taught."""
    if candidate.derived_from is not None and not recipe.use_derived:
        return ("derived", f"from {candidate.derived_from}")
    found = first_reason(candidate, recipe)
    if found:
        return found
    decision = _decision(candidate, recipe)
    if decision not in _wanted(recipe):
        return (decision, recipe.policy)
    if decision == INCORRECT:
        return None
    return _not_teachable(candidate, recipe) or _replaced(candidate, recipe, superseded)


def _not_teachable(candidate: Candidate, recipe: Recipe) -> tuple[str, str] | None:
    found = reviewed(candidate, recipe)
    if found:
        return found
    by_machine = candidate.derivation and candidate.derivation in recipe.derivations
    if candidate.derived_from is not None and candidate.review != "accept" and not by_machine:
        return ("derived_not_reviewed", f"from {candidate.derived_from}")
    return None


def _replaced(
    candidate: Candidate, recipe: Recipe, superseded: dict[int, int]
) -> tuple[str, str] | None:
    """A parent gives way to its pruned child, except where the pair of both is the point."""
    child = superseded.get(candidate.trace_id)
    if child is None or (recipe.kind == "dpo" and recipe.pairing == "concise-overlong"):
        return None
    return ("replaced_by_derived", f"by {child}")


def _superseded(candidates: Candidates, recipe: Recipe) -> dict[int, int]:
    """Parent -> the accepted, correct child that takes its place (the shortest of several)."""
    if not recipe.use_derived:
        return {}
    children = [
        c for c in candidates if c.derived_from is not None and _reason(c, recipe, {}) is None
    ]
    good = [c for c in children if _decision(c, recipe) == CORRECT]
    ordered = sorted(good, key=lambda c: (c.chars, c.trace_id), reverse=True)
    return {c.derived_from: c.trace_id for c in ordered if c.derived_from is not None}


def _sft_rows(usable: list[Candidate], recipe: Recipe) -> list[SelectedRow]:
    """The best by the tie rule; the same text is taken once."""
    texts: set[str] = set()
    rows: list[SelectedRow] = []
    for candidate in ranked(usable, recipe):
        if candidate.text_sha256 not in texts:
            texts.add(candidate.text_sha256)
            rows.append(SelectedRow(candidate))
    return rows[: recipe.per_problem]


def _dpo_rows(usable: list[Candidate], recipe: Recipe) -> list[SelectedRow]:
    good = [c for c in usable if _decision(c, recipe) == CORRECT]
    bad = [c for c in usable if _decision(c, recipe) == INCORRECT]
    return PAIRINGS[recipe.pairing](good, bad, recipe)


def _leftover(candidate: Candidate, recipe: Recipe, has_rows: bool) -> Exclusion:
    """Usable, but in no row: others were better, or no partner made a pair."""
    if recipe.kind == "sft" or has_rows:
        return Exclusion(candidate.trace_id, "not_best", f"tie rule: {recipe.tie}")
    return Exclusion(candidate.trace_id, "no_pair", recipe.pairing)
