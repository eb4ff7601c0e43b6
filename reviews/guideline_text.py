"""A guideline's text: Markdown as safe HTML in which formulas keep their source, and a diff.

Markdown would eat backslashes, underscores and asterisks of a formula, so formulas are found first
and each stands in an element of its own, delimiters included, which ``static/js/maths.js`` draws in
the browser. What surrounds it is not searched again there (``data-split`` says so), so that an
escaped dollar stays a dollar.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

MAX_TEXT = 200_000
MAX_FORMULA = 20_000  # characters, as in maths.js
MAX_INLINE = 4_000
MAX_LINES = 400  # lines of displayed maths
TAGS = {
    "a", "b", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "hr", "i", "li",
    "ol", "p", "pre", "s", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {"a": {"href"}, "span": {"class", "data-source"}}  # spans are of ``drawn`` only
MAX_FAILURES = 300  # delimiters that open nothing, before a text is left alone
PAIRS = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"))
# What may end a formula, or must be stepped over, by the delimiter that is looked for.
STOPS = {
    "$$": re.compile(r"\\.|\$\$", re.S),
    "\\]": re.compile(r"\\\]|\\.", re.S),
    "\\)": re.compile(r"\\\)|\\.|\n\n", re.S),
    "$": re.compile(r"\\.|\n\n|\$", re.S),
}
DIGITS = frozenset("0123456789$")
FEW_WORDS = 4_000  # words of a changed passage that are compared one by one
AROUND = 2  # lines shown before and after a change
TOKENS = re.compile(r"\s+|\w+|[^\w\s]")


def closing(text: str, start: int, close: str) -> int:
    """Where the formula that opens before ``start`` ends, or -1; the rules of maths.js."""
    last = min(len(text), start + (MAX_FORMULA if close in ("$$", "\\]") else MAX_INLINE))
    for stop in STOPS[close].finditer(text, start, last):
        i = stop.start()
        if stop[0] == "\n\n":
            return -1
        if stop[0] != close:
            continue
        after = text[i + 1 : i + 2]
        if close != "$" or (i > start and not text[i - 1].isspace() and after not in DIGITS):
            return i
    return -1


def formula_at(text: str, at: int) -> int:
    """The end of the formula that starts at ``at``, or -1 when none does."""
    for opening, close in PAIRS:
        if not text.startswith(opening, at):
            continue
        start = at + len(opening)
        if opening == "$" and (text[start : start + 1] or " ").isspace():
            return -1
        end = closing(text, start, close)
        if end > start:
            return end + len(close)
        if opening == "$$":
            return -1
    return -1


def _found(text: str, at: int, env: Any) -> int:
    """``formula_at`` until too many delimiters of a text opened nothing; then -1."""
    if env.get("failures", 0) > MAX_FAILURES:
        return -1
    end = formula_at(text, at)
    if end < 0:
        env["failures"] = env.get("failures", 0) + 1
    return end


def _inline(state: StateInline, silent: bool) -> bool:
    """A formula within a line."""
    at = state.pos
    if not state.src.startswith(("$", "\\(", "\\["), at):
        return False
    end = _found(state.src, at, state.env)
    if end < 0 or end > state.posMax:
        return False
    if not silent:
        state.push("formula", "", 0).content = state.src[at:end]
    state.pos = end
    return True


def _block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """Displayed maths over several lines, in which nothing is a list, a heading or a rule."""
    start = state.bMarks[first] + state.tShift[first]
    if state.is_code_block(first) or not state.src.startswith(("$$", "\\["), start):
        return False
    if state.env.get("failures", 0) > MAX_FAILURES:
        return False
    # Without what marks the lines as part of a quotation or a list.
    text = state.getLines(first, min(last, first + MAX_LINES), state.blkIndent, False).lstrip(" ")
    end = formula_at(text, 0)
    if end < 0 or text[end:].split("\n", 1)[0].strip():  # no formula, or words follow it
        state.env["failures"] = state.env.get("failures", 0) + 1
        return False
    if not silent:
        state.line = first + text.count("\n", 0, end) + 1
        state.push("formula_block", "", 0).content = text[:end]
    return True


def drawn(source: str) -> str:
    """The element that maths.js fills; until then, and without a script, it shows the source."""
    kind = "display" if source.startswith(("$$", "\\[")) else "inline"
    safe = escapeHtml(source)
    return f'<span class="maths maths-{kind}" data-source="{safe}">{safe}</span>'


def _parser() -> MarkdownIt:
    found = MarkdownIt("js-default", {"html": False, "linkify": False}).disable("image")
    found.inline.ruler.before("escape", "formula", _inline)
    also = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    found.block.ruler.before("fence", "formula_block", _block, also)  # type: ignore[arg-type]
    found.add_render_rule("formula", lambda _, tokens, i, *__: drawn(tokens[i].content))
    found.add_render_rule(
        "formula_block", lambda _, tokens, i, *__: f"<p>{drawn(tokens[i].content)}</p>\n"
    )
    return found


_MARKDOWN = _parser()


def render(text: str) -> SafeString:
    """Markdown as safe HTML: no raw HTML, no images, links open nothing by themselves."""
    html = _MARKDOWN.render(text[:MAX_TEXT])
    clean = nh3.clean(html, tags=TAGS, attributes=ATTRIBUTES, url_schemes={"http", "https"},
                      link_rel="noopener noreferrer nofollow")  # fmt: skip
    return mark_safe(clean)  # noqa: S308  cleaned by nh3 with an allow-list


@dataclass(frozen=True, slots=True)
class Change:
    """A piece of two texts: kind is same, added, removed, or skip (``lines`` that are alike)."""

    kind: str
    text: str = ""
    lines: int = 0


def compared(old: str, new: str) -> list[Change]:
    """Both texts in one, in order: what is in both, in the old one only, in the new one only.

    Lines are compared first and the words of changed lines then. The pieces that are ``same`` or
    ``removed``, with what ``skip`` leaves out, are the old text; likewise ``added`` the new one.
    """
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    found: list[Change] = []
    codes = SequenceMatcher(None, before, after).get_opcodes()
    for n, (kind, a, b, c, d) in enumerate(codes):
        if kind == "equal":
            found += _same(before[a:b], first=n == 0, last=n == len(codes) - 1)
        else:
            found += _words("".join(before[a:b]), "".join(after[c:d]))
    return found


def _same(lines: list[str], first: bool, last: bool) -> list[Change]:
    """Lines that both have; of many only those beside a change."""
    low, high = (0 if first else AROUND), len(lines) - (0 if last else AROUND)
    if high - low < 3:
        return [Change("same", "".join(lines))]
    parts = [Change("same", "".join(lines[:low])), Change("skip", lines=high - low),
             Change("same", "".join(lines[high:]))]  # fmt: skip
    return [part for part in parts if part.text or part.lines]


def _words(old: str, new: str) -> list[Change]:
    a, b = TOKENS.findall(old), TOKENS.findall(new)
    if not a or not b or len(a) + len(b) > FEW_WORDS:
        pieces = [Change("removed", old), Change("added", new)]
        return [piece for piece in pieces if piece.text]
    found = []
    for kind, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind == "equal":
            found.append(Change("same", "".join(a[i:j])))
            continue
        found += [Change("removed", "".join(a[i:j]))] if i < j else []
        found += [Change("added", "".join(b[k:m]))] if k < m else []
    return found
