"""Numbers as R writes them: significant digits, a common layout for a vector, p-values, round, signif, zapsmall.

Only single vectors become text here; tables are in tables.py. What R's documentation leaves open (ties, the width kept
for a number that rounds up, how p-values share a layout) was found by asking R 4.2.2, and is tested against it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

EPSILON = 2.0**-52  # R's .Machine$double.eps
LOG10_2 = math.log10(2)
EXTENDED_BITS = 64  # significand of the long double in which R counts significant digits
EXACT_DIGITS = 15  # R counts digits by arithmetic up to here, from the C library's text beyond

MOST_DIGITS = 308  # the largest power of ten that is a double

Number = float | None  # None is R's NA, nan its NaN


# ---- significant digits -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Significant:
    """A finite number rounded to a few significant digits: d.ddd x 10^exponent, `count` digits without trailing zeros.

    `whole` is how many digits stand before the point when it is written in fixed notation.
    """

    exponent: int
    count: int
    whole: int

    @property
    def decimals(self) -> int:
        """Digits after the point that fixed notation needs."""
        return max(0, self.count - self.exponent - 1)


def significant(x: float, digits: int) -> Significant:
    """How many of `digits` significant digits the finite number x needs."""
    if x == 0:
        return Significant(0, 1, 1)
    size = abs(x)
    scaled, exponent = _scaled(size, digits)
    if scaled == 10**digits:
        exponent += 1
    count = len(str(scaled).rstrip("0"))
    # a number that only the rounding to few digits has lifted to the next power of ten keeps its own width
    whole = exponent + (len(f"{size:.0f}") > exponent) if exponent > 0 else 1
    return Significant(exponent, count, whole)


def _scaled(size: float, digits: int) -> tuple[int, int]:
    """The first `digits` digits of a positive number as an integer, and its decimal exponent before rounding."""
    if digits > EXACT_DIGITS:
        mantissa, _, power = f"{size:.{digits - 1}e}".partition("e")
        return int(mantissa.replace(".", "")), int(power)
    exponent = int(f"{size:.16e}".partition("e")[2])
    shift = digits - 1 - exponent
    exact = Fraction(size)
    return round(_extended(exact * _power(shift) if shift >= 0 else exact / _power(-shift))), exponent


def _extended(value: Fraction) -> Fraction:
    """A positive value rounded to the significand of a long double, ties to even."""
    bits = value.numerator.bit_length() - value.denominator.bit_length()
    unit = Fraction(2) ** (bits - EXTENDED_BITS + (Fraction(2) ** bits <= value))
    return round(value / unit) * unit


def _power(n: int) -> Fraction:
    """10^n, n >= 0, as R has it: exact to 22, then to 27 a double's, then a long double's."""
    if n <= 22:
        return Fraction(10**n)
    return Fraction(float(f"1e{n}")) if n <= 27 else _extended(Fraction(10**n))


# ---- a common layout --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """How all numbers of a vector are written: `decimals` digits after the point, fixed or scientific, `width` wide."""

    fixed: bool
    decimals: int
    width: int

    def write(self, x: Number, na: str = "NA") -> str:
        """The text of one number, right-justified."""
        if x is None or not math.isfinite(x):
            return _special(x, na).rjust(self.width)
        return f"{x + 0.0:.{self.decimals}{'f' if self.fixed else 'e'}}".rjust(self.width)  # no minus on a zero


def layout(values: Iterable[Number], digits: int = 7, nsmall: int = 0, scipen: int = 0, na: str = "NA") -> Layout:
    """The layout R chooses for a vector (?format, ?print.default, ?options: digits, scipen).

    As few digits as show every number to at least `digits` significant ones, unless it needs fewer; fixed notation
    unless it is more than `scipen` wider than scientific; at least `nsmall` decimals where it is fixed.
    """
    values = list(values)
    finite = [x for x in values if x is not None and math.isfinite(x)]
    other = max((len(_special(x, na)) for x in values if x is None or not math.isfinite(x)), default=0)
    if not finite:
        return Layout(True, 0, other)
    parts = [significant(x, digits) for x in finite]
    decimals = max(part.decimals for part in parts)
    whole = max(part.whole + (x < 0) for part, x in zip(parts, finite, strict=True))
    count = max(part.count for part in parts)
    exponent_width = 3 if any(abs(part.exponent) >= 100 for part in parts) else 2
    scientific = any(x < 0 for x in finite) + count + (count > 1) + 2 + exponent_width
    if whole + decimals + (decimals > 0) > scientific + scipen:
        return Layout(False, count - 1, max(scientific, other))
    decimals = max(decimals, nsmall)
    return Layout(True, decimals, max(whole + decimals + (decimals > 0), other))


def _special(x: Number, na: str) -> str:
    if x is None:
        return na
    return "NaN" if math.isnan(x) else "Inf" if x > 0 else "-Inf"


def format_numbers(
    values: Iterable[Number], digits: int = 7, nsmall: int = 0, scipen: int = 0, na: str = "NA"
) -> list[str]:
    """R's format() of a numeric vector: all in one layout, of equal width (R: format.default).

    None stands for NA, nan for NaN. `digits` is 1 to 22.
    """
    values = list(values)
    common = layout(values, digits, nsmall, scipen, na)
    return [common.write(x, na) for x in values]


def format_number(x: Number, digits: int = 7, scipen: int = 0) -> str:
    """R's format() of one number."""
    return format_numbers([x], digits, scipen=scipen)[0]


def format_c(x: Number, digits: int) -> str:
    """R's formatC(x, digits = digits): C's %g, padded to digits + 1."""
    text = f"{x:.{digits}g}" if x is not None and math.isfinite(x) else _special(x, "NA")
    return text.rjust(digits + 1)


# ---- p-values ---------------------------------------------------------------------------------------------------


def format_pval(
    values: Iterable[Number], digits: int = 5, eps: float = EPSILON, na: str = "NA", scipen: int = 0
) -> list[str]:
    """p-values as text, those below `eps` as `<eps` (R: format.pval). nan and None both give `na`."""
    values = list(values)
    known = [None if x is None or math.isnan(x) else x for x in values]
    out = {i: na for i, x in enumerate(known) if x is None}
    shown = {i: x for i, x in enumerate(known) if x is not None and x >= eps}
    least = 1e-3 if digits == 1 else 1e-4  # p-values from here on share one layout, smaller ones another
    large = {i: x for i, x in shown.items() if x >= least}
    small = {i: x for i, x in shown.items() if i not in large}
    for together in (large, small):
        out |= zip(together, format_numbers(together.values(), digits, scipen=scipen), strict=True)
    below = [i for i, x in enumerate(known) if x is not None and x < eps]
    if below:
        widest = max((len(out[i]) for i in shown), default=None)
        out |= dict.fromkeys(below, _below(eps, digits, widest, scipen))
    return [out[i] for i in range(len(values))]


def _below(eps: float, digits: int, widest: int | None, scipen: int) -> str:
    """The text `< eps`: fewer digits than the other p-values, and no space where they are short."""
    digits = max(1, digits - 2)
    if widest is not None and digits > 1 and digits + 6 > widest:
        digits = max(1, widest - 7)
    gap = "" if digits == 1 and (widest is None or widest <= 6) else " "
    return f"<{gap}{format_number(eps, digits, scipen)}"


# ---- rounding ---------------------------------------------------------------------------------------------------


def round_half(x: float, digits: int) -> float:
    """R's round(x, digits): of the two neighbours with that many decimals the nearer double, on a tie the even one.

    A number that has no more than 15 digits up to that place is left alone (R >= 4.0.0, ?round).
    """
    if not math.isfinite(x) or x == 0 or digits + LOG10_2 * (math.frexp(x)[1] - 0.5) > EXACT_DIGITS:
        return x
    size = abs(x)
    lower = math.floor(scale_by_ten(size, digits))
    down, up = scale_by_ten(lower, -digits), scale_by_ten(lower + 1, -digits)
    below, above = size - down, up - size
    nearest = up if above < below or (above == below and lower % 2) else down
    return math.copysign(nearest, x)


def signif(x: float, digits: int) -> float:
    """R's signif(x, digits): rounded to that many significant digits, a tie of the scaled double to even."""
    if not math.isfinite(x) or x == 0 or digits > EXACT_DIGITS:
        return x
    shift = max(1, digits) - 1 - math.floor(math.log10(abs(x)))
    return scale_by_ten(round(scale_by_ten(x, shift)), -shift)


def scale_by_ten(x: float, digits: int) -> float:
    """x * 10^digits in doubles, the power by repeated squaring as R has it; in two steps where it would overflow."""
    if abs(digits) > MOST_DIGITS:
        part = math.copysign(MOST_DIGITS, digits)
        return scale_by_ten(scale_by_ten(x, int(part)), digits - int(part))
    power, square, n = 1.0, 10.0, abs(digits)
    while n:
        power, square, n = power * square if n % 2 else power, square * square, n // 2
    return x * power if digits >= 0 else x / power


def zapsmall(values: Sequence[Number], digits: int = 7) -> list[Number]:
    """R's zapsmall: rounded so that what is tiny beside the largest of them becomes zero."""
    largest = max((abs(x) for x in values if x is not None and not math.isnan(x)), default=0.0)
    places = digits
    if largest > 0:
        places = max(0, math.floor(digits - math.log10(largest) + 0.5)) if math.isfinite(largest) else 0
    return [None if x is None else round_half(x, places) for x in values]
