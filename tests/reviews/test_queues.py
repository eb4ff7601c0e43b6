"""Handing out items: leases, overlap, skips; and the race for one queue."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from curation.models import Membership, Problem, Source, Trace
from curation.traces import text_fields
from reviews import filling, queues
from reviews.models import Assignment, Queue, QueueItem

pytestmark = pytest.mark.django_db


def make_traces(project: Any, n: int) -> list[Trace]:
    source, _ = Source.objects.get_or_create(project=project, name="made")
    problem = Problem.objects.create(
        project=project, source=source, text="1+1?", text_sha256="a", norm_sha256="a",
        reference_answer="2",
    )  # fmt: skip
    return [
        Trace.objects.create(
            project=project, problem=problem, source=source, origin="imported", identity=str(i),
            **text_fields(f"<think>\none and one, {i}\n</think>\n\n\\boxed{{2}}"),
        )
        for i in range(n)
    ]  # fmt: skip


def make_queue(project: Any, n: int, overlap: int = 1) -> Queue:
    queue = Queue.objects.create(project=project, name="q", overlap=overlap)
    for i, trace in enumerate(make_traces(project, n)):
        QueueItem.objects.create(queue=queue, trace=trace, position=i)
    return queue


@pytest.fixture
def bob(project: Any) -> Any:
    bob = get_user_model().objects.create_user("bob", password="correct horse 2")
    Membership.objects.create(project=project, user=bob, role="reviewer")
    return bob


def expire(assignment: Assignment) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE reviews_assignment SET lease_until = clock_timestamp() - interval '1s'"
            " WHERE id = %s",
            [assignment.pk],
        )


def test_a_fill_takes_matching_traces_once(project: Any, run_job: Any) -> None:
    make_traces(project, 3)
    assert run_job(filling.run_fill, "queue", queue="all").counts["added"] == 3
    again = run_job(filling.run_fill, "queue", queue="all").counts
    assert (again["added"], again["existing"]) == (0, 3)


def test_an_unknown_filter_is_refused(project: Any, run_job: Any) -> None:
    with pytest.raises(Exception, match="no such filter"):
        run_job(filling.run_fill, "queue", queue="x", filters={"project__slug": "other"})


def test_two_reviewers_get_different_items(project: Any, user: Any, bob: Any) -> None:
    queue = make_queue(project, 2)
    first = queues.next_assignment(queue, user)
    second = queues.next_assignment(queue, bob)
    assert first and second and first.item_id != second.item_id


def test_a_reviewer_comes_back_to_the_item_in_hand(project: Any, user: Any) -> None:
    queue = make_queue(project, 2)
    first = queues.next_assignment(queue, user)
    again = queues.next_assignment(queue, user)
    assert first and again and first.pk == again.pk
    assert again.epoch == first.epoch + 1


def test_an_item_in_hand_is_not_free_but_an_expired_one_is(
    project: Any, user: Any, bob: Any
) -> None:
    queue = make_queue(project, 1)
    mine = queues.next_assignment(queue, user)
    assert mine is not None
    assert queues.next_assignment(queue, bob) is None
    expire(mine)
    assert queues.next_assignment(queue, bob) is not None


def test_overlap_lets_so_many_people_have_an_item(project: Any, user: Any, bob: Any) -> None:
    queue = make_queue(project, 1, overlap=2)
    first, second = queues.next_assignment(queue, user), queues.next_assignment(queue, bob)
    assert first and second and first.item_id == second.item_id


def test_a_skipped_item_is_not_offered_again_to_the_same_person(
    project: Any, user: Any, bob: Any
) -> None:
    queue = make_queue(project, 1)
    mine = queues.next_assignment(queue, user)
    assert mine is not None
    queues.skip(mine, "not my field")
    assert queues.next_assignment(queue, user) is None
    assert queues.next_assignment(queue, bob) is not None


def test_a_lease_that_ran_out_is_not_renewed(project: Any, user: Any) -> None:
    mine = queues.next_assignment(make_queue(project, 1), user)
    assert mine is not None
    assert queues.renew(mine.pk, mine.epoch)
    assert not queues.renew(mine.pk, mine.epoch + 1)
    expire(mine)
    assert not queues.renew(mine.pk, mine.epoch)


@pytest.mark.django_db(transaction=True)
def test_ten_reviewers_who_ask_at_once_get_ten_items(project: Any) -> None:
    queue = make_queue(project, 10)
    users = get_user_model()
    people = [users.objects.create_user(f"r{i}", password="x" * 12) for i in range(10)]
    got: list[int] = []
    gate = threading.Barrier(10)

    def ask(person: Any) -> None:
        gate.wait()
        assignment = queues.next_assignment(queue, person)
        got.append(assignment.item_id if assignment else 0)
        connection.close()

    threads = [threading.Thread(target=ask, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(got)) == 10 and 0 not in got


def test_a_look_at_what_comes_next_leases_nothing(project: Any, bob: Any, user: Any) -> None:
    queue = make_queue(project, 1)
    address = f"/p/demo/queues/{queue.pk}/next/"
    client = Client(enforce_csrf_checks=True)
    client.force_login(bob)
    offer = client.get(address)
    assert offer.status_code == 200 and b'id="take"' in offer.content
    assert client.head(address).status_code == 200
    assert client.post(address).status_code == 403  # as another site's page would send it
    assert not Assignment.objects.exists()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', offer.content.decode())
    assert token
    taken = client.post(address, {"csrfmiddlewaretoken": token[1]})
    row = Assignment.objects.get()
    assert taken.status_code == 302 and taken["Location"] == f"/p/demo/review/{row.pk}/"
    assert client.get(address)["Location"] == f"/p/demo/review/{row.pk}/"
    kept = Assignment.objects.get()
    assert (kept.epoch, kept.lease_until) == (row.epoch, row.lease_until)
    expire(kept)
    assert b'id="take"' in client.get(address).content
    other = Client()
    other.force_login(user)
    other.post(address)
    assert b"Nothing left for you here" in client.get(address).content
    assert Assignment.objects.get(user=bob).epoch == row.epoch


def test_giving_an_item_back_opens_the_next_one(project: Any, bob: Any) -> None:
    queue = make_queue(project, 2)
    client = Client()
    client.force_login(bob)
    first = client.post(f"/p/demo/queues/{queue.pk}/next/")["Location"]
    second = client.post(f"{first}skip/", {"reason": "not my field"})["Location"]
    assert second != first and second.startswith("/p/demo/review/")
    last = client.post(f"{second}skip/", {"reason": "not my field"})["Location"]
    assert last == f"/p/demo/queues/{queue.pk}/next/"
