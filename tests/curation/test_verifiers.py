"""Verdicts: answer pairs with as many traps as plain cases, extraction, kinds and reasons."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.verifiers import VERIFIERS, Verdict, Verifier, verify
from curation.verifiers.math import quick_equal
from tests.curation.answer_pairs import SAME, TRAPS

# (reference, answer): equal, decided without the algebra system.
EQUAL = [
    ("204", "204"),
    ("204", "204."),
    ("204", "$204$"),
    ("1234", "1,234"),
    ("1234567", "1{,}234{,}567"),
    ("10000", "10 000"),
    ("-3", "−3"),
    ("0.5", r"\frac{1}{2}"),
    ("1/2", r"\frac12"),
    (r"\frac{3}{4}", r"\dfrac{6}{8}"),
    (r"-\frac{1}{2}", r"\frac{-1}{2}"),
    ("1.5", "1 1/2"),
    ("3/2", r"1\frac{1}{2}"),
    ("0.5", "½"),
    ("50", r"50\%"),
    ("0.5", "50%"),
    ("50%", "50 percent"),
    ("18", r"\$18"),
    ("18", "18 dollars"),
    ("18", r"18\text{ apples}"),
    ("5", r"5\text{ cm}"),
    (r"1\text{ m}", r"100\text{ cm}"),
    (r"2\text{ hours}", "120 minutes"),
    ("45", r"45^\circ"),
    ("45", r"45^{\circ}"),
    (r"2\sqrt{2}", r"\sqrt{8}"),
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt2}"),
    (r"\sqrt{3}-1", r"\frac{2}{1+\sqrt{3}}"),
    (r"\sqrt[3]{27}", "3"),
    (r"2\pi", r"2 \cdot \pi"),
    (r"\frac{\pi}{6}", "pi/6"),
    (r"2\pi", "6.283185"),
    ("1/3", "0.333333"),
    ("5", "x = 5"),
    ("5", r"x=5"),
    ("(1,2)", r"\left(1, 2\right)"),
    (r"\{1,2\}", "2, 1"),
    ("1,2,3", "3, 2 and 1"),
    (r"3\pm\sqrt{2}", r"3+\sqrt{2}, 3-\sqrt{2}"),
    (r"(3/5, 8/3]", r"\left(\frac{3}{5},\frac{8}{3}\right]"),
    ("1024", "2^{10}"),
    ("8!", "8!"),
    ("x²", "x^2"),
    ("3/4", "3:4"),
    (r"\text{Evelyn}", "Evelyn"),
    ("Yes", r"\text{yes.}"),
    (r"\text{(C)}", "C"),
    ("B", "(B) twelve"),
    ("2516_8", "1358"),
    ("12:30", "12:30"),
    ("x>3", r"(3,\infty)"),
]  # fmt: skip

# (reference, answer): traps that look equal, or that a lenient comparison takes for equal.
DIFFERENT = [
    ("204", "2040"),
    ("204", "-204"),
    ("1234", "1,235"),
    ("4", r"4\sqrt{2}"),
    ("4", r"4\sqrt(2)"),
    ("2", r"\sqrt{2}"),
    ("1/2", "2/1"),
    ("1/3", "0.33"),
    ("1/3", "0.3333"),
    (r"\pi", "3.14"),
    (r"\pi", "22/7"),
    ("0.00000001", "0.00000002"),
    ("1.0000001", "1.0000002"),
    ("50", "0.5"),
    ("0.5%", "0.5%0"),
    (r"5\text{ cm}", r"5\text{ m}"),
    (r"5\text{ cm}", r"5\text{ seconds}"),
    (r"1\text{ hour}", r"1\text{ minute}"),
    ("(1,2)", "(2,1)"),
    ("(1,2)", "(1,2,3)"),
    (r"\{1,2\}", r"\{1,3\}"),
    ("1,2", "1,2,2"),
    ("5", "5, 6"),
    ("5", "(5, 6)"),
    (r"\sqrt{2}+\sqrt{3}", r"\sqrt{5}"),
    (r"2\sqrt{3}", r"3\sqrt{2}"),
    ("1 1/2", "11/2"),
    (r"1\frac{1}{2}", r"\frac{11}{2}"),
    ("12:30", "12:31"),
    ("listen", "silent"),
    (r"\text{even}", r"\text{odd}"),
    ("B", "C"),
    ("B", "(C) B-tree"),
    ("1e5", "1"),
    ("2^{10}", "2^{11}"),
    ("10^{10}", "10^{-10}"),
    ("-1", "1"),
    ("0", r"\frac{1}{10^{9}}"),
    ("385", "386"),
    ("2516_8", "2516"),
]  # fmt: skip

# (reference, answer, equal): only the algebra system can tell.
ALGEBRA = [
    ("(x+1)^2", "x^2+2x+1", True),
    (r"\frac{n(n+1)}{2}", r"\frac{n^2+n}{2}", True),
    ("2^{n+1}", r"2\cdot 2^n", True),
    (r"\frac{x}{2}", "0.5x", True),
    ("2x+1", "y=2x+1", True),
    (r"\binom{5}{2}", "10", True),
    ("x+2y-3z+4=0", "2x+4y-6z+8=0", True),
    ("(x+1)^2", "x^2+2x+2", False),
    ("2^{n+1}", "2^{n-1}", False),
    ("5", "5x", False),
    ("5x", "5", False),
    ("x+2y-3z+4=0", "2x-y+z-1=0", False),
    (r"\frac{1}{2004!}", r"\frac{1}{2006!}", False),
    (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}", False),
    (r"\sin x", r"\cos x", False),
    ("x", "__import__('os').system('true')", False),
]


def boxed(answer: str) -> str:
    return rf"Thinking done, so the result is \boxed{{{answer}}}."


@pytest.mark.parametrize(("reference", "answer"), EQUAL)
def test_equal_answers_are_correct_by_exact_comparison(reference: str, answer: str) -> None:
    verdict = verify("math", boxed(answer), reference)
    assert (verdict.verdict, verdict.method, verdict.score) == ("correct", "exact", 1.0)


@pytest.mark.parametrize(("reference", "answer"), DIFFERENT)
def test_trap_answers_are_incorrect(reference: str, answer: str) -> None:
    verdict = verify("math", boxed(answer), reference)
    assert (verdict.verdict, verdict.score) == ("incorrect", 0.0)


@pytest.mark.parametrize(("reference", "answer", "equal"), ALGEBRA)
def test_formulas_are_judged_by_the_guarded_algebra_system(
    reference: str, answer: str, equal: bool
) -> None:
    verdict = verify("math", boxed(answer), reference)
    assert verdict.verdict == ("correct" if equal else "incorrect")
    assert verdict.method == "math-verify"


@pytest.mark.parametrize(("reference", "answer"), EQUAL)
def test_quick_equality_is_symmetric(reference: str, answer: str) -> None:
    assert quick_equal(reference, answer) is True
    assert quick_equal(answer, reference) is True


@pytest.mark.parametrize(
    ("a", "b"),
    [("x+1", "1+x"), ("5", "5^{5^{5^{5^5}}}"), ("[1,2]", "(1,2)"), ("", "1"), ("x=1", "y=1")],
)
def test_quick_equality_leaves_open_what_it_cannot_prove(a: str, b: str) -> None:
    assert quick_equal(a, b) is None


@given(st.fractions(), st.fractions())
def test_quick_equality_of_fractions_is_equality_of_rationals(a: Any, b: Any) -> None:
    left = rf"\frac{{{a.numerator}}}{{{a.denominator}}}"
    assert quick_equal(left, f"{b.numerator}/{b.denominator}") is (a == b)
    assert quick_equal(left, f"{a.numerator}/{a.denominator}") is True


@settings(max_examples=300)
@given(st.text(alphabet=st.characters(), max_size=60), st.text(max_size=60))
def test_quick_equality_and_extraction_never_raise(a: str, b: str) -> None:
    assert quick_equal(a, b) in (True, False, None)
    verdict = verify("exact", a, b)
    assert verdict.verdict in ("correct", "incorrect", "unverifiable")


# These judge by more than a reference answer; they have tests of their own.
OTHERS = ("logic", "json_schema", "format", "code")


@pytest.mark.parametrize("kind", sorted(set(VERIFIERS) - set(OTHERS)))
def test_each_verifier_has_a_name_a_version_and_the_four_verdicts(kind: str) -> None:
    verifier = VERIFIERS[kind]
    assert isinstance(verifier, Verifier)
    assert verifier.name == kind
    assert verifier.version
    reference = "B" if kind == "choice" else "7"
    assert verify(kind, "<think>never closed", reference).reason == "truncated"
    assert verify(kind, r"\boxed{7}", None).reason == "no_reference"
    assert verify(kind, r"\boxed{7}", "  ").verdict == "unverifiable"


def test_an_unknown_kind_is_our_error() -> None:
    verdict = verify("oracle", r"\boxed{7}", "7")
    assert (verdict.verdict, verdict.reason, verdict.score) == ("error", "unknown_kind", None)


@pytest.mark.parametrize(
    "reference",
    [
        "See the proof above for why this holds.",
        "Prove that the sum is even",
        "answers may vary here",
    ],
)
def test_a_prose_reference_is_unverifiable_not_incorrect(reference: str) -> None:
    verdict = verify("math", r"\boxed{7}", reference)
    assert (verdict.verdict, verdict.reason) == ("unverifiable", "bad_reference")


def test_a_reference_that_is_no_expression_is_unverifiable() -> None:
    verdict = verify("math", r"\boxed{x+1}", r"\frac{1}{")
    assert (verdict.verdict, verdict.reason) == ("unverifiable", "bad_reference")


@pytest.mark.parametrize(
    "reference",
    [
        "2 + 12 = 14\n#### 14",
        "2 + 12 = 14\nA: 14",
        r"hence \boxed{14}",
        "The answer is 14.",
        " 14 ",
    ],
)
def test_the_answer_is_read_from_inside_a_worked_reference(reference: str) -> None:
    assert verify("math", r"\boxed{14}", reference).verdict == "correct"


def test_a_response_cut_by_its_limit_is_truncated() -> None:
    verdict = verify("math", r"\boxed{14}", "14", finish_reason="length")
    assert (verdict.verdict, verdict.reason) == ("incorrect", "truncated")


@pytest.mark.parametrize(
    ("response", "options", "expected"),
    [
        ("so 17.5 in all", {}, "correct"),
        ("12, then 17.4", {"abs_tol": 0.2}, "correct"),
        ("12, then 17.4", {}, "incorrect"),
        ("The answer is 17,5", {}, "incorrect"),
        ("#### 1.75e1", {}, "correct"),
        (r"\boxed{35/2}", {}, "correct"),
        (r"\boxed{17.500001}", {"rel_tol": "1e-6"}, "correct"),
        (r"\boxed{17.500001}", {"rel_tol": "nonsense"}, "incorrect"),
        ("I do not know", {}, "incorrect"),
    ],
)
def test_numbers_are_compared_within_the_given_tolerance(
    response: str, options: dict[str, Any], expected: str
) -> None:
    assert verify("numeric", response, "17.5", **options).verdict == expected


def test_a_number_verifier_needs_a_number_as_reference() -> None:
    assert verify("numeric", "5", "five and a half").reason == "bad_reference"
    assert verify("numeric", "I do not know", "5").reason == "no_answer"


CHOICES = ["two", "$4$", "Berlin", "none of these"]


@pytest.mark.parametrize(
    ("response", "reference", "expected"),
    [
        ("Answer: B", "B", "correct"),
        ("the answer is (b)", "B", "correct"),
        (r"\boxed{\text{(B)}}", "B", "correct"),
        (r"\boxed{4}", "B", "correct"),
        ("The answer is Berlin.", "C", "correct"),
        ("Answer: C", "Berlin", "correct"),
        ("Answer: B. four", "B", "correct"),
        ("Answer: A", "B", "incorrect"),
        ("Answer: (A) or (B)", "B", "incorrect"),
        ("Answer: Z", "B", "incorrect"),
        ("hm", "B", "incorrect"),
    ],
)
def test_choices_are_compared_by_letter_or_by_text(
    response: str, reference: str, expected: str
) -> None:
    assert verify("choice", response, reference, choices=CHOICES).verdict == expected


@pytest.mark.parametrize(
    ("response", "options", "expected"),
    [
        ("<think>\n…\n</think>\n\nJupiter", {}, "correct"),
        ("**Answer:** jupiter.", {}, "correct"),
        ("Answer: jupiter", {"case_sensitive": True}, "incorrect"),
        ("Answer: Giove", {"aliases": ["Giove"]}, "correct"),
        ("Answer: Saturn", {"aliases": ["Giove"]}, "incorrect"),
    ],
)
def test_texts_are_compared_after_folding(
    response: str, options: dict[str, Any], expected: str
) -> None:
    assert verify("exact", response, "Jupiter", **options).verdict == expected


@pytest.mark.parametrize(
    "unit", ["1", "1,", "a ", "\\", "{1}", "½", "²", "\\frac{1}", "\x01", "1 "]
)
@pytest.mark.timeout(60)  # they take a second; what is quadratic here would take hours
def test_hostile_answers_and_references_come_to_an_end(unit: str) -> None:
    for kind in VERIFIERS:
        long, short = unit * (19_000 // len(unit)), unit * (390 // len(unit))
        for answer in (long, short, f"Answer: {short}"):
            verify(kind, answer, "B")
            verify(kind, "B", answer)


@pytest.mark.parametrize("timeout", ["soon", -1, 0, float("nan"), [], 10**400, None])
def test_a_senseless_timeout_counts_as_none(timeout: Any) -> None:
    assert verify("math", r"\boxed{x+1}", "1+x", timeout=timeout).verdict == "correct"


def test_a_verdict_survives_json() -> None:
    verdict = verify("math", r"\boxed{7}", "7")
    assert Verdict.from_dict(verdict.as_dict()) == verdict
    with pytest.raises(ValueError, match="not a verdict"):
        Verdict.from_dict({"verdict": "pass"})


def test_importing_the_verifiers_loads_nothing_heavy() -> None:
    heavy = ["django", "celery", "torch", "sympy", "math_verify", "pebble", "httpx", "numpy"]
    code = (
        "import sys, curation.verifiers, curation.sandbox.client\n"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Equal only for positive a and b; the algebra system does not assume that, and neither do we.
NOT_SEEN = {(r"\ln(ab)", r"\ln a+\ln b")}


def test_no_pair_is_listed_twice() -> None:
    listed = [
        pair for pairs in (*SAME.values(), *TRAPS.values(), EQUAL, DIFFERENT) for pair in pairs
    ]
    listed += [(reference, answer) for reference, answer, _ in ALGEBRA]
    assert {pair for pair in listed if listed.count(pair) > 1} == set()


@pytest.mark.parametrize("topic", SAME)
def test_equal_answers_written_otherwise_are_correct(topic: str) -> None:
    pairs = [pair for pair in SAME[topic] if pair not in NOT_SEEN]
    found = {pair: verify("math", boxed(pair[1]), pair[0]).verdict for pair in pairs}
    assert {pair for pair, verdict in found.items() if verdict != "correct"} == set()


@pytest.mark.parametrize("topic", TRAPS)
def test_no_trap_is_taken_for_the_reference(topic: str) -> None:
    found = {pair: verify("math", boxed(pair[1]), pair[0]).verdict for pair in TRAPS[topic]}
    assert {pair for pair, verdict in found.items() if verdict != "incorrect"} == set()


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        (r"\begin{pmatrix}a\\b\end{pmatrix}", r"\begin{bmatrix}a\\b\end{bmatrix}", True),
        (r"\begin{pmatrix}x+1\\2\end{pmatrix}", r"\begin{pmatrix}1+x\\2\end{pmatrix}", True),
        (r"\begin{pmatrix}x+1\\2\end{pmatrix}", r"\begin{pmatrix}x\\2\end{pmatrix}", False),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)", True),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", "(2,1)", False),
        ("x=a+1, y=2", "y=2, x=1+a", True),
        ("(a) x+1 (b) 2", "(a) 1+x, (b) 2", True),
        ("(a) 3 (b) 4", "3, 4", True),
        ("x<3", "3>x", True),
        (r"\{x \mid 0<x\le 2\}", "(0,2]", True),
        (r"1 \le x \le \sqrt{2}", r"[1,\sqrt2]", True),
        ("1 square m", r"10000\text{ cm}^2", True),
    ],
)
def test_answers_with_parts_are_compared_part_by_part(
    reference: str, answer: str, equal: bool
) -> None:
    verdict = verify("math", boxed(answer), reference)
    assert verdict.verdict == ("correct" if equal else "incorrect")
