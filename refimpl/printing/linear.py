"""Summaries of linear models as R prints them: print.summary.lm, rms's print.ols, lmtest's print.coeftest.

A fit of `lm` with another covariance than the classical one prints as coeftest does, because R's summary.lm has none.
Every number comes from the fit; nothing is estimated here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from refimpl.formula.frame import evaluate_variables
from refimpl.formula.syntax import Call, Constant, Expression, Formula, Name
from refimpl.formula.values import Levels, Numeric
from refimpl.printing.calls import deparse_lines
from refimpl.printing.coefficients import print_coefmat
from refimpl.printing.numbers import (
    Number,
    format_c,
    format_number,
    format_numbers,
    format_pval,
    round_half,
    signif,
    zapsmall,
)
from refimpl.printing.options import DEFAULT, Options
from refimpl.printing.tables import pad_left, print_matrix, print_named, widest

if TYPE_CHECKING:
    from refimpl.linear import LinearFit

QUANTILES = ("Min", "1Q", "Median", "3Q", "Max")
FEW = 5  # with no more residual degrees of freedom than this, R shows every residual


@dataclass(frozen=True)
class LinearSummary:
    """The summary of a LinearFit; str() is R's print of it, `text` takes R's options, `short` is R's of the fit."""

    fit: LinearFit
    call: tuple[str, ...]

    def text(self, options: Options = DEFAULT) -> str:
        """What R prints under these options, without the last line feed."""
        if self.fit.model == "ols":
            lines = ols_lines(self.fit, self.call, options)
        elif self.fit.covariance is not None:
            lines = coeftest_lines(self.fit, options)
        else:
            lines = lm_lines(self.fit, self.call, options)
        return "\n".join(lines)

    def short(self, options: Options = DEFAULT) -> str:
        """What R prints for the fit itself: rms no less than for its summary."""
        if self.fit.model == "ols" or self.fit.covariance is not None:
            return self.text(options)
        return "\n".join(short_lines(self.fit, self.call, options))

    def __str__(self) -> str:
        """R's print with its default options."""
        return self.text()

    __repr__ = __str__


def summary(fit: LinearFit, call: str | None = None) -> LinearSummary:
    """The summary of a fit. `call` is shown as it is given; without one it is what R would show for the arguments,
    with `data` for the data's name (R: summary.lm, print.ols of rms 6.5-0, coeftest of lmtest 0.9-40).
    """
    return LinearSummary(fit, tuple(call.splitlines() if call is not None else deparse_lines(call_of(fit))))


def call_of(fit: LinearFit) -> Call:
    """The R call that gives this fit: lm(formula = y ~ x, data = data, weights = w)."""
    arguments: list[tuple[str, Expression]] = [("formula", _tilde(fit.formula)), ("data", Name("data"))]
    if fit.weights is not None:
        arguments.append(("weights", Name(fit.weights if isinstance(fit.weights, str) else "weights")))
    if fit.model == "ols" and fit.covariance is not None:  # robcov needs both in the fit
        arguments += [("x", Constant("TRUE")), ("y", Constant("TRUE"))]
    return Call(fit.model, tuple(value for _, value in arguments), tuple(name for name, _ in arguments))


def _tilde(formula: Formula) -> Call:
    sides = (formula.right,) if formula.left is None else (formula.left, formula.right)
    return Call("~", sides)


# ---- parts that the summaries share -----------------------------------------------------------------------------


def numbers(values: pd.Series[Any] | Sequence[float]) -> list[Number]:
    """Numbers for printing, a missing one as NaN."""
    return [float(x) for x in values]


def coefficient_table(fit: LinearFit, test: str = "t") -> dict[str, list[Number]]:
    """Estimates and tests under R's headers, NA where a coefficient is aliased."""
    columns = {
        "Estimate": fit.coef,
        "Std. Error": fit.std_error,
        f"{test} value": fit.statistic,
        f"Pr(>|{test}|)": fit.p_value,
    }
    aliased = fit.aliased.to_numpy()
    return {
        name: [None if gone else x for x, gone in zip(numbers(column), aliased, strict=True)]
        for name, column in columns.items()
    }


def residual_lines(fit: LinearFit, digits: int, options: Options) -> list[str]:
    """Five quantiles of the residuals, or all of them where there are few degrees of freedom.

    lm clears the quantiles of what is tiny beside the largest, rms does not.
    """
    if fit.df_residual > FEW:
        names, values = list(QUANTILES), numbers(fit.residual_quantiles)
        values = zapsmall(values, digits + 1) if fit.model == "lm" else values
    else:
        residuals = fit.residuals
        if fit.model == "lm" and fit.solution.weights is not None:
            residuals = residuals * np.sqrt(fit.solution.weights)
        names, values = [str(label) for label in residuals.index], numbers(residuals)
    return print_named(names, format_numbers(values, digits, scipen=options.scipen), options.width)


# ---- lm ---------------------------------------------------------------------------------------------------------


def lm_lines(fit: LinearFit, call: Sequence[str], options: Options) -> list[str]:
    """R's print.summary.lm, line by line."""
    digits = max(3, options.digits - 3)
    weights = fit.solution.weights
    weighted = weights is not None and bool(np.ptp(weights[fit.solution.used]))
    lines = ["", "Call:", *call, "", "Weighted Residuals:" if weighted else "Residuals:"]
    if fit.df_residual > 0:
        lines += residual_lines(fit, digits, options)
    else:
        lines.append(f"ALL {fit.rank} residuals are 0: no residual degrees of freedom!")
    lines += ["", *_lm_coefficients(fit, digits, options), ""]
    sigma = format_number(signif(fit.sigma, digits), options.digits, options.scipen)
    lines.append(f"Residual standard error: {sigma} on {fit.df_residual} degrees of freedom")
    if fit.n_dropped:
        lines.append(f"  ({fit.n_dropped} observation{'s' * (fit.n_dropped > 1)} deleted due to missingness)")
    return [*lines, *_lm_explained(fit, digits, options), ""]


def short_lines(fit: LinearFit, call: Sequence[str], options: Options) -> list[str]:
    """R's print.lm, line by line."""
    if not fit.names:
        return ["", "Call:", *call, "", "No coefficients", ""]
    coef = [None if math.isnan(x) else x for x in fit.coef]
    cells = format_numbers(coef, max(3, options.digits - 3), scipen=options.scipen)
    return ["", "Call:", *call, "", "Coefficients:", *print_named(fit.names, cells, options.width, gap=2), ""]


def _lm_coefficients(fit: LinearFit, digits: int, options: Options) -> list[str]:
    if not fit.names:
        return ["No Coefficients"]
    aliased = int(fit.aliased.sum())
    title = f"Coefficients: ({aliased} not defined because of singularities)" if aliased else "Coefficients:"
    return [title, *print_coefmat(fit.names, coefficient_table(fit), digits, options=options)]


def _lm_explained(fit: LinearFit, digits: int, options: Options) -> Iterator[str]:
    if math.isnan(fit.f_numdf):
        return
    r_squared, adjusted, f = (format_c(x, digits) for x in (fit.r_squared, fit.adj_r_squared, fit.f_statistic))
    top, bottom = (format_number(x, options.digits, options.scipen) for x in (fit.f_numdf, fit.f_dendf))
    p = format_pval([fit.f_p_value], digits, scipen=options.scipen)[0]
    yield f"Multiple R-squared:  {r_squared},\tAdjusted R-squared:  {adjusted} "
    yield f"F-statistic: {f} on {top} and {bottom} DF,  p-value: {p}"


def coeftest_lines(fit: LinearFit, options: Options) -> list[str]:
    """lmtest's print.coeftest: tests with the covariance of the fit, aliased coefficients left out."""
    test = "t" if 0 < fit.df_test < math.inf else "z"
    kept = [i for i, gone in enumerate(fit.aliased) if not gone]
    table = {name: [column[i] for i in kept] for name, column in coefficient_table(fit, test).items()}
    body = print_coefmat([fit.names[i] for i in kept], table, options=options)
    return ["", f"{test} test of coefficients:", "", *body, ""]


# ---- ols of rms -------------------------------------------------------------------------------------------------

OLS_DIGITS = 4  # print.ols has digits of its own, which the option does not change
LEAST_P = 1e-4


@dataclass(frozen=True)
class Block:
    """One of the boxes of statistics that rms prints side by side: lines of title, then a label and a value a row.

    `text` is the label of the row whose value is a text, if there is one.
    """

    title: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    text: str | None = None

    def lines(self) -> list[str]:
        """Titles and values right-justified, labels left, all of one width.

        That is the last label's, a space's and the widest number's, unless a title is wider. A row of text that is
        wider still stretches the others, which then begin after a space.
        """
        numbers = widest([value for label, value in self.rows if label != self.text])
        texts = widest([label + value for label, value in self.rows if label == self.text])
        width = max(widest([self.rows[-1][0]]) + 1 + numbers, widest(self.title))
        lead = " " * (texts > width)
        width = max(width, texts)
        lines = [pad_left(title, width) for title in self.title]
        for label, value in self.rows:
            start = label if label == self.text else lead + label
            lines.append(start + pad_left(value, width - widest([start])))
        return lines


def ols_lines(fit: LinearFit, call: Sequence[str], options: Options) -> list[str]:
    """rms's print.ols, line by line (rms 6.5-0); the option digits matters where a number grows scientific."""
    lines = []
    if fit.n_dropped:
        names, counts = zip(*missing_counts(fit), strict=True)
        lines = ["Frequencies of Missing Values Due to Each Variable"]
        lines += [*print_named(names, [str(count) for count in counts], options.width), ""]
    lines += ["Linear Regression Model", "", *call, ""]
    lines += [""] * bool(fit.n_dropped)
    lines += [*beside(ols_blocks(fit, options)), ""]
    if fit.df_residual > 0:
        lines += ["Residuals", "", *residual_lines(fit, OLS_DIGITS, options), "", ""]
    return [*lines, *_ols_coefficients(fit, options), ""]


def ols_blocks(fit: LinearFit, options: Options) -> list[Block]:
    """What was fitted, the likelihood-ratio test, and how well the model discriminates."""
    size = ((fit.nobs, None), (fit.sigma, OLS_DIGITS), (fit.df_counted, None))
    test = ((fit.lr_chi2, 2), (fit.lr_df, None), (fit.lr_p_value, OLS_DIGITS))
    indexes = ((fit.r_squared, 3), (fit.adj_r_squared, 3), (fit.g_index, 3))
    fitted = _known(("Obs", "sigma", "d.f."), size, options)
    on = "Cluster on"
    if fit.covariance is not None and fit.n_clusters is not None:
        fitted += ((on, fit.covariance.cluster or "cluster"), ("Clusters", str(fit.n_clusters)))
    return [
        Block(("", ""), fitted, on),
        Block(("Model Likelihood", "Ratio Test"), _known(("LR chi2", "d.f.", "Pr(> chi2)"), test, options)),
        Block(("Discrimination", "Indexes"), _known(("R2", "R2 adj", "g"), indexes, options)),
    ]


def _known(
    labels: Sequence[str], statistics: Sequence[tuple[float, int | None]], options: Options
) -> tuple[tuple[str, str], ...]:
    """Rows of a block: a number and its decimals, None for as many as it has.

    rms leaves out what is missing, but not its number of decimals: the next value takes it.
    """
    known = [(label, x) for label, (x, _) in zip(labels, statistics, strict=True) if not math.isnan(x)]
    places = [n for _, n in statistics]
    return tuple((label, decimals([x], n, options)[0]) for (label, x), n in zip(known, places, strict=False))


def decimals(values: Sequence[Number], places: int | None, options: Options) -> list[str]:
    """Numbers as rms writes them: with so many decimals if R's format makes them fixed; missing ones blank."""
    known = [None if x is None or math.isnan(x) else x for x in values]
    if places is None:
        return format_numbers(known, options.digits, scipen=options.scipen, na="")
    rounded = [None if x is None else round_half(x, places) for x in known]
    return format_numbers(rounded, options.digits, nsmall=places, scipen=1, na="")


def beside(blocks: Sequence[Block]) -> list[str]:
    """Blocks next to each other, four spaces after each."""
    columns = [block.lines() for block in blocks]
    height = max(map(len, columns))
    filled = [column + [" " * widest(column[:1])] * (height - len(column)) for column in columns]
    return ["".join(cell + " " * 4 for cell in row) for row in zip(*filled, strict=True)]


def _ols_coefficients(fit: LinearFit, options: Options) -> list[str]:
    columns = {
        "Coef": decimals(numbers(fit.coef), OLS_DIGITS, options),
        "S.E.": decimals(numbers(fit.std_error), OLS_DIGITS, options),
        "t": decimals(numbers(fit.statistic), 2, options),
        "Pr(>|t|)": [_ols_p(p, options) for p in fit.p_value],
    }
    return print_matrix(fit.names, list(columns), list(columns.values()), right=False, width=options.width)


def _ols_p(p: float, options: Options) -> str:
    return f"<{LEAST_P:.{OLS_DIGITS}f}" if p < LEAST_P else decimals([p], OLS_DIGITS, options)[0]


def missing_counts(fit: LinearFit) -> list[tuple[str, int]]:
    """Missing values of every variable in all the data; predictors by rms's names, response and offset as written."""
    from refimpl.linear import rms_labels

    spec, n = fit.frame.terms, len(fit.frame.kept)
    labels = rms_labels(fit.frame)
    out = []
    for i, (name, value) in enumerate(zip(spec.names, evaluate_variables(spec, fit.data, n), strict=True)):
        as_written = i == spec.response or i in spec.offsets
        out.append((name if as_written else labels[name], _missing(value)))
    if fit.weights is not None:
        given = fit.data[fit.weights] if isinstance(fit.weights, str) else fit.weights
        out.append(("(weights)", int(pd.isna(np.asarray(given)).sum())))
    return out


def _missing(value: Levels | Numeric) -> int:
    """Rows with a missing value."""
    if isinstance(value, Levels):
        return int((value.codes < 0).sum())
    gone = np.isnan(value.values)
    return int((gone.any(axis=1) if gone.ndim == 2 else gone).sum())
