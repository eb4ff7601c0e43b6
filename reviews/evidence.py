"""Equations in a trace, evaluated exactly: evidence beside the text, never a verdict."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from curation.verifiers.arithmetic import exact_value

MOST = 2000  # chips on one trace
NUMBER = r"\d{1,15}(?:,\d{3}){0,4}(?:\.\d{1,12})?"
# a sum, product, ... of plain numbers, an equals sign, a number: "24 + 16 = 40", "60 ÷ 40 = 1.5"
EQUATION = re.compile(
    rf"(?<![\w.,^/*×·÷+−=\\{{}}-])(?P<left>\(?{NUMBER}(?:\s?(?:[-+*/×·÷−]|\\times|\\cdot|\\div)\s?"
    rf"[()]?{NUMBER}\)?){{1,12}})\s{{0,3}}(?P<sign>=|≈|\\approx)\s{{0,3}}(?P<right>[-−]?{NUMBER})"
    r"(?![\w^/*×·÷{(!%\\]|\s?[-+*/×·÷^−]\s?\d|,\d|\.\d)"
)
SIGNS = {"\\times": "*", "\\cdot": "*", "\\div": "/", "×": "*", "·": "*", "÷": "/", "−": "-"}
OPERATORS = tuple("+-*/×·÷−^(")
DECIMAL = re.compile(r"\d+\.\d+")
CODE = re.compile(r"^```[ \t]*(?P<lang>\w{1,20})", re.M)


def checks_of(text: str) -> list[dict[str, Any]]:
    """[{"start", "end", "state": "holds"|"differs"|"unchecked", "text"}] in order."""
    found = [check for m in EQUATION.finditer(text) if (check := check_of(m)) is not None]
    return found[:MOST]


def check_of(found: re.Match[str]) -> dict[str, Any] | None:
    """None for the tail of a longer formula: "n + 24 + 16 = 40" says nothing of 24 + 16."""
    before = found.string[max(0, found.start() - 8) : found.start()].rstrip(" $")
    if before[-1:] in OPERATORS or before.endswith(("\\times", "\\cdot", "\\div")):
        return None
    try:
        value = evaluate(found["left"])
        stated = fraction(found["right"])
    except (ValueError, ZeroDivisionError):
        return {**place(found), "state": "unchecked", "text": "cannot be checked"}
    if same(value, stated, found["right"], found["sign"]):
        return {**place(found), "state": "holds", "text": f"= {shown(value)}"}
    return {**place(found), "state": "differs", "text": f"is {shown(value)}"}


def place(found: re.Match[str]) -> dict[str, int]:
    return {"start": found.start(), "end": found.end()}


def fraction(number: str) -> Fraction:
    return Fraction(number.replace(",", "").replace("−", "-"))


def evaluate(formula: str) -> Fraction:
    """The exact value; decimals are written as fractions of whole numbers first."""
    for sign, plain in SIGNS.items():
        formula = formula.replace(sign, plain)
    formula = formula.replace(",", "")
    whole = DECIMAL.sub(lambda m: "({}/{})".format(*Fraction(m[0]).as_integer_ratio()), formula)
    # Leading zeros are fine in prose, not in a formula.
    value, _ = exact_value(re.sub(r"\b0+(?=\d)", "", whole))
    return value


def same(value: Fraction, stated: Fraction, written: str, sign: str) -> bool:
    """Equal, or equal when rounded to the digits that are written (always so after "≈")."""
    if value == stated:
        return True
    digits = len(written.partition(".")[2])
    half = Fraction(1, 2 * 10**digits)
    return (digits > 0 or sign != "=") and abs(value - stated) <= half


def shown(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)[:24]
    try:
        return f"{float(value):.6g}"
    except OverflowError:
        return "a large number"
