"""The text of a trace as HTML that looks like Markdown and still is the text.

Nothing is taken away or added: the text content of what comes out equals what went in, carriage
returns, pipes and asterisks included. So ranges of code points stay true, the browser's own find
works, and no Markdown renderer has to be trusted with hostile input. Formulas stay as their
source here; ``static/js/maths.js`` draws them near the viewport.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import escape

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES
from pygments.util import ClassNotFound

from curation.templatetags.whittle import DECEPTIVE

# A lexer is a pile of regular expressions: only these, and only on blocks of a bounded size.
LANGUAGES = {
    "python": "python", "py": "python", "python3": "python", "cpp": "cpp", "c++": "cpp", "c": "c",
    "java": "java", "javascript": "javascript", "js": "javascript", "typescript": "typescript",
    "bash": "bash", "sh": "bash", "shell": "bash", "json": "json", "sql": "sql", "rust": "rust",
    "go": "go", "haskell": "haskell", "html": "html", "css": "css", "yaml": "yaml", "r": "r",
}  # fmt: skip
MAX_CODE = 20_000  # characters of one block that are coloured
SPECIAL = re.compile(r"[`*|]|(?m:^#)")
FENCE = re.compile(r"^(?P<open>```[ \t]*(?P<lang>[\w+#-]{0,20})[^\n`]{0,80}\n)", re.M)
CLOSE = re.compile(r"^[ \t]{0,3}```[ \t]*$", re.M)
TABLE = re.compile(
    r"^[ \t]*\|[^\n]*\|[ \t\r]*\n[ \t]*\|(?:[ \t]*:?-{1,60}:?[ \t]*\|){1,40}[ \t\r]*"
    r"(?:\n[ \t]*\|[^\n]*)*",
    re.M,
)
INLINE = re.compile(
    r"(?P<code>`[^`\n]{1,200}`)|(?P<bold>\*\*(?=\S)[^*\n$\\]{1,300}?(?<=\S)\*\*)"
    r"|(?P<head>(?m:^)#{1,6}[ \t][^\n]{1,300})"
)


def exact(text: str) -> str:
    """Escaped text that comes back whole from the parser; control characters show their number."""
    safe = escape(text, quote=False).replace("\r", "&#13;")
    return DECEPTIVE.sub(
        lambda m: f'<span class="ctl" data-code="U+{ord(m[0]):04X}">{m[0]}</span>', safe
    )


def body(text: str) -> str:
    """HTML of one segment; its text content is ``text``. Line breaks at the ends take no room."""
    low, high = _edges(text)
    middle = text[low:high]
    inner = blocks(middle) if SPECIAL.search(middle) else exact(middle)
    return _edge(text[:low]) + inner + _edge(text[high:])


def _edges(text: str) -> tuple[int, int]:
    """Where the text without the blank lines at its ends starts and ends."""
    stripped = text.strip()
    if not stripped:
        return 0, 0
    low = len(text) - len(text.lstrip())
    high = len(text.rstrip())
    first_line = text.rfind("\n", 0, low) + 1  # an indent of the first line stays drawn
    return first_line, high


def _edge(space: str) -> str:
    return f'<span class="edge">{exact(space)}</span>' if space else ""


def blocks(text: str) -> str:
    """Fenced code and tables, and between them inline marks."""
    return "".join(render(text[start:end]) for start, end, render in _blocks(text))


def _blocks(text: str) -> Iterator[tuple[int, int, Callable[[str], str]]]:
    at = 0
    while (found := _next_block(text, at)) is not None:
        start, end, render = found
        if start > at:
            yield at, start, inline
        yield start, end, render
        at = end
    if at < len(text):
        yield at, len(text), inline


def _next_block(text: str, at: int) -> tuple[int, int, Callable[[str], str]] | None:
    fence, table = FENCE.search(text, at), TABLE.search(text, at)
    if fence and (not table or fence.start() < table.start()):
        close = CLOSE.search(text, fence.end())
        return fence.start(), close.end() if close else len(text), code
    return (table.start(), table.end(), table_of) if table else None


def inline(text: str) -> str:
    """Bold, inline code and headings, with their marks kept, drawn faintly."""
    parts = []
    at = 0
    for found in INLINE.finditer(text):
        parts.append(exact(text[at : found.start()]))
        parts.append(_mark(found))
        at = found.end()
    parts.append(exact(text[at:]))
    return "".join(parts)


def _mark(found: re.Match[str]) -> str:
    text = found[0]
    if found["code"]:
        return f"<code>{_dim('`')}{exact(text[1:-1])}{_dim('`')}</code>"
    if found["bold"]:
        return f"<b>{_dim('**')}{exact(text[2:-2])}{_dim('**')}</b>"
    size = len(text) - len(text.lstrip("#"))
    return f'<b class="hd">{_dim(text[:size])}{exact(text[size:])}</b>'


def _dim(mark: str) -> str:
    return f'<i class="mk">{exact(mark)}</i>'


def code(text: str) -> str:
    """A fenced block with its fences; coloured when the language is known and it is not huge."""
    opening = FENCE.match(text)
    if opening is None:
        return exact(text)
    start = opening.end("open")
    close = CLOSE.search(text, start)
    end = close.start() if close else len(text)
    inside = text[start:end]
    drawn = highlight(inside, LANGUAGES.get(opening["lang"].lower(), ""))
    last = _dim(text[end:]) if close else exact(text[end:])
    return f'<code class="block">{_dim(text[:start])}{drawn}{last}</code>'


def highlight(text: str, language: str) -> str:
    """Pygments' tokens as spans. The lexer's own clean-up is off, so that no character changes."""
    lexer = _lexer(language) if len(text) <= MAX_CODE else None
    if lexer is None:
        return exact(text)
    parts, size = [], 0
    for _, kind, value in lexer.get_tokens_unprocessed(text):
        css = STANDARD_TYPES.get(kind, "")
        size += len(value)
        parts.append(f'<span class="py-{css}">{exact(value)}</span>' if css else exact(value))
    return "".join(parts) if size == len(text) else exact(text)


def _lexer(language: str) -> Lexer | None:
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False) if language else None
    except ClassNotFound:
        return None


def table_of(text: str) -> str:
    """A Markdown table as spans that CSS draws as a table; the pipes stay in the text."""
    rows = text.split("\n")
    drawn = [_row(row, i == 0, i == 1, last=i == len(rows) - 1) for i, row in enumerate(rows)]
    return f'<span class="tbl">{"".join(drawn)}</span>'


def _row(row: str, head: bool, rule: bool, last: bool) -> str:
    ending = "" if last else "\n"
    if rule:
        return f'<span class="tr rule">{exact(row + ending)}</span>'
    cells = row.split("|")
    drawn = (
        [f'<span class="td">{exact(cells[0])}</span>'] if cells[0].strip() else [exact(cells[0])]
    )
    for cell in cells[1:]:
        drawn.append(f'<i class="mk">|</i><span class="td">{inline(cell)}</span>')
    css = "tr th" if head else "tr"
    return f'<span class="{css}">{"".join(drawn)}<i class="mk">{exact(ending)}</i></span>'
