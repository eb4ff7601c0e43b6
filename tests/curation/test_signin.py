"""Guessing passwords is braked, for every door, and never costs all the page threads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.utils import timezone

from curation import signin
from curation.models import SignInAttempt
from curation.signin import SignInRefused, client_address

pytestmark = pytest.mark.django_db
HERE, THERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", password="a right and long one")


def post(password: str, *, name: str = "ann", address: str = HERE) -> Any:
    data = {"username": name, "password": password}
    return Client(REMOTE_ADDR=address).post("/login/", data)


def test_after_five_wrong_passwords_the_right_one_is_not_looked_at(ann: User) -> None:
    assert [post("wrong").status_code for _ in range(5)] == [200] * 5
    refused = post("a right and long one")
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 900
    assert b"Too many wrong passwords" in refused.content
    assert "_auth_user_id" not in refused.client.session


def test_the_window_passes(ann: User) -> None:
    for _ in range(5):
        post("wrong")
    SignInAttempt.objects.update(at=timezone.now() - timedelta(seconds=901))
    assert post("a right and long one").status_code == 302


def test_the_right_password_forgives_the_wrong_ones_of_this_place(ann: User) -> None:
    for _ in range(3):
        for _ in range(4):
            post("wrong")
        assert post("a right and long one").status_code == 302


def test_one_address_tries_many_accounts(ann: User, settings: Any) -> None:
    settings.SIGN_IN_ATTEMPTS_PER_ADDRESS = 6
    for n in range(6):
        assert post("wrong", name=f"name{n}").status_code == 200
    assert post("a right and long one").status_code == 429
    assert post("a right and long one", address=THERE).status_code == 302


def test_many_addresses_try_one_account_and_its_known_place_stays_open(
    ann: User, settings: Any
) -> None:
    settings.SIGN_IN_ATTEMPTS_PER_ACCOUNT = 6
    assert post("a right and long one").status_code == 302
    for n in range(6):
        assert post("wrong", address=f"198.51.100.{n}").status_code == 200
    assert post("a right and long one", address=THERE).status_code == 429
    assert post("a right and long one").status_code == 302


@pytest.mark.parametrize("name", ["ann", "nobody", "ANN", "anné\u0301"])
def test_a_known_and_an_unknown_name_get_the_same_answers(ann: User, name: str) -> None:
    answers = [post("wrong", name=name).status_code for _ in range(6)]
    assert answers == [200] * 5 + [429]


def test_spelling_a_name_otherwise_is_no_new_account(ann: User) -> None:
    for name in ("ann", "Ann", "ANN", "aNn", "anN"):
        post("wrong", name=name)
    assert post("a right and long one").status_code == 429


def test_every_door_that_checks_a_password_is_behind_the_brake(ann: User, settings: Any) -> None:
    request = RequestFactory().get("/", REMOTE_ADDR=HERE)
    for _ in range(5):
        assert authenticate(request, username="ann", password="wrong") is None
    with pytest.raises(SignInRefused):
        authenticate(request, username="ann", password="a right and long one")
    assert settings.AUTHENTICATION_BACKENDS == ["curation.signin.BrakedBackend"]
    assert not any("Basic" in name for name in
                   settings.REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"])  # fmt: skip


def test_while_others_hash_a_page_thread_is_not_held(ann: User, settings: Any) -> None:
    for _ in range(settings.SIGN_IN_AT_ONCE):
        assert signin._hashing.acquire(blocking=False)
    try:
        busy = post("a right and long one")
        assert (busy.status_code, busy["Retry-After"]) == (429, "2")
        assert not SignInAttempt.objects.exists()  # a full house counts against nobody
    finally:
        for _ in range(settings.SIGN_IN_AT_ONCE):
            signin._hashing.release()
    assert post("a right and long one").status_code == 302


@pytest.mark.parametrize(
    ("peer", "said", "trusted", "address"),
    [
        (HERE, "", [], HERE),
        (HERE, "203.0.113.9", [], HERE),
        (HERE, "203.0.113.9", [HERE], "203.0.113.9"),
        (HERE, "198.51.100.1, 203.0.113.9", [HERE], "203.0.113.9"),
        (HERE, "203.0.113.9, 192.0.2.2", [HERE, THERE], "203.0.113.9"),
        (HERE, " , ", [HERE], HERE),
    ],
)
def test_whose_word_about_an_address_counts(
    peer: str, said: str, trusted: list[str], address: str, settings: Any
) -> None:
    settings.TRUSTED_PROXIES = trusted
    headers = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": said}
    assert client_address(RequestFactory().get("/", **headers)) == address


def test_old_tries_are_forgotten_and_known_places_kept_longer(ann: User) -> None:
    post("wrong")
    post("a right and long one", address=THERE)
    SignInAttempt.objects.update(at=timezone.now() - timedelta(days=2))
    assert signin.forget_attempts() == 1
    SignInAttempt.objects.update(at=timezone.now() - timedelta(days=31))
    assert signin.forget_attempts() == 1


def test_older_hashes_are_renewed_with_argon2_at_sign_in(ann: User, settings: Any) -> None:
    settings.PASSWORD_HASHERS = [
        "curation.hashing.BoundedArgon2",
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    ]
    ann.password = make_password("a right and long one", hasher="pbkdf2_sha256")
    ann.save()
    assert post("a right and long one").status_code == 302
    ann.refresh_from_db()
    assert ann.password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
