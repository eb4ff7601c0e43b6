"""Named policies that combine the verdicts of one trace into one decision. Pure.

Rule, execution and judge verdicts are stored side by side and published pipelines combine them
in opposite ways: REDI and AM-1.4M want rule AND judge, DeepDistill wants rule OR judge. So a
recipe names its policy, and nothing else in Whittle merges verdicts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from curation.selection.candidates import CandidateVerdict

CORRECT = "correct"
INCORRECT = "incorrect"
UNVERIFIABLE = "unverifiable"
ERROR = "error"
DISAGREE = "disagree"  # two verifiers of one family contradict each other
MISSING = "not_verified"  # no verdict of the family that the policy asks for

Verdicts = tuple[CandidateVerdict, ...]
Policy = Callable[[Verdicts], str]


def decide(verdicts: Iterable[CandidateVerdict]) -> str:
    """The decision of one family of evidence.

    ``error`` and ``unverifiable`` never count against a trace that another verifier of the
    family decided; they are the decision only where nothing was decided.
    """
    found = {v.verdict for v in verdicts}
    decided = found & {CORRECT, INCORRECT}
    if len(decided) == 2:
        return DISAGREE
    if decided:
        return decided.pop()
    if UNVERIFIABLE in found:
        return UNVERIFIABLE
    return ERROR if found else MISSING


# What kind of evidence a verifier's verdicts are, by the first word of its name. Everything
# else compares with a reference by a rule.
FAMILIES = {"code": "execution", "judge": "judge", "consensus": "consensus"}


def family_of(verifier: str) -> str:
    """The family of a verifier by name: ``judge-gpt`` is a judge, ``math`` a rule."""
    return FAMILIES.get(re.split(r"[-:]", verifier, maxsplit=1)[0], "rule")


def _of(family: str) -> Policy:
    return lambda verdicts: decide(v for v in verdicts if v.family == family)


def _both(one: Policy, two: Policy) -> Policy:
    def policy(verdicts: Verdicts) -> str:
        answers = (one(verdicts), two(verdicts))
        if answers == (CORRECT, CORRECT):
            return CORRECT
        if INCORRECT in answers:
            return INCORRECT
        return next(a for a in answers if a != CORRECT)

    return policy


def _either(one: Policy, two: Policy) -> Policy:
    def policy(verdicts: Verdicts) -> str:
        answers = (one(verdicts), two(verdicts))
        for wanted in (CORRECT, INCORRECT, DISAGREE, UNVERIFIABLE, ERROR):
            if wanted in answers:
                return wanted
        return MISSING

    return policy


def _checked(verdicts: Verdicts) -> str:
    return decide(v for v in verdicts if v.family in ("rule", "execution"))


_RULE, _JUDGE = _of("rule"), _of("judge")

POLICIES: dict[str, Policy] = {
    "checked": _checked,  # rule for maths and choices, execution for code: whichever was run
    "rule": _RULE,
    "execution": _of("execution"),
    "judge": _JUDGE,
    "consensus": _of("consensus"),
    "rule-and-judge": _both(_RULE, _JUDGE),
    "rule-or-judge": _either(_RULE, _JUDGE),
}


def score_of(verdicts: Verdicts, decision: str) -> float:
    """Score in [0, 1]: the best partial credit stored, else 1 or 0 by the decision."""
    scores = [v.score for v in verdicts if v.score is not None]
    if scores:
        return max(scores)
    return 1.0 if decision == CORRECT else 0.0
