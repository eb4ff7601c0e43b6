"""Whether a text reads on over a cut: what a reader would stumble at, by form.

Cuts of ``after-first-correct`` end at the conclusion and read on by nature. Those of ``repeats``
and ``failed-attempts`` lie inside the work, where lists, cases and "this" lean on their neighbours
(what readers stumbled at, before and after these rules: docs/segmentation.md, "Joins").
"""

from __future__ import annotations

import re

from curation.segmentation.joins import after_opener
from curation.segmentation.types import Cut

_LOOK = 300  # characters on each side that are looked at
_LIST = r"(?:[-*+•]|\(?\d{1,3}[.)]|\(?[a-h][.)])[ \t]"
# A line that belongs to the next one: a heading, a list item, "Case 3: …", "Square 2: …".
_ITEM = re.compile(
    rf"[ \t]*(?:{_LIST}|\#{{1,6}}[ \t]|\*\*[^*\n]{{1,80}}\*\*[ \t:.]*$"
    r"|(?:\w+[ \t]){0,2}[\w(){},]{1,20}[ \t]?(?::|→|->|=>))",
)
_ENDS = re.compile(r"(?:[.!?…][\"')*_]{0,3}|\\\]|\\\)[.!?]|\$\$|`{3,})$")
_FORMULA = re.compile(r"[ \t]*(?:\\\(|\\\[|\$|[=<>+|]|\\begin|[a-z]\b|[a-z][_^(])")
_LEANS = re.compile(
    r"[ \t]*(?:here|this|these|that|those|it|they|them|such|similarly|likewise|same|also"
    r"|which|whose|where|specifically|with|given that|plugging|substitut\w{2,4}|multipl\w{1,4}"
    r"|divid\w{1,4}|check|great|good|perfect|nice|excellent|both|neither|either|again|invalid|valid|otherwise"
    r"|if (?:so|not)|then|as (?:above|before|computed|seen|expected)|i already"
    r"|in (?:this|that|these|those|both|all|each|either|any) (?:case|cases|interval|way|ways)"
    r"|(?:for|from|with|by|in) (?:this|these|that|those|both)|the (?:same|latter|former|above|other"
    r"|second|third|next|remaining|rest)|and|or|but|nor|yet|since (?:this|that|it|both))\b",
    re.IGNORECASE,
)
_FOLLOWS = re.compile(
    r"[ \t]*(?:therefore|thus|hence|so|consequently|which means)\b", re.IGNORECASE
)
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")


def reads_on(text: str, cut: Cut, *, concluding: bool) -> bool:
    """Whether the text before a cut has ended and the text behind it begins anew.

    Whole lines are cut; what stands before ends a sentence, a display or a fence and is no list
    item; what comes behind (without its opener, as ``apply_cuts`` leaves it) is no item, no bare
    formula and does not speak of what went before. ``concluding``: it may begin with "Therefore".
    """
    before = text[max(0, cut.start - _LOOK) : cut.start]
    dropped = text[cut.start : cut.end]
    space = dropped[len(dropped.rstrip()) :] + text[cut.end : cut.end + 1]
    if not before.rstrip(" \t").endswith("\n") or "\n" not in space:
        return False
    last = before.rstrip().rpartition("\n")[2]
    if not _ENDS.search(last) or _ITEM.match(last):
        return False
    place, capital = after_opener(text, cut.end, len(text), worked=True)
    behind = (capital + text[place : place + _LOOK]).lstrip()
    line = behind.partition("\n")[0]
    if _ITEM.match(line) or _FORMULA.match(line) or not _WORD.search(line) or _LEANS.match(line):
        return False
    return concluding or not _FOLLOWS.match(behind)
