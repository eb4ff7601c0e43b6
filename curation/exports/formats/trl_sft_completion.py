"""TRL's conversational prompt and completion: the loss is on the completion alone by default."""

from curation.exports.formats.common import (
    ROW_IDS,
    TRACE_IDS,
    Format,
    Row,
    assistant,
    messages,
    row_ids,
    trace_ids,
)
from curation.exports.records import ExportRecord


def row(record: ExportRecord) -> Row:
    """The conversation before the trace, and the trace."""
    return {
        "prompt": messages(record.prompt),
        "completion": [assistant(record.chosen)],
        **row_ids(record),
        **trace_ids(record.chosen),
    }


FORMAT = Format(
    name="trl_sft_completion",
    kind="sft",
    columns={"prompt": "messages", "completion": "messages", **ROW_IDS, **TRACE_IDS},
    row=row,
    card="TRL `SFTTrainer` reads `prompt` and `completion`; the loss is on the completion only.",
)
