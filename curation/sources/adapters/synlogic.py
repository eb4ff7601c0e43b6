"""SynLogic: logic tasks in verl's layout, the puzzle as JSON text in ``extra_info.game_data_str``.

The problem is what a model was asked: the last turn of ``prompt``. ``reward_model.solution`` is
empty in the published files; the reference is the puzzle's own answer. Its 35 rule verifiers are
not part of this program: an answer that is written differently, or another valid solution, is not
recognised by the kind ``exact`` that these problems get.
"""

from __future__ import annotations

from typing import Any

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.conversations import conversation
from curation.sources.convert import reference_text
from curation.sources.records import BadRow, ProblemRecord, ReadRow, Row, TraceRecord
from curation.sources.strictjson import parse


def score(sample: Sample) -> float:
    told = [isinstance(_extra(row).get("game_data_str"), str) for row in sample.rows]
    return 0.95 if sample.every("prompt", "data_source") and all(told) else 0.0


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    turns = conversation(row.data.get("prompt"))
    if not turns or turns[-1]["role"] != "user" or not turns[-1]["content"].strip():
        raise BadRow("no_problem", "the prompt has no last turn of a user")
    game = _game(row.data)
    return [
        ProblemRecord(
            str(turns[-1]["content"]),
            kind="exact",
            reference_answer=_reference(row.data, game),
            metadata=_metadata(row.data, game),
            traces=_answered(game, turns),
        )
    ]


def _extra(data: Row) -> Row:
    extra = data.get("extra_info")
    return extra if isinstance(extra, dict) else {}


def _game(data: Row) -> Row:
    """The puzzle; BadRow where its text is no JSON object."""
    text = _extra(data).get("game_data_str")
    if not isinstance(text, str):
        raise BadRow("no_game", "extra_info.game_data_str is missing")
    game = parse(text.encode("utf-8", "surrogatepass"))
    if not isinstance(game, dict):
        raise BadRow("not_an_object", "extra_info.game_data_str is no JSON object")
    return game


def _reference(data: Row, game: Row) -> str | None:
    """The puzzle's answer, else the one that the reward model was given."""
    given = data.get("reward_model")
    told = given if isinstance(given, dict) else {}
    found = (game.get("answer"), told.get("answer"), told.get("ground_truth"))
    return next((text for text in map(reference_text, found) if text), None)


def _metadata(data: Row, game: Row) -> Row:
    """Task, index, difficulty and what the generator noted of the puzzle."""
    found: dict[str, Any] = {
        "task": data.get("data_source"),
        "category": data.get("ability"),
        "index": _extra(data).get("index"),
        "difficulty": game.get("difficulty"),
        "game": game.get("metadata"),
        "game_question": game.get("question"),
    }
    return {name: value for name, value in found.items() if value not in (None, "", {}, [])}


def _answered(game: Row, turns: list[Row]) -> tuple[TraceRecord, ...]:
    """The response that some puzzles carry; whose it is the format does not say."""
    text = game.get("gpt_response")
    if not isinstance(text, str) or not text.strip():
        return ()
    return (TraceRecord(text, messages=turns),)


ADAPTER = Adapter("synlogic", "SynLogic: logic tasks with their puzzles", score, convert)
