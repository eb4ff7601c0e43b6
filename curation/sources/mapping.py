"""Which column plays which role: shown to people, kept as JSON, given by hand where needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from curation.sources.records import Row

# What each role means, for the page that shows a mapping and for error messages.
ROLES: dict[str, str] = {
    "problem": "the question; several columns are joined by a blank line",
    "reference_answer": "what a correct response must end in",
    "reference_solution": "a worked solution",
    "response": "the completion, or a list of them",
    "reasoning": "the reasoning where it stands apart from the response",
    "messages": "a conversation whose last assistant turn is the completion",
    "chosen": "the preferred completion of a pair",
    "rejected": "the other completion of a pair",
    "system": "the system prompt before the question",
    "model": "who wrote the response",
    "finish_reason": "why the response ended",
    "choices": "the options of a multiple-choice question",
    "tests": "tests of a programming problem",
    "kind": "the name of the verifier to use",
    "upstream": "what the source says about the response; kept as evidence",
    "ignore": "not taken",
}
CONSTANTS = ("kind", "model", "category", "language")


@dataclass(frozen=True, slots=True)
class Column:
    """One column in its role, and why it has it."""

    role: str
    column: str
    why: str = "given"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Columns in their roles; ``constants`` hold for every row. The rest becomes metadata.

    A column is a key of the row, or a path into it with dots (``reward_model.ground_truth``).
    """

    columns: tuple[Column, ...]
    constants: Row = field(default_factory=dict)

    def of(self, role: str) -> list[str]:
        return [column.column for column in self.columns if column.role == role]

    def has(self, *roles: str) -> bool:
        return any(column.role in roles for column in self.columns)

    def taken(self) -> set[str]:
        """Top-level keys that play a role and so are not metadata."""
        return {column.column.partition(".")[0] for column in self.columns} | {
            column.column for column in self.columns
        }

    def as_json(self) -> Row:
        columns = [{"role": c.role, "column": c.column, "why": c.why} for c in self.columns]
        return {"columns": columns, "constants": dict(self.constants)}


def mapping_from(given: Any) -> Mapping:
    """A mapping from JSON: ``{"columns": [...], "constants"}`` or ``{role: column or columns}``.

    ValueError for an unknown role or shape.
    """
    if not isinstance(given, dict) or not given:
        raise ValueError("a mapping is an object from role to column")
    if isinstance(given.get("columns"), list):
        columns = tuple(_column(item) for item in given["columns"])
        return Mapping(_checked(columns), _constants(given.get("constants") or {}))
    constants = given.get("constants") or {}
    roles = {role: names for role, names in given.items() if role != "constants"}
    pairs = [(role, name) for role, names in roles.items() for name in _names(names)]
    return Mapping(_checked(Column(role, name) for role, name in pairs), _constants(constants))


def _column(item: Any) -> Column:
    if not isinstance(item, dict) or not {"role", "column"} <= set(item):
        raise ValueError("each column of a mapping needs a role and a column")
    return Column(str(item["role"]), str(item["column"]), str(item.get("why", "given")))


def _names(value: Any) -> list[str]:
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError("a role is given a column's name, or a list of names")
    return names


def _checked(columns: Iterable[Column]) -> tuple[Column, ...]:
    result = tuple(columns)
    for column in result:
        if column.role not in ROLES:
            raise ValueError(f"no role is called {column.role!r}; known: {', '.join(ROLES)}")
    if not any(column.role in ("problem", "messages") for column in result):
        raise ValueError("a mapping must name the problem or the messages")
    return result


def _constants(given: Any) -> Row:
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise ValueError("constants are texts by name")
    if unknown := set(given) - set(CONSTANTS):
        raise ValueError(f"unknown constants {sorted(unknown)}; known: {', '.join(CONSTANTS)}")
    return dict(given)


def value_at(row: Row, column: str) -> Any:
    """The value of a column or of a path with dots; None when it is not there."""
    if column in row:
        return row[column]
    head, dot, rest = column.partition(".")
    inner = row.get(head)
    return value_at(inner, rest) if dot and isinstance(inner, dict) else None
