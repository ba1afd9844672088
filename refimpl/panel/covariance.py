"""Robust covariances of a panel model: plm's vcovHC, vcovBK, vcovNW, vcovSCC and vcovDC.

All but Beck and Katz's are sums over the panel of the scores x u of the *transformed* data (Millo 2017, J. Stat.
Software 82(3)). k counts the transformed columns only: plm never counts the effects that the transformation absorbs.
The neighbours' factors are in neighbours.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from scipy import sparse

from refimpl.errors import DataError
from refimpl.linalg import Array
from refimpl.panel.index import PanelIndex
from refimpl.panel.models import PanelFit
from refimpl.panel.transforms import Groups

Type = Literal["HC0", "sss", "HC1", "HC2", "HC3", "HC4"]
Method = Literal["arellano", "white1", "white2"]
Cluster = Literal["group", "time"]
Inner = Literal["cluster", "white", "diagavg"]

INNER: Mapping[str, Inner] = {"arellano": "cluster", "white1": "white", "white2": "diagavg"}

# ----------------------------------------------------------------------------------------------------------
# One correction each: what a residual is multiplied by, from leverages h (N,), and k columns
# ----------------------------------------------------------------------------------------------------------


def hc1(h: Array, k: int) -> Array:
    """sqrt(N / (N - k))."""
    return np.full(len(h), np.sqrt(len(h) / (len(h) - k)))


def hc2(h: Array, k: int) -> Array:
    """1 / sqrt(1 - h)."""
    return np.asarray(1 / np.sqrt(1 - h))


def hc3(h: Array, k: int) -> Array:
    """1 / (1 - h)."""
    return np.asarray(1 / (1 - h))


def hc4(h: Array, k: int) -> Array:
    """1 / (1 - h)^(d/2), d = min(4, N h / k) (Cribari-Neto 2004)."""
    return np.asarray((1 - h) ** (-np.minimum(4.0, len(h) * h / k) / 2))


CORRECTIONS: Mapping[str, Callable[[Array, int], Array]] = {"HC1": hc1, "HC2": hc2, "HC3": hc3, "HC4": hc4}
TYPES = ("HC0", "sss", *CORRECTIONS)


def sss(G: int, N: int, k: int) -> float:
    """G/(G-1) (N-1)/(N-k): Stata's small-sample factor as plm has it."""
    return G / (G - 1) * (N - 1) / (N - k)


# ----------------------------------------------------------------------------------------------------------
# Sums over the panel
# ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    """What the sandwiches are made of: columns X (N, k), corrected residuals u (N,), bread (X'X)^-1, the index."""

    X: Array
    u: Array
    bread: Array
    panel: PanelIndex

    @cached_property
    def scores(self) -> Array:
        """x u, (N, k)."""
        return self.X * self.u[:, None]

    @cached_property
    def ids(self) -> Groups:
        """Groups by individual."""
        return Groups(self.panel.id)

    @cached_property
    def times(self) -> Groups:
        """Groups by time."""
        return Groups(self.panel.time)

    def groups(self, cluster: str) -> Groups:
        """Those of a cluster, "group" (individuals) or "time"."""
        return self.ids if cluster == "group" else self.times

    def meat(self, cluster: str, inner: Inner) -> Array:
        """The sum over clusters of X_g' E_g X_g: E_g is u u', its diagonal, or its mean diagonal."""
        if inner == "cluster":
            S = self.groups(cluster).sums(self.X, self.u)
            return np.asarray(S.T @ S)
        if inner == "white":
            return np.asarray(self.scores.T @ self.scores)
        groups = self.groups(cluster)
        mean_square = groups.spread(groups.sums_of(self.u**2) / groups.counts)
        return np.asarray((self.X * mean_square[:, None]).T @ self.X)

    def lagged(self, lag: int, inner: Inner) -> Array:
        """The same between each time and the time `lag` places before it among the panel's times."""
        if inner == "cluster":
            S = self.times.sums(self.X, self.u)
            return np.asarray(S[lag:].T @ S[: len(S) - lag])
        now, before = self.pairs(lag)
        if inner == "white":
            return np.asarray(self.scores[now].T @ self.scores[before])
        at, products = self.panel.time.codes[now], self.u[now] * self.u[before]
        with np.errstate(invalid="ignore"):
            means = np.bincount(at, products, self.panel.T) / np.bincount(at, minlength=self.panel.T)
        return np.asarray((self.X[now] * means[at][:, None]).T @ self.X[before])

    def pairs(self, lag: int) -> tuple[Array, Array]:
        """Every two rows of one individual that are `lag` places apart in time: the later and the earlier of each."""
        cells = self.panel.cells
        later = np.flatnonzero(self.panel.time.codes >= lag)
        first = np.searchsorted(cells, cells[later] - lag)
        if not self.panel.duplicated:
            first = np.minimum(first, len(cells) - 1)
            hit = cells[first] == cells[later] - lag
            return later[hit], first[hit]
        many = np.searchsorted(cells, cells[later] - lag, side="right") - first
        nth = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        return np.repeat(later, many), np.repeat(first, many) + nth

    def factor(self, type: str, inner: Inner, cluster: str) -> float:
        """The factor of type "sss", whose G is the rows where they are not clustered; else 1."""
        N, k = self.X.shape
        return sss(self.groups(cluster).size if inner == "cluster" else N, N, k) if type == "sss" else 1.0

    def sandwich(self, meat: Array) -> Array:
        """bread meat bread."""
        return np.asarray(self.bread @ meat @ self.bread)


def parts_of(fit: PanelFit, type: str) -> Parts:
    """The columns, corrected residuals and bread of a fit; of unbalanced two-way random effects in levels, as plm."""
    check("type", type, TYPES)
    if fit.model == "between":
        raise DataError("bad-option", "a robust covariance is for within, random, pooling and fd models")
    if fit.levels.weights is not None:
        raise DataError("bad-option", "a robust covariance is not for a weighted panel model")
    panel, X, u = fit.levels.panel, fit.transformed_columns, fit.residual_values
    bread = np.asarray(np.linalg.inv(X.T @ X)) if fit.is_gls else fit.solution.xtx_inverse
    if type in CORRECTIONS:
        h = np.einsum("ij,ij->i", X @ bread, X) if fit.is_gls else fit.solution.hatvalues
        u = u * CORRECTIONS[type](h, X.shape[1])
    return Parts(X, u, bread, panel.take(fit.transformer.later) if fit.model == "fd" else panel)


def bartlett(lag: int, maxlag: int) -> float:
    """1 - lag / (maxlag + 1)."""
    return 1 - lag / (maxlag + 1)


def named(fit: PanelFit, matrix: Array, cluster: str, name: str) -> pd.DataFrame:
    """The covariance under the coefficients' names, with what it is clustered by and what it is called."""
    frame = pd.DataFrame(matrix, index=fit.coef_names, columns=fit.coef_names)
    frame.attrs |= {"cluster": cluster, "name": name}
    return frame


def check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse an option that is none of those allowed."""
    if value not in allowed:
        raise DataError("bad-option", f"{name} must be one of {', '.join(allowed)}; not {value!r}")


# ----------------------------------------------------------------------------------------------------------
# plm's estimators
# ----------------------------------------------------------------------------------------------------------


def plm_vcov_hc(
    fit: PanelFit, method: Method = "arellano", type: Type = "HC0", cluster: Cluster = "group"
) -> pd.DataFrame:
    """plm's vcovHC (2.6-2; Arellano 1987, White 1980).

    arellano: clusters free inside; white1: u^2 row by row; white2: the mean of u^2 in each cluster. HC1 takes the rows
    and columns of the transformed data: plm before 2.6-6 took other rows for fd models.
    Raises DataError `bad-option` for another option, a between model or a weighted one.
    """
    check("method", method, tuple(INNER))
    check("cluster", cluster, ("group", "time"))
    parts, inner = parts_of(fit, type), INNER[method]
    meat = parts.factor(type, inner, cluster) * parts.meat(cluster, inner)
    return named(fit, parts.sandwich(meat), cluster, "vcovHC")


def plm_vcov_scc(
    fit: PanelFit,
    type: Type = "HC0",
    maxlag: int | None = None,
    inner: Inner = "cluster",
    weight: Callable[[int, int], float] = bartlett,
) -> pd.DataFrame:
    """plm's vcovSCC (2.6-2; Driscoll and Kraay 1998): lags of the cross-sections' sums, weighted.

    `maxlag`: by default the integer part of T^(1/4), T the most rows of an individual; `weight(lag, maxlag)`.
    """
    check("inner", inner, ("cluster", "white", "diagavg"))
    parts = parts_of(fit, type)
    lags = int(fit.levels.panel.id.counts.max() ** 0.25) if maxlag is None else maxlag
    meat = parts.meat("time", inner)
    for lag in range(1, min(lags, parts.panel.T - 1) + 1):
        A = parts.lagged(lag, inner)
        meat = meat + weight(lag, lags) * (A + A.T)
    name = "vcovNW" if inner == "white" else "vcovSCC"
    return named(fit, parts.sandwich(parts.factor(type, inner, "time") * meat), "time", name)


def plm_vcov_nw(
    fit: PanelFit,
    type: Type = "HC0",
    maxlag: int | None = None,
    weight: Callable[[int, int], float] = bartlett,
) -> pd.DataFrame:
    """plm's vcovNW (2.6-2; Newey and West 1987): vcovSCC without correlation across individuals."""
    return plm_vcov_scc(fit, type, maxlag, "white", weight)


def plm_vcov_dc(fit: PanelFit, type: Type = "HC0") -> pd.DataFrame:
    """plm's vcovDC (2.6-2; Cameron, Gelbach and Miller 2011; Thompson 2011): by group, plus by time, less by row."""
    parts = parts_of(fit, type)
    terms: tuple[tuple[int, str, Inner], ...] = (
        (1, "group", "cluster"),
        (1, "time", "cluster"),
        (-1, "group", "white"),
    )
    meat = sum(sign * parts.factor(type, inner, by) * parts.meat(by, inner) for sign, by, inner in terms)
    return named(fit, parts.sandwich(np.asarray(meat)), "group-time", "vcovDC")


def plm_vcov_bk(fit: PanelFit, type: Type = "HC0", cluster: Cluster = "group", diagonal: bool = False) -> pd.DataFrame:
    """plm's vcovBK (2.6-2; Beck and Katz 1995): one error covariance S for every cluster, the mean of u u' over them.

    In an unbalanced panel S_ts is the mean over the clusters that have both. plm 2.6-2 takes the wrong rows of S for
    cluster "group" where the first individual lacks an early time; here they are the right ones.
    Raises DataError: bad-option (no type "sss"; a pair of individual and time that occurs twice).
    """
    check("type", type, ("HC0", *CORRECTIONS))
    check("cluster", cluster, ("group", "time"))
    parts = parts_of(fit, type)
    if parts.panel.duplicated:
        raise DataError("bad-option", "Beck and Katz's covariance needs one row for each individual and time")
    first, second = (parts.panel.id, parts.panel.time)[:: 1 if cluster == "group" else -1]
    place, shape = (first.codes, second.codes), (first.size, second.size)
    E = sparse.coo_array((parts.u, place), shape).tocsr()
    seen = sparse.coo_array((np.ones(len(parts.u)), place), shape).tocsr()
    S = (E.T @ E).toarray() / np.maximum((seen.T @ seen).toarray(), 1.0)
    if diagonal:
        S = np.diag(np.diag(S))
    columns = [sparse.coo_array((x, place), shape).tocsr() for x in parts.X.T]
    meat = np.array([[column_form(a, S, b) for b in columns] for a in columns])
    return named(fit, parts.sandwich(meat), cluster, "vcovBK")


def column_form(a: sparse.csr_array, S: Array, b: sparse.csr_array, block: int = 4096) -> float:
    """The sum over rows r of a_r S b_r', a block of rows at a time."""
    blocks = (slice(i, i + block) for i in range(0, a.shape[0], block))
    return float(sum(b[rows].multiply(a[rows] @ S).sum() for rows in blocks))
