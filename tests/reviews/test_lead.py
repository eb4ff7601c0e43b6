"""Leading a queue: who sees what, decisions made again, settings that change outcomes, fills."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from curation.jobs import JobError
from curation.models import Membership, ReviewOutcome
from reviews import adjudication, decisions, filling, gold, guidelines, manage, quality
from reviews import queues as handing_out
from reviews.models import Assignment, Notification, Queue, QueueItem, Review
from reviews.submission import BadReview
from tests.reviews.test_people import judge
from tests.reviews.test_queues import bob, make_queue, make_traces  # noqa: F401

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture
def carl(project: Any) -> Any:
    carl = get_user_model().objects.create_user("carl", password="correct horse 3")
    Membership.objects.create(project=project, user=carl, role="curator")
    return carl


@pytest.fixture
def ann(client: Client, project: Any) -> Any:
    """A reviewer who is logged in at ``client``."""
    ann = get_user_model().objects.create_user("ann", password="correct horse 4")
    Membership.objects.create(project=project, user=ann, role="reviewer")
    client.force_login(ann)
    return ann


def newest() -> ReviewOutcome:
    return ReviewOutcome.objects.order_by("-pk")[0]


def test_who_is_measured_sees_neither_which_items_are_gold_nor_their_answers(
    project: Any, user: Any, ann: Any, client: Client
) -> None:
    queue = make_queue(project, 2)
    item = queue.items.order_by("pk")[0]
    manage.bulk(queue, "make gold", [item.pk], {"decision": "flawed"})
    rows = client.get(f"/api/v1/queue-items/?queue={queue.pk}").json()["results"]
    assert len(rows) == 2 and all(row["gold"] is None for row in rows)
    base = f"/p/{project.slug}/queues/{queue.pk}/"
    assert "gold" not in client.get(base).content.decode()
    assert client.get(f"{base}?state=gold").content.decode().count('href="/p/demo/read/') == 2
    client.force_login(user)
    rows = client.get(f"/api/v1/queue-items/?queue={queue.pk}").json()["results"]
    assert {"decision": "flawed"} in [row["gold"] for row in rows]
    assert "gold: flawed" in client.get(base).content.decode()


def test_what_others_decided_shows_once_the_item_is_finished(
    project: Any,
    ann: Any,
    bob: Any,  # noqa: F811
    client: Client,
) -> None:
    queue = make_queue(project, 1, overlap=2)
    judge(queue, bob, "flawed", note="a hidden thought")
    reviews = f"/api/v1/reviews/?project={project.slug}"
    assert client.get(reviews).json()["results"] == []
    base = f"/p/{project.slug}/queues/"
    assert "flawed</span>" not in client.get(base).content.decode()
    page = client.get(f"{base}{queue.pk}/?decision=flawed").content.decode()
    assert "bob" not in page and "No item matches" in page
    judge(queue, ann, "sound")
    assert len(client.get(reviews).json()["results"]) == 2


def test_a_person_and_a_state_are_asked_of_the_same_assignment(
    project: Any,
    user: Any,
    ann: Any,
    client: Client,
) -> None:
    queue = make_queue(project, 1, overlap=2)
    judge(queue, ann)
    held = handing_out.next_assignment(queue, user)
    assert held is not None
    handing_out.skip(held, "<i>too long</i>")
    base = f"/p/{project.slug}/queues/{queue.pk}/"
    assert "No item matches" in client.get(f"{base}?state=skipped").content.decode()
    assert "too long" not in client.get(base).content.decode()  # the lead reads why
    left = client.get(f"{base}next/").content.decode()
    assert "You have judged 1 item here." in left and "Nothing left for you" in left
    client.force_login(user)
    for person, hits in (("ann", 0), ("alice", 1)):
        page = client.get(f"{base}?state=skipped&person={person}").content.decode()
        assert page.count("alice skipped: &lt;i&gt;too long") == hits


def test_a_skipped_gold_item_does_not_let_anybody_past_the_screening(
    project: Any,
    bob: Any,  # noqa: F811
) -> None:
    queue = make_queue(project, 4)
    ids = [*queue.items.order_by("pk").values_list("pk", flat=True)]
    manage.bulk(queue, "make gold", ids[:2], {"decision": "sound"})
    manage.configure(queue, {"screening": {"items": 5, "accuracy": 0.8}})
    for _ in range(2):
        held = handing_out.next_assignment(queue, bob)
        assert held is not None and held.item_id in ids[:2]
        handing_out.skip(held, "no idea")
    assert handing_out.next_assignment(queue, bob) is None
    assert handing_out.why_nothing(queue, bob) == "screened"
    found = gold.screening_of(queue, bob)
    assert (found.asked, found.right, found.counted, found.passed) == (2, 0, 2, False)


def test_a_curator_lets_in_who_fell_short(project: Any, user: Any, bob: Any) -> None:  # noqa: F811
    queue = make_queue(project, 3)
    ids = [*queue.items.order_by("pk").values_list("pk", flat=True)]
    manage.bulk(queue, "make gold", ids[:1], {"decision": "flawed"})
    manage.configure(queue, {"screening": {"items": 1, "accuracy": 1}})
    judge(queue, bob, "sound")
    assert handing_out.why_nothing(queue, bob) == "screened"
    client = Client()
    client.force_login(user)
    form = {"overlap": 1, "order": "position", "policy": "single", "gold_share": 0, "enabled": 1,
            "min_coverage": 0, "screening_items": 1, "screening_accuracy": 1,
            "screening_let_in": ["bob"]}  # fmt: skip
    client.post(f"/p/{project.slug}/queues/{queue.pk}/settings/", form)
    queue.refresh_from_db()
    assert handing_out.next_assignment(queue, bob) is not None
    assert [p.screening for p in quality.people(queue)] == ["let in"]
    form["screening_let_in"] = ["nobody"]
    page = client.post(f"/p/{project.slug}/queues/{queue.pk}/settings/", form, follow=True)
    assert "not in this project: nobody" in page.content.decode()


def test_who_wrote_a_gold_answer_is_not_measured_by_it(
    project: Any,
    user: Any,
    bob: Any,  # noqa: F811
) -> None:
    queue = make_queue(project, 2)
    item = judge(queue, user, "flawed").item
    manage.bulk(queue, "make gold", [item.pk], {})
    manage.configure(queue, {"gold_share": 1})
    judge(queue, bob, "flawed")
    assert gold.accuracy(queue, user) == (0, 0) and gold.accuracy(queue, bob) == (1, 1)


def test_a_decision_made_again_counts_among_those_who_judged_with_that_person(
    project: Any,
    user: Any,
    bob: Any,  # noqa: F811
) -> None:
    queue = make_queue(project, 1, overlap=2)
    manage.configure(queue, {"policy": "unanimous"})
    judge(queue, user, "sound")
    judge(queue, bob, "sound")
    assert newest().decision == "accept"
    guidelines.publish(project, user, "# v1", "", {"decisions": ["sound"]})
    again = Queue.objects.get(name="Guideline v1: bob")
    judge(again, bob, "flawed")
    outcome = newest()  # one person alone does not replace what two agreed on
    assert (outcome.decision, outcome.policy, len(outcome.reviews)) == ("undecided", "unanimous", 2)
    assert again.items.get().finished
    judge(Queue.objects.get(name="Guideline v1: alice"), user, "flawed")
    assert newest().decision == "reject"


def test_a_newer_guideline_asks_about_the_newest_decision_and_only_once(
    project: Any, user: Any
) -> None:
    queue = make_queue(project, 2)
    judge(queue, user, "sound")
    judge(queue, user, "sound")
    guidelines.publish(project, user, "# v1", "", {"decisions": ["sound"]})
    first = Queue.objects.get(name="Guideline v1: alice")
    judge(first, user, "flawed")
    _, count = guidelines.publish(project, user, "# v2", "", {"decisions": ["sound"]})
    assert count == 1  # what was made again is flawed now
    assert first.items.filter(finished=False).count() == 0
    assert Queue.objects.get(name="Guideline v2: alice").items.count() == 1
    assert "may change 1 of" in Notification.objects.order_by("-pk")[0].text
    other = Queue.objects.create(project=project, name="other")
    QueueItem.objects.create(queue=other, trace=first.items.all()[0].trace, position=0)
    judge(other, user, "sound")  # its own decision: that of q stays what it is
    for rule, wanted in (("flawed", 1), ("sound", 1)):
        named = guidelines.affected(project, {"decisions": [rule], "queues": ["q"]}, 99)
        assert named.count() == wanted
    with pytest.raises(BadReview, match="no such decision"):
        guidelines.publish(project, user, "# v3", "", {"decisions": ["sounds"]})


def test_who_changes_their_mind_disagrees_with_nobody(project: Any, user: Any) -> None:
    queue = make_queue(project, 1)
    judge(queue, user, "sound")
    assignment = Assignment.objects.get()
    decisions.submit(assignment, assignment.epoch, decisions.parse({"decision": "flawed"}))
    assert Review.objects.count() == 2 and not adjudication.disputed(project).exists()


def test_who_was_overruled_is_told_and_a_changed_setting_leaves_it_settled(
    project: Any,
    user: Any,
    bob: Any,  # noqa: F811
    carl: Any,
) -> None:
    queue = make_queue(project, 1, overlap=2)
    judge(queue, carl, "sound")
    judge(queue, bob, "flawed")
    item = queue.items.get()
    assignment = adjudication.begin(item, carl)
    decisions.submit(assignment, assignment.epoch, decisions.parse({"decision": "sound"}))
    told = Notification.objects.get(kind="adjudicated")
    assert told.user_id == bob.pk and "settled" in told.text and "you said flawed" in told.text
    manage.configure(queue, {"policy": "strict"})
    item.refresh_from_db()
    assert item.finished and newest().policy == "adjudicated"
    manage.bulk(queue, "make gold", [item.pk], {"decision": "sound"})
    item.refresh_from_db()
    with pytest.raises(BadReview, match="gold"):
        adjudication.begin(item, user)


def test_fewer_people_or_another_policy_make_the_outcomes_anew(
    project: Any,
    user: Any,
    bob: Any,  # noqa: F811
    client: Client,
) -> None:
    queue = make_queue(project, 1, overlap=3)
    judge(queue, user, "sound")
    judge(queue, bob, "flawed")
    assert not ReviewOutcome.objects.exists()
    client.force_login(user)
    at = f"/api/v1/queues/{queue.pk}/"
    assert client.patch(at, {"overlap": 2, "policy": "majority"}, JSON).status_code == 200
    assert queue.items.get().finished and newest().decision == "undecided"
    assert client.patch(at, {"policy": "strict"}, JSON).status_code == 200
    assert newest().decision == "reject"
    count = ReviewOutcome.objects.count()
    client.patch(at, {"overlap": 1}, JSON)
    assert ReviewOutcome.objects.count() == count  # the same reviews say the same


def test_removing_leaves_what_somebody_has_begun_and_a_skip_can_be_offered_again(
    project: Any,
    user: Any,
    bob: Any,  # noqa: F811
) -> None:
    queue = make_queue(project, 2)
    held = handing_out.next_assignment(queue, user)
    skipped = handing_out.next_assignment(queue, bob)
    assert held is not None and skipped is not None
    with pytest.raises(BadReview, match="reason"):
        handing_out.skip(skipped, "  ")
    handing_out.skip(skipped, "too long")
    with pytest.raises(BadReview, match="given back already"):
        handing_out.skip(skipped, "again")
    assert handing_out.next_assignment(queue, bob) is None
    assert manage.bulk(queue, "offer again", [skipped.item_id], {}) == 1
    offered = handing_out.next_assignment(queue, bob)
    assert offered is not None and offered.item_id == skipped.item_id
    assert offered.skip_reason == "too long"
    ids = [held.item_id, offered.item_id]
    assert manage.bulk(queue, "remove", ids, {}) == 0
    assert QueueItem.objects.filter(pk__in=ids).count() == 2


@pytest.mark.parametrize(
    "params",
    [{"queue": ""}, {"queue": "n" * 101}, {"limit": "abc"}, {"limit": -3}, {"overlap": 99},
     {"overlap": "q"}, {"filters": [2]}, {"filters": {"verdict": {"a": 1}}}, {"order": "x"},
     {"members": ["nobody"]}],
)  # fmt: skip
def test_a_fill_that_is_not_possible_makes_no_queue(
    project: Any, run_job: Any, params: dict[str, Any]
) -> None:
    with pytest.raises(JobError):
        run_job(filling.run_fill, "queue", **({"queue": "new"} | params))
    assert not Queue.objects.exists()


def test_a_fill_never_puts_other_traces_into_a_queue_than_it_says(
    project: Any, run_job: Any
) -> None:
    make_traces(project, 2)
    run_job(filling.run_fill, "queue", queue="q", filters={"min_chars": 1}, order="longest")
    assert Queue.objects.get().order == "longest"
    with pytest.raises(JobError, match="asks for other traces"):
        run_job(filling.run_fill, "queue", queue="q", filters={"max_chars": 5})
    assert run_job(filling.run_fill, "queue", queue="q").counts["existing"] == 2


def test_bad_input_over_rest_is_refused_with_a_reason(
    project: Any, user: Any, client: Client
) -> None:
    client.force_login(user)
    queue = make_queue(project, 1)
    api = "/api/v1/"
    made = client.post(f"{api}queues/{queue.pk}/next/").json()
    at = f"{api}assignments/{made['id']}/"
    epoch = made["epoch"]
    bad: list[tuple[str, Any]] = [
        (f"{api}queues/", {"project": project.slug, "name": "x", "filters": {"nope": 1}}),
        (f"{api}queues/", {"project": project.slug, "name": "x", "filters": [1]}),
        (f"{api}queues/", {"project": project.slug, "name": "x", "members": ["zzz"]}),
        (f"{api}queues/{queue.pk}/bulk/", {"action": "remove", "items": 5}),
        (f"{api}queues/{queue.pk}/bulk/", {"action": "remove"}),
        (f"{at}draft/", {"draft": {"patch": {"set": [1]}}}),
        (f"{at}skip/", {}),
        (f"{at}submit/", {"epoch": epoch, "decision": "sound", "first_error": 10**12}),
        (f"{api}queue-items/{queue.items.get().pk}/adjudicate/", {}),
    ]
    for address, body in bad:
        answer = client.post(address, body, JSON)
        assert answer.status_code == 400, (address, body, answer.content)
        assert answer.json()["fields"], address
    assert client.get(f"{api}queue-items/?finished=zz").status_code == 400
    assert len(client.get(f"{api}queue-items/?finished=false").json()["results"]) == 1
    judge(queue, user)
    refused = client.delete(f"{api}queues/{queue.pk}/")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    nothing = client.post(f"{api}queues/{queue.pk}/next/")
    assert (nothing.status_code, nothing["Whittle-Reason"]) == (204, "all_done")


def test_a_skipped_item_is_not_judged_beyond_its_overlap(
    project: Any,
    user: Any,
    bob: Any,  # noqa: F811
) -> None:
    queue = make_queue(project, 1)
    skipped = handing_out.next_assignment(queue, user)
    assert skipped is not None
    handing_out.skip(skipped, "later")
    judge(queue, bob)
    with pytest.raises(handing_out.LeaseExpired):
        decisions.submit(skipped, skipped.epoch, decisions.parse({"decision": "sound"}))


def test_an_opened_notice_is_read_and_the_others_are_not(
    project: Any, ann: Any, client: Client
) -> None:
    one, two = (
        Notification.objects.create(user=ann, project=project, kind="reply", text=t, url=f"/{t}")
        for t in ("a", "b")
    )
    answer = client.post(f"/p/{project.slug}/notices/", {"notice": one.pk})
    assert answer["Location"] == "/a"
    assert list(Notification.objects.filter(read_at=None)) == [two]
    assert client.post("/api/v1/notifications/read/").json() == {"read": 1}


def test_to_a_reviewer_nothing_tells_a_gold_item_from_another(
    project: Any,
    bob: Any,  # noqa: F811
) -> None:
    queue = make_queue(project, 2)
    plain, golden = queue.items.order_by("position")
    manage.bulk(queue, "make gold", [golden.pk], {"decision": "flawed"})
    manage.configure(queue, {"gold_share": 0.5, "hide": ["proposals"]})
    for _ in range(2):
        judge(queue, bob, "sound")
    client = Client()
    client.force_login(bob)
    rows = client.get(f"/api/v1/queue-items/?queue={queue.pk}").json()["results"]
    assert [row["finished"] for row in rows] == [True, True]
    assert not client.get(f"/api/v1/queue-items/?queue={queue.pk}&finished=false").json()["results"]
    base = f"/p/{project.slug}/queues/{queue.pk}/"
    for state, there in (("open", False), ("finished", True)):
        page = client.get(f"{base}?state={state}").content.decode()
        links = [f"/read/{item.trace_id}/" in page for item in (plain, golden)]
        assert links == [there, there]
    assert "savings" not in page
    assert "0 of 1" not in client.get(f"{base}quality/").content.decode()


def test_another_policy_also_counts_what_was_judged_again(project: Any, user: Any) -> None:
    queue = make_queue(project, 1)
    judge(queue, user, "sound")
    guidelines.publish(project, user, "New rules", "", {"decisions": ["sound"]})
    again = Queue.objects.exclude(pk=queue.pk).get()
    judge(again, user, "sound")
    before = ReviewOutcome.objects.count()
    manage.configure(queue, {"policy": "strict"})
    newest = ReviewOutcome.objects.order_by("-pk")[0]
    assert (ReviewOutcome.objects.count(), newest.policy) == (before + 1, "strict")


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("review-schema/", {"q-TOTAL_FORMS": 1, "q-INITIAL_FORMS": 0, "q-0-title": "a\x00b",
                            "q-0-type": "text", "spans": "", "cut_reasons": "", "action": "save"}),
        ("review-schema/", {"schema": '{"spans": ["a\\u0000b"]}', "action": "json"}),
        ("queues/{}/settings/", {"overlap": "²"}),
        ("queues/{}/bulk/", {"item": "²", "action": "remove"}),
        ("notices/", {"notice": "²"}),
        ("queues/fill/", {"name": "x", "min_pass_rate": "nan"}),
    ],
)  # fmt: skip
def test_characters_that_cannot_be_stored_are_refused(
    project: Any, user: Any, address: str, form: dict[str, Any]
) -> None:
    queue = make_queue(project, 1)
    client = Client()
    client.force_login(user)
    found = client.post(f"/p/{project.slug}/{address.format(queue.pk)}", form)
    assert found.status_code < 500
    assert client.get(f"/p/{project.slug}/queues/{queue.pk}/?doubt=²").status_code == 200
