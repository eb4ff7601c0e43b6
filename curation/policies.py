"""Named policies: the verdicts of one trace in, one decision out. Pure.

Rule, execution and judge verdicts are stored side by side, and published pipelines combine them in
opposite ways on the same data: AM-1.4M asks a rule and then a judge, DeepDistill lets a judge
rescue what a rule refused, REDI wants both. So a recipe or a grade names its policy, and nothing
else in Whittle merges verdicts.

A policy's name may carry thresholds by category: ``rule-or-judge@science=0.998,other=0.7``. Where
a threshold is given, a verdict with a score is decided anew: ``correct`` above it, ``incorrect``
at or below it. ``@science>=0.9`` includes the threshold itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

CORRECT: Final = "correct"
INCORRECT: Final = "incorrect"
UNVERIFIABLE: Final = "unverifiable"
ERROR: Final = "error"
DISAGREE = "disagree"  # two verifiers of one family contradict each other
MISSING = "not_verified"  # no verdict of the family that the policy asks for

# What kind of evidence a verifier's verdicts are, by the first word of its name. Everything else
# compares with a reference by a rule. ``format`` says nothing about an answer and no policy counts
# it; ``reward`` scores are no yes or no, only policies with thresholds count them.
FAMILIES = {
    "code": "execution",
    "judge": "judge",
    "consensus": "consensus",
    "format": "format",
    "reward": "reward",
    "prm": "reward",
}
OTHER = "other"  # the category of thresholds that holds where no other is named


class Verdictlike(Protocol):
    """What a policy reads of a verdict."""

    @property
    def verdict(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def score(self) -> float | None: ...


class Evidence(NamedTuple):
    """One verdict, by the name of its verifier."""

    verifier: str
    verdict: str
    score: float | None = None

    @property
    def family(self) -> str:
        """Its kind of evidence."""
        return family_of(self.verifier)


def family_of(verifier: str) -> str:
    """The family of a verifier by name: ``judge-gpt`` is a judge, ``math`` a rule."""
    return FAMILIES.get(re.split(r"[-:]", verifier, maxsplit=1)[0], "rule")


@dataclass(frozen=True, slots=True)
class Threshold:
    """``correct`` above ``value``, or from it on where it is ``inclusive``."""

    value: float
    inclusive: bool = False

    def passes(self, score: float) -> bool:
        return score >= self.value if self.inclusive else score > self.value

    def __str__(self) -> str:
        return f"{'>=' if self.inclusive else '='}{self.value:g}"


Verdicts = Iterable[Verdictlike]
Decide = Callable[[list[tuple[str, str]]], str]  # (family, verdict) pairs


@dataclass(frozen=True, slots=True)
class Policy:
    """How families of evidence become one decision. Call it with verdicts and the labels of
    the problem (its category, its kind); the first label that has a threshold counts.

    ``families`` are those it reads; ``thresholds`` are by category, ``other`` for the rest.
    """

    name: str
    families: frozenset[str]
    combine: Decide
    about: str
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)

    def __call__(self, verdicts: Verdicts, *labels: str) -> str:
        """``correct``, ``incorrect``, ``unverifiable``, ``error``, ``disagree``, ``not_verified``.

        ``error`` and ``unverifiable`` never count against a trace that another verifier of the
        family decided; they are the decision only where nothing was decided.
        """
        given = (self.thresholds.get(label.casefold()) for label in (*labels, OTHER))
        limit = next((threshold for threshold in given if threshold), None)
        found = [(v.family, _decided(v, limit)) for v in verdicts if v.family in self.families]
        return self.combine(found)


def _decided(verdict: Verdictlike, limit: Threshold | None) -> str:
    if limit is None or verdict.score is None or verdict.verdict not in (CORRECT, INCORRECT):
        return verdict.verdict
    return CORRECT if limit.passes(verdict.score) else INCORRECT


def settle(verdicts: Iterable[str]) -> str:
    """The decision of one family of evidence."""
    found = set(verdicts)
    decided = found & {CORRECT, INCORRECT}
    if len(decided) == 2:
        return DISAGREE
    if decided:
        return decided.pop()
    if UNVERIFIABLE in found:
        return UNVERIFIABLE
    return ERROR if found else MISSING


# What compares with something that is known to be right.
CHECKING = frozenset({"rule", "execution"})
# What a model says of it.
JUDGING = frozenset({"judge", "reward"})


def _all(found: list[tuple[str, str]]) -> str:
    return settle(verdict for _, verdict in found)


def _sides(found: list[tuple[str, str]]) -> tuple[str, str]:
    """Decisions of the checking and of the judging families."""
    checked = settle(verdict for family, verdict in found if family in CHECKING)
    judged = settle(verdict for family, verdict in found if family in JUDGING)
    return checked, judged


def _and(found: list[tuple[str, str]]) -> str:
    """A refusal by either decides; to be correct needs both (AM-1.4M: the rule, then the judge)."""
    sides = _sides(found)
    if sides == (CORRECT, CORRECT):
        return CORRECT
    return INCORRECT if INCORRECT in sides else next(side for side in sides if side != CORRECT)


def _or(found: list[tuple[str, str]]) -> str:
    """Either one's "correct" decides (DeepDistill: a second chance for what the rule refused)."""
    sides = _sides(found)
    order = (CORRECT, INCORRECT, DISAGREE, UNVERIFIABLE, ERROR)
    return next((wanted for wanted in order if wanted in sides), MISSING)


def _both(found: list[tuple[str, str]]) -> str:
    """Decided only where both decided (REDI): correct where both say so, else incorrect."""
    sides = _sides(found)
    if not all(side in (CORRECT, INCORRECT) for side in sides):
        order = (MISSING, DISAGREE, ERROR, UNVERIFIABLE)
        return next(wanted for wanted in order if wanted in sides)
    return CORRECT if sides == (CORRECT, CORRECT) else INCORRECT


_RULE_AND_MODEL = frozenset({"rule", "execution", "judge"})
# DeepDistill, section on verification: math, code and instruction following above 0.99, science
# above 4.99 of 5, multi-turn and other above 0.7.
DEEPDISTILL = {
    **dict.fromkeys(("math", "code", "if", "instruction following"), Threshold(0.99)),
    "science": Threshold(4.99 / 5),
    **dict.fromkeys(("multi-turn", "multiturn", "chat", OTHER), Threshold(0.7)),
}


def _one(family: str, about: str) -> Policy:
    return Policy(family, frozenset({family}), _all, about)


POLICIES: dict[str, Policy] = {
    policy.name: policy
    for policy in (
        Policy(
            "checked", CHECKING, _all, "rule for answers, execution for code: whichever was run"
        ),
        _one("rule", "comparison with a reference"),
        _one("execution", "tests that were run"),
        _one("judge", "what models say"),
        _one("consensus", "agreement with the majority answer"),
        Policy("rule-and-judge", _RULE_AND_MODEL, _and, "a refusal by either decides (AM-1.4M)"),
        Policy("rule-or-judge", _RULE_AND_MODEL, _or, "a judge may rescue (DeepDistill)"),
        Policy("both", _RULE_AND_MODEL, _both, "both must have decided (REDI)"),
        Policy(
            "deepdistill",
            _RULE_AND_MODEL | {"reward"},
            _or,
            "rule or judge with DeepDistill's thresholds by category",
            DEEPDISTILL,
        ),
        Policy(
            "verify-score-0.9",
            _RULE_AND_MODEL | {"reward"},
            _or,
            "every category from 0.9 on (Not All Correct Answers Are Equal)",
            {OTHER: Threshold(0.9, inclusive=True)},
        ),
    )
}

_PAIR = re.compile(r"([\w &/-]{1,64}?)\s*(>=|=|>)\s*(\d+(?:\.\d+)?)", re.ASCII)
MAX_NAME = 64  # as a difficulty row holds it


@lru_cache(maxsize=256)
def policy_of(name: str) -> Policy:
    """A policy by its name, with thresholds where the name carries them; ValueError if unknown."""
    base, at, given = name.partition("@")
    if base not in POLICIES or len(name) > MAX_NAME:
        raise ValueError(f"{name[:80]!r} is not one of {', '.join(POLICIES)}")
    known = POLICIES[base]
    if not at:
        return known
    limits = dict(_pair(part) for part in given.split(","))
    families = known.families | ({"reward"} if known.families & JUDGING else set())
    merged = {**known.thresholds, **limits}
    return Policy(name, frozenset(families), known.combine, known.about, merged)


def _pair(part: str) -> tuple[str, Threshold]:
    match = _PAIR.fullmatch(part.strip())
    if match is None or not 0 <= float(match[3]) <= 1:
        raise ValueError(f"{part.strip()[:80]!r} is no threshold such as math=0.99, in [0, 1]")
    return match[1].casefold(), Threshold(float(match[3]), inclusive=match[2] == ">=")


def score_of(verdicts: Verdicts, decision: str) -> float:
    """Score in [0, 1]: the best partial credit stored, else 1 or 0 by the decision."""
    scores = [v.score for v in verdicts if v.score is not None and v.family != "format"]
    if scores:
        return max(scores)
    return 1.0 if decision == CORRECT else 0.0
