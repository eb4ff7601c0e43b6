"""Boundaries on made traces that no rule was tuned on: what is reported does not get worse."""

from __future__ import annotations

from benchmarks.boundaries import Tally, tree, unseen
from curation.segmentation import segment


def test_boundary_f1_on_unseen_traces_is_at_least_what_the_docs_report() -> None:
    leaves, parts = Tally(), Tally()
    for want in unseen():
        found = segment(want.text, want.reference)
        assert "".join(want.text[leaf.start : leaf.end] for leaf in found) == want.text
        leaves.add({leaf.end for leaf in found[:-1]}, want.leaves)
        parts.add(tree(want.text, found, deep=True), want.parts or set())
    assert leaves.f1 >= 0.95
    assert parts.f1 >= 0.75
