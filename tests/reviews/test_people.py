"""Gold, screening, adjudication, consensus, guidelines, comments, comparing, managing."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from curation.disputes import open_disputes
from curation.models import Outbox, ReviewOutcome
from reviews import adjudication, comments, compare, decisions, gold, guidelines, manage, quality
from reviews import queues as handing_out
from reviews.models import Assignment, DraftCopy, Notification, Queue, QueueItem, Review
from reviews.submission import BadReview
from tests.reviews.test_queues import bob, expire, make_queue, make_traces  # noqa: F401

pytestmark = pytest.mark.django_db


def judge(queue: Queue, person: Any, decision: str = "sound", **fields: Any) -> Review:
    assignment = handing_out.next_assignment(queue, person)
    assert assignment is not None
    data = {"decision": decision} | fields
    return decisions.submit(assignment, assignment.epoch, decisions.parse(data))


def test_gold_comes_first_when_screening_and_stops_who_falls_short(project: Any, user: Any) -> None:
    queue = make_queue(project, 3)
    manage.configure(queue, {"screening": {"items": 1, "accuracy": 1.0}})
    item = queue.items.order_by("position")[2]
    manage.bulk(queue, "make gold", [item.pk], {"decision": "flawed"})
    review = judge(queue, user, "sound")
    assert review.item_id == item.pk and not ReviewOutcome.objects.exists()
    assert gold.accuracy(queue, user) == (0, 1) and gold.screened(queue, user) is False
    assert handing_out.next_assignment(queue, user) is None


def test_a_share_of_gold_is_mixed_in_and_judged_by_everyone(
    project: Any,
    user: Any,
    bob: Any,  # noqa: F811
) -> None:
    queue = make_queue(project, 4)
    manage.configure(queue, {"gold_share": 0.5})
    item = queue.items.order_by("-position")[0]
    manage.bulk(queue, "make gold", [item.pk], {"decision": "sound"})
    for person in (user, bob):
        kinds = [judge(queue, person).item_id == item.pk for _ in range(2)]
        assert kinds.count(True) == 1
        assert gold.accuracy(queue, person) == (1, 1)


def test_adjudication_is_a_new_row_that_decides(project: Any, user: Any, bob: Any) -> None:  # noqa: F811
    queue = make_queue(project, 1, overlap=2)
    manage.configure(queue, {"policy": "unanimous"})
    judge(queue, user, "sound")
    judge(queue, bob, "flawed")
    assert ReviewOutcome.objects.order_by("-pk")[0].decision == "undecided"
    item = adjudication.disputed(project).get()
    assignment = adjudication.begin(item, user)
    found = adjudication.disagreement_of(assignment)
    assert found and {r["decision"] for r in found["reviews"]} == {"sound", "flawed"}
    submission = decisions.parse({"decision": "flawed"})
    decisions.submit(assignment, assignment.epoch, submission)
    outcome = ReviewOutcome.objects.order_by("-pk")[0]
    assert (outcome.decision, outcome.policy) == ("reject", "adjudicated")
    assert Review.objects.count() == 3 and not adjudication.disputed(project).exists()


def test_the_first_judgement_is_kept_beside_the_last(project: Any, user: Any) -> None:
    queue = make_queue(project, 1)
    manage.configure(queue, {"hide": ["verdict", "proposals"]})
    assignment = handing_out.next_assignment(queue, user)
    assert assignment is not None
    decisions.commit(assignment, "flawed", 3.0)
    decisions.commit(assignment, "sound", 9.0)  # the first one stays
    decisions.submit(assignment, assignment.epoch, decisions.parse({"decision": "sound"}))
    review = Review.objects.get()
    assert (review.first_decision, review.decision) == ("flawed", "sound")
    assert quality.people(queue)[0].changed == 1


def test_too_little_read_is_refused_where_the_queue_asks_for_more(project: Any, user: Any) -> None:
    queue = make_queue(project, 1)
    manage.configure(queue, {"min_coverage": 0.8})
    assignment = handing_out.next_assignment(queue, user)
    assert assignment is not None
    with pytest.raises(BadReview) as caught:
        judge(queue, user, coverage=0.5)
    assert caught.value.code == "too_little_read"
    with pytest.raises(BadReview, match="80 % is read"):  # the ranges count, not the claim
        judge(queue, user, coverage=1.0, read=[[0, 2, 3.5]])
    assert judge(queue, user, coverage=0.8, read=[[0, 90, 3.5]]).read == [[0, 90, 3.5]]


def test_a_tab_that_is_behind_gets_the_other_draft_and_loses_nothing(
    project: Any, user: Any
) -> None:
    assignment = handing_out.next_assignment(make_queue(project, 1), user)
    assert assignment is not None
    rev, _ = handing_out.save_draft(assignment, {"note": "one"}, 0, False)
    same, other = handing_out.save_draft(assignment, {"note": "two"}, 0, False)
    assert (same, other) == (rev, {"note": "one"})
    assert DraftCopy.objects.get().draft == {"note": "two"}
    handing_out.save_draft(assignment, {"patch": {"set": {"note": "two"}}}, rev, True)
    assignment.refresh_from_db()
    assert assignment.draft == {"note": "two"}
    assert DraftCopy.objects.filter(draft={"note": "one"}).exists()


def test_a_queue_for_some_people_gives_others_nothing(project: Any, user: Any, bob: Any) -> None:  # noqa: F811
    queue = make_queue(project, 2)
    manage.configure(queue, {"members": ["bob"]})
    assert handing_out.next_assignment(queue, user) is None
    assert handing_out.next_assignment(queue, bob) is not None
    manage.configure(queue, {"enabled": False})
    assert handing_out.next_assignment(queue, bob) is None


@pytest.mark.parametrize(
    "setting", [{"overlap": 0}, {"order": "x"}, {"hide": ["all"]}, {"gold_share": 2}, {"no": 1}]
)
def test_a_bad_setting_changes_nothing(project: Any, setting: dict[str, Any]) -> None:
    queue = make_queue(project, 1)
    with pytest.raises(BadReview):
        manage.configure(queue, setting)


def test_a_new_guideline_marks_only_what_it_may_affect(project: Any, user: Any, bob: Any) -> None:  # noqa: F811
    queue = make_queue(project, 4)
    judge(queue, user, "sound")
    judge(queue, user, "flawed")
    cut = {"start": 8, "end": 12, "reason": "repeat"}
    wanted = judge(queue, bob, "sound", cuts=[cut])
    rule = {"decisions": ["sound"], "cut_reasons": ["repeat"]}
    row, count = guidelines.publish(project, user, "# Rules", "repeats", rule)
    assert (row.version, count) == (1, 1)
    item = QueueItem.objects.get(queue__name="Guideline v1: bob")
    assert item.trace_id == wanted.trace_id
    assert Notification.objects.get().user_id == bob.pk and guidelines.stale(project) == 1
    judge(item.queue, bob, "sound")
    assert guidelines.stale(project) == 0
    with pytest.raises(BadReview):
        guidelines.publish(project, user, "x", "", {"pk__in": [1]})


def test_a_comment_tells_members_only(project: Any, user: Any, bob: Any) -> None:  # noqa: F811
    (trace,) = make_traces(project, 1)
    data = {"text": "@bob @stranger see", "start": 2, "end": 5}
    first = comments.add_comment(trace, user, data)
    comments.add_comment(trace, bob, {"text": "yes", "parent": first.pk})
    told = Notification.objects.order_by("pk").values_list("user__username", "kind")
    assert list(told) == [("bob", "mention"), ("alice", "reply")]
    for bad in ({"text": " "}, {"text": "x", "start": 3}, {"text": "x", "start": 0, "end": 10**6}):
        with pytest.raises(BadReview):
            comments.add_comment(trace, user, bad)


def test_a_comment_is_changed_by_its_author_only_and_keeps_what_it_said(
    project: Any,
    user: Any,
    bob: Any,  # noqa: F811
) -> None:
    (trace,) = make_traces(project, 1)
    row = comments.add_comment(trace, user, {"text": "first", "start": 2, "end": 5})
    comments.edit_comment(row, user, {"text": "second, @bob"})
    comments.edit_comment(row, user, {"text": "third, @bob"})  # bob has been told
    assert Notification.objects.filter(user=bob, kind="mention").count() == 1
    (said,) = comments.comments_json(trace, bob)
    assert (said["text"], said["earlier"], said["mine"]) == (
        "third, @bob",
        ["first", "second, @bob"],
        False,
    )
    with pytest.raises(BadReview, match="only its author"):
        comments.edit_comment(row, bob, {"text": "mine now"})
    with pytest.raises(BadReview, match="only its author"):
        comments.delete_comment(row, bob)
    comments.delete_comment(row, user)
    (gone,) = comments.comments_json(trace, bob)
    assert (gone["deleted"], gone["text"], gone["earlier"]) == (True, "", [])
    with pytest.raises(BadReview, match="was deleted"):
        comments.edit_comment(row, user, {"text": "back"})
    kept = [row.text, *row.versions.order_by("pk").values_list("text", flat=True)]
    assert kept == ["first", "second, @bob", "third, @bob", ""]


def test_comments_are_changed_over_rest_and_on_the_page(
    project: Any, user: Any, client: Client
) -> None:
    (trace,) = make_traces(project, 1)
    row = comments.add_comment(trace, user, {"text": "first"})
    client.force_login(user)
    at, json_body = f"/api/v1/comments/{row.pk}/", "application/json"
    changed = client.patch(at, {"text": "second"}, json_body).json()
    assert (changed["text"], changed["earlier"]) == ("second", ["first"])
    assert client.patch(at, {"text": " "}, json_body).status_code == 400
    page = f"/p/{project.slug}/read/{trace.pk}/comments/{row.pk}/"
    assert client.post(page, {"text": "third"}, json_body).json()["text"] == "third"
    assert client.delete(at).status_code == 204
    assert client.get(at).json()["deleted"] is True
    assert client.post(page, {"text": "x"}, json_body).json()["code"] == "deleted"


def test_an_order_of_traces_is_stored_with_where_they_part(project: Any, user: Any) -> None:
    one, two, three = make_traces(project, 3)
    data = {"ranking": [[two.pk], [one.pk, three.pk]], "diverges": {str(one.pk): 4}}
    row = compare.save_preference(project, user, data)
    assert row.ranking == data["ranking"] and row.diverges == {str(one.pk): 4}
    for bad in ([[one.pk]], [[one.pk], [one.pk]], [[one.pk], [10**9]], "x", [[], [one.pk]]):
        with pytest.raises(BadReview):
            compare.save_preference(project, user, {"ranking": bad})


def test_agreement_of_a_queue_from_its_rows(project: Any, user: Any, bob: Any) -> None:  # noqa: F811
    queue = make_queue(project, 2, overlap=2)
    label = {"start": 0, "end": 7, "label": 1}
    for person, first in ((user, "sound"), (bob, "flawed")):
        judge(queue, person, first, labels=[label], first_error=4)
        judge(queue, person, "sound")
    found = quality.agreement_of(queue)
    assert found.items == 2 and found.decision_percent == 0.5 and found.steps == 1
    # By hand: seen .5; p(sound) .75, p(flawed) .25, chance .625; (.5 - .625) / .375.
    assert found.decision_fleiss == pytest.approx(-1 / 3)
    # Values 3 sound and 1 flawed; 1 - 3 * (2 mixed of one unit / 1) / (2 * 3 * 1): alpha 0.
    assert found.decision_alpha == pytest.approx(0.0)
    assert found.first_error[0] == (0, 1.0) and found.mask_alpha is None


class Letters:
    """A tokenizer whose tokens are single characters."""

    class Encoded:
        def __init__(self, text: str) -> None:
            self.offsets = [(i, i + 1) for i in range(len(text))]

    def encode(self, text: str, add_special_tokens: bool) -> Letters.Encoded:
        assert not add_special_tokens
        return self.Encoded(text)


def test_cut_masks_are_compared_by_the_students_tokens_and_by_words_without(
    project: Any,
    user: Any,
    bob: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = make_queue(project, 1, overlap=2)
    length = judge(queue, user, cuts=[{"start": 0, "end": 8}]).trace.char_count
    judge(queue, bob, cuts=[{"start": 0, "end": 6}])  # the same words, two characters fewer
    words = quality.agreement_of(queue)
    assert (words.mask_unit, words.mask_alpha) == ("word", 1.0)
    monkeypatch.setattr(quality.tokens, "tokenizer_of", lambda schema: Letters())
    letters = quality.agreement_of(queue)
    # By hand: 2 of n characters differ; 14 of the 2n marks say "cut".
    cut, kept = 14, 2 * length - 14
    expected = 1 - (2 * 2) * (2 * length - 1) / (2 * cut * kept)
    assert letters.mask_unit == "token" and letters.mask_alpha == pytest.approx(expected)


def test_a_decision_is_announced_to_webhooks(project: Any, user: Any) -> None:
    judge(make_queue(project, 1), user)
    payload = Outbox.objects.get(payload__event="review.decided").payload
    assert payload["project"] == project.pk and payload["data"]["decision"] == "sound"


def test_bulk_actions_move_release_and_remove(project: Any, user: Any, bob: Any) -> None:  # noqa: F811
    queue = make_queue(project, 3)
    ids = [*queue.items.order_by("position").values_list("pk", flat=True)]
    manage.bulk(queue, "to the front", [ids[2]], {})
    held = handing_out.next_assignment(queue, user)
    assert held is not None and held.item_id == ids[2]
    assert manage.bulk(queue, "release", [ids[2]], {}) == 1
    taken = handing_out.next_assignment(queue, bob)
    assert taken is not None and taken.item_id == ids[2]
    decisions.submit(taken, taken.epoch, decisions.parse({"decision": "sound"}))
    assert manage.bulk(queue, "remove", ids, {}) == 2  # a judged item stays
    assert Assignment.objects.filter(item=ids[2]).exists()


def test_pages_and_resources_of_people_answer(project: Any, user: Any, client: Client) -> None:
    queue = make_queue(project, 2, overlap=1)
    judge(queue, user, "flawed", dispute={"answer": "3", "why": "<b>look</b>"})
    ids = [*queue.items.values_list("trace", flat=True)]
    client.force_login(user)
    base = f"/p/{project.slug}/"
    pages = ["queues/", f"queues/{queue.pk}/", f"queues/{queue.pk}/quality/", "guidelines/",
             "notices/", "adjudicate/", "disputes/", "review-schema/", f"read/{ids[0]}/",
             f"compare/?t={ids[0]}&t={ids[1]}", f"queues/{queue.pk}/?state=open"]  # fmt: skip
    for page in pages:
        answer = client.get(base + page)
        assert answer.status_code == 200, page
        assert "<b>look</b>" not in answer.content.decode()
    assert "a reviewer says it is wrong" in client.get(f"{base}disputes/").content.decode()
    (dispute,) = open_disputes(project)
    detail = client.get(f"{base}disputes/{dispute.pk}/").content.decode()
    assert "&lt;b&gt;look&lt;/b&gt;" in detail
    stranger = Client()
    assert stranger.get(base + "adjudicate/").status_code == 302
    for name in ("queue-items", "preferences", "comments", "guidelines", "notifications"):
        assert client.get(f"/api/v1/{name}/?project={project.slug}").status_code == 200, name
    figures = client.get(f"/api/v1/queues/{queue.pk}/quality/").json()
    assert figures["progress"]["finished"] == 1
