"""The form of a completion, whatever it answers: tags, answer, languages, repetition, loops.

The verdict is about form alone and is a family of its own: ``correct`` means well-formed. No
policy counts it as evidence that an answer is right; recipes may use it as a filter.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from .base import Verdict

# DeepDistill drops responses in which a string of 20 tokens comes back more than 20 times.
NGRAM, MAX_NGRAM_TIMES = 20, 20
# Share of the letters that may belong to other scripts than the text's main one.
MAX_FOREIGN_SHARE = 0.05
MIN_LETTERS = 40  # fewer letters say nothing about a language
# Letters of formulas: they belong to no language of the text.
_NEUTRAL = frozenset({"GREEK", "MATHEMATICAL", "DOUBLE-STRUCK", "SCRIPT", "PLANCK", "MODIFIER"})
# Scripts that one language mixes by nature.
_SAME = dict.fromkeys(("HIRAGANA", "KATAKANA", "BOPOMOFO", "HANGUL"), "CJK") | {
    "FULLWIDTH": "LATIN"
}
_CODE = re.compile(r"```.*?(?:```|\Z)|\\[A-Za-z]+", re.S)
_TOKEN = re.compile(r"[一-鿿぀-ヿ가-힯]|\w+|[^\w\s]")
_BASE, _MODULUS = 1_000_003, (1 << 61) - 1

Check = tuple[str, bool, Any]  # name, passed, what was measured


class FormatVerifier:
    """Checks the form of a response; needs no reference.

    Options: ``require_reasoning`` (default False: reasoning may be missing, but not open or
    empty), ``style`` (the tag style it must have), ``max_foreign_share``, ``ngram``,
    ``max_ngram_times``, ``finish_reason``. ``reason`` is the first check that failed, ``detail``
    holds them all, ``score`` is the share that passed.
    """

    name = "format"
    version = "1"

    def check(self, response: str, reference: str | None, **options: Any) -> Verdict:
        """See :class:`curation.verifiers.base.Verifier`."""
        checks = [*_structure(response, options), *_language(response, options)]
        checks += [_repetition(response, options), _loop(response)]
        failed = [name for name, passed, _ in checks if not passed]
        detail = {"checks": {name: value for name, _, value in checks}, "failed": failed}
        score = 1 - len(failed) / len(checks)
        if failed:
            return Verdict("incorrect", score, "format", failed[0], None, detail)
        return Verdict("correct", 1.0, "format", "", None, detail)


def _structure(text: str, options: dict[str, Any]) -> Iterable[Check]:
    from curation.segmentation.tags import split_reasoning

    split = split_reasoning(text)
    has = split.style not in ("none", "answer")
    reasoning = text[split.reasoning_start : split.reasoning_end].strip()
    answer = text[split.answer_start : split.answer_end].strip()
    cut = str(options.get("finish_reason") or "") == "length"
    yield "truncated", not cut, cut
    yield "reasoning_not_closed", split.closed, split.style
    yield "no_reasoning", has or not options.get("require_reasoning", False), has
    yield "empty_reasoning", bool(reasoning) or not has, len(reasoning)
    yield "no_answer", bool(answer) or not split.closed, len(answer)
    yield "answer_not_closed", split.answer_closed, split.answer_closed
    if wanted := options.get("style"):
        yield "other_style", split.style == wanted, split.style


def _language(text: str, options: dict[str, Any]) -> Iterable[Check]:
    scripts = script_counts(_CODE.sub(" ", text))
    letters = sum(scripts.values())
    foreign = 1 - max(scripts.values(), default=0) / letters if letters >= MIN_LETTERS else 0.0
    limit = _number(options.get("max_foreign_share"), MAX_FOREIGN_SHARE)
    yield "language_mix", foreign <= limit, {"foreign_share": round(foreign, 4), **scripts}


def script_counts(text: str) -> dict[str, int]:
    """Letters by script, as the Unicode names of the letters say; formula letters left out."""
    counts: Counter[str] = Counter()
    for char, times in Counter(text).items():
        script = _script(char)
        if script:
            counts[script] += times
    return dict(counts.most_common())


@lru_cache(maxsize=20_000)
def _script(char: str) -> str:
    if not char.isalpha():
        return ""
    first = unicodedata.name(char, "").split(" ")[0]
    return "" if first in _NEUTRAL else _SAME.get(first, first)


def _repetition(text: str, options: dict[str, Any]) -> Check:
    size = int(_number(options.get("ngram"), NGRAM))
    times = most_repeated(text, size)
    limit = _number(options.get("max_ngram_times"), MAX_NGRAM_TIMES)
    return "ngram_repetition", times <= limit, times


def most_repeated(text: str, size: int = NGRAM) -> int:
    """How often the commonest string of ``size`` tokens comes (0: the text has fewer tokens).

    A token is a word, a sign, or one CJK character. One pass with a rolling hash of 61 bits.
    """
    ids: dict[str, int] = {}
    tokens = [ids.setdefault(t.group(), len(ids) + 1) for t in _TOKEN.finditer(text)]
    if size < 1 or len(tokens) < size:
        return 0
    lead = pow(_BASE, size - 1, _MODULUS)
    value = 0
    seen: Counter[int] = Counter()
    for index, token in enumerate(tokens):
        if index >= size:
            value = (value - tokens[index - size] * lead) % _MODULUS
        value = (value * _BASE + token) % _MODULUS
        if index >= size - 1:
            seen[value] += 1
    return max(seen.values())


def _loop(text: str) -> Check:
    from curation.segmentation.analysis import analyse

    try:
        loop = analyse(text).loop
    except ValueError:  # lone surrogates: no text that could be stored
        return "bad_characters", False, True
    if loop is None:
        return "loop", True, None
    return "loop", False, {"start": loop.start, "end": loop.end, "times": loop.times}


def _number(given: Any, default: float) -> float:
    """A number in an option, else the default: options are read, never trusted."""
    good = isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given <= 10**6
    return float(given) if good else default
