"""Trace structure as a pure library: text in, leaves, kinds, answers and cut proposals out.

Importing it loads the standard library only.
"""

from __future__ import annotations

from curation.segmentation.analysis import Analysis, analyse, segment
from curation.segmentation.proposals import POLICIES, Derived, apply_cuts, cuts_of, propose_cuts
from curation.segmentation.tags import ReasoningSplit, split_reasoning
from curation.segmentation.types import (
    SEGMENTER_VERSION,
    AnswerMention,
    Cut,
    Equal,
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
    "Loop",
    "ReasoningSplit",
    "Segment",
    "analyse",
    "apply_cuts",
    "cuts_of",
    "propose_cuts",
    "segment",
    "split_reasoning",
]
