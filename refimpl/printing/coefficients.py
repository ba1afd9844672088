"""Tables of estimates and tests as R's printCoefmat lays them out, with significance stars and their legend.

summary.lm, coeftest, summary.plm, lmer's fixed effects and anova's tables are all this one table.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from refimpl.printing.numbers import EPSILON, Number, format_number, format_numbers, format_pval, round_half, zapsmall
from refimpl.printing.options import DEFAULT, Options
from refimpl.printing.tables import print_matrix, widest

STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."), (1.0, " "))
LEGEND_MARGIN = 16  # a page that is wider than the codes by this has them beside their title


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
    digits: int | None = None,
    columns: Columns | None = None,
    dig_test: int | None = None,
    eps: float = EPSILON,
    signif_legend: bool = True,
    na: str = "NA",
    options: Options = DEFAULT,
) -> list[str]:
    """The lines of R's printCoefmat(x, digits, dig.tst, eps.Pvalue = eps, na.print = na) (R 4.2.2).

    `table` maps each column's header to one number a row, None for NA. `columns` says what they are (R's cs.ind,
    tst.ind, zap.ind, has.Pvalue; default: Columns.guess). Stars and their legend stand only where a p-value is
    below 0.1.
    """
    columns = columns or Columns.guess(list(table))
    digits = max(3, options.digits - 2) if digits is None else digits
    dig_test = max(1, min(5, digits - 1)) if dig_test is None else dig_test
    table = {name: zapsmall(table[name], digits) if name in columns.zap else table[name] for name in table}
    cells = _number_cells(table, columns, digits, dig_test, options.scipen)
    headers = list(table)
    p = table[columns.p_value] if columns.p_value else ()
    if columns.p_value:
        cells[columns.p_value] = _p_cells(p, dig_test, eps, options.scipen)
    body = [[_shown(x, text, na) for x, text in zip(table[name], cells[name], strict=True)] for name in table]
    starred = options.signif_stars and any(x is not None and x < 0.1 for x in p)
    if starred:
        marks = [stars(x) for x in p]
        headers.append("")
        body.append([mark.ljust(widest(marks)) for mark in marks])
    lines = print_matrix(row_names, headers, body, width=options.width)
    return [*lines, "---", *legend(options)] if starred and signif_legend else lines


def legend(options: Options = DEFAULT) -> list[str]:
    """What the stars mean: marks between the limits of their p-values, on lines of their own on a narrow page."""
    limits = [format_number(x, options.digits, options.scipen) for x in (0.0, *(limit for limit, _ in STARS))]
    marks = [f"‘{mark}’" for _, mark in STARS]
    codes = " ".join([limits[0], *(f"{mark} {limit}" for mark, limit in zip(marks, limits[1:], strict=True))])
    title, room = "Signif. codes:  ", options.width - len(codes)
    if room >= LEGEND_MARGIN:
        return [title + codes]
    if room >= 0:
        return [title, codes]
    return [title, *textwrap.wrap(codes, options.width - 3, initial_indent="  ", subsequent_indent="  ")]


def _number_cells(
    table: Mapping[str, Sequence[Number]], columns: Columns, digits: int, dig_test: int, scipen: int
) -> dict[str, list[str]]:
    """Every column but the p-values. A zero that only rounding made is written again, except among the tests."""
    cells: dict[str, list[str]] = {}
    estimates = _estimate_cells([x for name in columns.estimates for x in table[name]], digits, scipen)
    for i, name in enumerate(columns.estimates):
        rows = len(table[name])
        cells[name] = estimates[i * rows : (i + 1) * rows]
    for name in table:
        if name in columns.tests:
            cells[name] = format_numbers([_rounded(x, dig_test) for x in table[name]], digits, scipen=scipen)
        elif name not in cells and name != columns.p_value:
            cells[name] = format_numbers(table[name], digits, scipen=scipen)
    kept = [name for name in cells if name not in columns.tests]
    lost = [(name, i) for name in kept for i, x in enumerate(table[name]) if x and _is_zero(cells[name][i])]
    again = format_numbers([table[name][i] for name, i in lost], max(1, digits - 1), scipen=scipen)
    for (name, i), text in zip(lost, again, strict=True):
        cells[name][i] = text
    return cells


def _estimate_cells(values: Sequence[Number], digits: int, scipen: int) -> list[str]:
    """Estimates and standard errors in one layout, rounded where the smallest of them has `digits` digits.

    As in R they are blank where not one is finite.
    """
    if not any(x is not None and math.isfinite(x) for x in values):
        return [""] * len(values)
    sizes = [abs(x) for x in values if x and math.isfinite(x)]
    if sizes:
        places = max(1, digits - 1 - math.floor(math.log10(min(sizes))))
        values = [_rounded(x, places) for x in values]
    return format_numbers(values, digits, scipen=scipen)


def _p_cells(values: Sequence[Number], digits: int, eps: float, scipen: int) -> list[str]:
    known = [x for x in values if x is not None and not math.isnan(x)]
    cells = iter(format_pval(known, digits, eps, scipen=scipen))
    return ["" if x is None or math.isnan(x) else next(cells) for x in values]


def _shown(x: Number, text: str, na: str) -> str:
    return na if x is None else "NaN" if math.isnan(x) else text


def _rounded(x: Number, places: int) -> Number:
    return None if x is None else round_half(x, places)


def _is_zero(text: str) -> bool:
    """Whether a cell shows a zero, in any notation."""
    digits = text.strip().lstrip("-").partition("e")[0].replace(".", "")
    return bool(digits) and not digits.strip("0")
