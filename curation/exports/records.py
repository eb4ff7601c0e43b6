"""What a format turns into a row: one selected row with its texts. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]


class ExportError(RuntimeError):
    """The export cannot be written; the message says why in words a user can act on."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A trace with its whole text, reasoning and answer, exactly as stored."""

    trace_id: int
    text: str
    sha256: str
    model: str = ""
    sample_no: int = 0


@dataclass(frozen=True, slots=True)
class ExportRecord:
    """One selected row: the conversation before the traces, the chosen and the rejected one.

    ``prompt`` holds messages in OpenAI's shape (``role``, ``content``), the last one the user's.
    """

    problem_id: int
    problem_sha256: str
    prompt: tuple[Message, ...]
    chosen: Completion
    rejected: Completion | None = None
    source: str = ""
    licence: str = ""
