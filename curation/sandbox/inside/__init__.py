"""Runs INSIDE the sandbox: the runner (process 1), the candidate's process, and their wire.

Only the standard library, and as little of it as possible: every import is paid per candidate.
``wire`` is used on both sides. How it fits together: docs/code_verification.md.
"""
