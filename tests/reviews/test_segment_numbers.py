"""One number of a segment, and one address, on every page that shows a trace."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from curation.models import Trace
from curation.segmentation.boxes import MOST, boxes, first_numbers, slices
from curation.segments import store_segmentation
from curation.traces import text_fields
from tests.reviews.test_queues import make_traces

BOX = re.compile(
    r'<div class="seg [^>]*id="(?:t\d)?s(\d+)".*?<a class="n" href="#(?:t\d)?s(\d+)"[^>]*>(\d+)'
    r'.*?<div class="model-text"[^>]*>(.*?)</div>',
    re.S,
)
LONG = (
    "<think>\nFirst 5 + 7 = 12.\n\n```\n"
    + "x" * (2 * MOST)
    + "\n```\n\nWait, check: 12.\n</think>\n12"
)


def numbers_on(client: Client, address: str) -> list[tuple[str, str, str, str]]:
    """(id, address, shown number, text) of each box of a page."""
    found = BOX.findall(client.get(address).content.decode())
    return [(a, b, c, re.sub(r"<[^>]*>|\s", "", text)) for a, b, c, text in found]


@pytest.mark.parametrize("segmented", [True, False])
@pytest.mark.django_db
def test_all_pages_of_a_trace_number_and_address_its_segments_alike(
    project: Any, user: Any, client: Client, segmented: bool
) -> None:
    one, other = make_traces(project, 2)
    Trace.objects.filter(pk=one.pk).update(**text_fields(LONG))
    one.refresh_from_db()
    if segmented:
        store_segmentation(one, "12")
    client.force_login(user)
    base = f"/p/{project.slug}"
    reading = numbers_on(client, f"{base}/read/{one.pk}/")
    assert len(reading) > 4
    assert [row[:3] for row in reading] == [(str(n),) * 3 for n in range(1, len(reading) + 1)]
    assert numbers_on(client, f"{base}/traces/{one.pk}/") == reading
    compared = numbers_on(client, f"{base}/compare/?t={one.pk}&t={other.pk}")
    assert compared[: len(reading)] == reading


@pytest.mark.django_db
def test_outlines_link_to_the_number_of_the_segment_that_a_part_begins_with(
    project: Any, user: Any, client: Client
) -> None:
    (one,) = make_traces(project, 1)
    Trace.objects.filter(pk=one.pk).update(**text_fields(LONG))
    one.refresh_from_db()
    store_segmentation(one, "12")
    client.force_login(user)
    for page in ("read", "traces"):
        html = client.get(f"/p/{project.slug}/{page}/{one.pk}/").content.decode()
        ids = set(re.findall(r'id="(s\d+)"', html))
        links = re.findall(r'<li[^>]*><a href="#(s\d+)"', html)
        assert links and links[0] == "s1" and set(links) <= ids, page
        assert "s0" not in ids, page


def test_boxes_cover_a_leaf_and_count_on_from_the_one_before() -> None:
    leaves = [(0, 10), (10, 10), (10, 10 + 2 * MOST + 1), (10 + 2 * MOST + 1, 20_000)]
    shown = [box for low, high in leaves for box in boxes(low, high)]
    assert first_numbers(leaves) == [1, 2, 2, 5]
    assert [low for low, _ in shown] == [0, *(high for _, high in shown[:-1])]
    assert shown[4][0] == leaves[3][0], "the fifth box is the last leaf's first"
    text = "line\n" * 2000
    assert "".join(text[a:b] for a, b in slices(text)) == text
    assert all(text[b - 1] == "\n" for _, b in slices(text))
