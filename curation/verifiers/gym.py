"""reasoning-gym's generators and scorers. Runs in killable children only (``puzzlepool``,
``puzzlemaker``): a scorer may loop, and several of the library's scorers would run an answer as
Python. Here they cannot: ``guard_scorers`` puts a reader of literals in the place of ``eval`` and
a reader of plain formulas in the place of SymPy's parser.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from .arithmetic import exact_value, literal

NAME = re.compile(r"[a-z0-9_]{1,64}")
MAX_CONFIG = 20_000  # characters of JSON
MAX_INDEX = 10_000_000
# Modules of the library whose scorers evaluate text.
EVAL_MODULES = (
    "algorithmic.string_insertion", "algorithmic.spiral_matrix", "algorithmic.number_sorting",
    "algorithmic.binary_matrix", "games.n_queens", "arithmetic.bitwise_arithmetic",
)  # fmt: skip
PARSE_MODULES = ("games.puzzle24", "games.countdown")
# Their metadata holds tuples, which JSON turns into lists.
TUPLES = frozenset({"arc_agi", "rearc"})
# Needs a configuration of other data sets: not a generator by itself.
EXCLUDED = frozenset({"composite"})
# Knobs that are files or folders.
FILE_KNOB = re.compile(r"(?:^|_)(?:files?|filename|paths?|dirs?|directory|folder|yaml|url)$", re.I)

_FORMULA = re.compile(r"[0-9A-Za-z_+\-*/^().,=\s]{1,2000}")
_WORDS = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_FUNCTIONS = frozenset({
    "sin", "cos", "tan", "sec", "csc", "cot", "asin", "acos", "atan", "sinh", "cosh", "tanh",
    "exp", "log", "ln", "sqrt", "Abs", "pi",
})  # fmt: skip


class BadPuzzle(ValueError):
    """The stored puzzle is none that the library can make or judge."""


def names() -> list[str]:
    """The generators, by name."""
    from reasoning_gym.factory import DATASETS

    return sorted(set(DATASETS) - EXCLUDED)


def knobs(name: str) -> dict[str, Any]:
    """Knob -> default value of a generator's configuration (seed and size left out)."""
    from reasoning_gym.factory import DATASETS

    _known(name)
    fields = inspect.signature(DATASETS[name][1]).parameters.values()
    found = {f.name: f.default for f in fields if f.name not in ("seed", "size")}
    return {key: value for key, value in found.items() if _is_json(value)}


def levels(name: str) -> list[dict[str, Any]]:
    """The library's own curriculum: knob settings from easy to hard; [] where it has none."""
    from reasoning_gym.factory import create_curriculum, has_curriculum

    _known(name)
    if not has_curriculum(name):
        return []
    steps: list[dict[str, Any]] = []
    for level in range(_highest(create_curriculum(name)) + 1):
        curriculum = create_curriculum(name)
        for attribute, limit in _limits(curriculum).items():
            curriculum.set_attr_level(attribute, min(level, limit))
        try:
            config = vars(curriculum.generate_configuration({"size": 1, "seed": 0}))
        except (ValueError, AssertionError, TypeError, IndexError):
            break  # the library's own levels of this generator do not fit each other
        step = {k: v for k, v in config.items() if k not in ("seed", "size") and _is_json(v)}
        if step not in steps:
            steps.append(step)
    return steps


def _limits(curriculum: Any) -> dict[str, int]:
    return {name: len(item.levels) - 1 for name, item in curriculum.attributes.items()}


def _highest(curriculum: Any) -> int:
    return max(_limits(curriculum).values(), default=0)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _known(name: Any) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name) or name not in names():
        raise BadPuzzle("no such generator")


def make(name: str, config: dict[str, Any], seed: int, indices: list[int]) -> list[dict[str, Any]]:
    """Puzzles as JSON-able ``{"question", "answer", "metadata", "index"}``; BadPuzzle on a knob."""
    dataset = _dataset(name, _canonical(config | {"seed": seed, "size": max(indices) + 1}))
    made = []
    for index in indices:
        entry = dataset[index]
        made.append({
            "index": index,
            "question": entry["question"],
            "answer": entry["answer"],
            "metadata": _plain(entry["metadata"]),
        })  # fmt: skip
    return made


def _plain(value: Any) -> Any:
    """Metadata as JSON can hold it; what it cannot is left out, for scorers do not read it."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items() if _plain(v) is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    return value if value is None or isinstance(value, str | int | float | bool) else None


def _canonical(config: Any) -> str:
    text = json.dumps(config, sort_keys=True) if isinstance(config, dict) else ""
    if not text or len(text) > MAX_CONFIG:
        raise BadPuzzle("the configuration is no small object")
    return text


def _own_files_only(name: str, config: dict[str, Any]) -> None:
    """BadPuzzle for a knob that names a file of ours: the library joins it to its own folder,
    where an absolute path leads anywhere. Configurations come with rows, too."""
    defaults = knobs(name)
    for knob, value in config.items():
        named = FILE_KNOB.search(knob) and not isinstance(value, int | float)
        if named and value != defaults.get(knob):
            raise BadPuzzle(f"the knob {knob} stays as the library has it")


@lru_cache(maxsize=64)
def _dataset(name: str, config: str) -> Any:
    import reasoning_gym

    _known(name)
    given = json.loads(config)
    _own_files_only(name, given)
    try:
        return reasoning_gym.create_dataset(name, **given)
    except (TypeError, ValueError, AssertionError) as problem:
        raise BadPuzzle(f"the configuration is refused: {str(problem)[:200]}") from None


def entry_of(puzzle: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The data set and the entry of a stored puzzle: ``dataset`` and ``config``, with either an
    ``entry`` (``question``, ``answer``, ``metadata``) or an ``index`` to make it again from."""
    name, entry, index = puzzle.get("dataset"), puzzle.get("entry"), puzzle.get("index")
    _known(name)
    assert isinstance(name, str)
    config = puzzle.get("config") or {}
    if isinstance(entry, dict):
        if not isinstance(entry.get("metadata"), dict):
            raise BadPuzzle("the entry has no metadata")
        metadata = _tuples(entry["metadata"]) if name in TUPLES else entry["metadata"]
        whole = {"question": entry.get("question", ""), "answer": entry.get("answer")}
        return _dataset(name, _canonical(config)), whole | {"metadata": metadata}
    if type(index) is not int or not 0 <= index <= MAX_INDEX or "seed" not in config:
        raise BadPuzzle("a puzzle needs its entry, or an index and a configuration with a seed")
    return _made(name, _canonical(config), index)


@lru_cache(maxsize=512)
def _made(name: str, config: str, index: int) -> tuple[Any, dict[str, Any]]:
    dataset = _dataset(name, config)
    return dataset, dataset[index]


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def score(puzzle: dict[str, Any], answer: str, reference: str | None) -> dict[str, Any]:
    """Score an answer: ``{"outcome", "score", "detail"}``, made to cross a process border.

    Outcomes: ``scored``; ``bad_puzzle`` (cannot be made, or its answer is not the reference);
    ``unparsed`` (the scorer raised on this answer, and does not on the gold one);
    ``scorer_failed`` (it raises on the gold one too, or there is none).
    """
    try:
        dataset, entry = entry_of(puzzle)
    except BadPuzzle as problem:
        return _outcome("bad_puzzle", problem=str(problem))
    gold = entry["answer"]
    if reference is not None and gold is not None and reference.strip() != str(gold).strip():
        return _outcome("bad_puzzle", problem="the puzzle's answer is not the reference")
    try:
        value = min(1.0, max(0.0, float(dataset.score_answer(answer, entry))))
    except Exception as problem:
        return _outcome(_blame(dataset, entry), error=type(problem).__name__)
    veto = GUARDS.get(puzzle["dataset"])
    if value == 1.0 and veto is not None and (why := veto(answer, entry)):
        return _outcome("scored", 0.0, guard=why, library_score=1.0)
    return _outcome("scored", value)


def _outcome(name: str, value: float | None = None, **detail: Any) -> dict[str, Any]:
    return {"outcome": name, "score": value, "detail": detail}


def _blame(dataset: Any, entry: dict[str, Any]) -> str:
    """Whose fault an exception is: the answer's, if the gold answer can be scored."""
    try:
        whole = entry["answer"] is not None and dataset.score_answer(entry["answer"], entry) == 1.0
    except Exception:
        whole = False
    return "unparsed" if whole else "scorer_failed"


def _exact_target(target: str | None) -> Callable[[str, dict[str, Any]], str]:
    """A veto for formulas: the given numbers, each once, four operations, exactly the target."""

    def check(answer: str, entry: dict[str, Any]) -> str:
        metadata = entry["metadata"]
        try:
            value, used = exact_value(answer)
        except ValueError as problem:
            return str(problem)
        if sorted(used) != sorted(metadata["numbers"]):
            return "other numbers than the given ones"
        wanted = Fraction(24) if target is None else Fraction(metadata[target])
        return "" if value == wanted else "not exactly the target"

    return check


def _same_word(answer: str, entry: dict[str, Any]) -> str:
    """The library compares truth values of texts: every text that is not empty is true there."""
    same = answer.strip(" .").casefold() == str(entry["answer"]).strip().casefold()
    return "" if same else "another word than the answer"


def _same_numbers(answer: str, entry: dict[str, Any]) -> str:
    """The library allows each number of a sorted list to be off by a little."""
    try:
        found, wanted = (_decimals(text) for text in (answer, str(entry["answer"])))
    except (ValueError, TypeError, ArithmeticError):
        return "not a list of numbers"
    return "" if found == wanted else "other numbers than the given ones"


def _decimals(text: str) -> list[Decimal]:
    given = literal(text)
    if not isinstance(given, list):
        raise TypeError("not a list")
    return [Decimal(str(item)) for item in given]


# Scorers of the library that give 1.0 for too much, and what is checked on top of them.
GUARDS: dict[str, Callable[[str, dict[str, Any]], str]] = {
    "puzzle24": _exact_target(None),  # any four numbers in range pass there, and 24.9 is cut to 24
    "countdown": _exact_target("target"),
    "game_of_life_halting": _same_word,
    "number_sorting": _same_numbers,
}


def guard_scorers() -> None:
    """Take ``eval`` and the evaluating parser away from the library, in this process for good."""
    import sympy
    from sympy.parsing.sympy_parser import parse_expr

    def plain(text: str, *args: Any, **named: Any) -> Any:
        check_formula(text)
        return parse_expr(text, *args, **named)

    for path in EVAL_MODULES:
        vars(importlib.import_module(f"reasoning_gym.{path}"))["eval"] = literal
    for path in PARSE_MODULES:
        vars(importlib.import_module(f"reasoning_gym.{path}"))["parse_expr"] = plain
    vars(sympy)["parse_expr"] = plain


def check_formula(text: str) -> None:
    """ValueError unless a text is a formula of numbers, one-letter names and known functions.

    SymPy's parser ends in ``eval`` with all of SymPy in reach: attributes, strings, brackets and
    every other name must not get there.
    """
    if not _FORMULA.fullmatch(text) or re.search(r"\.\s*[A-Za-z_]|__|\*\*\s*\*", text):
        raise ValueError("not a plain formula")
    for word in _WORDS.findall(text):
        if len(word) > 1 and word not in _FUNCTIONS:
            raise ValueError(f"{word[:20]!r} is no name in a formula")


def selftest(name: str, seed: int = 7, size: int = 6) -> dict[str, Any]:
    """Does the gold pass and a changed gold fail? ``{"made", "gold", "foreign", "changed"}``.

    ``made``: puzzles; ``gold``: of those with an answer, how many the scorer gives 1.0; ``foreign``
    and ``changed``: answers tried that are wrong, as [refused, tried]. A foreign answer is another
    puzzle's, a changed one differs in one digit or letter. An answer that happens to be right too
    (puzzles have several solutions) counts as not refused: the numbers are evidence, not proof.
    """
    entries = make(name, {}, seed, list(range(size)))
    golds = [e["answer"] for e in entries if e["answer"] is not None]
    wrong: dict[str, list[int]] = {"foreign": [0, 0], "changed": [0, 0]}
    passed = 0
    for entry in entries:
        if (gold := entry["answer"]) is None:
            continue
        puzzle = {"dataset": name, "config": {"seed": seed, "size": size}, "entry": entry}
        passed += score(puzzle, gold, None)["score"] == 1.0
        other = next((g for g in golds if g.strip().lower() != gold.strip().lower()), None)
        for kind, answer in (("foreign", other), ("changed", _changed(gold))):
            if answer is not None:
                wrong[kind][1] += 1
                wrong[kind][0] += score(puzzle, answer, None)["score"] != 1.0
    return {"made": len(entries), "with_gold": len(golds), "gold": passed, **wrong}


def _changed(gold: str) -> str | None:
    """The answer with its last digit, else its last letter, replaced by another one."""
    for pattern in (r"\d(?=\D*$)", r"[A-Za-z](?=[^A-Za-z]*$)"):
        found = re.search(pattern, gold)
        if found:
            old = found.group()
            new = str((int(old) + 1) % 10) if old.isdigit() else ("q" if old != "q" else "z")
            return gold[: found.start()] + new + gold[found.end() :]
    return None
