"""A recipe: the named, versioned rules by which traces become a selection. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

from curation.selection.policies import policy_of

Kind = Literal["sft", "dpo"]
Tie = Literal["shortest", "first", "random"]
Pairing = Literal["correct-incorrect", "concise-overlong", "score-margin"]
SHARES = (
    "min_pass_rate",
    "max_pass_rate",
    "holdout_share",
    "min_score_margin",
    "min_chosen_score",
    "min_rejected_score",
    "min_review_coverage",
)
MAX_NUMBER = 2**53  # what every JSON reader holds exactly
SIZES = ("max_chars", "max_tokens", "max_prompt_chars", "per_problem")


class RecipeError(ValueError):
    """A recipe that says something impossible; the message names the field."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a selection. Lengths are code points, shares are in [0, 1].

    ``pass_rate_model`` names the model whose pass rate the band is about; empty means each
    trace's own model. Both ends of the band are included. ``use_derived`` takes a pruned trace
    that a person accepted in place of its parent; ``derivations`` names forms of the job ``derive``
    (turns, truncated, policy) that are taken without a person's word. ``holdout_share`` keeps that
    share of the problems out of every selection with the same ``holdout_seed``, by hash of the
    problem.
    A pair must satisfy ``score(chosen) - score(rejected) >= min_score_margin`` and, for
    ``concise-overlong``, ``chars(rejected) >= overlong_ratio * chars(chosen)``.
    ``min_review_coverage`` (share of the text that was on each reviewer's screen) and
    ``max_review_speed`` (characters of the trace per second on task) ask for people's acceptance
    and for proof that they read.
    """

    name: str
    version: int = 1
    kind: Kind = "sft"
    description: str = ""
    policy: str = "checked"
    min_pass_rate: float | None = None
    max_pass_rate: float | None = None
    pass_rate_model: str = ""
    models: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    min_chars: int = 0
    max_chars: int | None = None
    max_tokens: int | None = None
    max_prompt_chars: int | None = None
    require_review: bool = False
    min_review_coverage: float | None = None
    max_review_speed: float | None = None
    use_derived: bool = True
    derivations: tuple[str, ...] = ()
    exclude_truncated: bool = True
    exclude_contaminated: bool = True
    exclude_duplicates: bool = True
    per_problem: int | None = 1
    tie: Tie = "shortest"
    seed: int = 0
    holdout_share: float = 0.0
    holdout_seed: int = 0
    pairing: Pairing = "correct-incorrect"
    min_score_margin: float = 0.0
    min_chosen_score: float = 0.0
    min_rejected_score: float = 0.0
    overlong_ratio: float = 1.5
    same_model: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot mean anything."""
        for problem in _problems(self):
            raise RecipeError(problem)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``recipe_from_dict`` reads them back to an equal recipe."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def essence(self) -> dict[str, Any]:
        """The fields that differ from their defaults, without the version.

        Identities are hashes of this, so a field that a later release adds changes none of them.
        """
        plain = Recipe(name=self.name).to_dict()
        return {
            name: value
            for name, value in self.to_dict().items()
            if name == "name" or (name != "version" and value != plain[name])
        }


def _problems(recipe: Recipe) -> list[str]:
    found = [
        f"{name}: {value!r} is not one of {', '.join(allowed)}"
        for name, value, allowed in (
            ("kind", recipe.kind, get_args(Kind)),
            ("tie", recipe.tie, get_args(Tie)),
            ("pairing", recipe.pairing, get_args(Pairing)),
        )
        if value not in allowed
    ]
    try:
        policy_of(recipe.policy)
    except ValueError as problem:
        found.append(f"policy: {problem}")
    if not recipe.name.strip():
        found.append("name: empty")
    return found + _share_problems(recipe) + _size_problems(recipe)


def _share_problems(recipe: Recipe) -> list[str]:
    values = ((name, getattr(recipe, name)) for name in SHARES)
    found = [f"{n}: {v} is not in [0, 1]" for n, v in values if v is not None and not 0 <= v <= 1]
    low, high = recipe.min_pass_rate, recipe.max_pass_rate
    if low is not None and high is not None and low > high:
        found.append(f"min_pass_rate: {low} is above max_pass_rate {high}")
    return found


def _size_problems(recipe: Recipe) -> list[str]:
    values = ((name, getattr(recipe, name)) for name in SIZES)
    wrong = ((n, v) for n, v in values if v is not None and not 1 <= v <= MAX_NUMBER)
    found = [f"{n}: {v} is not a number of at least 1" for n, v in wrong]
    if not 1 <= recipe.overlong_ratio <= MAX_NUMBER:
        found.append(f"overlong_ratio: {recipe.overlong_ratio} is not a ratio of at least 1")
    speed = recipe.max_review_speed
    if speed is not None and not 0 < speed <= MAX_NUMBER:
        found.append(f"max_review_speed: {speed} is not a number above 0")
    seeds = (("seed", recipe.seed), ("holdout_seed", recipe.holdout_seed))
    found += [f"{n}: {v} is not in [0, 2^53]" for n, v in seeds if not 0 <= v <= MAX_NUMBER]
    if recipe.max_chars is not None and recipe.min_chars > recipe.max_chars:
        found.append(f"min_chars: {recipe.min_chars} is above max_chars {recipe.max_chars}")
    return found


def recipe_from_dict(data: dict[str, Any]) -> Recipe:
    """A recipe from JSON values. Raises RecipeError on an unknown field or a wrong type."""
    known = {f.name for f in fields(Recipe)}
    unknown = sorted(set(data) - known)
    if unknown:
        raise RecipeError(f"{unknown[0]}: no such field")
    if "name" not in data:
        raise RecipeError("name: missing")
    hints = get_type_hints(Recipe)
    return Recipe(**{name: _typed(name, value, str(hints[name])) for name, value in data.items()})


def _typed(name: str, value: Any, hint: str) -> Any:
    """``value`` as the field wants it; bool is not taken for a number."""
    if value is None and "None" in hint:
        return None
    if "tuple" in hint:
        if isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
            return tuple(value)
    elif "bool" in hint:
        if isinstance(value, bool):
            return value
    elif "float" in hint:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    elif "int" in hint:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif isinstance(value, str):
        return value
    raise RecipeError(f"{name}: {value!r} has the wrong type")
