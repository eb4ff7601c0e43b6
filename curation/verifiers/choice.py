"""Multiple choice: the chosen letter, or the text of a choice, against the reference."""

from __future__ import annotations

import re
from typing import Any

from .base import Verdict, correct, incorrect, unverifiable
from .exact import fold_text
from .extraction import extract_answer
from .latex import normalise
from .quick import quick_equal

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LETTER = re.compile(
    r"^\W*(?:(?:option|choice|answer|选项)\W*)?\(?([A-Za-z])\)?(?=$|[\s).:,、。-])", re.I
)
_ANY_LETTER = re.compile(
    r"(?<![A-Za-z])\(?([A-Z])\)(?![A-Za-z])|\b(?:option|choice)\s+\(?([A-Z])\b", re.I
)


class ChoiceVerifier:
    """Compares the chosen option with the reference option.

    Options: ``choices`` (list of the option texts in order; lets letters and texts be compared),
    ``finish_reason``. The reference is a letter, or the text of a choice.
    """

    name = "choice"
    version = "2"

    def check(self, response: str, reference: str | None, **options: Any) -> Verdict:
        """See :class:`curation.verifiers.base.Verifier`."""
        found = extract_answer(response, finish_reason=str(options.get("finish_reason") or ""))
        choices = _choices(options.get("choices"))
        if reference is None or not reference.strip():
            return unverifiable("no_reference", found.answer)
        target = letter_of(reference, choices)
        if target is None:
            return unverifiable("bad_reference", found.answer)
        if found.answer is None:
            return incorrect("extraction", found.reason)
        chosen = letter_of(found.answer, choices) or _mentioned(found.answer, choices)
        if chosen is None:
            return incorrect("choice", "unparsed_answer", found.answer, extraction=found.method)
        if chosen == target:
            return correct("choice", found.answer, extraction=found.method)
        return incorrect("choice", "", found.answer, extraction=found.method)


def letter_of(text: str, choices: list[str]) -> str | None:
    """The option a text names: by the text of a choice first, then by its leading letter."""
    opened = normalise(text).replace("\x01", "").replace("\x02", "").strip()
    if len(opened) > 1 or not opened.isalpha():
        by_text = _by_text(text, choices)
        if by_text is not None:
            return by_text
    match = _LETTER.match(opened)
    if match is None:
        return None
    letter = match.group(1).upper()
    return letter if not choices or LETTERS.index(letter) < len(choices) else None


def _by_text(text: str, choices: list[str]) -> str | None:
    for letter, choice in zip(LETTERS, choices, strict=False):
        if fold_text(choice) == fold_text(text) or quick_equal(choice, text) is True:
            return letter
    return None


def _mentioned(text: str, choices: list[str]) -> str | None:
    """The only option that a longer answer names, as in "the second one, (B)"."""
    letters = {(a or b).upper() for a, b in _ANY_LETTER.findall(text)}
    if choices:
        letters = {letter for letter in letters if LETTERS.index(letter) < len(choices)}
    return letters.pop() if len(letters) == 1 else None


def _choices(given: Any) -> list[str]:
    return [str(item) for item in given][:26] if isinstance(given, list | tuple) else []
