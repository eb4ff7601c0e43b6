"""The outline: groups of a long one, shares, and what each part ends in, unless that is hidden."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from curation.models import Trace
from curation.segments import store_segmentation
from curation.traces import text_fields
from reviews import queues
from reviews.outline import FLAT, Outline, outline, share_of
from reviews.screen import Piece
from tests.reviews.test_queues import make_queue


def pieces(*headings: str, size: int = 10) -> list[Piece]:
    return [
        Piece(i, i * size, (i + 1) * size, "text", h, "x" * size, False, h)
        for i, h in enumerate(headings)
    ]


def made(*headings: str, judged: bool = True, answers: Any = ()) -> Outline:
    return outline(pieces(*headings), list(answers), judged)


def numbered(word: str, low: int, high: int) -> list[str]:
    return [f"{word} {n}" for n in range(low, high + 1)]


def test_up_to_forty_parts_are_one_list_and_more_are_groups_of_twenty_numbers() -> None:
    assert made(*numbered("Attempt", 1, FLAT)).groups == []
    found = made("Question Repeat", "Problem", *numbered("Attempt", 1, 45), "Final Answer")
    assert [g.title for g in found.groups] == ["Attempts 1–20", "Attempts 21–40", "Attempts 41–45"]
    assert [len(g.parts) for g in found.groups] == [22, 20, 6]
    assert [p for g in found.groups for p in g.parts] == found.parts, "none is lost or moved"


def test_a_group_of_attempts_and_checks_names_both_and_no_group_is_endless() -> None:
    mixed = made(*numbered("Attempt", 1, 3), *numbered("Check", 1, 39))
    assert [g.title for g in mixed.groups] == [
        "Attempts 1–3, Checks 1–17", "Checks 18–37", "Checks 38–39",
    ]  # fmt: skip
    plain = made(*(["Plan", "Text"] * 50))
    assert [len(g.parts) for g in plain.groups] == [40, 40, 20]
    assert plain.groups[0].title == "Plan …"
    assert made(*numbered("Attempt", 1, 41)).groups[-1].title == "Attempt 41"


def test_a_part_holds_its_boxes_and_says_its_share() -> None:
    boxes = pieces("", "", "Attempt 1", "", "", "")
    found = outline(boxes, [], True).parts
    assert [(p.label, p.number, p.size, p.share) for p in found] == [
        ("Text", 1, 20, "33 %"), ("Attempt 1", 3, 40, "67 %"),
    ]  # fmt: skip
    assert [share_of(n, 10_000) for n in (0, 4, 5, 94, 95, 10_000)] == [
        "<0.1 %", "<0.1 %", "0.1 %", "0.9 %", "1 %", "100 %",
    ]  # fmt: skip
    assert outline([], [], True).parts == []


def test_a_part_ends_in_its_last_answer_and_in_none_while_verdicts_are_hidden() -> None:
    answers = [
        {"start": 31, "matches": True}, {"start": 2, "matches": True},
        {"start": 9, "matches": False}, {"start": 12, "matches": None},
    ]  # fmt: skip
    names = numbered("Attempt", 1, 4)
    found = made(*names, answers=answers)
    assert [p.end for p in found.parts] == ["differs", "stated", "", "matches"]
    assert {p.end for p in made(*names, answers=answers, judged=False).parts} == {""}


@pytest.mark.django_db
def test_the_page_shows_how_parts_end_only_when_that_may_be_seen(
    project: Any, user: Any, client: Client
) -> None:
    queue = make_queue(project, 1)
    queue.hide = ["verdict"]
    queue.save()
    trace = Trace.objects.get(project=project)
    text = "<think>\n1 + 1 is 2, so the answer is 2.\n\nWait, so it is 3.\n</think>\n\\boxed{2}"
    Trace.objects.filter(pk=trace.pk).update(**text_fields(text))
    trace.refresh_from_db()
    store_segmentation(trace, "2")
    assignment = queues.next_assignment(queue, user)
    assert assignment is not None
    client.force_login(user)
    pages = [f"/p/{project.slug}/review/{assignment.pk}/", f"/p/{project.slug}/read/{trace.pk}/"]

    def parts(page: str) -> str:
        found = re.search(r'id="parts">(.*?)</nav>', client.get(page).content.decode(), re.S)
        assert found
        return found[1]

    for page in pages:
        assert "ends in" not in parts(page) and " %" in parts(page), page
    assignment.committed = {"decision": "sound"}
    assignment.save()
    for page in pages:
        assert "ends in an answer that matches" in parts(page), page
