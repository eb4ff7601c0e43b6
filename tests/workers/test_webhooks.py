"""Webhooks: what is signed, who is never called, and what is tried again."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from django.test import Client
from django.utils import timezone

from curation import jobs
from curation.models import Job, Webhook, WebhookDelivery
from tests.curation.test_addresses import PUBLIC, resolve_to
from workers import webhooks

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver(ThreadingHTTPServer):
    """A local receiver that keeps what it got and answers ``status``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[dict[str, str], str]] = []
        self.status, self.drip = 204, False

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
        while self.server.drip:  # a status line that never ends
            self.wfile.write(b"H")
            time.sleep(0.02)
        self.send_response(self.server.status)
        self.send_header("Location", "/again")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    server = Receiver()
    monkeypatch.setenv("WEBHOOKS_ALLOW_PRIVATE", "1")
    monkeypatch.setenv("WEBHOOK_PORTS", str(server.port))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.drip = False
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WEBHOOKS_ALLOW_PRIVATE", "WEBHOOK_PORTS"):
        monkeypatch.delenv(name, raising=False)


def hook(project: Any, url: str = "http://hooks.invalid/x", **extra: Any) -> Webhook:
    return Webhook.objects.create(project=project, url=url, secret=SECRET, **extra)


def finished(project: Any, state: str = "done") -> dict[str, Any]:
    """What stands in the outbox when a job has ended."""
    job = jobs.create_job(project=project, kind="verify", wake=False)
    Job.objects.filter(pk=job.pk).update(counts={"correct": 2})
    return {"job": job.pk, "event": f"job.{state}"}


def delivery(project: Any, url: str = "http://hooks.invalid/x", attempts: int = 0) -> int:
    """A delivery that is due; its id."""
    row = hook(project, url)
    due = timezone.now() - dt.timedelta(seconds=1) if attempts else None
    return WebhookDelivery.objects.create(
        webhook=row, event="job.done", payload={"n": "é"}, attempts=attempts, next_attempt_at=due
    ).pk


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, str], str]]:
    """Calls that would have left this machine; each is answered with 200."""
    calls: list[tuple[str, str, dict[str, str], str]] = []

    def send(url: str, body: str, headers: dict[str, str], host: str) -> int:
        calls.append((url, body, headers, host))
        return 200

    monkeypatch.setattr(webhooks, "send", send)
    return calls


def test_the_published_vector_of_standard_webhooks_is_met() -> None:
    signed = webhooks.signature(
        SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", '{"test": 2432232314}'
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_without_prefix_is_the_key_itself() -> None:
    digest = hmac.new(b"plain secret", b"a.1.{}", hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    assert webhooks.signature("plain secret", "a", "1", "{}") == expected


def test_a_broken_secret_is_an_error_and_no_signature() -> None:
    with pytest.raises(ValueError, match="base64"):
        webhooks.key_of("whsec_not base64!")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1:6379/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fec0::1]/",
        "http://[fe80::1%25lo]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.1.2.3/",
        "http://192.168.0.1/",
        "http://172.16.0.1/",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
        "http://0.0.0.0/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.1/",
        "http://localhost/",
        "http://localhost./",
        "http://user@hooks.invalid/",
        "http://:word@hooks.invalid/",
        "http://hooks.invalid:99999/",
        "http:///nothing",
        "http://[::1/",
        "file:///etc/passwd",
        "gopher://hooks.invalid/",
        "//hooks.invalid/",
        "",
    ],
)
def test_such_an_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        webhooks.check_address(url)


@pytest.mark.parametrize("ip", [PUBLIC, "64:ff9b::c000:9", "2002:c000:9::1"])
def test_a_public_address_is_taken(monkeypatch: pytest.MonkeyPatch, ip: str) -> None:
    resolve_to(monkeypatch, [ip])
    assert webhooks.check_address("https://hooks.invalid/x") == ("hooks.invalid", ip, 443)


@pytest.mark.parametrize("port", [22, 25, 81, 3306, 5432, 6379, 8000, 8080, 8443, 9200, 65535])
@pytest.mark.parametrize("private", ["", "1"])
def test_a_webhook_is_called_at_the_ports_of_web_servers_only(
    monkeypatch: pytest.MonkeyPatch, port: int, private: str
) -> None:
    monkeypatch.setenv("WEBHOOKS_ALLOW_PRIVATE", private)
    resolve_to(monkeypatch, [PUBLIC])
    with pytest.raises(ValueError, match="WEBHOOK_PORTS"):
        webhooks.check_address(f"http://hooks.invalid:{port}/x")
    monkeypatch.setenv("WEBHOOK_PORTS", f"443,{port}")
    assert webhooks.check_address(f"http://hooks.invalid:{port}/x")[2] == port
    with pytest.raises(ValueError, match="WEBHOOK_PORTS"):
        webhooks.check_address("http://hooks.invalid/x")


def test_every_answer_of_the_resolver_must_be_public(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, [PUBLIC, "10.0.0.1"])
    with pytest.raises(ValueError, match="private"):
        webhooks.check_address("https://hooks.invalid/")
    resolve_to(monkeypatch, [PUBLIC])
    checked = webhooks.check_address("https://hooks.invalid/")
    assert checked == ("hooks.invalid", PUBLIC, 443)


def test_a_name_that_is_not_found_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*args: Any, **kwargs: Any) -> None:
        raise socket.gaierror("unknown")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(ValueError, match="looked up"):
        webhooks.check_address("https://hooks.invalid/")


def test_a_name_that_became_private_after_saving_is_not_called(
    project: Any, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, [PUBLIC], ["127.0.0.1"])
    webhooks.check_address("http://hooks.invalid/x")
    pk = delivery(project)
    assert webhooks.deliver_due() == 1
    row = WebhookDelivery.objects.get(pk=pk)
    assert sent == []
    assert "private" in row.last_error
    assert row.delivered_at is None


def test_the_call_goes_to_the_checked_address_without_a_second_look_up(
    project: Any, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK_PORTS", "443,8443")
    asked = resolve_to(monkeypatch, [PUBLIC], ["127.0.0.1"])
    delivery(project, "https://hooks.invalid:8443/x?y=1")
    webhooks.deliver_due()
    ((url, _, headers, host),) = sent
    assert url == f"https://{PUBLIC}:8443/x?y=1"
    assert (headers["Host"], host) == ("hooks.invalid:8443", "hooks.invalid")
    assert asked == ["hooks.invalid"]


def test_a_receiver_can_check_what_it_got(project: Any, receiver: Receiver) -> None:
    pk = delivery(project, f"http://localhost:{receiver.port}/in?x=1")
    assert webhooks.deliver_due() == 1
    ((headers, body),) = receiver.got
    assert json.loads(body) == {"n": "é"}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mac}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert headers["host"] == f"localhost:{receiver.port}"
    row = WebhookDelivery.objects.get(pk=pk)
    assert (row.last_status, row.attempts, row.next_attempt_at) == (204, 1, None)
    assert row.delivered_at is not None
    assert webhooks.deliver_due() == 0


def test_the_environments_proxy_is_not_used(
    project: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    delivery(project, f"http://127.0.0.1:{receiver.port}/")
    webhooks.deliver_due()
    assert len(receiver.got) == 1


@pytest.mark.parametrize("status", [302, 404, 500])
def test_any_other_answer_is_tried_again_later(
    status: int, project: Any, receiver: Receiver
) -> None:
    receiver.status = status
    pk = delivery(project, f"http://127.0.0.1:{receiver.port}/")
    webhooks.deliver_due()
    assert webhooks.deliver_due() == 0  # not yet
    row = WebhookDelivery.objects.get(pk=pk)
    assert len(receiver.got) == 1  # no redirect was followed
    assert (row.last_status, row.delivered_at) == (status, None)
    assert row.next_attempt_at is not None
    wait = (row.next_attempt_at - timezone.now()).total_seconds()
    assert webhooks.BACKOFF[0] - 3 < wait <= webhooks.BACKOFF[0]


def test_the_id_stays_the_same_over_attempts(project: Any, receiver: Receiver) -> None:
    receiver.status = 500
    pk = delivery(project, f"http://127.0.0.1:{receiver.port}/")
    webhooks.deliver_due()
    WebhookDelivery.objects.filter(pk=pk).update(next_attempt_at=timezone.now())
    receiver.status = 200
    webhooks.deliver_due()
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len(receiver.got) == 2
    assert WebhookDelivery.objects.get(pk=pk).delivered_at is not None


@pytest.mark.parametrize("attempts", range(1, len(webhooks.BACKOFF)))
def test_each_pause_is_longer(attempts: int, project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, ["127.0.0.1"])
    pk = delivery(project, attempts=attempts)
    webhooks.deliver_due()
    row = WebhookDelivery.objects.get(pk=pk)
    assert row.next_attempt_at is not None
    wait = (row.next_attempt_at - timezone.now()).total_seconds()
    assert row.attempts == attempts + 1
    assert webhooks.BACKOFF[attempts - 1] < wait <= webhooks.BACKOFF[attempts]


def test_the_last_failure_stays_visible_and_is_not_tried_again(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, ["127.0.0.1"])
    pk = delivery(project, attempts=webhooks.MAX_ATTEMPTS - 1)
    assert (webhooks.deliver_due(), webhooks.deliver_due()) == (1, 0)
    row = WebhookDelivery.objects.get(pk=pk)
    assert (row.attempts, row.next_attempt_at, row.delivered_at) == (10, None, None)
    assert row.last_error


def test_gone_switches_the_webhook_off(project: Any, receiver: Receiver) -> None:
    receiver.status = 410
    pk = delivery(project, f"http://127.0.0.1:{receiver.port}/")
    webhooks.deliver_due()
    row = WebhookDelivery.objects.select_related("webhook").get(pk=pk)
    assert (row.webhook.enabled, row.next_attempt_at) == (False, None)
    assert "410" in row.webhook.disabled_reason
    assert webhooks.enqueue(finished(project)) == 0


def test_a_call_that_hangs_ends_at_the_deadline(
    project: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "DEADLINE", 0.3)
    receiver.drip = True
    pk = delivery(project, f"http://127.0.0.1:{receiver.port}/")
    began = time.monotonic()
    webhooks.deliver_due()
    assert time.monotonic() - began < webhooks.TIMEOUT
    assert WebhookDelivery.objects.get(pk=pk).last_error


@pytest.mark.parametrize("error", [httpx.InvalidURL("odd"), httpx.ReadError("x\0y"), KeyError("k")])
def test_one_bad_receiver_does_not_stop_the_others(
    error: Exception, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, [PUBLIC])

    def send(url: str, *args: Any) -> int:
        if url.endswith("bad"):
            raise error
        return 200

    monkeypatch.setattr(webhooks, "send", send)
    bad = delivery(project, "http://hooks.invalid/bad")
    good = delivery(project, "http://hooks.invalid/good")
    assert webhooks.deliver_due() == 2
    assert type(error).__name__ in WebhookDelivery.objects.get(pk=bad).last_error
    assert WebhookDelivery.objects.get(pk=good).delivered_at is not None


def test_a_delivery_in_progress_is_not_taken_by_another(project: Any) -> None:
    pk = delivery(project)
    taken = webhooks.claim()
    assert taken is not None and taken.pk == pk
    assert webhooks.claim() is None
    WebhookDelivery.objects.filter(pk=pk).update(next_attempt_at=timezone.now())  # it died
    again = webhooks.claim()
    assert again is not None and again.attempts == 2


def test_those_who_asked_for_an_event_are_told(project: Any) -> None:
    everything = hook(project)
    failures = hook(project, events=["job.failed"])
    hook(project, enabled=False)
    done, failed = finished(project), finished(project, "failed")
    assert (webhooks.enqueue(done), webhooks.enqueue(failed)) == (1, 2)
    rows = WebhookDelivery.objects.order_by("pk")
    assert [row.webhook_id for row in rows] == [everything.pk, everything.pk, failures.pk]
    data = {"job": done["job"], "kind": "verify", "counts": {"correct": 2}}
    assert rows[0].payload == {"type": "job.done", "data": data}


def test_another_projects_jobs_are_not_told(project: Any) -> None:
    from curation.models import Project

    hook(project)
    assert webhooks.enqueue(finished(Project.objects.create(slug="other", name="Other"))) == 0


def test_an_event_of_a_job_that_is_gone_tells_nobody(project: Any) -> None:
    hook(project)
    assert webhooks.enqueue({"job": 10**9, "event": "job.done"}) == 0


def test_a_slow_receiver_does_not_hold_up_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    release, runs = threading.Event(), []

    def deliver_due(limit: int = 20) -> int:
        runs.append(release.wait(10))
        return 1

    monkeypatch.setattr(webhooks, "deliver_due", deliver_due)
    first = webhooks.deliver_in_background()
    assert webhooks.deliver_in_background() is first  # one at a time
    release.set()
    first.join(10)
    second = webhooks.deliver_in_background()
    second.join(10)
    assert second is not first
    assert runs == [True, True]


@pytest.mark.parametrize("url", ["http://hooks.invalid:6379/x", "https://hooks.invalid:8080/x"])
def test_no_door_saves_or_calls_another_port(
    project: Any, user: Any, sent: list[Any], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    resolve_to(monkeypatch, [PUBLIC])
    page = Client()
    page.force_login(user)
    row = hook(project, "https://hooks.invalid/old")
    rest, base = "/api/v1/webhooks/", "/p/demo/webhooks/"
    js = {"content_type": "application/json"}
    page.post(f"{base}add/", {"url": url})
    page.post(f"{base}{row.pk}/edit/", {"url": url})
    made = page.post(rest, {"project": "demo", "url": url}, **js)
    changed = page.patch(f"{rest}{row.pk}/", {"url": url}, **js)
    assert (made.status_code, changed.status_code) == (400, 400)
    assert set(Webhook.objects.values_list("url", flat=True)) == {"https://hooks.invalid/old"}
    page.patch(f"{rest}{row.pk}/", {"url": "https://hooks.invalid/new"}, **js)
    row.refresh_from_db()
    assert row.url == "https://hooks.invalid/new"  # the doors are open for what is allowed
    Webhook.objects.filter(pk=row.pk).update(url=url)  # stored before there was a rule
    webhooks.send_test(row)
    webhooks.deliver_due()
    assert sent == [] and "WEBHOOK_PORTS" in WebhookDelivery.objects.get().last_error
