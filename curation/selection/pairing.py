"""Pairs for preference training on one problem. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from curation.selection.candidates import Candidate, SelectedRow
from curation.selection.filters import reviewed
from curation.selection.policies import CORRECT, INCORRECT, policy_of, score_of
from curation.selection.recipe import Recipe
from curation.selection.ties import ranked

Pairs = Iterator[SelectedRow]


def _score(candidate: Candidate, recipe: Recipe) -> float:
    decision = policy_of(recipe.policy)(candidate.verdicts, *candidate.labels)
    return score_of(candidate.verdicts, decision)


def _fits(chosen: Candidate, rejected: Candidate, recipe: Recipe) -> bool:
    """The conditions that every pair must meet (margin and floors include their limits)."""
    if reviewed(chosen, recipe):
        return False
    if recipe.same_model and chosen.model != rejected.model:
        return False
    if chosen.text_sha256 == rejected.text_sha256:
        return False
    high, low = _score(chosen, recipe), _score(rejected, recipe)
    return (
        high >= recipe.min_chosen_score
        and low >= recipe.min_rejected_score
        and high - low >= recipe.min_score_margin
    )


def _disjoint(pairs: Pairs) -> Pairs:
    """Each trace in one pair at most, so that no trace dominates a problem."""
    used: set[int] = set()
    for pair in pairs:
        ids = {pair.chosen.trace_id, pair.rejected.trace_id if pair.rejected else 0}
        if not used & ids:
            used |= ids
            yield pair


def correct_incorrect(
    good: Sequence[Candidate], bad: Sequence[Candidate], recipe: Recipe
) -> list[SelectedRow]:
    """A correct trace against an incorrect one, both in the order of the tie rule (REDI: first)."""
    pairs = (
        SelectedRow(chosen, rejected)
        for chosen in ranked(good, recipe)
        for rejected in ranked(bad, recipe)
        if _fits(chosen, rejected, recipe)
    )
    return list(islice(_disjoint(pairs), recipe.per_problem))


def concise_overlong(
    good: Sequence[Candidate], _bad: Sequence[Candidate], recipe: Recipe
) -> list[SelectedRow]:
    """A short correct trace against a correct one that is ``overlong_ratio`` times as long.

    Both are correct: length is never compared where no attempt is right.
    """
    by_length = sorted(good, key=lambda c: (c.chars, c.sample_no, c.model, c.trace_id))
    pairs = (
        SelectedRow(chosen, rejected)
        for chosen in by_length
        for rejected in reversed(by_length)
        if rejected.chars >= recipe.overlong_ratio * chosen.chars
        and rejected.trace_id != chosen.trace_id
        and _fits(chosen, rejected, recipe)
    )
    return list(islice(_disjoint(pairs), recipe.per_problem))


def score_margin(
    good: Sequence[Candidate], bad: Sequence[Candidate], recipe: Recipe
) -> list[SelectedRow]:
    """The widest difference in score first, whatever the verdicts say (AceCoder's pairs)."""
    both = ranked([*good, *bad], recipe)
    pairs = (
        SelectedRow(chosen, rejected)
        for chosen in sorted(both, key=lambda c: -_score(c, recipe))
        for rejected in sorted(both, key=lambda c: _score(c, recipe))
        if _score(chosen, recipe) > _score(rejected, recipe) and _fits(chosen, rejected, recipe)
    )
    return list(islice(_disjoint(pairs), recipe.per_problem))


PAIRINGS: dict[
    str, Callable[[Sequence[Candidate], Sequence[Candidate], Recipe], list[SelectedRow]]
] = {
    "correct-incorrect": correct_incorrect,
    "concise-overlong": concise_overlong,
    "score-margin": score_margin,
}
# The decisions that a pairing can use; a candidate with another one is excluded by that decision.
USED_DECISIONS: dict[str, frozenset[str]] = {
    "correct-incorrect": frozenset({CORRECT, INCORRECT}),
    "concise-overlong": frozenset({CORRECT}),
    "score-margin": frozenset({CORRECT, INCORRECT}),
}
