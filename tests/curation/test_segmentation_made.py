"""Boundaries, kinds, parts, first correct answer and cuts of traces written for this."""

from __future__ import annotations

import pytest

from curation.segmentation import analyse, apply_cuts, propose_cuts, segment, split_reasoning
from tests.curation.made_trace import Made
from tests.curation.made_traces import MADE

made = pytest.mark.parametrize("trace", MADE, ids=lambda trace: trace.name)


def test_at_least_thirty_traces_were_made() -> None:
    assert len(MADE) >= 30
    assert len({trace.name for trace in MADE}) == len(MADE)


@made
def test_leaves_are_the_expected_ones(trace: Made) -> None:
    leaves = [trace.text[part.start : part.end] for part in segment(trace.text, trace.reference)]
    assert leaves == [leaf for leaf, _, _ in trace.leaves]


@made
def test_kinds_are_the_expected_ones(trace: Made) -> None:
    kinds = [part.kind for part in segment(trace.text, trace.reference)]
    assert kinds == [kind for _, kind, _ in trace.leaves]


@made
def test_macro_parts_are_the_expected_ones(trace: Made) -> None:
    parts = [part.path[0] for part in segment(trace.text, trace.reference)]
    assert parts == [part for _, _, part in trace.leaves]


@made
def test_style_and_closing_are_the_expected_ones(trace: Made) -> None:
    split = split_reasoning(trace.text)
    assert (split.style, split.closed) == (trace.style, trace.closed)


@made
def test_the_first_correct_answer_is_the_expected_one(trace: Made) -> None:
    first = analyse(trace.text, trace.reference).first_correct
    assert (first.leaf if first else None) == trace.first


@made
def test_the_cut_after_the_first_correct_answer_is_the_expected_one(trace: Made) -> None:
    segments = segment(trace.text, trace.reference)
    cuts = propose_cuts(trace.text, segments, trace.reference)
    expected = []
    if trace.cut:
        low, high = trace.cut
        expected = [(segments[low].start, segments[high - 1].end)]
    assert [(cut.start, cut.end) for cut in cuts] == expected
    kept = apply_cuts(trace.text, cuts)
    assert len(kept.text) <= len(trace.text)
