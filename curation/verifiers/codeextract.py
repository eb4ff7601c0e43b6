"""Find the program in a response: the last fenced block of its answer, else the answer itself.

One pass over the lines, so time is linear in the text. Positions are code points of the response.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from .extraction import ANSWER_WRAPPERS, split_answer

PYTHON = ("", "python", "py", "python3", "python2", "cpython", "pycon", "sage")
_FENCE = re.compile(r"^[ \t>]{0,20}(`{3,}|~{3,})[ \t]*([^\s`{]{0,40})[^\n`]{0,200}$", re.MULTILINE)
# Where HumanEval's own completions end: the next thing at the left edge.
_STOPS = ("\nclass ", "\ndef ", "\n#", "\nif ", "\nprint(", "\n```")
MAX_SOURCE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Code:
    """A program as it stands in ``response[start:end]``; empty with a reason where there is none.

    ``fenced`` is False where the whole answer was taken, as base models write completions.
    """

    text: str
    start: int = 0
    end: int = 0
    fenced: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Block:
    language: str
    start: int
    end: int
    closed: bool


def extract_code(response: str, *, entry: str = "", finish_reason: str = "") -> Code:
    """The program of a response.

    After the reasoning: the last Python block that defines ``entry``, else the last Python block,
    else the whole answer. ``truncated`` where reasoning never ends, or the response was cut and
    its block with it; ``no_answer`` where nothing is left; ``too_long`` over 256 KiB.
    """
    parts = split_answer(response)
    cut = finish_reason == "length"
    if not parts.closed:
        return Code("", reason="truncated")
    blocks = [b for b in _blocks(response, parts.answer_start) if b.language in PYTHON]
    chosen = _choose(response, blocks, entry)
    if chosen is None:
        return _whole(response, parts.answer_start, cut, any_block=bool(blocks))
    if cut and not chosen.closed:
        return Code("", reason="truncated")
    return _checked(Code(response[chosen.start : chosen.end], chosen.start, chosen.end))


def _choose(response: str, blocks: list[_Block], entry: str) -> _Block | None:
    filled = [block for block in blocks if response[block.start : block.end].strip()]
    if entry and re.fullmatch(r"\w+", entry):
        defines = re.compile(rf"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+{entry}\b", re.MULTILINE)
        named = [b for b in filled if defines.search(response, b.start, b.end)]
        filled = named or filled
    labelled = [block for block in filled if block.language]
    return (labelled or filled)[-1] if filled else None


def _blocks(text: str, start: int) -> list[_Block]:
    """Fenced blocks in order; one that is never closed reaches to the end."""
    found: list[_Block] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text, start):
        if opened is None:
            opened = fence
        elif fence[1].startswith(opened[1]) and not fence[2]:
            inner = min(opened.end() + 1, fence.start())
            found.append(_Block(opened[2].lower(), inner, fence.start(), closed=True))
            opened = None
    if opened is not None:
        inner = min(opened.end() + 1, len(text))
        found.append(_Block(opened[2].lower(), inner, len(text), closed=False))
    return found


def _whole(response: str, start: int, cut: bool, *, any_block: bool) -> Code:
    """The answer itself, up to the first end mark."""
    mark = ANSWER_WRAPPERS.search(response, start)
    end = mark.start() if mark else len(response)
    if any_block or not response[start:end].strip():
        return Code("", reason="truncated" if cut else "no_answer")
    if cut:
        return Code("", reason="truncated")
    return _checked(Code(response[start:end], start, end, fenced=False))


def _checked(code: Code) -> Code:
    if len(code.text) > MAX_SOURCE:
        return Code("", code.start, code.end, code.fenced, "too_long")
    return code


def variants(code: Code, prompt: str = "") -> list[str]:
    """What may be meant, most likely first; the first that is Python is run.

    With a prompt (HumanEval): the prompt continued, by a body, by a body that lost its
    indentation, or by the whole function again; else the code as it is.
    """
    text = code.text.replace("\r\n", "\n").lstrip("\ufeff")
    plain = [text, textwrap.dedent(text)]
    found = plain
    if prompt:
        lead = prompt.rstrip() + "\n"
        found = [lead + text, lead + "    " + text.lstrip(), lead + textwrap.indent(text, "    ")]
        if not code.fenced:
            found += [lead + short for short in _shortened(text)]
        found += plain
    return list(dict.fromkeys(found))


def _shortened(text: str) -> list[str]:
    """A completion up to where the model went on with something else."""
    ends = sorted(at for at in (text.find(stop) for stop in _STOPS) if at > 0)
    return [text[:end] for end in ends[:3]]
