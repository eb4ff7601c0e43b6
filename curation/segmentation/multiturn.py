"""MinD's multi-turn form of a trace: (unit, answer), (unit, answer), …

A unit is a turn of the trace (``turns.find_turns``), word for word; behind each stands the answer
it arrives at, the last one being the trace's own answer part. What could be read of the paper says
no more than that students are trained on turns (unit, answer), that answers of prefixes are
completed by a model, and that units behind the first correct one are waste. The tags, the sentence
of an intermediate answer and which turns are kept are parameters here (``TurnForm``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from curation.segmentation import kinds
from curation.segmentation.analysis import Analysis
from curation.segmentation.cutting import is_right
from curation.segmentation.joins import Derived, Problem, check_derived, imbalance
from curation.segmentation.turns import Turn, find_turns, find_waste, reasoning_leaves
from curation.segmentation.types import Cut, Equal

ALL, FIRST_CORRECT = "all", "first-correct"
ANSWER = "The answer is \\boxed{{answer}}."
SLOT = "{answer}"
TURNS = "turns"
_MONEY = re.compile(r"(?<!\\)\$")  # "$50" is money; alone it would open a formula


class NotDerived(ValueError):
    """A trace of which this form cannot be made; ``code`` says why in one word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class TurnForm:
    """What the paper leaves open.

    ``upto``: ``all`` turns, or those up to the ``first-correct`` one. ``answer``: the sentence
    behind a unit, with the place ``{answer}`` for the value.
    """

    upto: str = ALL
    answer: str = ANSWER

    def __post_init__(self) -> None:
        if self.upto not in (ALL, FIRST_CORRECT):
            raise ValueError(f"upto must be {ALL} or {FIRST_CORRECT}")
        if self.answer.count(SLOT) != 1 or len(self.answer) > 200:
            raise ValueError(f"answer must hold {SLOT} once, and 200 characters at most")


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags around a unit and around its answer (empty where the style has none)."""

    open: str
    close: str
    answer_open: str = ""
    answer_close: str = ""


@dataclass(frozen=True, slots=True)
class MultiTurn:
    """A derived text with its turns and what was dropped behind them; ``answers`` per turn."""

    derived: Derived
    tags: Tags
    turns: tuple[Turn, ...]
    answers: tuple[str, ...]
    cuts: tuple[Cut, ...]


_TAGS = {
    "begin_of_thought": Tags(
        "<|begin_of_thought|>",
        "<|end_of_thought|>",
        "<|begin_of_solution|>",
        "<|end_of_solution|>",
    ),
    "channel": Tags("<|channel>thought", "<channel|>"),
}


def multi_turn(
    analysis: Analysis, form: TurnForm | None = None, answers: Mapping[int, str] | None = None
) -> MultiTurn:
    """The multi-turn form of a right and complete trace.

    ``answers`` (end of a turn -> value) takes the place of what turns state themselves: what a
    model completes from there. Raises NotDerived: ``not_right``, ``no_tags`` (no pair of tags is
    known for the style), ``several_blocks`` (tags inside the reasoning), ``one_turn``,
    ``no_first_correct``.
    """
    form = form or TurnForm()
    if not is_right(analysis):
        raise NotDerived("not_right")
    tags = _tags_of(analysis)
    stated = answers or {}
    kept, cuts = _kept(analysis, units(find_turns(analysis), stated), form)
    if len(kept) < 2:
        raise NotDerived("one_turn")
    values = [stated.get(turn.end) or turn.answer or "" for turn in kept]
    sentences = [form.answer.replace(SLOT, _MONEY.sub(r"\\$", value)) for value in values]
    derived = _written(analysis, tags, kept, sentences)
    return MultiTurn(derived, tags, tuple(kept), tuple(values), tuple(cuts))


def _tags_of(analysis: Analysis) -> Tags:
    """The tags that the trace itself uses; the opening one may have stood in the prompt."""
    style = analysis.split.style
    low, high = reasoning_leaves(analysis)
    if any(leaf.kind == kinds.TAG for leaf in analysis.segments[low:high]):
        raise NotDerived("several_blocks")
    if style == "think" and high < len(analysis.segments):
        closing = analysis.segments[high]
        name = analysis.text[closing.start : closing.end].strip()
        if name.startswith("</"):
            return Tags(f"<{name[2:]}", name)
    if style not in _TAGS:
        raise NotDerived("no_tags")
    return _TAGS[style]


def units(turns: Sequence[Turn], answers: Mapping[int, str]) -> list[Turn]:
    """Turns that arrive at a value: one that does not is the beginning of the next.

    A value is what the verifier can compare with the reference ("simplified in the form" is none),
    or what ``answers`` has for the turn's end. What follows the last one belongs to it.
    """
    found: list[Turn] = []
    waiting: Turn | None = None
    for turn in turns:
        begun = replace(turn, first=waiting.first, start=waiting.start) if waiting else turn
        valued = turn.matches is not None or turn.end in answers
        found += [begun] if valued else []
        waiting = None if valued else begun
    if waiting and found:
        found[-1] = replace(found[-1], last=waiting.last, end=waiting.end)
    return found


def _kept(analysis: Analysis, turns: list[Turn], form: TurnForm) -> tuple[list[Turn], list[Cut]]:
    """The turns to write, and the cut behind them."""
    if form.upto == ALL:
        return turns, []
    waste = find_waste(analysis, turns)
    if waste is None:
        raise NotDerived("no_first_correct")
    kept, dropped = turns[: waste.turn + 1], turns[waste.turn + 1 :]
    if not dropped:
        return kept, []
    reason = f"{len(dropped)} turns behind the first correct one"
    return kept, [Cut(dropped[0].start, dropped[-1].end, reason, TURNS)]


def _written(
    analysis: Analysis, tags: Tags, turns: Sequence[Turn], sentences: Sequence[str]
) -> Derived:
    """The text: the parent's head and first unit, answer and unit in turn, the parent's end."""
    text, end = analysis.text, reasoning_end(analysis)
    pieces: list[str] = []
    kept: list[tuple[int, int]] = []
    insertions: list[tuple[int, str]] = []
    size = 0
    for number, turn in enumerate(turns):
        put = _between(tags, sentences[number - 1], pieces[-1]) if number else _head(analysis, tags)
        start = turn.start if number else 0
        insertions += [(size, put)] if put else []
        pieces += [put, text[start : turn.end]]
        kept.append((start, turn.end))
        size += len(put) + turn.end - start
    if turns[-1].end == end:
        kept[-1] = (kept[-1][0], len(text))
    else:
        kept.append((end, len(text)))
        insertions += [] if pieces[-1].endswith("\n") else [(size, "\n")]
        pieces += [] if pieces[-1].endswith("\n") else ["\n"]
    pieces.append(text[end:])
    return Derived("".join(pieces), tuple(kept), tuple(insertions))


def reasoning_end(analysis: Analysis) -> int:
    """Where the last leaf of the reasoning ends: the closing tag begins."""
    return analysis.segments[reasoning_leaves(analysis)[1] - 1].end


def _head(analysis: Analysis, tags: Tags) -> str:
    """The opening tag, where the trace has none."""
    first = analysis.segments[0]
    opened = analysis.text[first.start : first.end].strip().lower()
    return "" if opened.endswith(tags.open.lower()) else f"{tags.open}\n"


def _between(tags: Tags, sentence: str, unit: str) -> str:
    gap = "" if unit.endswith("\n") else "\n"
    answer = "\n\n".join(part for part in (tags.answer_open, sentence, tags.answer_close) if part)
    return f"{gap}{tags.close}\n\n{answer}\n\n{tags.open}\n"


def read_turns(text: str, tags: Tags) -> list[tuple[str, str]]:
    """The (unit, answer) pairs of a multi-turn text, white space at their edges left out."""
    pairs = []
    for part in text.split(tags.open)[1:]:
        unit, _, answer = part.partition(tags.close)
        for tag in (tags.answer_open, tags.answer_close):
            answer = answer.replace(tag, "") if tag else answer
        pairs.append((unit.strip(), answer.strip()))
    return pairs


def check_turns(
    parent: str, made: MultiTurn, reference: str | None, equal: Equal | None = None
) -> list[Problem]:
    """What is wrong with a multi-turn text, read back from its characters; [] when it may be used.

    Beside the codes of ``check_derived``: ``lost_text`` (the units are not the kept turns in their
    order), ``no_turn_answer`` (an answer part does not give the turn's value as its final answer),
    ``broken_unit`` (a unit with maths or a fence left open). The place of the first two counts
    turns.
    """
    pairs = read_turns(made.derived.text, made.tags)
    units = [parent[turn.start : turn.end].strip() for turn in made.turns]
    found = [
        Problem("lost_text", number)
        for number in range(max(len(pairs), len(units)))
        if [unit for unit, _ in pairs[number : number + 1]] != units[number : number + 1]
    ]
    for number, (unit, answer) in enumerate(pairs[: len(units)]):
        if imbalance(unit) and not imbalance(parent):
            found.append(Problem("broken_unit", number))
        wanted = made.answers[number] if number + 1 < len(units) else reference
        if wanted is not None and not _gives(answer, wanted, equal):
            found.append(Problem("no_turn_answer", number))
    return found + check_derived(parent, made.derived, reference, equal)


def _gives(answer: str, wanted: str, equal: Equal | None) -> bool:
    from curation.verifiers.extraction import extract_answer
    from curation.verifiers.math import quick_equal

    said = extract_answer(answer).answer
    return said is not None and (said == wanted or bool((equal or quick_equal)(said, wanted)))
