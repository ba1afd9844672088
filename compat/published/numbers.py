"""One printed number: its text, the interval it stands for, and whether a value rounds to it.

Arithmetic is exact (fractions of the double and of the decimal text). Where numbers stand on a page is in page.py, how
R comes to print a vector of them together is in rendering.py.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

# A number as R prints one: not part of a name or a longer number, with the bound sign of a p-value.
NUMBER = re.compile(
    r"(?<![\w.])(?:<\s?)?[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![\w]|\.[0-9])"
    r"|(?<![\w.])(?:NA|NaN|-?Inf)(?![\w.'])"
)
_PARTS = re.compile(r"(<?)\s?([-+]?)([0-9]*)\.?([0-9]*)(?:[eE]([-+]?[0-9]+))?\Z")

EPSILON = 2.0**-52  # R's .Machine$double.eps, the bound below which its p-values are not written out
RMS_BOUND = Fraction(1, 10_000)  # rms's
NOISE = 8  # units in the last place by which two correct computations of a double may differ at a tie
LARGEST_EXPONENT = 400  # beyond it no double is printed


class Sort(StrEnum):
    """What a printed text says of its number."""

    NUMBER = "number"
    BELOW = "below"
    MISSING = "missing"
    INFINITE = "infinite"


@dataclass(frozen=True, slots=True)
class Printed:
    """A number as somebody printed it: exact decimal `value`, and `unit`, the place value of its last digit.

    For `<2e-16` the sort is BELOW and `value` the bound; it holds for what R and rms say so of, no other bound does.
    """

    text: str
    sort: Sort
    value: Fraction = Fraction(0)
    unit: Fraction = Fraction(1)

    @property
    def decimals(self) -> int:
        """Digits after the point, were it written in fixed notation; negative for 1e+05."""
        return -round(math.log10(self.unit))

    @property
    def interval(self) -> tuple[Fraction, Fraction]:
        """Half a unit of the last digit either way."""
        return self.value - self.unit / 2, self.value + self.unit / 2

    def holds(self, x: float) -> bool:
        """Whether a double rounds to this text: within half a unit, a tie to the even digit as C's printf rounds it.

        At a tie that noise of a few units in the last place decides, either neighbour will do.
        """
        if self.sort is Sort.MISSING:
            return math.isnan(x)
        if not math.isfinite(x):
            return self.sort is Sort.INFINITE and x == float(self.text.replace("Inf", "inf"))
        if self.sort is Sort.INFINITE:
            return False
        if self.sort is Sort.BELOW:
            return 0 <= x < (EPSILON if is_epsilon(self) else RMS_BOUND if self.value == RMS_BOUND else 0)
        away = abs(Fraction(x) - self.value)
        if away == self.unit / 2:
            return (self.value / self.unit) % 2 == 0
        return away < self.unit / 2 + (NOISE * Fraction(math.ulp(x)) if away > self.unit / 2 else 0)


def read_number(text: str) -> Printed | None:
    """The number of a text, or None where it is none."""
    text = text.strip()
    if text in ("NA", "NaN"):
        return Printed(text, Sort.MISSING)
    if text in ("Inf", "-Inf"):
        return Printed(text, Sort.INFINITE)
    found = _PARTS.match(text)
    if found is None:
        return None
    bound, sign, whole, decimals, exponent = found.groups()
    if not whole + decimals or len(exponent or "") > 4:
        return None
    power = int(exponent or 0)
    if abs(power) > LARGEST_EXPONENT or len(whole + decimals) > LARGEST_EXPONENT:
        return None
    if power and not int(whole + decimals):
        return None  # R writes no zero like that
    unit = Fraction(10) ** (power - len(decimals))
    value = int(whole + decimals) * unit
    return Printed(text, Sort.BELOW if bound else Sort.NUMBER, -value if sign == "-" else value, unit)


def is_epsilon(bound: Printed) -> bool:
    """Whether a bound is R's double epsilon at some number of digits: 2e-16, 2.2e-16, 2.220446e-16; never zero."""
    return bound.sort is Sort.BELOW and bound.value > 0 and abs(Fraction(EPSILON) - bound.value) <= bound.unit / 2


def without_trailing_zeros(number: Printed) -> Printed:
    """The same number where the zeros at the end of a whole number may be no digits, as after signif()."""
    unit = number.unit
    if unit < 1 or number.value == 0:
        return number
    while number.value % (unit * 10) == 0:
        unit *= 10
    return Printed(number.text, number.sort, number.value, unit)
