"""Recipes and what they select. Everything but ``queries`` and ``run`` is pure."""
