"""What is shown is the stored text; what is cut, kept and put in is what was asked for."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reviews import evidence, guidelines, markup, pruning, schema, tokens
from reviews.drafts import patched
from reviews.submission import BadReview, parse


class Text(HTMLParser):
    """The text content and the tags of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)
        self.close()

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)


PIECES = st.sampled_from(
    ["```python\n", "```\n", "|a|b|\n", "|---|:-:|\n", "**", "`", "# ", "\r\n", "<b>", "&amp;",
     "$x$", "𝑥", "😀", "e\u0301", "\u202e", " ", "\n", "word", "def f(): 'x'\n",
     "</code>", "\x1b[1m"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join))
@settings(max_examples=300, deadline=None)
def test_the_text_of_the_html_is_the_text(text: str) -> None:
    found = Text(markup.body(text))
    assert "".join(found.parts) == text
    assert found.tags <= {"span", "i", "b", "code"}


def test_code_tables_and_bold_look_like_what_they_are() -> None:
    html = markup.body('# T\n\n| a |\n|---|\n| **b** |\n\n```python\nx = "<1>"\n```\n')
    for part in ('class="hd"', 'class="tr th"', "<b>", 'class="py-s2"', "&lt;1&gt;"):
        assert part in html, part


TEXT = "Keep one. Drop two. Keep three. Long four goes here. End."


def test_cuts_drop_and_condense_in_one_pass() -> None:
    cuts = [
        {"start": 10, "end": 20, "reason": ""},
        {"start": 32, "end": 53, "reason": "", "action": "condense", "text": "Four."},
    ]
    derived = pruning.prune(TEXT, cuts)
    assert derived.text == "Keep one. Keep three. Four. End."
    assert derived.kept == ((0, 10), (20, 32), (53, 57))
    rebuilt = "".join(TEXT[a:b] for a, b in derived.kept)
    for position, put in derived.insertions:
        rebuilt = rebuilt[:position] + put + rebuilt[position:]
    assert rebuilt == derived.text


def test_seams_and_changes_say_what_was_dropped() -> None:
    cuts = [{"start": 10, "end": 20, "reason": "twice"}]
    (seam,) = pruning.seams(TEXT, cuts)
    assert (seam["before"][-4:], seam["after"][:4], seam["dropped"]) == ("one. "[-4:], "Keep", 10)
    rows = pruning.changes(TEXT, cuts)
    assert [r["kind"] for r in rows] == ["kept", "cut", "kept"]
    (shorter,) = pruning.seams(TEXT, [{**cuts[0], "action": "condense", "text": "Two."}])
    assert (seam["put"], shorter["put"]) == ("", "Two.")
    assert "".join(r["text"] for r in rows) == TEXT
    long = pruning.changes("a" * 5000 + TEXT, [{"start": 5000, "end": 5009, "reason": ""}])
    assert sum(r.get("hidden", len(r["text"])) for r in long) == 5000 + len(TEXT)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("so 24 + 16 = 40 miles", "holds"),
        ("60 ÷ 40 = 1.5", "holds"),
        ("2 \\times 3 = 7 then", "differs"),
        ("1 / 3 = 0.33 about", "holds"),
        ("1 / 3 = 0.34", "differs"),
        ("1,000 + 2 = 1,002", "holds"),
        ("5 / 0 = 3", "unchecked"),
    ],
)
def test_equations_are_checked_exactly(text: str, state: str) -> None:
    (check,) = evidence.checks_of(text)
    assert check["state"] == state, check


@pytest.mark.parametrize(
    "text", ["n + 24 + 16 = 40", "x = 3", "2^3 + 1 = 9", "5 + 7 = 12 + 1", "3 + 4 = 7x", "page 3-4"]
)
def test_what_is_only_part_of_a_formula_is_left_alone(text: str) -> None:
    assert evidence.checks_of(text) == []


def test_a_patch_changes_only_what_it_names() -> None:
    row = {"start": 0, "end": 4, "label": 1}
    draft = {"note": "a", "labels": [row, {"start": 4, "end": 9, "label": 0}]}
    found = patched(draft, {"set": {"note": "b", "is_admin": True}, "drop": {"labels": ["4-9"]},
                            "put": {"labels": [row | {"label": -1}]}})  # fmt: skip
    assert found == {"note": "b", "labels": [row | {"label": -1}]}
    with pytest.raises(BadReview):
        patched(draft, {"put": {"labels": "all"}})


def test_a_schema_is_checked_and_so_are_its_answers() -> None:
    found = schema.parse_schema({"labels": [
        {"name": "clarity", "type": "rating", "max": 3, "required": True},
        {"name": "style", "type": "multi", "choices": ["a", "b"]}]})  # fmt: skip
    assert schema.check_values(found, {"clarity": 3, "style": ["a"]}, True)
    for values in ({"clarity": 4}, {"clarity": True}, {"style": ["z"]}, {"no": 1}, {}):
        with pytest.raises(schema.BadSchema):
            schema.check_values(found, values, True)
    for bad in ({"labels": [{"name": "X", "type": "rating"}]}, {"token_limit": 0}, {"x": 1}, []):
        with pytest.raises(schema.BadSchema):
            schema.parse_schema(bad)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"cuts": [{"start": 0, "end": 4, "action": "condense"}]}, "bad_cuts"),
        ({"cuts": [{"start": 0, "end": 4, "action": "burn"}]}, "bad_cuts"),
        ({"spans": [{"start": 0, "end": 4}]}, "bad_spans"),
        ({"kinds": [{"start": 0, "end": 4}]}, "bad_kinds"),
        ({"read": [[0, 1]]}, "bad_read"),
        ({"dispute": "no"}, "bad_dispute"),
        ({"values": []}, "bad_json"),
    ],
)
def test_what_is_sent_is_checked_field_by_field(fields: dict[str, object], code: str) -> None:
    if code == "bad_json":
        assert parse({"decision": "sound"} | fields).values == {}
        return
    with pytest.raises(BadReview) as caught:
        parse({"decision": "sound"} | fields)
    assert caught.value.code == code


def test_a_guideline_is_markdown_without_html_images_or_scripts() -> None:
    html = guidelines.render(
        "# A\n\n<script>x</script> ![p](http://e.test/p.png) [l](javascript:x) [m](https://e.test)"
    )
    assert "<h1>" in html and 'href="https://e.test"' in html
    assert not Text(html).tags & {"script", "img"} and 'href="javascript' not in html


def test_tokens_are_counted_where_they_start() -> None:
    assert tokens.count_in([0, 3, 5, 9, 12], [0, 5, 10, 20]) == [2, 2, 1]
    assert tokens.file_of("../../etc/passwd") is None
