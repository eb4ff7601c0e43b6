"""Words of a text for search. Pure; the same words are made from a text and from a question.

The embedded PostgreSQL has one text search configuration and no extension, so the words are made
here: LaTeX commands without their backslash, numbers whole, words in NFKC and without case or
accents, and pairs of neighbours where a script has no spaces (Chinese, Japanese, Thai, …).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

MAX_WORD = 64  # characters; longer runs are no words
MAX_WORDS = 20_000  # distinct ones of a text; PostgreSQL holds a megabyte of them
MAX_ASKED = 12
_UNSPACED = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_UNSPACED += "\U00020000-\U0002fa1f"
_RUN = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|\d+(?:\.\d+)?|[^\W\d_{_UNSPACED}]+")


def words(text: str) -> Iterator[str]:
    """The words of a text in their order; a lone character of an unspaced script is one too."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in folded if not unicodedata.combining(c))
    for match in _RUN.finditer(unicodedata.normalize("NFC", plain)):
        run = match.group()
        if match["unspaced"] is None:
            yield run[:MAX_WORD]
        else:
            yield from run
            yield from (run[at : at + 2] for at in range(len(run) - 1))


def search_words(text: str) -> str:
    """What is stored beside a text: its distinct words, sorted, with a space between them."""
    found: set[str] = set()
    for word in words(text):
        found.add(word)
        if len(found) == MAX_WORDS:
            break
    return " ".join(sorted(found))


def query(asked: str) -> str:
    """A ``tsquery`` of all words of a question, each as a beginning; "" if it has none.

    Pairs stand for their characters: a longer run is found by its pairs alone.
    """
    found = list(dict.fromkeys(words(asked)))
    paired = {c for word in found if len(word) == 2 and _unspaced(word) for c in word}
    kept = [word for word in found if not (len(word) == 1 and word in paired)]
    return " & ".join(f"'{word}':*" for word in kept[:MAX_ASKED])


def _unspaced(word: str) -> bool:
    return bool(re.fullmatch(rf"[{_UNSPACED}]+", word))
