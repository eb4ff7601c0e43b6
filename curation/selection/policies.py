"""The policies that recipes name; they live in ``curation.policies``, where grading reads them."""

from curation.policies import (
    CORRECT,
    DISAGREE,
    ERROR,
    INCORRECT,
    MISSING,
    POLICIES,
    UNVERIFIABLE,
    Policy,
    family_of,
    policy_of,
    score_of,
)

__all__ = [
    "CORRECT",
    "DISAGREE",
    "ERROR",
    "INCORRECT",
    "MISSING",
    "POLICIES",
    "UNVERIFIABLE",
    "Policy",
    "family_of",
    "policy_of",
    "score_of",
]
