r"""Find the final answer in a response, in one pass and in time linear in its length.

Order: the answer part (what follows the reasoning) before the reasoning; in each the last
non-empty ``\boxed{}`` or ``\fbox{}``, then ``<answer>...</answer>``, then the last stated final
answer, then a whole part that is a few words. A response whose reasoning never closes, or
that the server cut at its length limit, has no final answer: it is ``truncated``.

Looping traces repeat thousands of boxes and never close some, so boxes are matched with a stack
in one forward pass instead of one search per box.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CLOSING_TAGS = (
    "</think>",
    "<|end_of_thought|>",
    "</thinking>",
    "</thought>",
    "</reasoning>",
    "[/think]",
    "◁/think▷",
    "<|channel|>final<|message|>",
)
OPENING_TAGS = (
    "<think>",
    "<|begin_of_thought|>",
    "<thinking>",
    "<thought>",
    "<reasoning>",
    "[think]",
    "◁think▷",
    "<|channel|>analysis<|message|>",
)
# Tags and end marks that may surround the answer part and are no part of an answer.
ANSWER_WRAPPERS = re.compile(
    r"<\|(?:begin|end)_of_solution\|>|<\|im_end\|>|<\|eot_id\|>|<\|endoftext\|>|<\|return\|>|</s>",
)
SHORT_LINE = 120
SHORT_WORDS = 4
MAX_ANSWER = 2_000
MAX_BOX = 20_000  # a number of thousands of digits is an answer too
MAX_JOINED = 8

_BOX_TOKEN = re.compile(
    r"\\(?:boxed|fbox)(?![A-Za-z])\s*\{?"
    r"|\\\\(?!(?:boxed|fbox)(?![A-Za-z]))|\\[{}]|[{}]"  # a line break, an escaped brace, a brace
)
_BARE_BOX = re.compile(r"\s*([-+]?\d[\d.,/]*|[A-Za-z])")
_BOX_JOIN = re.compile(r"[\s$,;\\()\[\]]*(?:and|or|und|et|y|和|或|、)?[\s$,;\\()\[\]]*")
_LINE = re.compile(r"[^\n]{0,2000}")
_MARKERS: tuple[re.Pattern[str], ...] = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        r"^[ \t]*####[ \t]*",
        r"\bfinal answer[*_ \t]{0,4}(?:is\b|=|:|：)[*_ \t]{0,4}:?[ \t]*",
        r"\b(?:the|my|our|correct|an) answer[*_ \t]{0,4}(?:is|=|:)[*_ \t]{0,4}:?[ \t]*",
        r"\banswer[ \t]+to[^\n.:]{0,120}?[ \t](?:is|=)[ \t]*:?[ \t]*",
        r"^[ \t>#*_-]*(?:final )?answer[*_ \t]{0,4}[:：][*_ \t]{0,4}",
        r"^[ \t>#*_-]*(?:final )answer[*_ \t]{0,4}$",
        r"^[ \t>#*_-]*A[*_]{0,2}:[*_ \t]{0,4}",
        r"(?:最终答案|最后答案|答案)[*_ \t]{0,4}(?:是|为|為|：|:)[*_ \t：:]{0,4}",
        r"\b(?:die|la|le|el|a) (?:endgültige |finale )?"
        r"(?:antwort|réponse|respuesta|risposta|resposta)[^\n.:]{0,20}?"
        r"(?:ist|lautet|est|es|è|é|:)[*_ \t]{0,4}:?[ \t]*",
        r"(?:ответ|итоговый ответ)[*_ \t]{0,4}[:：][*_ \t]{0,4}",
        r"(?:答え|正解)は[*_ \t]{0,4}",
    )
)
# "definitely not \boxed{42}" and "\boxed{42} is wrong" state what the answer is not.
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|never|cannot|isn['’]t|wasn['’]t)|n['’]t (?=be))"
    r"(?: ?(?:be|equal(?: to)?|exactly|simply|just))?[\s:$(\\]*(?:(?:boxed|fbox)\{)?$",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    r"[\s$).,?}\\*]*(?:(?:is|was|would be|seems|looks)(?: \w+ly)? (?:wrong|incorrect|false|invalid"
    r"|not (?:\w+ly )?(?:the |my |our |a )?(?:final )?(?:answer|correct|right|true|it\b|solution))"
    r"|(?:isn['’]t|can(?:not|['’]t) be) (?:the |my |our )?(?:final )?"
    r"(?:answer|correct|right|true|it\b|solution))",
    re.IGNORECASE,
)
# Of a line that is the whole answer part; "does not exist" is an answer, "not 42" is none.
_LINE_DENIES = re.compile(
    r"(?:\bnot|n['’]t)\b.*\d|\d.*\b(?:wrong|incorrect|false)\b", re.IGNORECASE
)
AROUND = 40  # characters in which a denial must stand
# "the answer is not ..." and "the answer is that ..." state nothing.
_NO_STATEMENT = re.compile(
    r"n['’]t\b|(?:\w+ly )?(?:not|that|what|whether|unknown|unclear|wrong|incorrect|supposed)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Extraction:
    """A final answer or the reason why there is none.

    ``start`` and ``end`` are code points of the response that ``answer`` was read from; both are
    0 where there is no answer. ``method`` names the rule; ``reason`` is ``no_answer``,
    ``truncated`` or empty.
    """

    answer: str | None
    start: int = 0
    end: int = 0
    method: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the answer part starts; ``closed`` is False while reasoning is still open."""

    answer_start: int
    has_reasoning: bool
    closed: bool


def split_answer(text: str) -> Parts:
    """Find where the reasoning ends: after the last closing tag of any known style."""
    lowered = _ascii_lower(text)
    close = max(_tag_end(lowered, tag) for tag in CLOSING_TAGS)
    opened = max(lowered.rfind(tag) for tag in OPENING_TAGS)
    if opened >= 0 and opened >= close:
        return Parts(opened, has_reasoning=True, closed=False)
    if close < 0:
        return Parts(0, has_reasoning=False, closed=True)
    return Parts(close, has_reasoning=True, closed=True)


def extract_answer(text: str, *, finish_reason: str = "") -> Extraction:
    """The final answer of a response; see the module's order of rules.

    ``finish_reason`` is the server's; ``length`` means that the response was cut.
    """
    if finish_reason == "length":
        return Extraction(None, reason="truncated")
    parts = split_answer(text)
    if not parts.closed:
        return Extraction(None, reason="truncated")
    found = _from_part(text, parts.answer_start, len(text))
    if found is None and parts.has_reasoning:
        found = _from_part(text, 0, parts.answer_start, lone_line=False)
    return found or Extraction(None, reason="no_answer")


def last_boxed(text: str, start: int = 0, end: int | None = None) -> Extraction | None:
    """The last non-empty box of ``text[start:end]``; boxes joined by "and" or a comma are one."""
    boxes = _boxes(text, start, len(text) if end is None else end)
    if not boxes:
        return None
    group = [boxes[-1]]
    for box in reversed(boxes[:-1]):
        if len(group) == MAX_JOINED or not _joined(text, box, group[-1]):
            break
        group.append(box)
    contents = list(dict.fromkeys(_unbox(text[a:b]) for a, b in reversed(group)))
    return Extraction(", ".join(contents)[:MAX_BOX], group[-1][0], group[0][1], "boxed")


def _from_part(text: str, start: int, end: int, *, lone_line: bool = True) -> Extraction | None:
    found = last_boxed(text, start, end) or _tagged(text, start, end) or _stated(text, start, end)
    if found is None and lone_line:
        found = _lone_line(text, start, end)
    return found


def _boxes(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Content ranges of all complete, non-empty boxes, in order of their ends."""
    found: list[tuple[int, int]] = []
    stack: list[int] = []  # content start of a box, or -1 for any other brace
    for token in _BOX_TOKEN.finditer(text, start, end):
        mark = token.group()
        if mark == "{":
            stack.append(-1)
        elif mark == "}":
            opened = stack.pop() if stack else -1
            if opened >= 0 and _unbox(text[opened : min(token.start(), opened + MAX_ANSWER)]):
                found.append((opened, token.start()))
        elif "box" in mark and mark.endswith("{"):
            stack.append(token.end())
        elif "box" in mark:
            found += _bare_box(text, token.end(), end)
    boxes = [box for box in found if box[1] - box[0] <= MAX_BOX]
    return _without_denied(text, boxes, start)


def is_denied(text: str, start: int, end: int) -> bool:
    """Whether the words beside ``text[start:end]`` say that it is not the answer."""
    before, after = text[max(0, start - AROUND) : start], text[end : end + AROUND]
    return bool(_DENIED_BEFORE.search(before) or _DENIED_AFTER.match(after))


def _without_denied(text: str, boxes: list[tuple[int, int]], start: int) -> list[tuple[int, int]]:
    """Boxes but those denied, and earlier ones of the same content as a denied last one."""
    kept = [(a, b) for a, b in boxes if not _box_denied(text, a, b, start)]
    if boxes and boxes[-1] not in kept:
        wrong = text[slice(*boxes[-1])].strip()
        kept = [(a, b) for a, b in kept if text[a:b].strip() != wrong]
    return kept


def _box_denied(text: str, a: int, b: int, start: int) -> bool:
    opening = text.rfind("\\", max(start, a - AROUND), a)
    return is_denied(text, a if opening < 0 else opening, b + (text[b : b + 1] == "}"))


def _bare_box(text: str, position: int, end: int) -> list[tuple[int, int]]:
    r"""``\boxed 5``: TeX boxes the next token; people mean the next number or letter."""
    match = _BARE_BOX.match(text, position, end)
    return [match.span(1)] if match else []


def _joined(text: str, earlier: tuple[int, int], later: tuple[int, int]) -> bool:
    """Whether two boxes stand in one list: only a comma or a joining word is between them."""
    between = text[earlier[1] + 1 : later[0]]
    if len(between) > 40:
        return False
    between = re.sub(r"\\{1,2}(?:boxed|fbox)\s*\{?$", "", between)
    return bool(between.strip(" \t\n$\\()[]{}")) and _BOX_JOIN.fullmatch(between) is not None


def _unbox(content: str) -> str:
    r"""Content of a box without inner boxes: ``\boxed{\boxed{5}}`` holds 5."""
    inner = re.sub(r"\\{1,2}(?:boxed|fbox)\s*", "", content) if "box" in content else content
    inner = inner.strip()
    if inner != content.strip() and inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1]
    return inner.strip().strip("{}$").strip() and inner.strip()


def _tagged(text: str, start: int, end: int) -> Extraction | None:
    """The last ``<answer>...</answer>``; tags in lower or upper case."""
    lowered = _ascii_lower(text[start:end])
    close = lowered.rfind("</answer>")
    opened = lowered.rfind("<answer>", 0, max(close, 0))
    if opened < 0:
        return None
    return _trimmed(text, start + opened + len("<answer>"), start + close, "answer_tag")


def _stated(text: str, start: int, end: int) -> Extraction | None:
    """The last line that states a final answer."""
    marks = sorted(match.end() for rule in _MARKERS for match in rule.finditer(text, start, end))
    for position in reversed(marks[-50:]):
        line = _LINE.match(text, _statement_start(text, position, end), end)
        if line is None or _NO_STATEMENT.match(line.group()):
            continue
        found = _trimmed(
            text, line.start(), _sentence_end(text, line.start(), line.end()), "stated"
        )
        if found is not None:
            return found
    return None


def _statement_start(text: str, position: int, end: int) -> int:
    """A marker at the end of its line announces the next line ("Final Answer:" + formula)."""
    while position < end and text[position] in " \t*_:\n\r":
        position += 1
    return position


def _sentence_end(text: str, start: int, end: int) -> int:
    """End of the first sentence of a line, so that "18. Let me check" is 18."""
    match = re.compile(r"[.。](?=\s|\*|$)|[;；]|(?<=\d)\s*(?:because|since)\b").search(
        text, start, end
    )
    return match.start() if match else end


def _lone_line(text: str, start: int, end: int) -> Extraction | None:
    """A part that is nothing but one short line is its own answer."""
    body = ANSWER_WRAPPERS.sub(lambda m: " " * len(m.group()), text[start : min(end, start + 2000)])
    stripped = body.strip()
    if not stripped or "\n" in stripped or len(stripped) > SHORT_LINE or end - start > 2000:
        return None
    if len(stripped.split()) > SHORT_WORDS or "boxed{" in stripped:
        return None
    if _LINE_DENIES.search(stripped):
        return None
    offset = start + len(body) - len(body.lstrip())
    return Extraction(stripped, offset, offset + len(stripped), "whole")


def _trimmed(text: str, start: int, end: int, method: str) -> Extraction | None:
    """The range without surrounding space, markdown and end marks; None if nothing is left."""
    cut = ANSWER_WRAPPERS.search(text, start, end)
    end = cut.start() if cut else end
    while start < end and text[start] in " \t\r\n*_`:":
        start += 1
    while end > start and text[end - 1] in " \t\r\n*_`":
        end -= 1
    answer = text[start:end]
    if not answer.strip("$ \\.") or len(answer) > MAX_ANSWER:
        return None
    return Extraction(answer, start, end, method)


def _ascii_lower(text: str) -> str:
    """Lower case without moving any position: ``str.lower`` makes two of some characters."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else text.translate(_ASCII_LOWER)


_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _tag_end(lowered: str, tag: str) -> int:
    position = lowered.rfind(tag)
    return -1 if position < 0 else position + len(tag)
