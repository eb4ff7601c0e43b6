"""Granting a scripted server's address to a project, as an administrator would."""

from __future__ import annotations

from typing import Any

from curation import grants
from curation.models import EndpointGrant, Project


def granted(project: Project, base_url: str, key: str = "") -> EndpointGrant:
    """The address (and the key for it) granted to the project."""
    administrator: Any = None
    return grants.grant(project, base_url, key, administrator)
