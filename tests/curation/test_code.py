"""Code is found in a response, its tests are read, and outputs and values compared."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.sandbox.inside import wire
from curation.verifiers import verify
from curation.verifiers.codecompare import Opaque, same_output, same_value
from curation.verifiers.codeextract import extract_code, variants
from curation.verifiers.codetests import BadTests, parse_tests
from tests.curation.code_made import BLOCK, CHECK, DOUBLE, PROMPT

# --- finding the code


@pytest.mark.parametrize(
    "response",
    [
        BLOCK,
        f"<think>```python\nno = 1\n```</think>First.\n{BLOCK}\nThat is it.",
        f"```\nexample\n```\n{BLOCK}",
        f"{BLOCK}\n```python\nprint(double(2))\n```",
        f"{BLOCK}\n```text\n4\n```",
        f"~~~py\n{DOUBLE}~~~",
        f"1. Here:\n   ```python\n{DOUBLE}   ```",
        f"````markdown\nx\n````\n{BLOCK}",
        BLOCK[:-3],
        DOUBLE,
        DOUBLE + "<|im_end|>",
    ],
)
def test_the_program_of_a_response_is_found(response: str) -> None:
    found = extract_code(response, entry="double")
    assert found.text.strip() == DOUBLE.strip()
    assert response[found.start : found.end] == found.text


@pytest.mark.parametrize(
    ("response", "finish", "reason"),
    [
        ("<think>```python\nx = 1\n```", "", "truncated"),
        (BLOCK[:-3], "length", "truncated"),
        ("", "", "no_answer"),
        ("<think>x</think>  ", "", "no_answer"),
        ("```python\n```", "", "no_answer"),
        ("```python\n" + "#" * 300_000 + "\n```", "", "too_long"),
    ],
)
def test_where_there_is_no_program_the_reason_is_named(
    response: str, finish: str, reason: str
) -> None:
    assert extract_code(response, finish_reason=finish).reason == reason


def test_positions_are_code_points() -> None:
    response = f"𝑥 😀\r\n{BLOCK}"
    found = extract_code(response)
    assert response[found.start : found.end] == DOUBLE


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet=st.sampled_from("`~ \n\t>pyx𝑥<think>/"), max_size=300))
def test_no_text_breaks_the_search(text: str) -> None:
    found = extract_code(text, entry="x")
    assert found.reason or text[found.start : found.end] == found.text


def test_a_completion_may_be_a_body_or_the_whole_function() -> None:
    body = extract_code("    return 2 * n\n")
    assert variants(body, PROMPT)[0] == PROMPT.rstrip() + "\n    return 2 * n\n"
    stripped = extract_code("return 2 * n")
    assert PROMPT.rstrip() + "\n    return 2 * n" in variants(stripped, PROMPT)


# --- shapes of tests


@pytest.mark.parametrize(
    ("given", "kind", "count"),
    [
        (CHECK, "check", None),
        ({"type": "asserts", "asserts": ["assert f(1) == 2"]}, "statements", 1),
        ({"test_list": ["assert f(1)"], "test_setup_code": "import math"}, "statements", 1),
        ({"test": "from solution import f\ndef test_it():\n    assert f()"}, "pytest", None),
        ({"cases": [{"input": "1", "output": "2"}]}, "stdio", 1),
        ([{"input": ["1", "2"], "output": ["3"]}], "stdio", 1),
        ({"inputs": ["1", "2"], "outputs": ["1", "2"]}, "stdio", 2),
        ({"inputs": [[1]], "outputs": [2], "fn_name": "f"}, "calls", 1),
        ({"language": "python", "test_cases": [
            {"type": "stdin_stdout", "input": "1", "output": "2"}]}, "stdio", 1),
        ('{"inputs": ["1"], "outputs": ["2"]}', "stdio", 1),
    ],
)  # fmt: skip
def test_known_shapes_of_tests_are_read(given: Any, kind: str, count: int | None) -> None:
    tests = parse_tests(given)
    assert (tests.kind, tests.count) == (kind, count)
    assert "expected" not in str(tests.inside)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "no_tests"),
        ("", "no_tests"),
        ({}, "no_tests"),
        ({"test": "", "entry_point": ""}, "no_tests"),
        ({"what": 1}, "bad_tests"),
        ({"cases": [{"input": "1"}]}, "bad_tests"),
        ({"inputs": ["1"], "outputs": []}, "bad_tests"),
        ({"cases": [{"input": 1, "output": 2}]}, "bad_tests"),
        ({"inputs": ["1"] * 1_001, "outputs": ["1"] * 1_001}, "bad_tests"),
        ({"type": "check", "code": 7}, "bad_tests"),
        (7, "no_tests"),
    ],
)
def test_what_are_no_tests_is_unverifiable_with_a_reason(given: Any, reason: str) -> None:
    with pytest.raises(BadTests) as problem:
        parse_tests(given)
    assert problem.value.reason == reason
    verdict = verify("code", BLOCK, None, tests=given)
    assert (verdict.verdict, verdict.reason) == ("unverifiable", reason)


# --- comparing


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        (b"4\n", "4", True),
        (b"4 \n\n", "4\n", True),
        (b"1 2\r\n3\n", "1 2\n3", True),
        (b"4.0\n", "4", True),
        (b"1  2\n", "1 2\n", True),
        (b"5\n", "4", False),
        (b"4\n4\n", "4", False),
        (b"1 2\n", "1\n2\n", False),
        (b"", "4", False),
        (b"\xff\n", "4", False),
        (b"nan", "4", False),
        (b"1e999999999", "4", False),
        (b"Yes", "yes", False),
    ],
)
def test_output_is_compared_as_contests_do(printed: bytes, expected: str, same: bool) -> None:
    assert same_output(printed, expected) is same


def test_a_tolerance_is_used_only_where_it_is_given() -> None:
    assert not same_output(b"0.3333", "0.33333333")
    assert same_output(b"0.3333", "0.33333333", 1e-3)
    assert same_value([0.30000000000000004], [0.3], tolerance=1e-9)
    assert not same_value(0.30000000000000004, 0.3)


@pytest.mark.parametrize(
    ("got", "wanted", "same"),
    [
        ((1, [2]), [1, [2]], True),
        ({1: "a"}, {"1": "a"}, True),
        (1, True, False),
        (2, 2.0, True),
        ("2", 2, False),
        ({1: 1, "1": 1}, {"1": 1}, False),
        (Opaque(), 1, False),
        (None, None, True),
        ([[]] * 3, [[], []], False),
    ],
)
def test_values_are_compared_with_their_json(got: Any, wanted: Any, same: bool) -> None:
    assert same_value(got, wanted) is same


# --- the wire

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary() | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(plain)
def test_plain_values_come_over_the_wire_as_they_were(value: Any) -> None:
    again = wire.Decoder().decode(wire.Encoder().encode(value))
    assert again == value
    assert type(again) is type(value)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet="ntfixdcsblIuezmr0123456789:;,", max_size=60))
def test_no_bytes_break_the_decoder(raw: bytes | str) -> None:
    data = raw.encode() if isinstance(raw, str) else raw
    with contextlib.suppress(wire.WireError):
        wire.Decoder().decode(data)


def test_a_huge_count_or_depth_is_refused() -> None:
    for raw in (b"l999999999:", b"l1:" * 500 + b"n", b"s-5:", b"i" + b"9" * 5_000 + b";"):
        with pytest.raises(wire.WireError):
            wire.Decoder().decode(raw)
    assert wire.Decoder().decode(wire.Encoder().encode(10**9_000)) == 10**9_000
