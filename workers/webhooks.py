"""Telling others of events: signed after Standard Webhooks, retried, never to a private address.

An address is checked when it is saved and again when it is called, and the call goes to the very
address that was checked (no second look-up, no proxy), without redirects. Calls run in a thread of
the process that does the upkeep, so that a slow receiver holds up nothing but other webhooks.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import os
import secrets
import threading
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.db import connection, transaction
from django.db.models import DateTimeField, Q
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now
from django.utils import timezone

from curation.addresses import bracketed, look_up_checked, parse_address
from curation.models import Job, Webhook, WebhookDelivery

log = logging.getLogger(__name__)
BACKOFF = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)  # seconds; 3 days in all
MAX_ATTEMPTS = len(BACKOFF) + 1
TIMEOUT = 5.0  # seconds without a byte
DEADLINE = 15.0  # seconds for a whole call, however slowly the receiver drips
LEASE = 60.0  # seconds until a call whose process died is made again
LATER = "clock_timestamp() + make_interval(secs => %s)"
EVENTS = ("job.done", "job.failed", "job.cancelled", "review.decided")
TEST = "test"  # an event that only a person sends


def allow_private() -> bool:
    """Tests and closed networks may allow private addresses on purpose."""
    return os.environ.get("WEBHOOKS_ALLOW_PRIVATE", "") == "1"


def allowed_ports() -> frozenset[int]:
    """WEBHOOK_PORTS: those of web servers, unless the operator names others in their place."""
    given = os.environ.get("WEBHOOK_PORTS", "") or "80,443"
    return frozenset(int(port) for port in given.split(","))


def check_address(url: str) -> tuple[str, str, int]:
    """(host, a public IP address to call, port); ValueError says why not."""
    asked = parse_address(url, query=True)
    if asked.port not in (ports := allowed_ports()):
        known = ", ".join(map(str, sorted(ports)))
        raise ValueError(f"a webhook is called at one of the ports {known} (WEBHOOK_PORTS)")
    return asked.host, look_up_checked(asked, private=allow_private())[0], asked.port


def new_secret() -> str:
    """A signing key as Standard Webhooks writes it: 24 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def send_test(hook: Webhook) -> WebhookDelivery:
    """A delivery of the event ``test``, made like any other: signed, logged, tried again."""
    body = {"type": TEST, "data": {"webhook": hook.pk, "project": hook.project.slug}}
    return WebhookDelivery.objects.create(webhook=hook, event=TEST, payload=body)


def send_again(delivery: WebhookDelivery) -> None:
    """Make a delivery due now, with all attempts before it; its id stays the same."""
    WebhookDelivery.objects.filter(pk=delivery.pk).update(
        attempts=0, next_attempt_at=None, delivered_at=None, last_status=None, last_error=""
    )


def enqueue(payload: dict[str, Any]) -> int:
    """One delivery for each webhook of the event's project that wants the event."""
    event = str(payload["event"])
    if "project" in payload:  # something that is not a job's: a decision of a reviewer
        project, data = payload["project"], payload.get("data") or {}
    else:
        job = Job.objects.filter(pk=int(payload.get("job") or 0)).first()
        if job is None:
            return 0
        project, data = job.project_id, {"job": job.pk, "kind": job.kind, "counts": job.counts}
    body = {"type": event, "data": data}
    wanted = [
        hook
        for hook in Webhook.objects.filter(project=project, enabled=True)
        if not hook.events or event in hook.events
    ]
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(webhook=hook, event=event, payload=body) for hook in wanted
    )
    return len(wanted)


def signature(secret: str, message_id: str, timestamp: str, body: str) -> str:
    """Standard Webhooks, ``v1``: HMAC-SHA256 over ``id.timestamp.body``."""
    signed = f"{message_id}.{timestamp}.{body}".encode()
    digest = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def key_of(secret: str) -> bytes:
    """The bytes to sign with: after ``whsec_`` stands base64; any other secret is taken as is."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("after whsec_ the secret is base64") from error


def deliver_due(limit: int = 20) -> int:
    """Call what is due, at most ``limit``; how many were tried."""
    tried = 0
    while tried < limit and (row := claim()) is not None:
        call(row)
        tried += 1
    return tried


def claim() -> WebhookDelivery | None:
    """Take the first delivery that is due; others see it again when its lease is over."""
    due = WebhookDelivery.objects.filter(
        Q(next_attempt_at=None, attempts=0) | Q(next_attempt_at__lte=Now()),
        delivered_at=None,
        webhook__enabled=True,
        attempts__lt=MAX_ATTEMPTS,
    )
    with transaction.atomic():
        locked = due.select_for_update(skip_locked=True, of=("self",)).select_related("webhook")
        row = locked.order_by("pk").first()
        if row is not None:
            row.attempts += 1
            WebhookDelivery.objects.filter(pk=row.pk).update(
                attempts=row.attempts, next_attempt_at=later(LEASE)
            )
    return row


def later(seconds: float) -> RawSQL:
    return RawSQL(LATER, [seconds], output_field=DateTimeField())  # noqa: S611


def call(row: WebhookDelivery) -> None:
    """One attempt; 410 switches the webhook off."""
    status, error = None, ""
    try:
        status = post(row)
    except Exception as problem:  # whatever a stranger's address and answer provoke
        error = f"{type(problem).__name__}: {problem}".replace("\0", "")[:300]
    done = status is not None and 200 <= status < 300
    again = not done and status != 410 and row.attempts < MAX_ATTEMPTS
    WebhookDelivery.objects.filter(pk=row.pk).update(
        last_status=status,
        last_error=error,
        delivered_at=Now() if done else None,
        next_attempt_at=later(BACKOFF[row.attempts - 1]) if again else None,
    )
    if status == 410:
        Webhook.objects.filter(pk=row.webhook_id).update(
            enabled=False, disabled_reason="the receiver answered 410 Gone"
        )


def deliver_in_background() -> threading.Thread:
    """Deliver in a thread of this process, one at a time; returns it."""
    global _thread  # noqa: PLW0603
    with _starting:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_deliver, name="webhooks", daemon=True)
            _thread.start()
    return _thread


_thread: threading.Thread | None = None
_starting = threading.Lock()


def _deliver() -> None:
    try:
        deliver_due()
    except Exception:
        log.warning("webhooks not delivered; they are tried again", exc_info=True)
    finally:
        connection.close()


def post(row: WebhookDelivery) -> int:
    host, address, port = check_address(row.webhook.url)
    parts = urlsplit(row.webhook.url)
    message_id, timestamp = f"msg_{row.pk}", str(int(timezone.now().timestamp()))
    body = json.dumps(row.payload)
    headers = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(row.webhook.secret, message_id, timestamp, body),
    }
    url = parts._replace(netloc=f"{bracketed(address)}:{port}").geturl()
    return send(url, body, headers, host)


def send(url: str, body: str, headers: dict[str, str], host: str) -> int:
    """The status of the answer; its body is not read. ``host`` is whose certificate is asked for.

    Redirects are not followed and the environment's proxies and passwords are not used.
    """
    with httpx.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=False) as client:
        watch = threading.Timer(DEADLINE, client.close)
        watch.daemon = True
        watch.start()
        try:
            with client.stream(
                "POST", url, content=body, headers=headers, extensions={"sni_hostname": host}
            ) as answer:
                return answer.status_code
        finally:
            watch.cancel()
