"""The embedded PostgreSQL and Redis, for machines that have neither. Imports no Django.

``ensure_services()`` brings up what is missing for a command; ``stop_services()`` ends it.
"""

from workers.services.ensure import ensure_services, stop_services
from workers.services.errors import ServiceError
from workers.services.postgres import EmbeddedPostgres
from workers.services.redis import EmbeddedRedis

__all__ = ["EmbeddedPostgres", "EmbeddedRedis", "ServiceError", "ensure_services", "stop_services"]
