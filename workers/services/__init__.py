"""The embedded PostgreSQL and Redis, for machines that have neither. Imports no Django.

``ensure.ensure_services()`` brings up what is down, ``ensure.stop_services()`` ends it;
``embedded`` has the two servers.
"""
