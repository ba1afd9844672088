"""Summaries of panel models as plm 2.6-2 prints them.

Every number comes from the fit; nothing is estimated here. Theta of an unbalanced panel is summarised over its rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from refimpl.formula.syntax import Call, Expression, Name, Number, Text
from refimpl.linalg import Array
from refimpl.panel.index import panel_index
from refimpl.printing.calls import deparse_lines
from refimpl.printing.coefficients import Columns, print_coefmat
from refimpl.printing.numbers import format_number, format_numbers, format_pval, signif, zapsmall
from refimpl.printing.options import DEFAULT, Options
from refimpl.printing.tables import print_matrix, print_named

if TYPE_CHECKING:
    from refimpl.panel.models import PanelFit

TITLES = {"within": "Within", "between": "Between", "fd": "First-Difference", "random": "Random Effect"}
METHODS = {"swar": "Swamy-Arora", "walhus": "Wallace-Hussain", "amemiya": "Amemiya", "nerlove": "Nerlove"}
PARTS = {"idios": "idiosyncratic", "id": "individual", "time": "time"}
SUMMARY = ("Min.", "1st Qu.", "Median", "Mean", "3rd Qu.", "Max.")


@dataclass(frozen=True)
class PanelSummary:
    """The summary of a PanelFit; str() is plm's print of it, `text` takes R's options, `short` is its of the fit."""

    fit: PanelFit
    call: tuple[str, ...]

    def text(self, options: Options = DEFAULT) -> str:
        """What R prints under these options, without the last line feed."""
        return "\n".join(panel_lines(self.fit, self.call, options))

    def short(self, options: Options = DEFAULT) -> str:
        """What R prints for the fit itself."""
        return "\n".join(short_lines(self.fit, options))

    def __str__(self) -> str:
        """R's print with its default options."""
        return self.text()

    __repr__ = __str__


def panel_summary(fit: PanelFit, call: str | None = None) -> PanelSummary:
    """The summary of a fit. `call` is shown as it is given; without one it is what R would show for the arguments."""
    return PanelSummary(fit, tuple(call.splitlines() if call is not None else deparse_lines(call_of(fit))))


def call_of(fit: PanelFit) -> Call:
    """The R call that gives this fit, in the order of plm's arguments; defaults are left out."""
    sides = [fit.formula.right] if fit.formula.left is None else [fit.formula.left, fit.formula.right]
    shown: list[tuple[str, Expression]] = [("formula", Call("~", tuple(sides))), ("data", Name("data"))]
    for name in ("weights", "effect", "model", "random_method", "random_models", "random_dfcor", "index"):
        given = fit.arguments.get(name)
        if given is not None:
            node = Name(given if isinstance(given, str) else "w") if name == "weights" else constant(given)
            shown.append((name.replace("_", "."), node))
    return Call("plm", tuple(value for _, value in shown), tuple(name for name, _ in shown))


def constant(value: Any) -> Expression:
    """A text, a number or a vector of them as R writes it."""
    if isinstance(value, str):
        return Text(value)
    if isinstance(value, int | float):
        return Number(float(value))
    return Call("c", tuple(constant(one) for one in value))


def panel_lines(fit: PanelFit, call: Sequence[str], options: Options) -> list[str]:
    """plm's print.summary.plm, line by line."""
    digits = max(3, options.digits - 2)
    lines = [*title(fit), ""]
    if fit.covariance is not None:
        lines += [f"Note: Coefficient variance-covariance matrix supplied: {fit.covariance.name}", ""]
    lines += ["Call:", *call, "", str(fit.pdim)]
    if fit.nobs != fit.levels.panel.N:
        lines.append(f"Observations used in estimation: {fit.nobs}")
    if fit.components is not None:
        lines += ["", "Effects:", *effect_lines(fit, options)]
    lines += ["", "Residuals:", *residual_lines(fit, digits, options), ""]
    return [*lines, *coefficient_lines(fit, digits, options), "", *size_lines(fit, digits, options)]


def short_lines(fit: PanelFit, options: Options) -> list[str]:
    """plm's print of a fit, line by line."""
    cells = format_numbers(fit.coef.tolist(), max(3, options.digits - 2), scipen=options.scipen)
    formula = "\n".join(deparse_lines(fit.formula))
    named = print_named(fit.coef_names, cells, options.width)
    return ["", *f"Model Formula: {formula}".split("\n"), "", "Coefficients:", *named, ""]


def title(fit: PanelFit) -> list[str]:
    """What model of what effects; of random effects, by whose method."""
    if fit.model == "pooling":
        return ["Pooling Model"]
    effect = "Twoways effects" if fit.effect == "twoways" else f"Oneway ({fit.effect}) effect"
    first = f"{effect} {TITLES[fit.model]} Model"
    if fit.components is None:
        return [first]
    return [f"{first} ", f"   ({METHODS.get(fit.components.method, METHODS['swar'])}'s transformation)"]


def effect_lines(fit: PanelFit, options: Options) -> Iterator[str]:
    """The components with their standard deviations and shares, and theta."""
    components, digits, width = fit.components, max(3, options.digits - 3), options.width
    assert components is not None
    variances = components.variances
    names = [PARTS[str(name)] for name in variances.index]
    kinds = Columns(("var", "std.dev"), ("share",), None)
    table = {"var": variances.tolist(), "std.dev": np.sqrt(variances).tolist(), "share": components.shares.tolist()}
    yield from print_coefmat(names, table, digits, kinds, options=options)
    if components.balanced:
        thetas = {name: signif(float(t[0]), digits) for name, t in components.theta.items()}
        values = {name: format_number(theta, options.digits, options.scipen) for name, theta in thetas.items()}
        one_way = len(values) == 1
        yield "theta: " + " ".join(text if one_way else f"{text} ({name})" for name, text in values.items())
        return
    yield "theta:"
    panel = fit.levels.panel
    codes = {"id": panel.id.codes, "time": panel.time.codes}
    rows = {name: t[codes[name]] if name in codes else t for name, t in components.theta.items()}
    if len(rows) == 1:
        yield from print_named(SUMMARY, format_numbers(six(*rows.values()), digits, scipen=options.scipen), width)
        return
    quantiles = zip(*(six(t) for t in rows.values()), strict=True)
    cells = [format_numbers(column, options.digits, scipen=options.scipen) for column in quantiles]
    yield from print_matrix(list(rows), SUMMARY, cells, width=width)


def six(values: Array) -> list[float]:
    """R's summary() of numbers: minimum, quartiles with the mean between, maximum."""
    low, first, middle, third, high = (float(q) for q in np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))
    return [low, first, middle, float(np.mean(values)), third, high]


FEW = 5  # residual degrees of freedom up to which every residual is printed


def residual_lines(fit: PanelFit, digits: int, options: Options) -> list[str]:
    """The quantiles of the residuals, and their mean where it is not zero; the residuals themselves where few are free.

    plm names the sorted residuals by the labels of the rows as they came.
    """
    residuals = fit.residual_values
    if fit.df_residual <= FEW:
        return print_named(names_as_plm(fit), format_numbers(residuals, digits, scipen=options.scipen), options.width)
    found = dict(zip(SUMMARY, six(residuals), strict=True))
    if abs(float(np.mean(residuals))) > MEAN_IS_ZERO:
        values, digits = zapsmall(list(found.values()), digits), max(3, digits - 3)
    else:
        del found["Mean"]
        values = list(found.values())
    return print_named(list(found), format_numbers(values, digits, scipen=options.scipen), options.width)


MEAN_IS_ZERO = 1.5e-8


def names_as_plm(fit: PanelFit) -> list[str]:
    """The names of the residuals in plm: the groups, or the labels that stand where the sorted rows come to stand."""
    if fit.model == "between":
        return [str(label) for label in fit.labels]
    frame = fit.frame
    order = panel_index(fit.data, fit.arguments.get("index")).order
    places = np.flatnonzero(np.isin(order, np.arange(len(frame.index))[frame.kept]))
    names = frame.index[places[fit.transformer.later] if fit.model == "fd" else places]
    return [str(label) for label in names]


def coefficient_lines(fit: PanelFit, digits: int, options: Options) -> list[str]:
    """The table of coefficients and tests."""
    dropped = int(fit.aliased.sum())
    head = f"Coefficients: ({dropped} dropped because of singularities)" if dropped else "Coefficients:"
    test = "z" if fit.model == "random" else "t"
    columns = {
        "Estimate": fit.coef,
        "Std. Error": fit.std_error,
        f"{test}-value": fit.statistic,
        f"Pr(>|{test}|)": fit.p_value,
    }
    table = {name: [float(x) for x in column] for name, column in columns.items()}
    return [head, *print_coefmat(fit.coef_names, table, digits, options=options)]


AS_TEXT = 15  # the significant digits of R's as.character


def size_lines(fit: PanelFit, digits: int, options: Options) -> Iterator[str]:
    """Sums of squares, R-squared, and the joint test."""

    def shown(x: float, places: int = digits) -> str:
        return format_number(signif(x, places), AS_TEXT, options.scipen)

    yield f"Total Sum of Squares:    {shown(fit.tss)}"
    yield f"Residual Sum of Squares: {shown(fit.rss)}"
    yield f"R-Squared:      {shown(fit.r_squared)}"
    yield f"Adj. R-Squared: {shown(fit.adj_r_squared)}"
    if fit.coef_names == ["(Intercept)"]:
        return
    if fit.model == "random":
        p = format_pval([fit.wald_p_value], digits, scipen=options.scipen)[0]
        yield f"Chisq: {shown(fit.wald_chi2, 6)} on {fit.wald_df} DF, p-value: {p}"
    else:
        p = format_pval([fit.f_p_value], digits, scipen=options.scipen)[0]
        top, bottom = (format_number(x, options.digits, options.scipen) for x in (fit.f_numdf, fit.f_dendf))
        yield f"F-statistic: {shown(fit.f_statistic, 6)} on {top} and {bottom} DF, p-value: {p}"
