"""Which addresses a project's models may stand at, and which key may be sent where.

An address that this server calls, and a key that it sends, are granted by an administrator; a key
is bound to the host it was granted for. ``check_endpoint`` is the one place that says so: it is
asked when an endpoint is saved and again whenever one is used, whatever stored the row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from curation import jobs, paths
from curation.addresses import (
    PORTS,
    Address,
    AddressError,
    is_public,
    look_up,
    parse_address,
    split_netloc,
)
from curation.jobs import JobError
from curation.models import EndpointGrant, Job, ModelEndpoint, Project

# Whoever may name a variable must not be able to have any one of this process sent away.
KEY_NAME = re.compile(r"[A-Z0-9_]*_API_KEY|WHITTLE_KEY_[A-Z0-9_]+")
NOT_GRANTED = frozenset({"endpoint_not_granted", "key_not_granted"})
HOW = "an administrator grants it on the page Teachers, Granted addresses, or in TEACHER_HOSTS"

BEFORE = "existed before grants; review"  # the note that migration 0012 gives


@dataclass(frozen=True)
class Allowed:
    """An address that may be called; ``private`` as ``curation.addresses`` means it."""

    address: Address
    private: bool


@dataclass(frozen=True)
class HostEntry:
    """One of TEACHER_HOSTS: ``HOST[:PORT][=KEY_VARIABLE]``; without a port, 80 and 443."""

    host: str
    port: int | None
    key: str

    def allows(self, address: Address, key: str) -> bool:
        ports = PORTS.values() if self.port is None else (self.port,)
        return address.host == self.host and address.port in ports and key in {"", self.key}


def read_entry(entry: str) -> HostEntry:
    """An entry of TEACHER_HOSTS; ValueError for one that cannot be read."""
    place, _, key = entry.strip().partition("=")
    if key and not KEY_NAME.fullmatch(key):
        raise ValueError(f"TEACHER_HOSTS: {key} is no name of a key's variable")
    host, port = split_netloc(place, 0)
    return HostEntry(host, port or None, key)


def check_endpoint(project: Project, base_url: str, key: str) -> Allowed:
    """Where an endpoint of the project is called; an empty address is this copy's demo teacher.

    JobError ``bad_address``, ``bad_key_name``, ``endpoint_not_granted`` or ``key_not_granted``.
    """
    check_key_name(key)
    demo = demo_address()
    if not base_url:
        if demo is None:
            raise JobError("teacher_not_running", "the demo teacher is not running here")
        if key:
            raise JobError("key_not_granted", "no key is sent to the demo teacher")
        return Allowed(demo, private=True)
    address = read_address(base_url)
    if address == demo and not key:
        return Allowed(address, private=True)
    if any(entry.allows(address, key) for entry in map(read_entry, settings.TEACHER_HOSTS)):
        return Allowed(address, private=True)
    return _granted_in_table(project, address, key)


def _granted_in_table(project: Project, address: Address, key: str) -> Allowed:
    rows = grants_for(project).filter(scheme=address.scheme, host=address.host, port=address.port)
    found = list(rows)
    if not found:
        raise JobError("endpoint_not_granted", f"{address} is not granted to this project: {HOW}")
    if key and key not in {row.key_variable for row in found}:
        raise JobError(
            "key_not_granted",
            f"the key {key} is not granted for {address}, and goes nowhere else: {HOW}",
        )
    return Allowed(address, private=any(row.private for row in found))


def check_key_name(key: str) -> None:
    if key and not KEY_NAME.fullmatch(key):
        raise JobError(
            "bad_key_name", "the key's variable must end in _API_KEY or start with WHITTLE_KEY_"
        )


def read_address(base_url: str) -> Address:
    try:
        return parse_address(base_url)
    except AddressError as error:
        raise JobError("bad_address", f"base_url: {error}") from None


def demo_address() -> Address | None:
    """Where the supervisor of this copy serves its demo teacher; the port changes between runs."""
    try:
        port = int((paths.run_dir() / "teacher.port").read_text().strip())
    except (OSError, ValueError):
        return None
    return Address("http", "127.0.0.1", port)


def grants_for(project: Project) -> QuerySet[EndpointGrant]:
    """The living grants that hold for a project, its own and those for all."""
    return EndpointGrant.objects.filter(Q(project=project) | Q(project=None), revoked_at=None)


def approve_endpoint(
    project: Project, changes: Mapping[str, Any], old: ModelEndpoint | None, user: Any
) -> None:
    """Let ``user`` save these fields of a new or the ``old`` endpoint.

    An administrator's naming of an address and a key is the grant, there and then; anybody else
    may only name what is granted. An address that stays is asked again when its key changes, and
    the other way round. JobError as ``check_endpoint``.
    """
    if old is not None and not {"base_url", "api_key_env"} & changes.keys():
        return
    base_url = str(changes.get("base_url", old.base_url if old else ""))
    key = str(changes.get("api_key_env", old.api_key_env if old else ""))
    if user.is_superuser and base_url:
        grant(project, base_url, key, user, note="granted by saving an endpoint")
    if base_url or key:  # an empty address is always this copy's own teacher, running or not
        check_endpoint(project, base_url, key)


def grant(
    project: Project | None, base_url: str, key: str, user: Any, note: str = ""
) -> EndpointGrant:
    """Grant an address, and a key for it, to a project or (None) to all; granting again looks
    the name up anew. JobError for an address or a variable that cannot be granted to anybody."""
    check_key_name(key)
    address = read_address(base_url)
    row, _ = EndpointGrant.objects.update_or_create(
        project=project,
        scheme=address.scheme,
        host=address.host,
        port=address.port,
        key_variable=key,
        revoked_at=None,
        defaults={"private": leads_inside(address), "granted_by": user, "note": note[:200]},
    )
    return row


def leads_inside(address: Address) -> bool:
    """Whether the host stands in a private network or on this machine now."""
    try:
        return not all(is_public(ip) for ip in look_up(address))
    except AddressError:
        return False  # the use of a name that nobody knows yet is refused if it leads inside


def revoke(row: EndpointGrant, user: Any) -> None:
    """End a grant; jobs that ask an endpoint at its address are cancelled."""
    with transaction.atomic():
        EndpointGrant.objects.filter(pk=row.pk, revoked_at=None).update(
            revoked_at=Now(), revoked_by=user
        )
        for endpoint in endpoints_at(row):
            if not still_allowed(endpoint):
                cancel_jobs_of(endpoint)


def endpoints_at(row: EndpointGrant) -> list[ModelEndpoint]:
    """The endpoints that a grant is about."""
    endpoints = ModelEndpoint.objects.exclude(base_url="")
    if row.project_id is not None:
        endpoints = endpoints.filter(project=row.project_id)
    place = (row.scheme, row.host, row.port)
    return [one for one in endpoints.select_related("project") if _place(one) == place]


def _place(endpoint: ModelEndpoint) -> tuple[str, str, int] | None:
    try:
        address = parse_address(endpoint.base_url)
    except AddressError:
        return None
    return address.scheme, address.host, address.port


def still_allowed(endpoint: ModelEndpoint) -> bool:
    try:
        check_endpoint(endpoint.project, endpoint.base_url, endpoint.api_key_env)
    except JobError:
        return False
    return True


def refused_endpoints(project: Project) -> list[ModelEndpoint]:
    """Endpoints of the project that its grants do not cover, so that no job may ask them."""
    rows = ModelEndpoint.objects.filter(project=project).exclude(base_url="", api_key_env="")
    return [
        one for one in rows.select_related("project").order_by("name") if not still_allowed(one)
    ]


def to_review(project: Project) -> int:
    """How many grants come from the time before there were any."""
    return grants_for(project).filter(note=BEFORE).count()


def cancel_jobs_of(endpoint: ModelEndpoint) -> None:
    asked = Q(params__teacher=endpoint.name) | Q(params__judge=endpoint.name)
    for job in Job.objects.filter(asked, project=endpoint.project).exclude(state__in=Job.FINAL):
        jobs.request_cancel(job)
