"""When two problems are the same text. Pure but for the query at the end.

The stored text is never changed: the normal form exists for its hash alone. A new version of the
form is a new ``NORMALISATION``, and the hashes of stored problems must then be made again.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from curation.models import ProblemOccurrence, Project

NORMALISATION = "1"
# Marks that are written in several ways without a change of meaning.
_SAME = str.maketrans(
    {
        **dict.fromkeys("‘’‛′ʼ", "'"),
        **dict.fromkeys("“”‟″", '"'),
        **dict.fromkeys("‐‑‒–—−﹣－", "-"),
        **dict.fromkeys("\u00ad\u200b\u2060\ufeff"),  # soft hyphen and zero-width signs
    }
)


def normalise_text(text: str) -> str:
    """The form that decides exact duplicates: NFKC, one kind of quote and dash, case, white space.

    Superscripts, subscripts and fractions are marked first: NFKC alone would make 5² and 52 one.
    """
    if not text.isascii():
        text = "".join(map(_keep_position, text.translate(_SAME)))
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def _keep_position(char: str) -> str:
    if char.isascii():
        return char
    tag = unicodedata.decomposition(char).partition(" ")[0]
    mark = {"<super>": "^", "<sub>": "_", "<fraction>": " "}.get(tag)
    return f"{mark}{{{char}}}" if mark else char


def norm_hash(text: str) -> str:
    """SHA-256 of the normal form together with its version."""
    return sha256(f"{NORMALISATION}\n{normalise_text(text)}")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def same_reference(left: str, right: str) -> bool:
    """Whether two reference answers agree: as text, or by the cheap exact comparison."""
    from curation.verifiers.math import quick_equal

    return left.strip() == right.strip() or quick_equal(left, right) is True


def conflicting_references(project: Project) -> QuerySet[ProblemOccurrence]:
    """Rows whose reference answer contradicts the one kept with their problem."""
    from curation.models import ProblemOccurrence

    return ProblemOccurrence.objects.filter(
        problem__project=project, metadata__reference_conflict=True
    ).select_related("problem")
