"""Mixed models as lme4 1.1-31 prints them: summary(m), and print(m) which is shorter.

Every number comes from the fit; nothing is estimated here. A fit at a singular covariance ends with what lme4's default
optimiser says of one. A title that is wider than the page (below 57 columns) is not wrapped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from refimpl.formula.bars import without_double_bars
from refimpl.printing.abbreviations import abbreviate
from refimpl.printing.calls import deparse_lines
from refimpl.printing.coefficients import Columns, print_coefmat
from refimpl.printing.linear import QUANTILES, numbers
from refimpl.printing.numbers import format_number, format_numbers, round_half, zapsmall
from refimpl.printing.options import DEFAULT, Options
from refimpl.printing.tables import display_width, print_matrix, print_named

if TYPE_CHECKING:
    from refimpl.mixed.results import MixedFit

MOST_CORRELATED = 12  # with more fixed effects than this, lme4 does not show their correlations (lme4.summary.cor.max)
TITLES = {"data": "   Data: ", "weights": "Weights: ", "offset": " Offset: ", "subset": " Subset: "}
CRITERIA = ("AIC", "BIC", "logLik", "deviance", "df.resid")
CONVERGED = "optimizer (nloptwrap) convergence code: 0 (OK)"
SINGULAR = "boundary (singular) fit: see help('isSingular')"


@dataclass(frozen=True)
class MixedSummary:
    """The summary of a MixedFit; str() is R's print of it, `text` takes R's options, `short` is R's print of the fit.

    `named` is what R's call gives for data, weights, offset and subset.
    """

    fit: MixedFit
    named: dict[str, str] = field(default_factory=dict)

    def text(self, options: Options = DEFAULT) -> str:
        """What R prints for summary(m) under these options, without the last line feed."""
        return "\n".join(summary_lines(self.fit, self.named, options))

    def short(self, options: Options = DEFAULT) -> str:
        """What R prints for m itself."""
        return "\n".join(short_lines(self.fit, self.named, options))

    def __str__(self) -> str:
        """R's print with its default options."""
        return self.text()

    __repr__ = __str__


def summary(fit: MixedFit, call: str | None = None) -> MixedSummary:
    """The summary of a fit (lme4 1.1-31: print.summary.merMod, print.merMod).

    `call` is the R call, lmer(y ~ x + (1 | g), data = d, weights = w), of which the names of data, weights, offset and
    subset are shown; without one they are data, weights and offset.
    """
    if call is not None:
        return MixedSummary(fit, arguments(call))
    named = {"data": "data"}
    named |= {name: name for name in ("weights", "offset") if f"({name})" in fit.frame.extra}
    return MixedSummary(fit, named)


def arguments(call: str) -> dict[str, str]:
    """The arguments of an R call by name, as they are written; the first two without a name are formula and data."""
    inside = call[call.index("(") + 1 : call.rindex(")")]
    positions = iter(("formula", "data"))
    out = {}
    for text in _split(inside):
        name, equals, value = text.partition("=")
        if equals and name.strip().replace(".", "").replace("_", "").isalnum() and not value.startswith("="):
            out[name.strip()] = value.strip()
        else:
            out[next(positions, "")] = text.strip()
    return out


def _split(text: str) -> Iterator[str]:
    """Pieces between commas that stand in no bracket and no quotes."""
    depth, quote, start = 0, "", 0
    for i, c in enumerate(text):
        if quote:
            quote = "" if c == quote else quote
        elif c in "\"'`":
            quote = c
        elif c == "," and depth == 0:
            yield text[start:i]
            start = i + 1
        else:
            depth += (c in "([{") - (c in ")]}")
    yield text[start:]


# ---- parts that both prints share ---------------------------------------------------------------------------------


def summary_lines(fit: MixedFit, named: dict[str, str], options: Options) -> list[str]:
    """lme4's print of summary(m), line by line."""
    digits = max(3, options.digits - 3)
    lines = [*heading(fit, named, options), "", *_rounded_criteria(fit, options), ""]
    residuals = zapsmall(numbers(fit.scaled_residual_quantiles), digits + 1)
    cells = format_numbers(residuals, digits, scipen=options.scipen)
    lines += ["Scaled residuals: ", *print_named(QUANTILES, cells, options.width), ""]
    lines += random_lines(fit, ("Variance", "Std.Dev."), options)
    if fit.names:
        table = {"Estimate": fit.coef, "Std. Error": fit.std_error, "t value": fit.statistic}
        columns = Columns(("Estimate", "Std. Error"), ("t value",), None)
        rows = {name: numbers(values) for name, values in table.items()}
        lines += ["", "Fixed effects:", *print_coefmat(fit.names, rows, digits, columns, options=options)]
    lines += [*correlation_lines(fit, options), *_dropped(fit)]
    return [*lines, CONVERGED, SINGULAR, ""] if fit.is_singular else lines


def short_lines(fit: MixedFit, named: dict[str, str], options: Options) -> list[str]:
    """lme4's print of a fit, line by line."""
    lines = [*heading(fit, named, options), *_criteria(fit, options), *random_lines(fit, ("Std.Dev.",), options)]
    if fit.names:
        cells = format_numbers(numbers(fit.coef), max(3, options.digits - 3), scipen=options.scipen)
        lines += ["Fixed Effects:", *print_named(fit.names, cells, options.width, gap=2)]
    else:
        lines.append("No fixed effect coefficients")
    lines += _dropped(fit)
    return [*lines, f"{CONVERGED} ; 0 optimizer warnings; 1 lme4 warnings "] if fit.is_singular else lines


def heading(fit: MixedFit, named: dict[str, str], options: Options) -> list[str]:
    """What was fitted to what."""
    by = "REML" if fit.REML else "maximum likelihood "
    lines = [f"Linear mixed model fit by {by} ['lmerMod']"]
    lines += _filled("Formula: ", deparse_lines(without_double_bars(fit.formula)), options.width)
    for name, title in TITLES.items():
        if name in named:
            lines += _filled(title, [named[name]], options.width)
    return lines


def _filled(title: str, texts: Sequence[str], width: int) -> list[str]:
    """A title and texts behind each other, a space after each but the last; one that does not fit begins a line
    (R: cat with fill = TRUE).
    """
    lines = [title]
    for i, text in enumerate(texts):
        space = " " * (i > 0)
        if display_width(lines[-1] + space + text) >= width:
            lines[-1] += space
            lines.append(text)
        else:
            lines[-1] += space + text
    return lines


def _rounded_criteria(fit: MixedFit, options: Options) -> list[str]:
    """The criteria of the fit, rounded to one decimal."""
    if fit.REML:
        text = format_number(round_half(fit.criterion, 1), options.digits, options.scipen)
        return [f"REML criterion at convergence: {text}"]
    return _likelihood([round_half(x, 1) for x in (fit.aic, fit.bic, fit.loglik, fit.deviance)], fit, options)


def _criteria(fit: MixedFit, options: Options) -> list[str]:
    if fit.REML:
        return [f"REML criterion at convergence: {format_number(fit.criterion, options.digits, options.scipen)}"]
    return _likelihood([fit.aic, fit.bic, fit.loglik, fit.deviance], fit, options)


def _likelihood(values: Sequence[float], fit: MixedFit, options: Options) -> list[str]:
    cells = format_numbers(values, options.digits, scipen=options.scipen)
    return print_named(CRITERIA, [*cells, str(fit.df_residual)], options.width)


def _dropped(fit: MixedFit) -> list[str]:
    """lme4's message on fixed effects that depend on others."""
    n = int(fit.aliased.sum())
    s = "s" * (n > 1)
    text = f"fixed-effect model matrix is rank deficient so dropping {n} column{s} / coefficient{s}"
    return ["fit warnings:", text] if n else []


# ---- random effects -----------------------------------------------------------------------------------------------


def random_lines(fit: MixedFit, shown: Sequence[str], options: Options) -> list[str]:
    """Variances or standard deviations of every term, correlations to their right; rows and groups below."""
    digits = max(3, options.digits - 3)
    table = fit.varcorr()
    single = table[table["var2"].isna()]
    groups, names, correlations = [], [], []
    for term, V in fit.covariance.items():
        for i, name in enumerate(V.columns):
            groups.append(term if i == 0 else "")
            names.append(name)
            labels = [f"{term}.{name}.{other}" for other in V.columns[:i]]
            correlations.append([_correlation(fit.cor[label], digits, options) for label in labels])
    headers = ["Groups", "Name", *shown]
    columns = [[*groups, "Residual"], [*names, ""]]
    values = {"Variance": single["vcov"], "Std.Dev.": single["sdcor"]}
    columns += [format_numbers(numbers(values[name]), digits, scipen=options.scipen) for name in shown]
    for j in range(max(map(len, correlations))):
        headers.append("Corr" if j == 0 else "")
        columns.append([*(row[j] if j < len(row) else "" for row in correlations), ""])
    rows = [""] * len(columns[0])
    sizes = "; ".join(f"{group}, {n}" for group, n in fit.n_groups.items())
    return [
        "Random effects:",
        *print_matrix(rows, headers, columns, right=False, width=options.width),
        *_filled(f"Number of obs: {fit.nobs}, groups:  ", [sizes], options.width),
    ]


def _correlation(x: float, digits: int, options: Options) -> str:
    places = max(2, digits - 2)
    return format_numbers([round_half(x, places)], digits, nsmall=places, scipen=options.scipen)[0]


# ---- fixed effects ------------------------------------------------------------------------------------------------


def correlation_lines(fit: MixedFit, options: Options) -> list[str]:
    """Correlations of the fixed effects below the diagonal, under short names; of one effect nothing."""
    p = len(fit.names)
    if p > MOST_CORRELATED:
        return [
            "",
            f"Correlation matrix not shown by default, as p = {p} > {MOST_CORRELATED}.",
            "Use print(summary(m), correlation=TRUE)  or",
            "    vcov(summary(m))        if you need it",
            "",
        ]
    if p < 2:
        return []
    rows, headers = abbreviate(fit.names, 11), abbreviate(fit.names, 6)
    cells = _correlation_cells(fit.fixef_correlation, options)
    columns = [[cells[i][j] if j < i else "" for i in range(1, p)] for j in range(p - 1)]
    return [
        "",
        "Correlation of Fixed Effects:",
        *print_matrix(rows[1:], headers[:-1], columns, right=False, width=options.width),
    ]


def _correlation_cells(correlation: pd.DataFrame, options: Options) -> list[list[str]]:
    values = [round_half(float(x), 3) for x in correlation.to_numpy().ravel()]
    cells = format_numbers(values, options.digits, nsmall=3, scipen=options.scipen)
    p = len(correlation)
    return [cells[i * p : (i + 1) * p] for i in range(p)]
