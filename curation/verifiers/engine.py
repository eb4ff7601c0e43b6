"""The algebra system, behind guards; runs only in a killable child (curation.verifiers.pool).

math-verify parses both sides and compares them; its "different" is taken as it is, its "equal"
is believed only if an independent numeric evaluation does not contradict it. The library's own
timeouts are off: they only set a flag that a big-integer loop in C never looks at.
"""

from __future__ import annotations

import re
import signal
from functools import lru_cache
from typing import Any

MAX_EXPRESSION = 2_000
# Relative difference above which two exact values, or two values of which one is a float, differ.
EXACT_TOLERANCE = 1e-30
FLOAT_TOLERANCE = 1e-6
PRECISION = 60

# Fixed points at which formulas are compared; one value per free symbol, in order of their names.
_POINTS = ("1.37", "2.71", "0.83", "3.19", "1.93", "2.23", "0.59", "1.61", "3.47", "2.09")
_LETTERS = re.compile(r"(?<![a-zA-Z\\])[a-zA-Z](?![a-zA-Z])")
_COMMAND_OR_TEXT = re.compile(r"\\(?:text|mathrm|operatorname)\s*\{[^{}]*\}|\\[a-zA-Z]+")


def warm_up() -> None:
    """Load the libraries and fill their first caches; about a second, once per fork server."""
    compare_maths(r"\frac{1}{2}x", r"0.5x")


def compare_within(seconds: float, reference: str, answer: str) -> dict[str, Any]:
    """:func:`compare_maths`; SIGPROF ends the process after ``seconds`` of processor time.

    By its default action: a loop of big integers in C would never let a handler run.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        return compare_maths(reference, answer)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def compare_maths(reference: str, answer: str) -> dict[str, Any]:
    """Compare two LaTeX expressions (already normalised, without maths delimiters).

    Gives ``{"outcome": ..., "detail": {...}}`` with outcome ``equal``, ``different``,
    ``bad_reference`` (not an expression), ``unparsed_answer`` or ``memory``.
    """
    try:
        return _compare(reference[:MAX_EXPRESSION], answer[:MAX_EXPRESSION])
    except (MemoryError, RecursionError) as problem:
        return _outcome("memory", error=type(problem).__name__)


def _compare(reference: str, answer: str) -> dict[str, Any]:
    from math_verify import verify

    gold = _parse(reference)
    if gold is None:
        return _outcome("bad_reference")
    value = _parse(answer)
    if value is None:
        return _outcome("unparsed_answer")
    # Gold first: the library is not symmetric by design.
    if not verify([gold], [value], timeout_seconds=None):
        return _outcome("different")
    if contradicted(gold, value):
        return _outcome("different", guard="numeric")
    return _outcome("equal")


def _outcome(outcome: str, **detail: Any) -> dict[str, Any]:
    return {"outcome": outcome, "detail": detail}


@lru_cache(maxsize=512)
def _parse(latex: str) -> Any:
    """The one SymPy expression a text reads as; None where there is none.

    The library also offers the bare string as a second reading; two readings of one text make
    its comparison true too often, so only the expression is kept.
    """
    from math_verify import LatexExtractionConfig, parse
    from sympy import Basic, MatrixBase

    found = parse(rf"\boxed{{{latex}}}", [LatexExtractionConfig()], parsing_timeout=None)
    expression = next((item for item in found if isinstance(item, Basic | MatrixBase)), None)
    return None if expression is None or _lost_a_variable(latex, expression) else expression


def _lost_a_variable(latex: str, expression: Any) -> bool:
    """Whether a text with variables was read as a bare number, so that part of it was dropped."""
    if not getattr(expression, "is_Number", False):
        return False
    letters = set(_LETTERS.findall(_COMMAND_OR_TEXT.sub(" ", latex))) - {"e", "i", "C", "P"}
    return bool(letters)


def contradicted(a: Any, b: Any) -> bool:
    """Whether numbers say that two "equal" expressions differ; False where they cannot tell."""
    try:
        return _contradicted(a, b)
    except (TypeError, ValueError, AttributeError, ArithmeticError, NotImplementedError):
        return False


def _contradicted(a: Any, b: Any) -> bool:
    from sympy import Expr, Rel

    if isinstance(a, Rel) and isinstance(b, Rel):
        return type(a) is type(b) and a.rel_op == "==" and _equations_differ(a, b)
    if not isinstance(a, Expr) or not isinstance(b, Expr):
        return False
    tolerance = FLOAT_TOLERANCE if _has_float(a) or _has_float(b) else EXACT_TOLERANCE
    left, right = _numeric(a, b), _numeric(b, a)
    if left is None or right is None or _is_percent_pair(a, b):
        return False
    scale = max(abs(left), abs(right))
    return bool(scale > 0 and abs(left - right) / scale > tolerance)


def _numeric(a: Any, other: Any) -> Any:
    """``a`` at the fixed points, as a complex number of PRECISION digits; None if it stays open."""
    from sympy import Float

    symbols = sorted(a.free_symbols | other.free_symbols, key=str)
    if len(symbols) > len(_POINTS):
        return None
    values = {s: Float(p, PRECISION) for s, p in zip(symbols, _POINTS, strict=False)}
    value = a.doit().evalf(PRECISION, subs=values)
    return value if value.is_number and value.is_finite else None


def _has_float(expression: Any) -> bool:
    from sympy import Float

    return bool(expression.atoms(Float))


def _is_percent_pair(a: Any, b: Any) -> bool:
    """A percentage may equal its number as well as its value."""
    from sympy import UnevaluatedExpr

    return bool(a.atoms(UnevaluatedExpr) or b.atoms(UnevaluatedExpr))


def _equations_differ(a: Any, b: Any) -> bool:
    """Two linear equations in the same unknowns are equal only if they are proportional."""
    from sympy import Poly

    left, right = a.lhs.doit() - a.rhs.doit(), b.lhs.doit() - b.rhs.doit()
    symbols = sorted(left.free_symbols | right.free_symbols, key=str)
    if not symbols:
        return False
    f, g = Poly(left, *symbols), Poly(right, *symbols)
    if f.total_degree() != 1 or g.total_degree() != 1:
        return False
    rows = [(f.coeff_monomial(s), g.coeff_monomial(s)) for s in [*symbols, 1]]
    x0, y0 = next((x, y) for x, y in rows if x != 0 or y != 0)
    return any((x * y0 - y * x0) != 0 for x, y in rows)
