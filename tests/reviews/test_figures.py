"""The quality page's figures: coverage by place, days, agreement per person, pictures."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from curation.models import Membership
from reviews import coverage, figures, manage, quality
from reviews.models import Review
from tests.reviews.test_people import judge
from tests.reviews.test_queues import bob, make_queue  # noqa: F401


def test_a_profile_says_how_much_of_each_part_was_on_screen_and_for_how_long() -> None:
    read = [[0, 15, 6.0], [10, 20, 2.0], [30, 99, 8.0], [20, 30, 0.0]]
    shares, seconds = coverage.profile(read, 40, parts=4)
    # By hand: 0-20 and 30-40 were seen; the range that took no time was not.
    assert shares == [1.0, 1.0, 0.0, 1.0]
    # 6 s over 15 characters: 4 s on the first ten; 2 s more, with the second range's 2 s.
    assert seconds == pytest.approx([4.0, 4.0, 0.0, 8.0])
    assert coverage.profile([[5, 10, 1.0]], 40, parts=4)[0] == [0.5, 0.0, 0.0, 0.0]


def test_without_anything_to_show_a_picture_says_so() -> None:
    for picture in (
        figures.agreement_picture([]),
        figures.throughput_picture([]),
        figures.coverage_picture(None),
        figures.gold_picture([]),
    ):
        assert "no data yet" in picture


@pytest.mark.django_db
def test_days_hold_what_was_judged_and_the_agreement_up_to_them(
    project: Any,
    user: Any,
    bob: Any,  # noqa: F811
) -> None:
    queue = make_queue(project, 4, overlap=2)
    said = [("sound", "sound"), ("flawed", "sound"), ("flawed", "flawed"), ("sound", "flawed")]
    now = timezone.now()
    for i, (mine, theirs) in enumerate(said):
        for person, decision in ((user, mine), (bob, theirs)):
            row = judge(queue, person, decision)
            day = now - dt.timedelta(days=3 if i < 2 else 1)
            Review.objects.filter(pk=row.pk).update(created_at=day)
    one, two = quality.over_time(queue)
    assert (one.reviews, one.items, one.equal) == (4, 2, 0.5)
    assert (two.reviews, two.items, two.equal) == (4, 2, 0.5)
    # 3 sound and 1 flawed, one of two items mixed: 1 - 3 * 2 / (2 * 3 * 1).
    assert one.alpha == pytest.approx(0.0)
    # 4 and 4, two of four items mixed: 1 - 7 * 4 / (2 * 4 * 4).
    assert two.alpha == pytest.approx(0.125)
    picture = figures.agreement_picture([one, two])
    assert picture.count("<circle") == 4 and "50% of the pairs on 2 items" in picture
    assert figures.throughput_picture([one, two]).count("4 reviews") == 2
    persons = {p.name: p for p in quality.people(queue)}
    assert (persons["bob"].agrees, persons["bob"].pairs) == (0.5, 4)


@pytest.mark.django_db
def test_the_quality_page_draws_coverage_and_gold_with_what_screening_made_of_people(
    project: Any,
    user: Any,
    bob: Any,  # noqa: F811
    client: Client,
) -> None:
    queue = make_queue(project, 3)
    item = queue.items.order_by("pk")[0]
    manage.bulk(queue, "make gold", [item.pk], {"decision": "flawed"})
    manage.configure(queue, {"screening": {"items": 1, "accuracy": 0.9}})
    judge(queue, user, "flawed", read=[[0, 10, 4.0]])
    judge(queue, bob, "sound")
    client.force_login(user)
    page = client.get(f"/p/{project.slug}/queues/{queue.pk}/quality/").content.decode()
    assert "1 of 1 right, passed" in page and "0 of 1 right, stopped" in page
    assert "0 to 5 % of the text: 100% on screen" in page
    client.force_login(bob)
    page = client.get(f"/p/{project.slug}/queues/{queue.pk}/quality/").content.decode()
    assert "alice" not in page.split("<main")[1] and "stopped" in page
    assert "Agreement over time" not in page


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["viewer", "reviewer", "curator", "owner"])
def test_page_and_rest_show_quality_to_the_same_people(
    project: Any, user: Any, client: Client, role: str
) -> None:
    queue = make_queue(project, 1)
    judge(queue, user, "flawed")
    mia = get_user_model().objects.create_user("mia")
    Membership.objects.create(project=project, user=mia, role=role)
    client.force_login(mia)
    page = client.get(f"/p/{project.slug}/queues/{queue.pk}/quality/")
    rest = client.get(f"/api/v1/queues/{queue.pk}/quality/")
    assert page.status_code == rest.status_code == (403 if role == "viewer" else 200)
    if role != "viewer":
        shown = [person["name"] for person in rest.json()["people"]]
        told = page.content.decode().split("<main")[1]
        assert ("alice" in shown) == ("alice" in told) == (role != "reviewer")
        assert (rest.json()["agreement"] is None) == (role == "reviewer")
