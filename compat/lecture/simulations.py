"""Two cautions of the lecture, seen by simulation: ML's variances in small samples, robust errors with few clusters.

Every replicate is drawn by R's generator in the order told here, so that R repeats it from the same seed; all
replicates of a design are worked out together, by formulas that tests hold to refimpl's own estimators and to R's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from refimpl.linalg import Array
from refimpl.rrandom import RRandom
from refimpl.sandwich import Codes, adjusted_scores, cr1s

SEED = 7222009  # the lecture's

# ----------------------------------------------------------------------------------------------------------
# ML against REML: classes of pupils
# ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Classes:
    """y_ij = 10 + z_j + b_j + u_ij: `pupils` in each class, z_j ~ N(0, 1), b_j and u_ij with these variances."""

    pupils: int = 10
    class_variance: float = 1.0
    residual_variance: float = 4.0

    def draw(self, classes: int, replicates: int) -> tuple[Array, Array]:
        """z (replicates, classes) and y (replicates, classes, pupils).

        From seed SEED + classes; a replicate draws all its z, then its b, then its u, class by class.
        """
        width = classes * (2 + self.pupils)
        drawn = RRandom(SEED + classes).rnorm(replicates * width).reshape(replicates, width)
        z, b, u = np.split(drawn, [classes, 2 * classes], axis=1)
        u = u.reshape(replicates, classes, self.pupils)
        level = 10 + z + np.sqrt(self.class_variance) * b
        return z, level[:, :, None] + np.sqrt(self.residual_variance) * u


def balanced_variances(z: Array, y: Array, REML: bool) -> Array:
    """The variance between classes that lmer(y ~ z + (1 | class)) estimates, (replicates,), for classes of one size.

    With class means' residual sum of squares B on z, and W within: REML max(0, B / (J - 2) - W / (J (n - 1)) / n), ML
    with J for J - 2 (Searle, Casella and McCulloch 1992, ch. 4).
    """
    _, classes, pupils = y.shape
    means = y.mean(axis=2)
    within = ((y - means[:, :, None]) ** 2).sum(axis=(1, 2)) / (classes * (pupils - 1))
    centred, about = z - z.mean(axis=1, keepdims=True), means - means.mean(axis=1, keepdims=True)
    slope = (centred * about).sum(axis=1) / (centred**2).sum(axis=1)
    between = ((about - slope[:, None] * centred) ** 2).sum(axis=1)
    return np.asarray(np.maximum(0.0, between / (classes - 2 if REML else classes) - within / pupils))


def variance_bias(
    classes: Sequence[int] = (6, 8, 12, 20, 40, 80), replicates: int = 1000, design: Classes | None = None
) -> pd.DataFrame:
    """Bias of the estimated variance between classes, a row for each number of classes and criterion.

    Columns: groups, criterion, mean, bias, mc_error (of the bias), at_zero (share of estimates that are zero),
    theory (the bias without the bound at zero: -2/J of the variance of a class mean for ML, none for REML).
    """
    design = design or Classes()
    rows = []
    for J in classes:
        z, y = design.draw(J, replicates)
        for criterion in ("ML", "REML"):
            found = balanced_variances(z, y, criterion == "REML")
            error = float(found.std(ddof=1) / np.sqrt(replicates))
            mean_variance = design.class_variance + design.residual_variance / design.pupils
            theory = -2 / J * mean_variance if criterion == "ML" else 0.0
            bias = float(found.mean()) - design.class_variance
            rows.append((J, criterion, float(found.mean()), bias, error, float((found == 0).mean()), theory))
    return pd.DataFrame(rows, columns=["groups", "criterion", "mean", "bias", "mc_error", "at_zero", "theory"])


# ----------------------------------------------------------------------------------------------------------
# Coverage with few clusters
# ----------------------------------------------------------------------------------------------------------

SIZES = (4, 8, 12, 16)  # of the clusters, over and over
ESTIMATORS = ("HC0", "CR0", "CR1S", "CR2", "CR3")


def cluster_sizes(clusters: int) -> Codes:
    """Rows of each cluster, (clusters,)."""
    return np.resize(np.array(SIZES, dtype=np.intp), clusters)


def draw_clusters(clusters: int, replicates: int) -> tuple[Array, Array]:
    """x and y, (replicates, rows): y = 1 + x + v_g + e, half of x's variance and three tenths of y's between clusters.

    From seed SEED + clusters; a replicate draws x's part of the clusters, x's own part, v and e, in this order, rows
    cluster by cluster.
    """
    sizes = cluster_sizes(clusters)
    rows = int(sizes.sum())
    width = 2 * (clusters + rows)
    drawn = RRandom(SEED + clusters).rnorm(replicates * width).reshape(replicates, width)
    shared, own, v, e = np.split(drawn, [clusters, clusters + rows, 2 * clusters + rows], axis=1)
    x = np.sqrt(0.5) * np.repeat(shared, sizes, axis=1) + np.sqrt(0.5) * own
    y = 1 + x + np.sqrt(0.3) * np.repeat(v, sizes, axis=1) + np.sqrt(0.7) * e
    return x, y


@dataclass(frozen=True)
class Slopes:
    """Of every replicate: the slope, its standard error by each estimator, and Satterthwaite's df of CR2."""

    slope: Array
    std_error: dict[str, Array]
    satterthwaite: Array


def slopes(x: Array, y: Array, sizes: Codes) -> Slopes:
    """Regress y on 1 and x, (replicates, rows) each, rows in clusters of `sizes`; no loop over replicates.

    With X = Q R and Q orthonormal every covariance is R^-1 (sum of v v') R^-T, as in refimpl.sandwich.
    """
    replicates, rows = x.shape
    starts, clusters = np.concatenate([[0], np.cumsum(sizes)[:-1]]), len(sizes)
    centre = x.mean(axis=1, keepdims=True)
    size = np.sqrt(((x - centre) ** 2).sum(axis=1, keepdims=True))
    Q = np.stack([np.full_like(x, 1 / np.sqrt(rows)), (x - centre) / size], axis=2)
    e = y - (Q @ (np.swapaxes(Q, 1, 2) @ y[:, :, None]))[:, :, 0]
    # The slope is the second Q-coefficient over `size`, so only that entry of each meat is needed.
    U = np.add.reduceat(Q * e[:, :, None], starts, axis=1)
    S = np.add.reduceat(Q[:, :, :, None] * Q[:, :, None, :], starts, axis=1)
    flat = (replicates * clusters, 2)
    adjusted = {
        name: adjusted_scores(S.reshape(*flat, 2), U.reshape(flat), power).reshape(U.shape)[:, :, 1]
        for name, power in (("CR2", -0.5), ("CR3", -1.0))
    }
    meat = {"HC0": ((Q[:, :, 1] * e) ** 2).sum(axis=1), "CR0": (U[:, :, 1] ** 2).sum(axis=1)}
    meat["CR1S"] = meat["CR0"] * cr1s(clusters, rows, 2)
    meat |= {name: (scores**2).sum(axis=1) for name, scores in adjusted.items()}
    slope = (Q[:, :, 1] * y).sum(axis=1) / size[:, 0]
    return Slopes(slope, {n: np.sqrt(m) / size[:, 0] for n, m in meat.items()}, satterthwaite(S))


def satterthwaite(S: Array) -> Array:
    """Degrees of freedom of CR2's t for the last coefficient, (replicates,), from S_g = Q_g'Q_g (replicates, G, k, k).

    (tr M)^2 / tr M^2, M_gh = [g = h] a_g'a_g - p_g'p_h, p_g = Q_g'a_g, a_g = (I - H_gg)^(-1/2) Q_g r (Bell and
    McCaffrey 2002; Pustejovsky and Tipton 2018, eq. 11, with the identity as working model).
    """
    size, V = np.linalg.eigh(S)
    last = V[..., -1, :]  # V'r, r the last unit vector
    p = np.einsum("bgij,bgj->bgi", V, size * (1 - size) ** -0.5 * last)
    aa = (last**2 * size / (1 - size)).sum(axis=2)
    pp = (p**2).sum(axis=2)
    outer = np.einsum("bgi,bgj->bij", p, p)
    trace = (aa - pp).sum(axis=1)
    square = (aa**2 - 2 * aa * pp).sum(axis=1) + (outer**2).sum(axis=(1, 2))
    return np.asarray(trace**2 / square)


def cluster_coverage(clusters: Sequence[int] = (5, 10, 20, 40), replicates: int = 2000) -> pd.DataFrame:
    """Share of 95 % intervals of the slope that hold the true one, a row for each number of clusters and interval.

    Columns: clusters, estimator, df (what the t quantile is taken on: "n - k", as lm and robcov print, "G - 1", or
    "Satterthwaite" for CR2), coverage, mc_error, std_error (their mean over the standard deviation of the slopes).
    """
    rows = []
    for G in clusters:
        x, y = draw_clusters(G, replicates)
        found = slopes(x, y, cluster_sizes(G))
        spread = found.slope.std(ddof=1)
        quantile = {"n - k": special.stdtrit(x.shape[1] - 2, 0.975), "G - 1": special.stdtrit(G - 1, 0.975)}
        intervals = [(name, df, q) for df, q in quantile.items() for name in ESTIMATORS]
        intervals.append(("CR2", "Satterthwaite", special.stdtrit(found.satterthwaite, 0.975)))
        for name, df, q in intervals:
            share = float((np.abs(found.slope - 1) <= q * found.std_error[name]).mean())
            error = float(np.sqrt(share * (1 - share) / replicates))
            rows.append((G, name, df, share, error, float(found.std_error[name].mean() / spread)))
    return pd.DataFrame(rows, columns=["clusters", "estimator", "df", "coverage", "mc_error", "std_error"])
