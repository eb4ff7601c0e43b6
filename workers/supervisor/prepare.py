"""``manage.py migrate`` and ``manage.py bootstrap`` in one process (Django loads once)."""

from __future__ import annotations

import os


def main() -> None:
    """Raises what the commands raise; the supervisor shows it and stops."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "curation.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=1)
    call_command("bootstrap")


if __name__ == "__main__":
    main()
