"""OpenAI's fine-tuning JSONL: ``messages`` and nothing else, since unknown keys are refused."""

from curation.exports.formats.common import Format, Row, assistant, messages
from curation.exports.records import ExportRecord


def row(record: ExportRecord) -> Row:
    """One conversation that ends with the chosen trace."""
    return {"messages": [*messages(record.prompt), assistant(record.chosen)]}


FORMAT = Format(
    name="openai_sft",
    kind="sft",
    columns={"messages": "messages"},
    row=row,
    card="OpenAI-style fine-tuning endpoints take the JSONL files as they are.",
)
