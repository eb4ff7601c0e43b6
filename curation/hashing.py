"""How passwords are hashed."""

from __future__ import annotations

from django.contrib.auth.hashers import Argon2PasswordHasher


class BoundedArgon2(Argon2PasswordHasher):
    """Argon2id with OWASP's second recommended setting: 19 MiB, two passes, one lane.

    Django's own takes 100 MiB and eight lanes, too much for page threads that sign people in side
    by side. Source: OWASP Password Storage Cheat Sheet, Argon2id.
    """

    time_cost = 2
    memory_cost = 19 * 1024  # KiB
    parallelism = 1
