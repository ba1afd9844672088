"""How R prints numbers together: each style writes a group of values again, as R would under some `digits`.

With it a printed page can be held to R's own rounding, which at places rounds twice: test statistics before they are
formatted, summaries of data frames by zapsmall(). Source: R's documentation of print.summary.lm, printCoefmat,
format.summaryDefault, and what R 4.2.2 prints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from compat.published.numbers import Printed, Sort, read_number
from refimpl.printing.numbers import format_number, format_numbers, format_pval, round_half, signif, zapsmall

Texts = list[str]
Style = Callable[[Sequence[float], int, int], Texts]  # values, digits, scipen
DIGITS = range(22, 0, -1)  # of several that do equally well the largest is told
SCIPEN = (0, 100, -100)


def test_digits(digits: int) -> int:
    """Decimals to which printCoefmat first rounds statistics (its dig.tst)."""
    return max(1, min(5, digits - 1))


def estimates(values: Sequence[float], digits: int, scipen: int) -> Texts:
    """Estimates and standard errors of printCoefmat: rounded where the smallest has `digits`, then one layout."""
    sizes = [abs(x) for x in values if x and math.isfinite(x)]
    if not sizes:
        return format_numbers(values, digits, scipen=scipen)
    places = max(1, digits - 1 - math.floor(math.log10(min(sizes))))
    return format_numbers([round_half(x, places) for x in values], digits, scipen=scipen)


def tests(values: Sequence[float], digits: int, scipen: int) -> Texts:
    """Test statistics of printCoefmat: rounded to test_digits, then formatted."""
    return format_numbers([round_half(x, test_digits(digits)) for x in values], digits, scipen=scipen)


def p_values(values: Sequence[float], digits: int, scipen: int) -> Texts:
    """p-values of printCoefmat."""
    return format_pval(values, test_digits(digits))


def quantiles(values: Sequence[float], digits: int, scipen: int) -> Texts:
    """Quantiles of residuals: zapsmall() to one digit more, then formatted."""
    return format_numbers(zapsmall(list(values), digits + 1), digits, scipen=scipen)


def summary(values: Sequence[float], digits: int, scipen: int) -> Texts:
    """A column of summary(data.frame), or summary of a vector, under options(digits = ): zapsmall(), then formatted."""
    return format_numbers(zapsmall(list(values), digits), max(3, digits - 3), scipen=scipen)


def zapped(values: Sequence[float], digits: int, scipen: int) -> Texts:
    """Sums, criteria and the like in anova's tables: zapsmall() to as many digits, then formatted."""
    return format_numbers(zapsmall(list(values), digits), digits, scipen=scipen)


def vector(values: Sequence[float], digits: int, scipen: int) -> Texts:
    """Numbers in one layout, as format() and print() write them."""
    return format_numbers(values, digits, scipen=scipen)


def criteria(values: Sequence[float], digits: int, scipen: int) -> Texts:
    """AIC, BIC and the like in summary(lmer): rounded to one decimal, then formatted."""
    return format_numbers([round_half(x, 1) for x in values], digits, scipen=scipen)


def significant(values: Sequence[float], digits: int, scipen: int) -> Texts:
    """Each number by itself, after signif()."""
    return [format_number(signif(x, digits), 15) for x in values]


STYLES: Mapping[str, Style] = {
    "estimates": estimates, "tests": tests, "p": p_values, "quantiles": quantiles, "summary": summary,
    "zapped": zapped, "vector": vector, "criteria": criteria, "signif": significant,
}  # fmt: skip
FREE_UNIT = frozenset(["signif"])  # styles whose trailing zeros are no digits


def same(printed: Printed, text: str, style: str) -> bool:
    """Whether a text written again is the printed one: the same decimal, with as many digits."""
    other = read_number(text)
    if other is None or other.sort is not printed.sort:
        return False
    if printed.sort in (Sort.MISSING, Sort.INFINITE):
        return True
    return other.value == printed.value and (style in FREE_UNIT or other.unit == printed.unit)


def agreement(
    style: str, groups: Sequence[tuple[Sequence[Printed], Sequence[float]]]
) -> tuple[int, list[list[bool]], list[Texts]]:
    """The `digits` under which most of the groups' texts come out as printed: that, which do, and all texts.

    All groups share the digits; each is laid out by itself.
    """
    best: tuple[int, list[list[bool]], list[Texts]] = (0, [[False] * len(p) for p, _ in groups], [])
    most = -1
    for scipen in SCIPEN:
        for digits in DIGITS:
            texts = [STYLES[style](values, digits, scipen) for _, values in groups]
            fits = [
                [same(one, text, style) for one, text in zip(printed, written, strict=True)]
                for (printed, _), written in zip(groups, texts, strict=True)
            ]
            count = sum(map(sum, fits))
            if count > most:
                most, best = count, (digits, fits, texts)
        if most == sum(len(printed) for printed, _ in groups):
            break
    return best
