"""The web server's entry."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "curation.settings")
os.environ.setdefault("DATABASE_POOL", "6")

from django.core.wsgi import get_wsgi_application

from curation import dbwatch


def start_helpers() -> None:
    """The threads of a web process: one watches the database, one tells the workers of jobs."""
    from workers import dispatch

    dbwatch.start_pulse(dbwatch.conninfo())
    dispatch.flush_in_background()


application = get_wsgi_application()
start_helpers()
