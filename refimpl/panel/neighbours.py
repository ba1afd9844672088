"""The clustered covariances of plm's neighbours: the same sandwich as Arellano's, other small-sample factors.

A factor is data: a name, a closed form and who uses it, in SMALL_SAMPLE; the options of linearmodels and of fixest's
ssc() are functions of what they count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from refimpl.errors import DataError
from refimpl.linalg import Array
from refimpl.panel.covariance import Cluster, check, named, parts_of, plm_vcov_hc
from refimpl.panel.models import PanelFit

Clusters = Literal["group", "time", "both"]
KFixef = Literal["none", "nonnested", "full"]


@dataclass(frozen=True)
class Counts:
    """What small-sample factors count: rows N, slopes k, clusters G, `effects` absorbed (constants of the dummy model)
    and how many of them are `nested` in the clusters."""

    N: int
    k: int
    G: int
    effects: int
    nested: int


@dataclass(frozen=True)
class SmallSample:
    """A small-sample factor of a clustered covariance: its closed form, and who uses it when not told otherwise."""

    name: str
    formula: str
    used_by: tuple[str, ...]
    factor: Callable[[Counts], float]


def linearmodels_factor(
    c: Counts, debiased: bool = True, group_debias: bool = False, count_effects: bool | None = None
) -> float:
    """linearmodels' PanelOLS: N/(N-k-effects) if debiased, else N/(N-effects); G/(G-1) (N-1)/N if group_debias.

    Effects are 0 unless they are counted; None counts them where they are not nested in the clusters (its auto_df).
    """
    effects = c.effects if (c.effects != c.nested if count_effects is None else count_effects) else 0
    rows = c.N / (c.N - effects - (c.k if debiased else 0))
    return rows * (c.G / (c.G - 1) * (c.N - 1) / c.N if group_debias else 1.0)


def fixest_factor(
    c: Counts,
    k_adj: bool = True,
    k_fixef: KFixef = "nonnested",
    G_adj: bool = True,
) -> float:
    """fixest's and pyfixest's ssc: (N-1)/(N-K) if k_adj and G/(G-1) if G_adj.

    K is k ("none"), plus the effects that are not nested in the clusters and one ("nonnested"), plus all ("full").
    """
    counted = {"none": 0, "nonnested": c.effects - c.nested + (c.nested > 0), "full": c.effects}[k_fixef]
    return ((c.N - 1) / (c.N - c.k - counted) if k_adj else 1.0) * (c.G / (c.G - 1) if G_adj else 1.0)


SMALL_SAMPLE: Mapping[str, SmallSample] = {
    s.name: s
    for s in (
        SmallSample(
            "HC0", "1",
            ("plm vcovHC()", "linearmodels clustered, debiased=False", "pyfixest ssc(k_adj=False, G_adj=False)"),
            lambda c: 1.0,
        ),
        SmallSample(
            "HC1", "N / (N - k)",
            ('plm vcovHC(type = "HC1")', "linearmodels clustered"),
            linearmodels_factor,
        ),
        SmallSample(
            "count-effects", "N / (N - k - effects)",
            ("linearmodels clustered, auto_df=False, count_effects=True",),
            lambda c: linearmodels_factor(c, count_effects=True),
        ),
        SmallSample(
            "CR1", "G / (G - 1)",
            ("pyfixest ssc(k_adj=False, G_adj=True)", "clubSandwich CR1"),
            lambda c: fixest_factor(c, k_adj=False),
        ),
        SmallSample(
            "sss", "G / (G - 1) (N - 1) / (N - k)",
            ('plm vcovHC(type = "sss")', "linearmodels group_debias=True", 'pyfixest ssc(k_fixef="none")'),
            lambda c: fixest_factor(c, k_fixef="none"),
        ),
        SmallSample(
            "xtreg", "G / (G - 1) (N - 1) / (N - k - 1)",
            ("Stata xtreg, fe", "fixest and pyfixest, effects nested in the clusters"),
            fixest_factor,
        ),
        SmallSample(
            "areg", "G / (G - 1) (N - 1) / (N - k - effects)",
            ("Stata areg", "vcovCL of lm with dummies", "linearmodels group_debias=True, count_effects=True",
             'pyfixest ssc(k_fixef="full")'),
            lambda c: fixest_factor(c, k_fixef="full"),
        ),
    )
}  # fmt: skip


def counts_of(fit: PanelFit, cluster: Clusters = "group") -> Counts:
    """What the factors count in a within or pooling model; of both clusterings G is the smaller, and all are nested."""
    if fit.model not in ("within", "pooling"):
        raise DataError("bad-option", "the neighbours' factors are defined for within and pooling models")
    panel = fit.levels.panel
    G = {"group": panel.n, "time": panel.T, "both": min(panel.n, panel.T)}[cluster]
    slopes = sum(name != "(Intercept)" for name in fit.coef_names)
    if fit.model == "pooling":
        return Counts(fit.nobs, fit.rank, G, 0, 0)
    absorbed = {"individual": panel.n, "time": panel.T, "twoways": panel.n + panel.T - 1}[fit.effect]
    own = fit.effect in (("individual", "twoways") if cluster == "group" else ("time", "twoways"))
    return Counts(fit.nobs, slopes, G, absorbed, absorbed if cluster == "both" else G if own else 0)


def plm_vcov_neighbour(fit: PanelFit, convention: str, cluster: Cluster = "group") -> pd.DataFrame:
    """The clustered covariance of a within or pooling model under a factor of SMALL_SAMPLE, by its name."""
    check("convention", convention, tuple(SMALL_SAMPLE))
    return plm_vcov_hc(fit, cluster=cluster) * SMALL_SAMPLE[convention].factor(counts_of(fit, cluster))


def plm_vcov_linearmodels(
    fit: PanelFit,
    cluster: Clusters = "group",
    debiased: bool = True,
    group_debias: bool = False,
    count_effects: bool | None = None,
) -> pd.DataFrame:
    """linearmodels' clustered covariance (7.1, PanelOLS); see linearmodels_factor.

    With both clusterings every summand has its own G, and effects are counted unless `count_effects` is False.
    """
    check("cluster", cluster, ("group", "time", "both"))
    counts = counts_of(fit, cluster)
    told = True if cluster == "both" and count_effects is None else count_effects

    def factor(G: int) -> float:
        return linearmodels_factor(replace(counts, G=G), debiased, group_debias, told)

    return named(fit, total(fit, cluster, factor), cluster, "linearmodels")


def plm_vcov_fixest(
    fit: PanelFit,
    cluster: Clusters = "group",
    k_adj: bool = True,
    k_fixef: KFixef = "nonnested",
    G_adj: bool = True,
    G_df: Literal["min", "conventional"] = "min",
) -> pd.DataFrame:
    """fixest's and pyfixest's clustered covariance by the options of their ssc(); see fixest_factor.

    With both clusterings every summand has the smaller G ("min") or its own ("conventional").
    """
    check("cluster", cluster, ("group", "time", "both"))
    check("k_fixef", k_fixef, ("none", "nonnested", "full"))
    check("G_df", G_df, ("min", "conventional"))
    counts = counts_of(fit, cluster)

    def factor(G: int) -> float:
        return fixest_factor(counts if G_df == "min" else replace(counts, G=G), k_adj, k_fixef, G_adj)

    return named(fit, total(fit, cluster, factor), cluster, "fixest")


def total(fit: PanelFit, cluster: Clusters, factor: Callable[[int], float]) -> Array:
    """The clustered covariance times its factor; of both clusterings that of each less that of the cells."""
    parts = parts_of(fit, "HC0")
    one = {name: parts.sandwich(parts.meat(name, "cluster")) for name in ("group", "time") if cluster in (name, "both")}
    found = sum((factor(parts.groups(name).size) * V for name, V in one.items()), np.zeros_like(parts.bread))
    if cluster == "both":
        levels, codes = np.unique(parts.panel.cells, return_inverse=True)
        sums: Array = np.column_stack([np.bincount(codes, column) for column in parts.scores.T])
        found -= factor(len(levels)) * parts.sandwich(sums.T @ sums)
    return found
