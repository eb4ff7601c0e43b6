"""AceCoder's pairs for partial credit: margin 0.4, winner above 0.8, loser above 0.

The paper's limits are strict and its code includes them; a recipe's limits include their end,
as the code's do. ``min_rejected_score`` keeps out losers that pass no test at all.
"""

from curation.selection.recipe import Recipe

RECIPE = Recipe(
    name="dpo-score-margin",
    description="Pairs by score: chosen >= 0.8, rejected above 0, at least 0.4 apart.",
    kind="dpo",
    pairing="score-margin",
    min_score_margin=0.4,
    min_chosen_score=0.8,
    min_rejected_score=1e-9,
    tie="first",
)
