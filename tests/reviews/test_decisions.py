"""Submitting: what is checked, stored, concluded and derived."""

from __future__ import annotations

from typing import Any

import pytest

from curation.models import Job, ReviewOutcome, Trace
from reviews import consensus, decisions, queues
from reviews.models import Assignment, Review
from tests.reviews.test_queues import bob, expire, make_queue  # noqa: F401

pytestmark = pytest.mark.django_db


def taken(project: Any, user: Any, **kwargs: Any) -> Assignment:
    assignment = queues.next_assignment(make_queue(project, 1, **kwargs), user)
    assert assignment is not None
    return assignment


def submit(assignment: Assignment, **fields: Any) -> Review:
    data = {"decision": "sound"} | fields
    return decisions.submit(assignment, assignment.epoch, decisions.parse(data))


def test_a_review_finishes_its_item_and_becomes_an_outcome(project: Any, user: Any) -> None:
    assignment = taken(project, user)
    submit(assignment, note="fine")
    assert Assignment.objects.get().state == "done"
    outcome = ReviewOutcome.objects.get()
    assert (outcome.decision, outcome.derived, outcome.cuts) == ("accept", None, [])


def test_accepted_cuts_make_a_derived_trace_that_is_verified_next(project: Any, user: Any) -> None:
    assignment = taken(project, user)
    text = assignment.item.trace.text
    start = text.index("one and one")
    submit(assignment, cuts=[{"start": start, "end": start + 4, "reason": "repeat"}])
    derived = ReviewOutcome.objects.get().derived
    assert derived is not None
    assert derived.parent_id == assignment.item.trace_id
    assert "one and" not in derived.text and "\\boxed{2}" in derived.text
    job = Job.objects.get(kind="verify")
    assert job.params["ids"] == [derived.pk]
    assert Trace.objects.get(pk=assignment.item.trace_id).text == text


def test_coverage_comes_from_the_ranges_that_were_on_screen_not_from_a_claim(
    project: Any, user: Any
) -> None:
    assignment = taken(project, user)
    half = assignment.item.trace.char_count // 2
    read = [[0, half, 2.0], [4, half, 9.0], [half, 10**6, 0.0]]
    submit(assignment, coverage=1.0, read=read, seconds=7.5)
    outcome = ReviewOutcome.objects.get()
    assert outcome.coverage == pytest.approx(half / assignment.item.trace.char_count)
    assert outcome.seconds == 7.5


def test_coverage_of_an_outcome_is_unknown_when_one_of_its_reviewers_sent_none() -> None:
    assert consensus.least([0.5, 0.25]) == 0.25
    assert consensus.least([0.5, None]) is None and consensus.least([]) is None


def test_a_flawed_trace_keeps_no_cuts_and_is_rejected(project: Any, user: Any) -> None:
    submit(taken(project, user), decision="flawed", cuts=[{"start": 8, "end": 12}])
    assert ReviewOutcome.objects.get().decision == "reject"
    assert Trace.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"decision": "great"}, "bad_decision"),
        ({"cuts": [{"start": 5, "end": 5}]}, "bad_cuts"),
        ({"cuts": [{"start": 0, "end": 10**6}]}, "bad_cuts"),
        ({"cuts": [{"start": 0, "end": 9}, {"start": 5, "end": 12}]}, "bad_cuts"),
        ({"cuts": [{"start": 0, "end": 9, "quote_sha256": "f" * 64}]}, "text_differs"),
        ({"labels": [{"start": 0, "end": 9, "label": 2}]}, "bad_labels"),
        ({"labels": [{"start": 0, "end": 9, "label": True}]}, "bad_labels"),
        ({"cuts": "all"}, "bad_cuts"),
        ({"first_error": -1}, "bad_first_error"),
        ({"coverage": 7}, "bad_coverage"),
    ],
)
def test_a_bad_submission_is_refused_with_its_reason_and_stores_nothing(
    project: Any, user: Any, fields: dict[str, Any], code: str
) -> None:
    assignment = taken(project, user)
    with pytest.raises(decisions.BadReview) as caught:
        submit(assignment, **fields)
    assert caught.value.code == code
    assert not Review.objects.exists()


def test_step_labels_are_stored_with_the_hash_of_what_they_quote(project: Any, user: Any) -> None:
    assignment = taken(project, user)
    review = submit(assignment, labels=[{"start": 0, "end": 7, "label": -1}])
    label = review.step_labels.get()
    assert label.quote_sha256 == decisions.quote_hash(assignment.item.trace.text, 0, 7)


def test_an_old_tab_cannot_submit_after_the_item_was_opened_again(project: Any, user: Any) -> None:
    assignment = taken(project, user)
    queues.next_assignment(assignment.item.queue, user)
    with pytest.raises(queues.LeaseExpired):
        submit(assignment)


def test_an_expired_lease_can_submit_while_the_item_has_a_place(project: Any, user: Any) -> None:
    assignment = taken(project, user)
    expire(assignment)
    assert submit(assignment).pk


def test_an_expired_lease_cannot_submit_when_another_judged_the_item(
    project: Any,
    user: Any,
    bob: Any,  # noqa: F811
) -> None:
    assignment = taken(project, user)
    expire(assignment)
    other = queues.next_assignment(assignment.item.queue, bob)
    assert other is not None
    submit(other)
    with pytest.raises(queues.LeaseExpired):
        submit(assignment)
    assert Review.objects.count() == 1


def test_a_change_of_mind_is_a_new_row(project: Any, user: Any) -> None:
    assignment = taken(project, user)
    submit(assignment)
    submit(assignment, decision="flawed")
    assert list(Review.objects.order_by("pk").values_list("decision", flat=True)) == [
        "sound", "flawed",
    ]  # fmt: skip
    assert ReviewOutcome.objects.order_by("-pk")[0].decision == "reject"


def test_a_majority_needs_more_than_half() -> None:
    def votes(*given: str) -> list[Review]:
        return [Review(decision=value) for value in given]

    assert consensus.majority(votes("sound", "sound", "flawed")) == "accept"
    assert consensus.majority(votes("sound", "flawed")) == "undecided"
    assert consensus.majority(votes("bad_problem", "bad_problem", "sound")) == "bad_problem"


def test_agreed_cuts_are_what_more_than_half_cut() -> None:
    reviews = [
        Review(cuts=[{"start": 0, "end": 10}]),
        Review(cuts=[{"start": 5, "end": 15}]),
        Review(cuts=[{"start": 8, "end": 9}, {"start": 12, "end": 20}]),
    ]
    ranges = [(c["start"], c["end"]) for c in consensus.agreed_cuts(reviews, 20)]
    assert ranges == [(5, 10), (12, 15)]
