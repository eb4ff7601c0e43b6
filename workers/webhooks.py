"""Telling others of events: signed after Standard Webhooks, retried, never to a private address.

An address is checked when it is saved and again when it is called, and the call goes to the very
address that was checked (no second look-up), without redirects.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import ipaddress
import json
import logging
import os
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from curation.models import Job, Webhook, WebhookDelivery

log = logging.getLogger(__name__)
BACKOFF = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)  # seconds; 3 days in all
TIMEOUT = 5.0


def allow_private() -> bool:
    """Tests and closed networks may allow private addresses on purpose."""
    return os.environ.get("WEBHOOKS_ALLOW_PRIVATE", "") == "1"


def check_address(url: str) -> tuple[str, str, int]:
    """(host, a public IP address to call, port); ValueError says why not."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise ValueError("an http(s) address without a user name is needed")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        answers = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"{parts.hostname} cannot be looked up") from error
    found = [str(answer[4][0]) for answer in answers]
    if not allow_private() and not all(is_public(address) for address in found):
        raise ValueError("private and local addresses are not called")
    return parts.hostname, found[0], port


def is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_global


def enqueue(payload: dict[str, Any]) -> int:
    """One delivery for each webhook of the job's project that wants the event."""
    job = Job.objects.filter(pk=int(payload.get("job") or 0)).first()
    if job is None:
        return 0
    event = str(payload["event"])
    body = {"type": event, "data": {"job": job.pk, "kind": job.kind, "counts": job.counts}}
    wanted = [
        hook
        for hook in Webhook.objects.filter(project=job.project_id, enabled=True)
        if not hook.events or event in hook.events
    ]
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(webhook=hook, event=event, payload=body) for hook in wanted
    )
    return len(wanted)


def signature(secret: str, message_id: str, timestamp: str, body: str) -> str:
    """Standard Webhooks, ``v1``: HMAC-SHA256 over ``id.timestamp.body``."""
    signed = f"{message_id}.{timestamp}.{body}".encode()
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def deliver_due(limit: int = 20) -> int:
    """Call what is due; how many were tried."""
    due = WebhookDelivery.objects.filter(delivered_at=None, webhook__enabled=True).filter(
        Q(next_attempt_at=None, attempts=0) | Q(next_attempt_at__lte=Now())
    )
    with transaction.atomic():
        rows = list(
            due.select_for_update(skip_locked=True, of=("self",))
            .select_related("webhook")
            .order_by("pk")[:limit]
        )
        for row in rows:  # fenced: another process sees them as not yet due again
            row.attempts += 1
            wait = BACKOFF[min(row.attempts, len(BACKOFF)) - 1]
            row.next_attempt_at = (
                timezone.now() + dt.timedelta(seconds=wait)
                if row.attempts <= len(BACKOFF)
                else None
            )
            row.save(update_fields=["attempts", "next_attempt_at"])
    for row in rows:
        call(row)
    return len(rows)


def call(row: WebhookDelivery) -> None:
    """One attempt; 410 switches the webhook off."""
    status, error = None, ""
    try:
        status = post(row)
    except (ValueError, httpx.HTTPError, OSError) as problem:
        error = str(problem)[:300]
    ok = status is not None and 200 <= status < 300
    WebhookDelivery.objects.filter(pk=row.pk).update(
        last_status=status, last_error=error, delivered_at=timezone.now() if ok else None
    )
    if status == 410:
        Webhook.objects.filter(pk=row.webhook_id).update(
            enabled=False, disabled_reason="the receiver answered 410 Gone"
        )


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
    literal = f"[{address}]" if ":" in address else address
    url = parts._replace(netloc=f"{literal}:{port}").geturl()
    with httpx.Client(timeout=TIMEOUT, follow_redirects=False) as client:
        extensions = {"sni_hostname": host}
        with client.stream(
            "POST", url, content=body, headers=headers, extensions=extensions
        ) as answer:
            return answer.status_code
