"""Guess the mapping of a table from its column names and a few rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from statistics import median
from typing import Any

from curation.sources.conversations import looks_like_conversation
from curation.sources.mapping import Column, Mapping, value_at
from curation.sources.records import Row

_TAGS = re.compile(r"<think>|</think>|<\|begin_of_thought\|>|<\|channel\|?>|<answer>")
_LONG = 300  # a text this long under an ambiguous name is a completion, not a final answer

# Names of each role, best first, as they look without case and punctuation.
NAMES: dict[str, tuple[str, ...]] = {
    "messages": ("messages", "conversations", "conversation", "chat", "dialogue", "turns"),
    "problem": ("problem", "question", "query", "prompt", "instruction", "task", "input"),
    "reasoning": (
        "reasoningcontent",
        "reasoning",
        "thinking",
        "thinkcontent",
        "deepseekreasoning",
        "thinkingtrajectories",
        "thinkingtrajectory",
        "deepseekthinkingtrajectory",
        "geminithinkingtrajectory",
        "cot",
        "thought",
        "thoughts",
        "rationale",
    ),
    "response": (
        "generations",
        "completions",
        "responses",
        "outputs",
        "samples",
        "generation",
        "completion",
        "response",
        "modeloutput",
        "modelresponse",
        "fullcot",
        "output",
        "code",
        "deepseeksolution",
        "answercontent",
        "deepseekattempt",
        "geminiattempt",
        "attempt",
        "trace",
    ),
    "reference_answer": (
        "referenceanswer",
        "gt",
        "gtanswer",
        "groundtruth",
        "groundtruthanswer",
        "expectedanswer",
        "expectedoutput",
        "goldanswer",
        "gold",
        "finalanswer",
        "correctanswer",
        "target",
        "reference",
        "answer",
        "label",
    ),
    "reference_solution": (
        "referencesolution",
        "groundtruthsolution",
        "gtsolution",
        "goldsolution",
        "canonicalsolution",
        "solution",
        "gtcot",
        "explanation",
    ),
    "chosen": ("chosen",),
    "rejected": ("rejected",),
    "system": ("system", "systemprompt"),
    "model": ("model", "modelname", "generator", "teacher", "sourcemodel"),
    "finish_reason": ("finishreasons", "finishreason"),
    "choices": ("choices", "options"),
    "tests": ("tests", "testcases", "testcase", "test"),
}
_UPSTREAM = re.compile(
    r"score|pred|correct|verif|judge|passrate|reward|rating|issolved|reasoningcomplete|report"
)


def detect(rows: list[Row]) -> Mapping:
    """The mapping that fits a few rows; roles that no column fits are left out."""
    return _Detection(rows).mapping()


class _Detection:
    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.names = _names(rows)
        self.found: list[Column] = []

    def mapping(self) -> Mapping:
        self._take("messages", looks_like_conversation)
        self._take("chosen", _text_or_turns)
        self._take("rejected", _text_or_turns)
        self._take("problem", _text_or_turns)
        self._second_problem()
        self._take("reasoning", _texts)
        self._take("response", _texts_or_turns)
        self._ambiguous()
        self._take("reference_answer", _scalar)
        self._take("reference_solution", _text)
        for role in ("system", "model"):
            self._take(role, _text)
        self._take("finish_reason", _texts)
        self._take("choices", lambda value: isinstance(value, (list, dict)))
        self._take("tests", bool)
        self._upstream()
        self._repeated_messages()
        return Mapping(tuple(self.found))

    def _take(self, role: str, fits: Callable[[Any], bool]) -> None:
        for name in NAMES[role]:
            column = self.names.get(name)
            if column is None or self._is_taken(column):
                continue
            values = self._values(column)
            if values and all(map(fits, values)):
                self.found.append(Column(role, column, f"the name says so; {_shape(values[0])}"))
                return

    def _values(self, column: str) -> list[Any]:
        values = (value_at(row, column) for row in self.rows)
        return [value for value in values if value is not None and value != ""]

    def _is_taken(self, column: str) -> bool:
        return any(found.column == column for found in self.found)

    def _has(self, role: str) -> bool:
        return any(found.role == role for found in self.found)

    def _second_problem(self) -> None:
        """``instruction`` with ``input``: the input is part of the question."""
        first = next((found.column for found in self.found if found.role == "problem"), "")
        second = self.names.get("input")
        if _plain(first) == "instruction" and second and all(map(_text, self._values(second))):
            self.found.append(Column("problem", second, "the input of the instruction"))

    def _ambiguous(self) -> None:
        """``answer`` and ``solution`` are the completion where they look like one."""
        if self._has("response") or self._has("messages"):
            return
        for name in ("answer", "solution"):
            column = self.names.get(name)
            values = self._values(column) if column else []
            if column and not self._is_taken(column) and all(map(_text, values)) and values:
                why = self._why_completion(values)
                if why:
                    self.found.append(Column("response", column, why))
                    return

    def _why_completion(self, values: list[str]) -> str:
        if any(_TAGS.search(value) for value in values):
            return "it holds reasoning tags"
        if self._has("reasoning"):
            return "it stands beside a reasoning column"
        others = [n for n in NAMES["reference_answer"] if n != "answer" and n in self.names]
        if others and median(map(len, values)) >= _LONG:
            return f"it is long, and {self.names[others[0]]} holds the reference"
        return ""

    def _upstream(self) -> None:
        for name, column in self.names.items():
            if "." not in column and not self._is_taken(column) and _UPSTREAM.search(name):
                self.found.append(Column("upstream", column, "a judgement of the source"))

    def _repeated_messages(self) -> None:
        """A table with responses and messages holds one of the responses twice."""
        if self._has("response") and self._has("messages") and self._has("problem"):
            why = "repeats a response"
            self.found = [
                Column("ignore", found.column, why) if found.role == "messages" else found
                for found in self.found
            ]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _names(rows: list[Row]) -> dict[str, str]:
    """Plain name -> column, top-level columns first, then those one level down."""
    names: dict[str, str] = {}
    for row in rows:
        for column in row:
            names.setdefault(_plain(column), column)
    for row in rows:
        for column, value in row.items():
            for inner in value if isinstance(value, dict) else ():
                names.setdefault(_plain(inner), f"{column}.{inner}")
    return names


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _scalar(value: Any) -> bool:
    single = value[0] if isinstance(value, list) and len(value) == 1 else value
    return isinstance(single, (str, int, float))


def _texts(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(item is None or isinstance(item, str) for item in value)
    return isinstance(value, str)


def _text_or_turns(value: Any) -> bool:
    return isinstance(value, str) or looks_like_conversation(value)


def _texts_or_turns(value: Any) -> bool:
    return _texts(value) or looks_like_conversation(value)


def _shape(value: Any) -> str:
    if looks_like_conversation(value):
        return "a conversation"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, str) and (tag := _TAGS.search(value)):
        return f"text with {tag[0]}"
    return "text" if isinstance(value, str) else type(value).__name__
