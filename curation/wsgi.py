"""The web server's entry."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "curation.settings")
os.environ.setdefault("DATABASE_POOL", "6")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
