"""``manage.py migrate`` and ``manage.py bootstrap`` in one process (Django loads once)."""

from __future__ import annotations

import hashlib
import os
import traceback

from curation import embedded, paths

WITHOUT_BOOTSTRAP = 3  # exit status: the tables are there, the owner or the demo may be missing


def fingerprint() -> str:
    """Hash of the migrations and of which database they are for."""
    digest = hashlib.sha256(os.environ.get("DATABASE_URL", "").encode())
    for path in sorted(paths.ROOT.glob("*/migrations/*.py")):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def remember() -> None:
    """Note that the database has these migrations."""
    embedded.write_private(embedded.record_path("prepared"), {"migrations": fingerprint()})


def is_remembered() -> bool:
    """Whether these migrations were applied from this home before.

    Says what may start at once, not what is true: ``migrate`` runs at each start all the same.
    """
    return embedded.read_record("prepared").get("migrations") == fingerprint()


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
