"""Conversations in their many shapes, made one: ``[{"role", "content", ...}]``."""

from __future__ import annotations

import json
from typing import Any

from curation.sources.records import BadRow, Row
from curation.sources.strictjson import parse

ROLES = {
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "ipython": "tool",
}
# Fields under which a turn keeps its reasoning apart from its content.
REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking", "think_content")
_KEPT_FIELDS = ("name", "tool_calls", "tool_call_id", "function_call", *REASONING_FIELDS)


def compose(reasoning: str, answer: str) -> str:
    """One completion of reasoning and answer that came in separate fields."""
    return f"<think>\n{reasoning}\n</think>\n\n{answer}"


def looks_like_conversation(value: Any) -> bool:
    """Whether the value is a list of turns, or JSON text of one."""
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        try:
            value = parse(value.encode("utf-8", "surrogatepass"))
        except BadRow:
            return False
    return (
        isinstance(value, list)
        and bool(value)
        and isinstance(value[0], dict)
        and bool({"role", "from"} & set(value[0]))
        and bool({"content", "value"} & set(value[0]))
    )


def conversation(value: Any) -> list[Row]:
    """The turns under one vocabulary; BadRow for a role or content that is not known."""
    if isinstance(value, str):
        value = parse(value.encode("utf-8", "surrogatepass"))
    if not isinstance(value, list):
        raise BadRow("wrong_type", "a conversation must be a list of turns")
    return [_turn(item) for item in value]


def _turn(item: Any) -> Row:
    if not isinstance(item, dict):
        raise BadRow("wrong_type", "a turn must be an object")
    given = item.get("role", item.get("from"))
    role = ROLES.get(str(given).lower())
    if role is None:
        raise BadRow("unknown_role", f"{str(given)[:50]!r} speaks in the conversation")
    turn: Row = {"role": role, "content": _content(item.get("content", item.get("value")))}
    return turn | {name: item[name] for name in _KEPT_FIELDS if item.get(name)}


def _content(value: Any) -> str:
    """The text of a turn; parts of text are joined, other parts refused."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(
        isinstance(part, dict) and part.get("type", "text") == "text" for part in value
    ):
        return "".join(str(part.get("text", "")) for part in value)
    raise BadRow("not_text", "a turn holds something other than text")


def completion(turn: Row) -> tuple[str, bool]:
    """The whole text of an assistant's turn, and whether it was composed of two fields."""
    content = str(turn["content"])
    for name in REASONING_FIELDS:
        reasoning = turn.get(name)
        if isinstance(reasoning, str) and reasoning.strip() and reasoning not in content:
            return compose(reasoning, content), True
    return content, False


def split_last(turns: list[Row]) -> tuple[list[Row], Row | None]:
    """What stood before the last assistant turn, and that turn if it ends the conversation."""
    if turns and turns[-1]["role"] == "assistant":
        return turns[:-1], turns[-1]
    return turns, None


def question_of(before: list[Row]) -> tuple[str, bool]:
    """The problem a conversation poses: its one user turn, or all turns written out.

    The second value tells whether it was composed. System turns are not part of the problem.
    """
    asked = [turn for turn in before if turn["role"] == "user"]
    spoken = [turn for turn in before if turn["role"] != "system"]
    if len(spoken) == 1 and asked:
        return str(asked[0]["content"]), False
    if not asked:
        return "", False
    said = (f"{str(turn['role']).capitalize()}: {_said(turn)}" for turn in spoken)
    return "\n\n".join(said), True


def _said(turn: Row) -> str:
    calls = turn.get("tool_calls") or turn.get("function_call")
    return str(turn["content"]) or json.dumps(calls, ensure_ascii=False)
