"""The embedded servers, and which of them this copy uses."""

from __future__ import annotations

import os

from workers.services.postgres import EmbeddedPostgres
from workers.services.redis import EmbeddedRedis

__all__ = ["EmbeddedPostgres", "EmbeddedRedis", "Server", "embedded_servers"]

Server = EmbeddedPostgres | EmbeddedRedis


def embedded_servers() -> list[Server]:
    """Those without the address of an outside server in the environment, in order of start."""
    servers: list[Server] = []
    if not os.environ.get("DATABASE_URL"):
        servers.append(EmbeddedPostgres())
    if not os.environ.get("REDIS_URL"):
        servers.append(EmbeddedRedis())
    return servers
