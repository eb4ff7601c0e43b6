"""``manage.py migrate`` and ``manage.py bootstrap`` in one process (Django loads once)."""

from __future__ import annotations

import os
import traceback

WITHOUT_BOOTSTRAP = 3  # exit status: the tables are there, the owner or the demo may be missing


def main() -> int:
    """0, or ``WITHOUT_BOOTSTRAP``. Raises what ``migrate`` raises: nothing works without tables."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "curation.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=1)
    try:
        call_command("bootstrap")
    except Exception:
        traceback.print_exc()
        return WITHOUT_BOOTSTRAP
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
