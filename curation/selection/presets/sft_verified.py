"""The plain SFT set: verified answers, pruned where reviewed, one trace per problem."""

from curation.selection.recipe import Recipe

RECIPE = Recipe(
    name="sft-verified",
    description="Verified traces, pruned where a person accepted the cuts, one per problem.",
    kind="sft",
    tie="shortest",
)
