"""SFT on nothing that no person accepted."""

from curation.selection.recipe import Recipe

RECIPE = Recipe(
    name="sft-reviewed",
    description="Only traces that people accepted, pruned where they said so, one per problem.",
    kind="sft",
    require_review=True,
    tie="shortest",
)
