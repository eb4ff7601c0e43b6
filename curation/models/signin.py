"""Attempts to sign in, by which guessing is braked."""

from __future__ import annotations

from django.db import models


class SignInAttempt(models.Model):
    """One try of a password: which account's, from where, and whether it was right.

    Kept for ``curation.signin.KEPT``; the lasting record of sign-ins is the audit.
    """

    account = models.CharField(max_length=150)
    address = models.CharField(max_length=45)
    at = models.DateTimeField(auto_now_add=True)
    succeeded = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(fields=["account", "at"]),
            models.Index(fields=["address", "at"]),
        ]

    def __str__(self) -> str:
        return f"{self.account} from {self.address}"
