"""Named policies propose cuts: ranges of whole leaves with a reason, never edits.

Only the reasoning is ever cut: no tag, no answer part, nothing of the conclusion. The policies are
in ``policies``, how cuts are applied and checked in ``joins``.
"""

from __future__ import annotations

from collections.abc import Sequence

from curation.segmentation.analysis import Analysis, study
from curation.segmentation.joins import Derived, apply_cuts
from curation.segmentation.policies import AFTER_FIRST_CORRECT, POLICIES
from curation.segmentation.types import Cut, Equal, Evidence, Segment

__all__ = ["POLICIES", "Derived", "apply_cuts", "cuts_of", "propose_cuts"]


def propose_cuts(
    text: str,
    segments: Sequence[Segment],
    reference: str | None = None,
    policy: str = AFTER_FIRST_CORRECT,
    equal: Equal | None = None,
    evidence: Evidence | None = None,
) -> list[Cut]:
    """Cuts of a named policy, in order, disjoint and made of whole segments.

    (Spans that ``evidence`` calls wrong are cut as they are.) Raises KeyError for an unknown policy
    and ValueError when ``segments`` are not ``text``.
    """
    propose = POLICIES[policy]
    return propose(study(text, segments, reference, equal, evidence))


def cuts_of(analysis: Analysis, policy: str) -> list[Cut]:
    """The same from an analysis at hand."""
    return POLICIES[policy](analysis)
