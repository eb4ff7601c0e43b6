"""Trace structure as a pure library: text in, leaves, kinds, answers and cut proposals out.

Importing it loads the standard library only.
"""

from __future__ import annotations

from curation.segmentation.analysis import Analysis, analyse, segment
from curation.segmentation.joins import Derived, apply_cuts, check_derived
from curation.segmentation.proposals import POLICIES, cuts_of, propose_cuts
from curation.segmentation.tags import ReasoningSplit, split_reasoning
from curation.segmentation.types import (
    SEGMENTER_VERSION,
    AnswerMention,
    Cut,
    Equal,
    Evidence,
    Loop,
    Segment,
)

__all__ = [
    "POLICIES",
    "SEGMENTER_VERSION",
    "Analysis",
    "AnswerMention",
    "Cut",
    "Derived",
    "Equal",
    "Evidence",
    "Loop",
    "ReasoningSplit",
    "Segment",
    "analyse",
    "apply_cuts",
    "check_derived",
    "cuts_of",
    "propose_cuts",
    "segment",
    "split_reasoning",
]
