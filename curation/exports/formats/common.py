"""What formats share: the shape of a format, its messages and its identity columns. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from curation.exports.records import Completion, ExportError, ExportRecord, Message

Row = dict[str, Any]
# A column is text, a 64-bit integer, or a list of {role, content} messages.
Column = Literal["text", "int", "messages"]
Container = Literal["jsonl", "parquet"]


@dataclass(frozen=True, slots=True)
class Format:
    """How a selected row becomes a row of a file.

    ``kind`` is the kind of recipe it can hold (``sft`` or ``dpo``), ``columns`` its columns in
    order, ``row`` a pure function. ``card`` says in one sentence how the files are loaded.
    """

    name: str
    kind: str
    columns: Mapping[str, Column]
    row: Callable[[ExportRecord], Row]
    card: str
    container: Container = "jsonl"


ROW_IDS: dict[str, Column] = {
    "problem_id": "int",
    "problem_sha256": "text",
    "source": "text",
    "licence": "text",
}
TRACE_IDS: dict[str, Column] = {
    "trace_id": "int",
    "trace_sha256": "text",
    "trace_model": "text",
    "trace_sample_no": "int",
}


def row_ids(record: ExportRecord) -> Row:
    """The columns that tie a row to its problem; trainers drop them."""
    return {
        "problem_id": record.problem_id,
        "problem_sha256": record.problem_sha256,
        "source": record.source,
        "licence": record.licence,
    }


def trace_ids(completion: Completion, prefix: str = "") -> Row:
    """The columns that tie a completion to its trace, under ``prefix``."""
    return {
        f"{prefix}trace_id": completion.trace_id,
        f"{prefix}trace_sha256": completion.sha256,
        f"{prefix}trace_model": completion.model,
        f"{prefix}trace_sample_no": completion.sample_no,
    }


def messages(prompt: tuple[Message, ...]) -> list[Message]:
    """The prompt's messages with plain text content.

    A list of text parts becomes their concatenation. Raises ExportError for anything that this
    format has no place for (pictures, tool calls): leaving it out would change the prompt.
    """
    if not prompt:
        raise ExportError("a row has no prompt")
    return [_message(message) for message in prompt]


def _message(message: Message) -> Message:
    extra = sorted(k for k, v in message.items() if k not in ("role", "content") and v)
    if extra:
        raise ExportError(f"a prompt message has {extra[0]!r}, which this format cannot hold")
    return {"role": str(message["role"]), "content": _text(message.get("content"))}


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(_is_text_part(part) for part in content):
        return "".join(part["text"] for part in content)
    raise ExportError("a prompt message holds something other than text")


def _is_text_part(part: object) -> bool:
    return (
        isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
    )


def assistant(completion: Completion) -> Message:
    """The completion as one assistant turn, the reasoning left where it stands."""
    return {"role": "assistant", "content": completion.text}


def both(record: ExportRecord) -> tuple[Completion, Completion]:
    """Chosen and rejected. Raises ExportError for a row that is no pair."""
    if record.rejected is None:
        raise ExportError(f"trace {record.chosen.trace_id} has no rejected partner")
    return record.chosen, record.rejected
