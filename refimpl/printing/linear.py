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
from refimpl.formula.syntax import Call, Constant, Expression, Formula, Name, symbols
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
from refimpl.printing.tables import WIDTH, pad_left, print_matrix, print_named, widest

if TYPE_CHECKING:
    from refimpl.linear import LinearFit

QUANTILES = ("Min", "1Q", "Median", "3Q", "Max")
FEW = 5  # with no more residual degrees of freedom than this, R shows every residual


@dataclass(frozen=True)
class LinearSummary:
    """The summary of a LinearFit; str() is R's print of it, `text` takes R's options."""

    fit: LinearFit
    call: tuple[str, ...]

    def text(self, digits: int = 7, signif_stars: bool = True, width: int = WIDTH) -> str:
        """What R prints under options(digits, show.signif.stars, width), without the last line feed."""
        if self.fit.model == "ols":
            lines = ols_lines(self.fit, self.call, width)
        elif self.fit.covariance is not None:
            lines = coeftest_lines(self.fit, max(3, digits - 3), signif_stars, width)
        else:
            lines = lm_lines(self.fit, self.call, max(3, digits - 3), signif_stars, width)
        return "\n".join(lines)

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


def residual_lines(fit: LinearFit, digits: int, width: int) -> list[str]:
    """Five quantiles of the residuals, or all of them where there are few degrees of freedom."""
    if fit.df_residual > FEW:
        values = zapsmall(numbers(fit.residual_quantiles), digits + 1)
        return print_named(QUANTILES, format_numbers(values, digits), width)
    shown = fit.residuals
    if fit.model == "lm" and fit.solution.weights is not None:
        shown = shown * np.sqrt(fit.solution.weights)
    return print_named([str(label) for label in shown.index], format_numbers(numbers(shown), digits), width)


# ---- lm ---------------------------------------------------------------------------------------------------------


def lm_lines(fit: LinearFit, call: Sequence[str], digits: int, signif_stars: bool, width: int) -> list[str]:
    """R's print.summary.lm, line by line; `digits` is its own argument, three less than the option."""
    weights = fit.solution.weights
    weighted = weights is not None and bool(np.ptp(weights[fit.solution.used]))
    lines = ["", "Call:", *call, "", "Weighted Residuals:" if weighted else "Residuals:"]
    if fit.df_residual > 0:
        lines += residual_lines(fit, digits, width)
    else:
        lines.append(f"ALL {fit.rank} residuals are 0: no residual degrees of freedom!")
    lines += ["", *_lm_coefficients(fit, digits, signif_stars, width), ""]
    sigma = format_number(signif(fit.sigma, digits))
    lines.append(f"Residual standard error: {sigma} on {fit.df_residual} degrees of freedom")
    if fit.n_dropped:
        lines.append(f"  ({fit.n_dropped} observation{'s' * (fit.n_dropped > 1)} deleted due to missingness)")
    return [*lines, *_lm_explained(fit, digits), ""]


def _lm_coefficients(fit: LinearFit, digits: int, signif_stars: bool, width: int) -> list[str]:
    if not fit.names:
        return ["No Coefficients"]
    aliased = int(fit.aliased.sum())
    title = f"Coefficients: ({aliased} not defined because of singularities)" if aliased else "Coefficients:"
    table = coefficient_table(fit)
    return [title, *print_coefmat(fit.names, table, digits, signif_stars=signif_stars, width=width)]


def _lm_explained(fit: LinearFit, digits: int) -> Iterator[str]:
    if math.isnan(fit.f_numdf):
        return
    shown = (format_c(x, digits) for x in (fit.r_squared, fit.adj_r_squared, fit.f_statistic))
    r_squared, adjusted, f = shown
    p = format_pval([fit.f_p_value], digits)[0]
    yield f"Multiple R-squared:  {r_squared},\tAdjusted R-squared:  {adjusted} "
    yield f"F-statistic: {f} on {fit.f_numdf:.0f} and {fit.f_dendf:.0f} DF,  p-value: {p}"


def coeftest_lines(fit: LinearFit, digits: int, signif_stars: bool, width: int) -> list[str]:
    """lmtest's print.coeftest: tests with the covariance of the fit, aliased coefficients left out."""
    test = "z" if math.isinf(fit.df_test) else "t"
    kept = [i for i, gone in enumerate(fit.aliased) if not gone]
    table = {name: [column[i] for i in kept] for name, column in coefficient_table(fit, test).items()}
    names = [fit.names[i] for i in kept]
    body = print_coefmat(names, table, digits, signif_stars=signif_stars, width=width)
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


def ols_lines(fit: LinearFit, call: Sequence[str], width: int) -> list[str]:
    """rms's print.ols, line by line (rms 6.5-0)."""
    lines = []
    if fit.n_dropped:
        names, counts = zip(*missing_counts(fit), strict=True)
        lines = ["Frequencies of Missing Values Due to Each Variable"]
        lines += [*print_named(names, [str(count) for count in counts], width), ""]
    lines += ["Linear Regression Model", "", *call, ""]
    lines += [""] * bool(fit.n_dropped)
    lines += [*beside(ols_blocks(fit)), ""]
    if fit.df_residual > 0:
        lines += ["Residuals", "", *residual_lines(fit, OLS_DIGITS, width), "", ""]
    return [*lines, *_ols_coefficients(fit, width), ""]


def ols_blocks(fit: LinearFit) -> list[Block]:
    """What was fitted, the likelihood-ratio test, and how well the model discriminates."""
    fitted = _known(["Obs", "sigma", "d.f."], [fit.nobs, fit.sigma, fit.df_residual], [0, OLS_DIGITS, 0])
    on = "Cluster on"
    if fit.covariance is not None and fit.n_clusters is not None:
        fitted += ((on, fit.covariance.cluster or "cluster"), ("Clusters", str(fit.n_clusters)))
    test = _known(["LR chi2", "d.f.", "Pr(> chi2)"], [fit.lr_chi2, fit.lr_df, fit.lr_p_value], [2, 0, OLS_DIGITS])
    indexes = _known(["R2", "R2 adj", "g"], [fit.r_squared, fit.adj_r_squared, fit.g_index], [3, 3, 3])
    return [
        Block(("", ""), fitted, on),
        Block(("Model Likelihood", "Ratio Test"), test),
        Block(("Discrimination", "Indexes"), indexes),
    ]


def _known(labels: Sequence[str], values: Sequence[float], places: Sequence[int]) -> tuple[tuple[str, str], ...]:
    """Rows of a block. rms leaves out what is missing, but not its number of decimals: the next value takes it."""
    known = [(label, x) for label, x in zip(labels, values, strict=True) if not math.isnan(x)]
    return tuple((label, fixed(x, n)) for (label, x), n in zip(known, places, strict=False))


def fixed(x: float, places: int) -> str:
    """A number with that many decimals, without the minus of a rounded zero."""
    return f"{round_half(x, places) + 0.0:.{places}f}" if math.isfinite(x) else format_number(x)


def beside(blocks: Sequence[Block]) -> list[str]:
    """Blocks next to each other, four spaces after each."""
    columns = [block.lines() for block in blocks]
    height = max(map(len, columns))
    filled = [column + [" " * widest(column[:1])] * (height - len(column)) for column in columns]
    return ["".join(cell + " " * 4 for cell in row) for row in zip(*filled, strict=True)]


def _ols_coefficients(fit: LinearFit, width: int) -> list[str]:
    columns = {
        "Coef": _aligned(numbers(fit.coef), OLS_DIGITS),
        "S.E.": _aligned(numbers(fit.std_error), OLS_DIGITS),
        "t": _aligned(numbers(fit.statistic), 2),
        "Pr(>|t|)": [_ols_p(p) for p in fit.p_value],
    }
    return print_matrix(fit.names, list(columns), list(columns.values()), right=False, width=width)


def _aligned(values: Sequence[Number], places: int) -> list[str]:
    """Fixed decimals, right-justified among themselves; missing ones blank."""
    texts = ["" if x is None or math.isnan(x) else fixed(x, places) for x in values]
    return [pad_left(text, widest(texts)) for text in texts]


def _ols_p(p: float) -> str:
    if math.isnan(p):
        return ""
    return f"<{LEAST_P:.{OLS_DIGITS}f}" if p < LEAST_P else fixed(p, OLS_DIGITS)


def missing_counts(fit: LinearFit) -> list[tuple[str, int]]:
    """Missing values of every variable in all the data, under rms's names: a predictor is called by its first variable,
    whatever is done to it.
    """
    spec, n = fit.frame.terms, len(fit.frame.kept)
    out = []
    for i, value in enumerate(evaluate_variables(spec, fit.data, n)):
        inside = next(symbols(spec.variables[i]), None)
        own = i == spec.response or i in spec.offsets or inside is None
        out.append((spec.names[i] if own or inside is None else inside.name, _missing(value)))
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
