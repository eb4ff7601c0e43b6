"""Recipes that come with Whittle. A new one is a file here and a line in PRESETS."""

from curation.selection.presets import (
    dpo_concise,
    dpo_correct_incorrect,
    dpo_score_margin,
    redi,
    sft_edge,
    sft_reviewed,
    sft_verified,
)
from curation.selection.recipe import Recipe

PRESETS: dict[str, Recipe] = {
    module.RECIPE.name: module.RECIPE
    for module in (
        sft_verified,
        sft_reviewed,
        sft_edge,
        dpo_correct_incorrect,
        dpo_concise,
        dpo_score_margin,
        redi,
    )
}
