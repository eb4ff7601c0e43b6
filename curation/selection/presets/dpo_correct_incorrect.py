"""Preference pairs: right against wrong on one problem."""

from curation.selection.recipe import Recipe

RECIPE = Recipe(
    name="dpo-correct-incorrect",
    description="A correct trace against an incorrect one on the same problem, one pair each.",
    kind="dpo",
    pairing="correct-incorrect",
    tie="shortest",
)
