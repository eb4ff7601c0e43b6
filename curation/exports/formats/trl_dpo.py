"""TRL's conversational preference pairs with an explicit prompt."""

from curation.exports.formats.common import (
    ROW_IDS,
    TRACE_IDS,
    Format,
    Row,
    assistant,
    both,
    messages,
    row_ids,
    trace_ids,
)
from curation.exports.records import ExportRecord


def row(record: ExportRecord) -> Row:
    """Prompt, the chosen and the rejected trace, each one assistant turn."""
    chosen, rejected = both(record)
    return {
        "prompt": messages(record.prompt),
        "chosen": [assistant(chosen)],
        "rejected": [assistant(rejected)],
        **row_ids(record),
        **trace_ids(chosen, "chosen_"),
        **trace_ids(rejected, "rejected_"),
    }


FORMAT = Format(
    name="trl_dpo",
    kind="dpo",
    columns={
        "prompt": "messages",
        "chosen": "messages",
        "rejected": "messages",
        **ROW_IDS,
        **{f"chosen_{name}": column for name, column in TRACE_IDS.items()},
        **{f"rejected_{name}": column for name, column in TRACE_IDS.items()},
    },
    row=row,
    card="TRL `DPOTrainer` reads `prompt`, `chosen` and `rejected`.",
)
