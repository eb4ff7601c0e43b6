"""OpenAI's preference JSONL: the prompt under ``input``, one turn on either side."""

from curation.exports.formats.common import Format, Row, assistant, both, messages
from curation.exports.records import ExportRecord


def row(record: ExportRecord) -> Row:
    """Input messages, preferred and non-preferred output."""
    chosen, rejected = both(record)
    return {
        "input": {"messages": messages(record.prompt)},
        "preferred_output": [assistant(chosen)],
        "non_preferred_output": [assistant(rejected)],
    }


FORMAT = Format(
    name="openai_dpo",
    kind="dpo",
    columns={},
    row=row,
    card="OpenAI-style preference fine-tuning endpoints take the JSONL files as they are.",
)
