"""Marks for tests that need an extra; they look without importing, which takes seconds."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

NEEDS_DEMO = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("torch", "transformers", "trl")),
    reason="the demo extra is not installed",
)
