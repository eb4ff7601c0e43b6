"""Text answers: equal after folding case, space, width and outer punctuation."""

from __future__ import annotations

import unicodedata
from typing import Any

from .base import Verdict, correct, incorrect, unverifiable
from .extraction import extract_answer
from .latex import normalise


class ExactVerifier:
    """Compares the final answer, or the whole answer part, as text.

    Options: ``case_sensitive`` (default False), ``aliases`` (other accepted references),
    ``finish_reason``.
    """

    name = "exact"
    version = "2"

    def check(self, response: str, reference: str | None, **options: Any) -> Verdict:
        """See :class:`curation.verifiers.base.Verifier`."""
        found = extract_answer(response, finish_reason=str(options.get("finish_reason") or ""))
        if reference is None or not reference.strip():
            return unverifiable("no_reference", found.answer)
        if found.answer is None:
            return incorrect("extraction", found.reason)
        fold = not options.get("case_sensitive", False)
        answer = fold_text(found.answer, fold_case=fold)
        for accepted in (reference, *_aliases(options.get("aliases"))):
            if answer == fold_text(accepted, fold_case=fold):
                return correct("text", found.answer, extraction=found.method)
        return incorrect("text", "", found.answer, extraction=found.method)


def fold_text(text: str, *, fold_case: bool = True) -> str:
    """One spelling of a text answer."""
    opened = normalise(text).replace("\x01", " ").replace("\x02", " ")
    folded = " ".join(unicodedata.normalize("NFKC", opened).split()).strip(" .,;:!?\"'`*")
    return folded.casefold() if fold_case else folded


def _aliases(given: Any) -> list[str]:
    return [item for item in given if isinstance(item, str)] if isinstance(given, list) else []
