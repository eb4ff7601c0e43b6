"""Frozen selections as files. Everything but ``run`` is pure."""
