"""Columns that are compared line up along as many of their shared results as can."""

from __future__ import annotations

import random
import time
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.segments import store_segmentation
from reviews import compare
from reviews.chains import before, longest_chain
from tests.reviews.test_queues import make_traces


def column(*anchors: tuple[int, str]) -> compare.Column:
    return compare.Column(None, "", "", "", 0, [], list(anchors))  # type: ignore[arg-type]


def test_columns_line_up_where_they_first_state_the_same_results() -> None:
    one = column((1, "12"), (3, "40"), (5, "77"), (6, "12"))
    rows = compare.align([one, column((2, "12"), (1, "77"))])
    assert rows[0] == [0, 0] and len(rows) == 2
    assert rows[1] in ([1, 2], [5, 1])
    assert compare.align([]) == []
    assert compare.align([one, column((0, "40"))]) == [[0, 0]], "no row can precede the beginning"


def test_a_result_stated_late_elsewhere_does_not_keep_the_others_from_lining_up() -> None:
    """Greedily 99 comes first in column one, and nothing is behind it in column two."""
    one = column((1, "99"), (2, "10"), (3, "20"), (4, "30"))
    two = column((1, "10"), (2, "20"), (3, "30"), (4, "99"))
    assert compare.align([one, two]) == [[0, 0], [2, 1], [3, 2], [4, 3]]
    three = column((2, "20"), (5, "10"), (6, "30"), (7, "99"))
    assert compare.align([one, two, three]) in (
        [[0, 0, 0], [2, 1, 5], [4, 3, 6]],
        [[0, 0, 0], [3, 2, 2], [4, 3, 6]],
    )


def by_all_pairs(points: list[tuple[int, ...]]) -> int:
    """The length of the longest chain, from every pair of points."""
    best: dict[tuple[int, ...], int] = {}
    for p in sorted(set(points)):
        best[p] = 1 + max((n for q, n in best.items() if before(q, p)), default=0)
    return max(best.values(), default=0)


POINTS = st.integers(2, 4).flatmap(
    lambda k: st.lists(st.tuples(*[st.integers(0, 9)] * k), max_size=40)
)


@given(POINTS)
@settings(max_examples=400, deadline=None)
def test_the_chain_is_one_and_none_is_longer(points: list[tuple[int, ...]]) -> None:
    chain = longest_chain(points)
    assert all(before(a, b) for a, b in pairwise(chain))
    assert set(chain) <= set(points)
    assert len(chain) == by_all_pairs(points)
    assert chain == longest_chain(points[::-1])


@pytest.mark.parametrize("columns", [2, 3, 4])
def test_four_hundred_results_in_any_order_line_up_at_once(columns: int) -> None:
    rng = random.Random(7)
    orders = [rng.sample(range(400), 400) for _ in range(columns)]
    points = list(zip(*orders, strict=True))
    began = time.process_time()
    chain = longest_chain(points)
    took = time.process_time() - began
    assert len(chain) == by_all_pairs(points)
    assert took < 0.5, took


@pytest.mark.django_db
def test_the_segments_of_each_compared_trace_are_read_once(
    project: Any, user: Any, client: Client
) -> None:
    traces = make_traces(project, 3)
    for trace in traces:
        store_segmentation(trace, "2")
    client.force_login(user)
    query = "&".join(f"t={t.pk}" for t in traces)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        page = client.get(f"/p/{project.slug}/compare/?{query}")
    assert page.status_code == 200
    reads = [q["sql"] for q in asked if 'FROM "curation_segment"' in q["sql"]]
    assert len(reads) == len(traces)
    state = page.context["state"]
    assert [s[0] for s in state["starts"]] == [0, 0, 0] and all(len(s) > 1 for s in state["starts"])
