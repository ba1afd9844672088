"""Tables of estimates and tests as R's printCoefmat lays them out, with significance stars and their legend.

summary.lm, coeftest, summary.plm, lmer's fixed effects and anova's tables are all this one table.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from refimpl.printing.numbers import EPSILON, Number, format_numbers, format_pval, round_half, zapsmall
from refimpl.printing.tables import WIDTH, print_matrix, widest

STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."), (1.0, " "))
LEGEND = "0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1"
LEGEND_FITS = 62  # R counts the bytes of the quotes, so a little more than there is to see


@dataclass(frozen=True)
class Columns:
    """Which columns are what: estimates and standard errors (one layout), test statistics, the p-value.

    Columns named in `zap` are cleared of what is tiny beside their largest number.
    """

    estimates: tuple[str, ...]
    tests: tuple[str, ...]
    p_value: str | None
    zap: tuple[str, ...] = ()

    @classmethod
    def guess(cls, names: Sequence[str]) -> Columns:
        """As R does: a last column of p-values if there are four or more and it is named so, tests before it."""
        p_value = names[-1] if len(names) >= 4 and names[-1].startswith(("Pr(", "p-v")) else None
        rest = tuple(names[: len(names) - (p_value is not None)])
        return cls(rest[:-1], rest[-1:], p_value)


def stars(p: Number) -> str:
    """The mark of a p-value, at most three characters; empty where there is none."""
    if p is None or math.isnan(p):
        return ""
    return next((mark for limit, mark in STARS if p <= limit), "?")


def print_coefmat(
    row_names: Sequence[str],
    table: Mapping[str, Sequence[Number]],
    digits: int = 5,
    columns: Columns | None = None,
    dig_test: int | None = None,
    eps: float = EPSILON,
    signif_stars: bool = True,
    signif_legend: bool | None = None,
    na: str = "NA",
    width: int = WIDTH,
) -> list[str]:
    """The lines of R's printCoefmat(x, digits, dig.tst, eps.Pvalue = eps, na.print = na) (R 4.2.2).

    `table` maps each column's header to one number a row, None for NA. `columns` says what they are (R's cs.ind,
    tst.ind, zap.ind, has.Pvalue; default: Columns.guess). Stars and legend stand only where there is a p-value; the
    legend only where a star could (R's default: signif_legend = signif_stars).
    """
    columns = columns or Columns.guess(list(table))
    dig_test = max(1, min(5, digits - 1)) if dig_test is None else dig_test
    table = {name: zapsmall(table[name], digits) if name in columns.zap else table[name] for name in table}
    cells = _number_cells(table, columns, digits, dig_test)
    headers = list(table)
    p = table[columns.p_value] if columns.p_value else ()
    if columns.p_value:
        cells[columns.p_value] = _p_cells(p, dig_test, eps)
    body = [[_shown(x, text, na) for x, text in zip(table[name], cells[name], strict=True)] for name in table]
    marks = [stars(x) for x in p]
    shown = signif_stars and any(x is not None and x < 0.1 for x in p)
    if shown:
        headers.append("")
        body.append([mark.ljust(widest(marks)) for mark in marks])
    lines = print_matrix(row_names, headers, body, width=width)
    if shown and signif_legend is not False:
        lines += ["---", *legend(width)]
    return lines


def legend(width: int = WIDTH) -> list[str]:
    """What the stars mean; below a page narrower than 62 the codes go on lines of their own."""
    title = "Signif. codes:  "
    if width >= LEGEND_FITS:
        return [title + LEGEND]
    if width >= widest([LEGEND]):
        return [title, LEGEND]
    return [title, *textwrap.wrap(LEGEND, width - 3, initial_indent="  ", subsequent_indent="  ")]


def _number_cells(
    table: Mapping[str, Sequence[Number]], columns: Columns, digits: int, dig_test: int
) -> dict[str, list[str]]:
    """Every column but the p-values. A zero that only rounding made is written again, except among the tests."""
    cells: dict[str, list[str]] = {}
    estimates = _estimate_cells([x for name in columns.estimates for x in table[name]], digits)
    for i, name in enumerate(columns.estimates):
        rows = len(table[name])
        cells[name] = estimates[i * rows : (i + 1) * rows]
    for name in table:
        if name in columns.tests:
            cells[name] = format_numbers([_rounded(x, dig_test) for x in table[name]], digits)
        elif name not in cells and name != columns.p_value:
            cells[name] = format_numbers(table[name], digits)
    kept = [name for name in cells if name not in columns.tests]
    lost = [(name, i) for name in kept for i, x in enumerate(table[name]) if x and _is_zero(cells[name][i])]
    again = format_numbers([table[name][i] for name, i in lost], max(1, digits - 1))
    for (name, i), text in zip(lost, again, strict=True):
        cells[name][i] = text
    return cells


def _estimate_cells(values: Sequence[Number], digits: int) -> list[str]:
    """Estimates and standard errors in one layout, rounded where the smallest of them has `digits` digits.

    As in R they are blank where not one is finite.
    """
    if not any(x is not None and math.isfinite(x) for x in values):
        return [""] * len(values)
    sizes = [abs(x) for x in values if x and math.isfinite(x)]
    if sizes:
        places = max(1, digits - 1 - math.floor(math.log10(min(sizes))))
        values = [_rounded(x, places) for x in values]
    return format_numbers(values, digits)


def _p_cells(values: Sequence[Number], digits: int, eps: float) -> list[str]:
    cells = iter(format_pval([x for x in values if x is not None and not math.isnan(x)], digits, eps))
    return ["" if x is None or math.isnan(x) else next(cells) for x in values]


def _shown(x: Number, text: str, na: str) -> str:
    return na if x is None else "NaN" if math.isnan(x) else text


def _rounded(x: Number, places: int) -> Number:
    return None if x is None else round_half(x, places)


def _is_zero(text: str) -> bool:
    """Whether a cell shows a zero, in any notation."""
    digits = text.strip().lstrip("-").partition("e")[0].replace(".", "")
    return bool(digits) and not digits.strip("0")
