"""Preference pairs against overthinking: both right, one much longer."""

from curation.selection.recipe import Recipe

RECIPE = Recipe(
    name="dpo-concise",
    description="A concise correct trace against one that is at least 1.5 times as long.",
    kind="dpo",
    pairing="concise-overlong",
    overlong_ratio=1.5,
)
