"""Arithmetic in text, evaluated exactly and without ever running it. Pure, standard library only.

Used where a puzzle's answer is a formula (countdown, 24) and in place of ``eval`` inside scorers
that would run what a model wrote.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

MAX_FORMULA = 2_000  # characters
MAX_BITS = 4_096  # of any number on the way: 9**9**9 ends here, not in memory
MAX_DEPTH = 100

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_INTEGER: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_SIGNS = "×·−–÷"
_ASCII_SIGNS = str.maketrans(dict(zip(_SIGNS, "**--/", strict=True)))


def exact_value(formula: str) -> tuple[Fraction, list[int]]:
    """The value of a formula of whole numbers, ``+ - * /`` and brackets, and its numbers in order.

    ValueError for anything else, for division by zero and for numbers over ``MAX_BITS``.
    """
    tree = _tree(formula.translate(_ASCII_SIGNS))
    numbers: list[int] = []
    return _fraction(tree, numbers, 0), numbers


def _tree(text: str) -> ast.expr:
    if len(text) > MAX_FORMULA:
        raise ValueError("the formula is too long")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError("not a formula") from None


def _fraction(node: ast.expr, numbers: list[int], depth: int) -> Fraction:
    if depth > MAX_DEPTH:
        raise ValueError("the formula is too deep")
    if isinstance(node, ast.Constant) and type(node.value) is int:
        numbers.append(node.value)
        return _bounded(Fraction(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _fraction(node.operand, numbers, depth + 1)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left = _fraction(node.left, numbers, depth + 1)
        right = _fraction(node.right, numbers, depth + 1)
        if isinstance(node.op, ast.Div) and right == 0:
            raise ValueError("division by zero")
        return _bounded(_BINARY[type(node.op)](left, right))
    raise ValueError("only whole numbers, + - * / and brackets")


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise ValueError("a number is too large")
    return value


def literal(text: str, *_: Any) -> Any:
    """What ``eval`` would give for a literal or for arithmetic on numbers, and nothing else.

    Takes (and ignores) ``eval``'s other arguments, so that it can stand in its place. ValueError
    for every other text.
    """
    tree = _tree(text)
    try:
        return ast.literal_eval(tree)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return _number(tree, 0)


def _number(node: ast.expr, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError("too deep")
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert):
        value = _number(node.operand, depth + 1)
        return -value if isinstance(node.op, ast.USub) else ~value
    if isinstance(node, ast.BinOp):
        return _operation(node, depth)
    raise ValueError("neither a literal nor arithmetic")


def _operation(node: ast.BinOp, depth: int) -> Any:
    left, right = _number(node.left, depth + 1), _number(node.right, depth + 1)
    if isinstance(node.op, ast.LShift | ast.RShift):
        if not 0 <= right <= MAX_BITS:
            raise ValueError("a number is too large")
        return left << right if isinstance(node.op, ast.LShift) else left >> right
    rule = _BINARY.get(type(node.op)) or _INTEGER.get(type(node.op))
    if rule is None:
        raise ValueError("neither a literal nor arithmetic")
    try:
        value = rule(left, right)
    except (ZeroDivisionError, TypeError, OverflowError):
        raise ValueError("cannot be computed") from None
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise ValueError("a number is too large")
    return value
