"""The lecture's pictures, and the plot of random effects that people look for: each a function that returns a Figure.

They take data and fits, compute nothing but bands and densities, and touch neither pyplot nor a screen. matplotlib is
the extra `figures`, imported when the first picture is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from refimpl.density import density
from refimpl.distributions import t_quantile
from refimpl.errors import DataError
from refimpl.linalg import Array
from refimpl.linear import LinearFit
from refimpl.mixed.results import MixedFit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008): told apart with any colour vision, and in grey by the line styles that go with them.
INK, GREY = "#222222", "#7a7a7a"
BLUE, ORANGE, GREEN, PURPLE, SKY, RED = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"

STYLE: Any = {
    "font.size": 9.5, "axes.titlesize": 10.5, "axes.labelsize": 9.5, "xtick.labelsize": 8.5, "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5, "legend.frameon": False, "axes.titlelocation": "left", "axes.titlepad": 8.0,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": GREY, "axes.linewidth": 0.7,
    "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK, "xtick.major.width": 0.7,
    "ytick.major.width": 0.7, "axes.grid": False, "grid.color": "#e3e3e3", "grid.linewidth": 0.6,
    "figure.facecolor": "white", "savefig.facecolor": "white", "mathtext.fontset": "dejavusans",
    "svg.fonttype": "path", "svg.hashsalt": "rcompat",
}  # fmt: skip


@contextmanager
def _drawn(width: float, height: float) -> Iterator[Figure]:
    """A figure in this room's style; says which extra is missing where matplotlib is."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError as absent:
        raise ModuleNotFoundError("the pictures need matplotlib: pip install 'rcompat[figures]'") from absent
    with matplotlib.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, file: Path | str | IO[bytes], suffix: str | None = None) -> None:
    """Write a figure as its suffix says (.svg, .png, .pdf); the same figure gives the same bytes."""
    import matplotlib

    suffix = Path(str(file)).suffix if suffix is None else suffix
    nothing = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}, ".pdf": {"CreationDate": None}}
    with matplotlib.rc_context(STYLE):
        figure.savefig(file, format=suffix.removeprefix("."), dpi=200, metadata=nothing.get(suffix))


# ----------------------------------------------------------------------------------------------------------
# The clones
# ----------------------------------------------------------------------------------------------------------


def confidence_band(fit: LinearFit, variable: str, grid: ArrayLike, level: float = 0.95) -> pd.DataFrame:
    """Fitted line and its pointwise confidence limits over `grid` (m,) of a fit's only variable, from the fit's vcov.

    Columns: the variable, fit, low, high. A robcov fit gives robust limits.
    """
    at = np.asarray(grid, dtype=np.float64)
    band = fit.predict({variable: at}, interval="confidence", level=level)[["fit", "low", "high"]]
    return band.assign(**{variable: at})


def clones(one: LinearFit, many: LinearFit, robust: LinearFit, level: float = 0.95) -> Figure:
    """The attack of the clones: one sample with its line, and three pairs of confidence bands about it.

    `one` is the fit of the sample, `many` of its copies, `robust` the latter's with clusters of copies (robcov). Each
    is a regression on one variable.
    """
    x, y = _only_variable(one), np.asarray(one.frame.response)
    grid = np.linspace(x.min(), x.max(), 201)
    pairs: list[tuple[LinearFit, str, dict[str, Any]]] = [
        (one, f"$N$ = {one.nobs}, usual", {"color": BLUE, "linestyle": (0, (6, 2)), "linewidth": 1.5}),
        (many, f"$N$ = {many.nobs}, usual: too narrow", {"color": RED, "linestyle": (0, (1.2, 1.2)), "linewidth": 1.7}),
        (robust, f"$N$ = {many.nobs}, clustered by original", {"color": GREEN, "linestyle": "-", "linewidth": 1.5}),
    ]
    with _drawn(7.0, 4.6) as figure:
        ax = figure.subplots()
        ax.scatter(x, y, s=13, color=GREY, alpha=0.6, linewidths=0, zorder=1)
        for fit, label, style in pairs:
            band = confidence_band(fit, _variable(fit), grid, level)
            ax.plot(grid, band["low"], label=label, zorder=3, **style)
            ax.plot(grid, band["high"], zorder=3, **style)
        ax.plot(grid, band["fit"], color=INK, linewidth=1.1, zorder=4, label="least squares, the same for all")
        ax.set_xlabel("$x$ (standard normal draws, no unit)")
        ax.set_ylabel("$y$ = 1 + $x$ + noise of size |$x$|")
        ax.set_title(f"{100 * level:g} % confidence bands of the line")
        ax.legend(loc="upper left", handlelength=3.2)
    return figure


def _variable(fit: LinearFit) -> str:
    names = fit.frame.terms.labels
    if len(names) != 1:
        raise DataError("bad-option", f"the picture is of a regression on one variable, not on {len(names)}")
    return str(names[0])


def _only_variable(fit: LinearFit) -> Array:
    _variable(fit)
    return np.asarray(fit.design.X[:, -1])


# ----------------------------------------------------------------------------------------------------------
# Densities
# ----------------------------------------------------------------------------------------------------------


def densities(samples: Mapping[str, ArrayLike], titles: Sequence[str] | None = None) -> Figure:
    """Density estimates beside each other, one panel a sample, as R's `plot(density(x))`; keys label the axes."""
    with _drawn(3.7 * len(samples), 3.1) as figure:
        for number, (ax, (label, values)) in enumerate(zip(_row(figure, len(samples)), samples.items(), strict=True)):
            x = np.asarray(values, dtype=np.float64)
            _density(ax, x[np.isfinite(x)], label)
            if titles:
                ax.set_title(titles[number])
    return figure


def hiv_densities(rate: ArrayLike) -> Figure:
    """The death rates (per 1000 inhabitants, as the panel has them) and the logarithm of the rate per million."""
    values = np.asarray(rate, dtype=np.float64)
    values = values[np.isfinite(values)]
    samples = {"HIV deaths per 1000 inhabitants": values, "log of HIV deaths per million": np.log(values * 1000)}
    return densities(samples, ["The rate", "Its logarithm"])


def slope_density(slopes: ArrayLike, unit: str = "slope") -> Figure:
    """Density of the slopes of all groups, with their mean marked; `unit` labels the axis."""
    values = np.asarray(slopes, dtype=np.float64)
    mean = float(values.mean())
    with _drawn(7.0, 3.6) as figure:
        ax = figure.subplots()
        _density(ax, values, unit)
        ax.axvline(0, color=GREY, linewidth=0.7, zorder=1)
        ax.axvline(mean, color=RED, linewidth=1.4, linestyle=(0, (5, 2)))
        ax.annotate(
            f"mean {mean:.6f}", (mean, ax.get_ylim()[1]), xytext=(6, -2), textcoords="offset points", color=RED,
            va="top",
        )  # fmt: skip
        ax.set_title(f"{len(values)} slopes, one a group")
    return figure


def _density(ax: Axes, x: Array, label: str) -> None:
    found = density(x)
    ax.fill_between(found.x, found.y, color=BLUE, alpha=0.12, linewidth=0)
    ax.plot(found.x, found.y, color=BLUE, linewidth=1.5)
    faint = float(np.clip(40 / len(x), 0.05, 0.4))
    ax.plot(x, np.zeros_like(x), "|", color=INK, alpha=faint, markersize=7, markeredgewidth=0.6, clip_on=False)
    ax.set_ylim(0, 1.06 * found.y.max())
    ax.margins(x=0.01)
    ax.set_xlabel(f"{label}\n$N$ = {len(x)}, bandwidth {found.bandwidth:.4g}", linespacing=1.5)
    ax.set_ylabel("density")


def _row(figure: Figure, panels: int, **options: Any) -> list[Axes]:
    return list(np.atleast_1d(figure.subplots(1, panels, **options)))


# ----------------------------------------------------------------------------------------------------------
# Random effects
# ----------------------------------------------------------------------------------------------------------


def effects_table(
    fit: MixedFit, term: str | None = None, column: str | None = None, level: float = 0.95
) -> pd.DataFrame:
    """Random effects of one column of a term with intervals, sorted: index the levels; columns effect, low, high.

    `term` is a name of the fit's `term_names` (default: the first), `column` one of its columns (default: the first).
    The intervals are normal, from the conditional variances given the estimated parameters (lme4: ranef(condVar=TRUE)).
    """
    term = fit.term_names[0] if term is None else term
    if term not in fit.term_names:
        raise DataError("bad-option", f"the fit has the terms {', '.join(fit.term_names)}; not {term!r}")
    at = fit.term_names.index(term)
    random = fit.random[at]
    column = random.names[0] if column is None else column
    if column not in random.names:
        raise DataError("bad-option", f"{term} has the columns {', '.join(random.names)}; not {column!r}")
    k = list(random.names).index(column)
    effect = fit.modes[at][:, k]
    half = t_quantile((1 + level) / 2, np.inf) * np.sqrt(fit.ranef_condvar[term][:, k, k])
    table = pd.DataFrame({"effect": effect, "low": effect - half, "high": effect + half}, index=list(random.levels))
    return table.sort_values("effect")


def caterpillar(
    fit: MixedFit, term: str | None = None, column: str | None = None, level: float = 0.95, unit: str | None = None
) -> Figure:
    """Random effects of every level, sorted, with their intervals; those that leave zero out are in colour.

    Options as of `effects_table`; `unit` labels the axis. Each level is named beside its interval.
    """
    table = effects_table(fit, term, column, level)
    apart = ((table["low"] > 0) | (table["high"] < 0)).to_numpy()
    place = np.arange(len(table))
    pitch = 0.2 if len(table) <= 40 else 0.098
    with _drawn(7.0, 1.0 + pitch * max(len(table), 8)) as figure:
        ax = figure.subplots()
        ax.axvline(0, color=GREY, linewidth=0.8, zorder=1)
        for chosen, colour, size in ((~apart, GREY, 2.2), (apart, BLUE, 2.8)):
            part = table[chosen]
            ax.hlines(place[chosen], part["low"], part["high"], color=colour, linewidth=0.9, zorder=2)
            ax.plot(part["effect"], place[chosen], "o", color=colour, markersize=size, zorder=3)
        _name_levels(ax, table, apart, 8 if pitch > 0.1 else 5.8)
        ax.set_ylim(-1, len(table))
        ax.yaxis.set_visible(False)
        ax.spines["left"].set_visible(False)
        ax.margins(x=0.06)
        ax.set_xlabel(unit or f"random effect of {column or 'the intercept'}, in units of the response")
        ax.set_title(f"{len(table)} levels with {100 * level:g} % intervals; {int(apart.sum())} leave zero out")
    return figure


def _name_levels(ax: Axes, table: pd.DataFrame, apart: NDArray[np.bool_], size: float) -> None:
    """Each level's name outside its interval, on the side away from zero."""
    for at, (name, row) in enumerate(table.iterrows()):
        right = row["effect"] > 0
        ax.annotate(
            str(name), (row["high"] if right else row["low"], at), xytext=(3 if right else -3, 0),
            textcoords="offset points", ha="left" if right else "right", va="center_baseline", fontsize=size,
            color=INK if apart[at] else GREY,
        )  # fmt: skip


# ----------------------------------------------------------------------------------------------------------
# Simulations
# ----------------------------------------------------------------------------------------------------------


def variance_bias(table: pd.DataFrame) -> Figure:
    """Bias of a variance between groups under ML and REML by the number of groups.

    `table` has the columns groups, criterion ("ML", "REML"), bias, mc_error, theory. Bars are 95 % Monte Carlo limits.
    """
    with _drawn(7.0, 3.8) as figure:
        ax = figure.subplots()
        ax.axhline(0, color=GREY, linewidth=0.8, zorder=1)
        for criterion, colour, marker, shift in (("ML", RED, "o", 0.985), ("REML", BLUE, "s", 1.015)):
            part = table[table["criterion"] == criterion]
            ax.errorbar(
                part["groups"] * shift, part["bias"], 1.96 * part["mc_error"], fmt=marker, color=colour, markersize=5,
                capsize=2.5, linewidth=1.1, label=criterion, zorder=3,
            )  # fmt: skip
        ml = table[table["criterion"] == "ML"]
        ax.plot(
            ml["groups"], ml["theory"], color=RED, linewidth=1, linestyle=(0, (4, 2)), label="ML without the bound at 0"
        )
        _counts(ax, table["groups"])
        ax.set_xlabel("number of groups")
        ax.set_ylabel("bias of the estimated variance\n(the true one is 1)")
        ax.legend(loc="lower right")
    return figure


COVERAGE_STYLES: Mapping[str, tuple[str, str]] = {
    "HC0": (PURPLE, "v"), "CR0": (RED, "o"), "CR1S": (ORANGE, "D"), "CR2": (GREEN, "^"), "CR3": (BLUE, "s"),
}  # fmt: skip


def coverage(table: pd.DataFrame, nominal: float = 0.95) -> Figure:
    """Coverage of intervals by the number of clusters: a panel for each way of choosing the degrees of freedom.

    `table` has the columns clusters, estimator, df ("n - k", "G - 1", and "Satterthwaite", which is drawn dashed into
    the second panel), coverage, mc_error. Bars are 95 % Monte Carlo limits.
    """
    panels = {
        "n - k": "t on $n - k$ degrees of freedom",
        "G - 1": "t on $G - 1$, dashed: Satterthwaite's",
    }
    with _drawn(7.4, 4.0) as figure:
        axes = _row(figure, 2, sharey=True)
        for ax, (df, title) in zip(axes, panels.items(), strict=True):
            ax.axhline(100 * nominal, color=INK, linewidth=0.9, linestyle=(0, (1, 1.5)), zorder=1)
            for number, (name, (colour, marker)) in enumerate(COVERAGE_STYLES.items()):
                _covered(
                    ax, table[(table["df"] == df) & (table["estimator"] == name)], number - 2, colour, marker, "-", name
                )
            _counts(ax, table["clusters"])
            ax.set_title(title)
            ax.set_xlabel("clusters, $G$")
        part = table[table["df"] == "Satterthwaite"]
        _covered(axes[1], part, 0.5, INK, "^", (0, (3, 2)), "CR2, Satterthwaite")
        axes[0].set_ylabel(f"intervals that hold the true slope, %\n({100 * nominal:g} would be right)")
        handles, labels = axes[1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), columnspacing=1.4)
    return figure


def _covered(ax: Axes, part: pd.DataFrame, shift: float, colour: str, marker: str, line: Any, label: str) -> None:
    ax.errorbar(
        part["clusters"] * 1.025**shift, 100 * part["coverage"], 196 * part["mc_error"], color=colour, marker=marker,
        markersize=4.5, capsize=2, linewidth=1.2, elinewidth=0.8, linestyle=line, label=label, zorder=3,
    )  # fmt: skip


def _counts(ax: Axes, counts: pd.Series[int]) -> None:
    """A logarithmic axis whose ticks are the counts themselves."""
    shown = sorted({int(count) for count in counts})
    ax.set_xscale("log")
    ax.set_xticks(shown, [str(count) for count in shown])
    ax.minorticks_off()
    ax.grid(axis="y")
    ax.set_axisbelow(True)
