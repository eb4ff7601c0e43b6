"""TRL's conversational language modelling: one ``messages`` list, the reasoning in ``content``.

TRL trains on the whole sequence unless ``assistant_only_loss=True``, which needs a chat template
with generation marks; ``trl_sft_completion`` needs neither.
"""

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
    """One conversation that ends with the chosen trace."""
    turns = [*messages(record.prompt), assistant(record.chosen)]
    return {"messages": turns, **row_ids(record), **trace_ids(record.chosen)}


FORMAT = Format(
    name="trl_sft",
    kind="sft",
    columns={"messages": "messages", **ROW_IDS, **TRACE_IDS},
    row=row,
    card="TRL `SFTTrainer` reads `messages`; set `assistant_only_loss=True` to leave out prompts.",
)
