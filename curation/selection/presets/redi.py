"""REDI's preference set: first correct against first incorrect, correct by rule AND judge.

The paper caps prompts at 800 and responses at 19,000 tokens. Token counts depend on the
tokenizer and are not known of imported traces, so the caps are given here in characters, at
4 characters a token.
"""

from curation.selection.recipe import Recipe

RECIPE = Recipe(
    name="redi",
    description="First correct against first incorrect response; rule and judge must both agree.",
    kind="dpo",
    policy="rule-and-judge",
    pairing="correct-incorrect",
    max_prompt_chars=3_200,
    max_chars=76_000,
    tie="first",
)
