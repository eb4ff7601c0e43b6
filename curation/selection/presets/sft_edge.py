"""SFT at the edge of a model's ability.

The band 0.25 to 0.625 is the one reported for Light-R1's reinforcement prompts (7B); name the
student in ``pass_rate_model`` to make the band about it. Several correct: one at random, as
Light-R1 does, with a stored seed.
"""

from curation.selection.recipe import Recipe

RECIPE = Recipe(
    name="sft-edge",
    description="Verified traces on problems that the model solves between 25 and 62.5 % of times.",
    kind="sft",
    min_pass_rate=0.25,
    max_pass_rate=0.625,
    tie="random",
    seed=42,
)
