"""SynLogic: what its rows become, and what is wrong with a row is said."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from curation.sources.adapters.synlogic import ADAPTER
from curation.sources.plan import files, open_input
from curation.sources.records import BadRow, ProblemRecord, ReadRow
from tests.curation.sources_rows import ROWS


def row(**game: Any) -> dict[str, Any]:
    """The made row with another puzzle inside."""
    made = copy.deepcopy(ROWS["synlogic"])
    inside = json.loads(made["extra_info"]["game_data_str"]) | game
    made["extra_info"]["game_data_str"] = json.dumps(inside)
    return made


def convert(data: dict[str, Any]) -> ProblemRecord:
    (record,) = ADAPTER.convert(ReadRow(1, 0, data, b""), "train.parquet")
    return record


def test_a_row_is_its_prompt_with_the_puzzles_answer() -> None:
    found = convert(row())
    assert found.text == "A, C, E: what is next? Answer in [[ ]]."
    assert (found.kind, found.reference_answer, found.traces) == ("exact", "G", ())
    assert found.metadata == {
        "task": "val/next_letter", "category": "logic", "index": 7, "difficulty": 2,
        "game": {"step": 2}, "game_question": "A, C, E",
    }  # fmt: skip


def test_a_response_that_came_with_the_puzzle_is_a_trace() -> None:
    (trace,) = convert(row(gpt_response="<think>by two</think>[[G]]")).traces
    assert trace.text == "<think>by two</think>[[G]]"
    assert [turn["role"] for turn in trace.messages] == ["system", "user"]


@pytest.mark.parametrize(
    ("answer", "given", "reference"),
    [
        (["4"], "", "4"),
        ([[1, 2]], "", "[1, 2]"),
        (12, "", "12"),
        ("", "from the reward model", "from the reward model"),
        (None, "", None),
    ],
)
def test_the_reference_is_the_puzzles_answer_as_written(
    answer: Any, given: str, reference: str | None
) -> None:
    data = row(answer=answer)
    data["reward_model"]["answer"] = given
    assert convert(data).reference_answer == reference


@pytest.mark.parametrize(
    ("game", "reason"),
    [
        ("{not json", "invalid_json"),
        ("[1]", "not_an_object"),
        ('{"answer": NaN}', "not_a_number"),
        ('{"answer": "\\u0000"}', "nul_character"),
        ("[" * 100, "too_deep"),
        (None, "no_game"),
    ],
)
def test_a_broken_puzzle_refuses_its_row_with_the_reason(game: Any, reason: str) -> None:
    data = row()
    data["extra_info"]["game_data_str"] = game
    with pytest.raises(BadRow, match=reason):
        convert(data)


def test_a_prompt_that_does_not_end_with_a_user_is_refused() -> None:
    data = row()
    for prompt in ([], [{"role": "system", "content": "x"}], [{"role": "user", "content": " "}]):
        with pytest.raises(BadRow, match="no_problem"):
            convert(data | {"prompt": prompt})


def test_a_parquet_file_is_known_by_itself(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([row(), row(answer="H")]), tmp_path / "train.parquet")
    (file,) = files(tmp_path)
    found = open_input(file)
    assert found.adapter.name == "synlogic"
    assert [item.problems[0].reference_answer for item in found.rows()] == ["G", "H"]
