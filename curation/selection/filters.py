"""The filters of a recipe: each gives the reason why a candidate cannot be used, or None. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from curation.selection.candidates import Candidate
from curation.selection.recipe import Recipe

Reason = tuple[str, str]
Filter = Callable[[Candidate, Recipe], Reason | None]


def held_back(problem_sha256: str, share: float, seed: int) -> bool:
    """Whether a problem belongs to the held-back share: decided by its hash alone.

    The same problem is held back in every selection with this seed, whatever else is there.
    """
    digest = hashlib.sha256(f"holdout:{seed}:{problem_sha256}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _contaminated(c: Candidate, r: Recipe) -> Reason | None:
    return ("contaminated", "") if r.exclude_contaminated and c.contaminated else None


def _duplicate(c: Candidate, r: Recipe) -> Reason | None:
    return ("duplicate_problem", "") if r.exclude_duplicates and c.duplicate else None


def _held_back(c: Candidate, r: Recipe) -> Reason | None:
    if c.held_back:
        return ("held_back", "")
    if held_back(c.problem_sha256, r.holdout_share, r.holdout_seed):
        return ("held_back", f"seed {r.holdout_seed}")
    return None


def _source(c: Candidate, r: Recipe) -> Reason | None:
    return ("other_source", c.source) if r.sources and c.source not in r.sources else None


def _model(c: Candidate, r: Recipe) -> Reason | None:
    return ("other_model", c.model) if r.models and c.model not in r.models else None


def _truncated(c: Candidate, r: Recipe) -> Reason | None:
    return ("truncated", "") if r.exclude_truncated and c.truncated else None


def _length(c: Candidate, r: Recipe) -> Reason | None:
    if c.chars < r.min_chars:
        return ("too_short", f"{c.chars} < {r.min_chars} characters")
    if r.max_chars is not None and c.chars > r.max_chars:
        return ("too_long", f"{c.chars} > {r.max_chars} characters")
    if r.max_prompt_chars is not None and c.prompt_chars > r.max_prompt_chars:
        return ("prompt_too_long", f"{c.prompt_chars} > {r.max_prompt_chars} characters")
    return None


def _tokens(c: Candidate, r: Recipe) -> Reason | None:
    if r.max_tokens is None:
        return None
    if c.tokens is None:
        return ("tokens_unknown", "")
    return ("too_long", f"{c.tokens} > {r.max_tokens} tokens") if c.tokens > r.max_tokens else None


def _pass_rate(c: Candidate, r: Recipe) -> Reason | None:
    if r.min_pass_rate is None and r.max_pass_rate is None:
        return None
    if c.pass_rate is None:
        return ("not_graded", "")
    if r.min_pass_rate is not None and c.pass_rate < r.min_pass_rate:
        return ("pass_rate_below", f"{c.pass_rate:.4g} < {r.min_pass_rate:g}")
    if r.max_pass_rate is not None and c.pass_rate > r.max_pass_rate:
        return ("pass_rate_above", f"{c.pass_rate:.4g} > {r.max_pass_rate:g}")
    return None


def reviewed(c: Candidate, r: Recipe) -> Reason | None:
    """A person's word, asked only of what would be taught: a wrong trace needs no approval."""
    if c.review == "reject":
        return ("review_rejected", "")
    reading = r.min_review_coverage is not None or r.max_review_speed is not None
    if (r.require_review or reading) and c.review != "accept":
        return ("not_reviewed", "")
    return _too_little_read(c, r) or _read_too_fast(c, r)


def _too_little_read(c: Candidate, r: Recipe) -> Reason | None:
    if r.min_review_coverage is None:
        return None
    if c.review_coverage is None:
        return ("coverage_unknown", "")
    if c.review_coverage + 1e-9 < r.min_review_coverage:
        return ("coverage_below", f"{c.review_coverage:.4g} < {r.min_review_coverage:g}")
    return None


def _read_too_fast(c: Candidate, r: Recipe) -> Reason | None:
    if r.max_review_speed is None:
        return None
    if c.review_speed is None:
        return ("review_time_unknown", "")
    if c.review_speed > r.max_review_speed:
        return (
            "read_too_fast",
            f"{c.review_speed:.4g} > {r.max_review_speed:g} characters a second",
        )
    return None


# In this order: a candidate's reason is the first that applies.
FILTERS: tuple[Filter, ...] = (
    _contaminated,
    _duplicate,
    _held_back,
    _source,
    _model,
    _truncated,
    _length,
    _tokens,
    _pass_rate,
)


def first_reason(candidate: Candidate, recipe: Recipe) -> Reason | None:
    """The first reason why ``recipe`` cannot use ``candidate`` in any role, or None."""
    found = (f(candidate, recipe) for f in FILTERS)
    return next((reason for reason in found if reason), None)
