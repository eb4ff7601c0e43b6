"""Exact numbers of the form sum of c * sqrt(n) * pi**k: enough for most answers, without SymPy.

The square roots of square-free integers are linearly independent over the rationals, and pi is
transcendental, so two such sums are equal exactly when their coefficients are: a difference is a
proof, not a doubt. Every operation gives None where the result would leave the form or grow
beyond the limits below; hostile input therefore costs microseconds.
"""

from __future__ import annotations

from fractions import Fraction

# (square-free radicand, power of pi) -> coefficient; no zero coefficients are kept.
Exact = dict[tuple[int, int], Fraction]

MAX_BITS = 4096
MAX_TERMS = 12
MAX_RADICAND = 10**10
MAX_POWER = 64


def rational(value: Fraction | int) -> Exact:
    """A rational as a sum of at most one term."""
    return {(1, 0): Fraction(value)} if value else {}


PI: Exact = {(1, 1): Fraction(1)}


def as_rational(value: Exact) -> Fraction | None:
    """The rational a sum equals, or None if it is irrational."""
    if not value:
        return Fraction(0)
    return value.get((1, 0)) if len(value) == 1 else None


def add(a: Exact, b: Exact) -> Exact | None:
    """a + b."""
    total = dict(a)
    for key, coefficient in b.items():
        total[key] = total.get(key, Fraction(0)) + coefficient
    return _checked(total)


def negate(a: Exact) -> Exact:
    """-a."""
    return {key: -coefficient for key, coefficient in a.items()}


def multiply(a: Exact, b: Exact) -> Exact | None:
    """a * b."""
    total: Exact = {}
    for (n, i), x in a.items():
        for (m, j), y in b.items():
            root = _square_free(n * m)
            if root is None:
                return None
            key = (root[1], i + j)
            total[key] = total.get(key, Fraction(0)) + x * y * root[0]
    return _checked(total)


def divide(a: Exact, b: Exact) -> Exact | None:
    """a / b for b of one or two terms; None for zero and for anything longer."""
    if not b or len(b) > 2:
        return None
    if len(b) == 2:
        return _divide_by_conjugate(a, b)
    ((n, i), c) = next(iter(b.items()))
    return multiply(a, {(n, -i): 1 / (c * n)})


def power(base: Exact, exponent: Fraction) -> Exact | None:
    """base ** exponent for small integers and for halves of rationals."""
    if exponent.denominator == 2 and abs(exponent) <= MAX_POWER:
        root = square_root(base)
        return None if root is None else power(root, exponent * 2)
    if exponent.denominator != 1 or abs(exponent) > MAX_POWER:
        return None
    result: Exact | None = rational(1)
    for _ in range(abs(int(exponent))):
        result = None if result is None else multiply(result, base)
    if result is not None and exponent < 0:
        result = divide(rational(1), result)
    return result


def square_root(value: Exact) -> Exact | None:
    """The square root of a non-negative rational."""
    number = as_rational(value)
    if number is None or number < 0:
        return None
    root = _square_free(number.numerator * number.denominator)
    if root is None:
        return None
    return _checked({(root[1], 0): Fraction(root[0], number.denominator)})


def whole_root(value: Exact, degree: int) -> Exact | None:
    """The ``degree``-th root where it is an integer."""
    number = as_rational(value)
    if number is None or number.denominator != 1 or not 2 <= degree <= MAX_POWER:
        return None
    if (number < 0 and degree % 2 == 0) or abs(number) > MAX_RADICAND:
        return None
    guess = round(float(abs(number)) ** (1 / degree))
    if guess**degree != abs(number):
        return None
    return rational(guess if number >= 0 else -guess)


def approximate(value: Exact, digits: int = 60) -> Fraction:
    """A rational within 10**-digits (relative to the size of the terms) of the value."""
    total = Fraction(0)
    for (n, i), coefficient in value.items():
        total += coefficient * _root_approximation(n, digits) * _PI_60**i
    return total


# Sixty decimals of pi.
_PI_60 = Fraction(3141592653589793238462643383279502884197169399375105820974944, 10**60)


def _root_approximation(n: int, digits: int) -> Fraction:
    if n == 1:
        return Fraction(1)
    from math import isqrt

    return Fraction(isqrt(n * 10 ** (2 * digits)), 10**digits)


def _divide_by_conjugate(a: Exact, b: Exact) -> Exact | None:
    (first, second) = b.items()
    conjugate: Exact = {first[0]: first[1], second[0]: -second[1]}
    top, bottom = multiply(a, conjugate), multiply(b, conjugate)
    if top is None or bottom is None or len(bottom) != 1:
        return None
    return divide(top, bottom)


def _square_free(n: int) -> tuple[int, int] | None:
    """(outside, inside) with n = outside**2 * inside and inside square-free."""
    if n > MAX_RADICAND or n < 0:
        return None
    if n == 0:
        return (0, 1)
    outside, factor = 1, 2
    inside = n
    while factor * factor <= inside:
        while inside % (factor * factor) == 0:
            inside //= factor * factor
            outside *= factor
        factor += 1
    return outside, inside


def _checked(value: Exact) -> Exact | None:
    kept = {key: c for key, c in value.items() if c}
    if len(kept) > MAX_TERMS:
        return None
    for c in kept.values():
        if c.numerator.bit_length() > MAX_BITS or c.denominator.bit_length() > MAX_BITS:
            return None
    return kept
