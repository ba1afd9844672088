"""Sandwich covariances of linear models and of maximum likelihood: influences, one function per correction.

With M = (X'WX)^-1 = R^-1 R^-T and u_i = w_i e_i x_i the scores, every covariance here is M (sum of u u') M. It is
worked out as the sum of v v' of the influences v_i = M u_i, never with M (sum of u u'): so it loses the condition of X
and not its square. Where rows of a cluster are adjusted to each other, u comes from Q = X R^-1, for which Q'WQ = 1.
Nothing of size n x n is formed; a cluster enters through its k x k cross-products.
Panels have their own definitions, in panel/.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refimpl.errors import DataError
from refimpl.least_squares import LeastSquares
from refimpl.linalg import Array
from refimpl.linear import Covariance, LinearFit, column

Codes = NDArray[np.intp]
HC = Literal["HC0", "HC1", "HC2", "HC3", "HC4", "HC4m", "HC5"]
CR = Literal["CR0", "CR1", "CR1p", "CR1S", "CR2", "CR3"]

# ----------------------------------------------------------------------------------------------------------
# Heteroskedasticity: the factor on each squared score. n rows, k coefficients, h leverages (n,)
# ----------------------------------------------------------------------------------------------------------


def hc0(h: Array, n: int, k: int) -> Array:
    """1 (White 1980)."""
    return np.ones_like(h)


def hc1(h: Array, n: int, k: int) -> Array:
    """n / (n - k) (MacKinnon and White 1985)."""
    return np.full_like(h, n / (n - k))


def hc2(h: Array, n: int, k: int) -> Array:
    """1 / (1 - h) (MacKinnon and White 1985)."""
    return 1 / (1 - h)


def hc3(h: Array, n: int, k: int) -> Array:
    """1 / (1 - h)^2 (MacKinnon and White 1985)."""
    return 1 / (1 - h) ** 2


def hc4(h: Array, n: int, k: int) -> Array:
    """(1 - h)^-d, d = min(4, n h / k) (Cribari-Neto 2004)."""
    return np.asarray((1 - h) ** -np.minimum(4, n * h / k))


def hc4m(h: Array, n: int, k: int) -> Array:
    """(1 - h)^-d, d = min(1, n h / k) + min(1.5, n h / k) (Cribari-Neto and da Silva 2011)."""
    return np.asarray((1 - h) ** -(np.minimum(1, n * h / k) + np.minimum(1.5, n * h / k)))


def hc5(h: Array, n: int, k: int) -> Array:
    """(1 - h)^(-d/2), d = min(n h / k, max(4, 0.7 n max(h) / k)) (Cribari-Neto, Souza and Vasconcellos 2007)."""
    return (1 - h) ** -(np.minimum(n * h / k, max(4, 0.7 * n * h.max() / k)) / 2)


HC_FACTORS: Mapping[str, Callable[[Array, int, int], Array]] = {
    "HC0": hc0, "HC1": hc1, "HC2": hc2, "HC3": hc3, "HC4": hc4, "HC4m": hc4m, "HC5": hc5,
}  # fmt: skip

# ----------------------------------------------------------------------------------------------------------
# Clusters: the factor on the meat of summed scores. G clusters, n rows, k coefficients
# ----------------------------------------------------------------------------------------------------------


def cr0(G: int, n: int, k: int) -> float:
    """1 (Liang and Zeger 1986)."""
    return 1.0


def cr1(G: int, n: int, k: int) -> float:
    """G / (G - 1)."""
    return G / (G - 1)


def cr1p(G: int, n: int, k: int) -> float:
    """G / (G - k); NaN, with R's warning, where there are no more clusters than coefficients."""
    if k < G:
        return G / (G - k)
    warnings.warn(f"CR1p is not defined for {G} clusters and {k} coefficients", RuntimeWarning, stacklevel=3)
    return float("nan")


def cr1s(G: int, n: int, k: int) -> float:
    """G (n - 1) / ((G - 1) (n - k)): Stata's regress, and vcovCL's default for lm."""
    return G * (n - 1) / ((G - 1) * (n - k))


CR_FACTORS: Mapping[str, Callable[[int, int, int], float]] = {
    "CR0": cr0, "CR1": cr1, "CR1p": cr1p, "CR1S": cr1s, "CR2": cr0, "CR3": cr0,
}  # fmt: skip

# ----------------------------------------------------------------------------------------------------------
# Sums over clusters
# ----------------------------------------------------------------------------------------------------------


def cluster_codes(values: Any) -> tuple[Codes, int]:
    """0, 1, ... for each distinct value (n,), and how many there are. Missing values get -1."""
    plain = isinstance(values, np.ndarray) or isinstance(values.dtype, np.dtype)
    values = np.asarray(values) if plain else values
    if plain and values.dtype.kind in "iu" and (found := integer_codes(values)) is not None:
        return found
    codes, levels = pd.factorize(values)
    return codes.astype(np.intp), len(levels)


def integer_codes(values: NDArray[np.integer[Any]]) -> tuple[Codes, int] | None:
    """The codes of integers that lie close together, by counting; None where a table of them would be long."""
    n = len(values)
    least, most = (int(values.min()), int(values.max())) if n else (0, 0)
    span = most - least + 1
    if span > 4 * n or max(-least, most) >= 2**62:
        return None
    codes = values.astype(np.intp) - least
    there = np.bincount(codes) > 0
    G = int(np.count_nonzero(there))
    return (codes, G) if span == G else ((np.cumsum(there) - 1)[codes], G)


def cluster_sums(X: Array, e: Array, codes: Codes, G: int) -> Array:
    """Sums over each cluster of e_i x_i, (G, k), a column at a time."""
    out = np.empty((G, X.shape[1]))
    for j in range(X.shape[1]):
        out[:, j] = np.bincount(codes, X[:, j] * e, minlength=G)
    return out


def cluster_grams(X: Array, weights: Array | None, codes: Codes, G: int) -> Array:
    """X_g' W_g X_g of each cluster, (G, k, k)."""
    k = X.shape[1]
    out: Array = np.empty((G, k, k))
    for j in range(k):
        weighted = X[:, j] if weights is None else X[:, j] * weights
        for i in range(j + 1):
            out[:, i, j] = out[:, j, i] = np.bincount(codes, weighted * X[:, i], minlength=G)
    return out


def outer_sum(U: Array) -> Array:
    """U'U: the sum of u u' over the rows of U."""
    return np.asarray(U.T @ U)


# ----------------------------------------------------------------------------------------------------------
# CR2 and CR3: scores X_g' W_g A_g e_g, through k x k matrices
# ----------------------------------------------------------------------------------------------------------

RANK_TOLERANCE = 1e-12  # below it an eigenvalue of I - H_gg counts as zero and its inverse too, as in clubSandwich


def power(left: Array, exponent: float) -> Array:
    """left^exponent for a negative exponent; zero where an eigenvalue 1 - s of I - H_gg is none."""
    there = left > RANK_TOLERANCE
    return np.where(there, np.where(there, left, 1.0) ** exponent, 0.0)


def adjusted_scores(S: Array, U: Array, exponent: float) -> Array:
    """Q_g' (I - H_gg)^exponent e_g for every cluster, (G, k), from S_g = Q_g'Q_g and U_g = Q_g'e_g.

    With S_g = V diag(s) V' and H_gg = Q_gQ_g' this is V diag((1-s)^exponent) V'U_g.
    exponent -1/2 gives CR2 (Bell and McCaffrey 2002, identity working model), -1 gives CR3.
    """
    size, V = np.linalg.eigh(S)
    inner = power(1 - size, exponent) * np.einsum("gij,gi->gj", V, U)
    return np.asarray(np.einsum("gij,gj->gi", V, inner), dtype=np.float64)


def weighted_cr2_scores(Q: Array, w: Array, e: Array, codes: Codes, G: int) -> Array:
    """Q_g'W_g B_g^(-1/2) e_g, (G, k), B_g = ((I - H)(I - H)')_gg for H = Q Q'W (Pustejovsky and Tipton 2018).

    B_g = I + P K P' with P = [Q_g, W_gQ_g], so that only P'P, 2k x 2k, is needed of a cluster.
    """
    k = Q.shape[1]
    QQ, QWQ, QWWQ = (cluster_grams(Q, v, codes, G) for v in (None, w, w * w))
    gram = np.concatenate([np.concatenate([QQ, QWQ], axis=2), np.concatenate([QWQ, QWWQ], axis=2)], axis=1)
    K = np.block([[QWWQ.sum(axis=0), -np.eye(k)], [-np.eye(k), np.zeros((k, k))]])
    Pe = np.concatenate([cluster_sums(Q, e, codes, G), cluster_sums(Q, w * e, codes, G)], axis=1)
    length = np.sqrt(np.einsum("gii->gi", gram))
    length = np.where(length > 0, length, 1.0)  # P's columns are brought to length one
    gram = gram / (length[:, :, None] * length[:, None, :])
    K = K * length[:, :, None] * length[:, None, :]
    size, V = np.linalg.eigh(gram)
    root = np.sqrt(np.where(size > size[:, -1:] * 1e-14, size, 0.0))[:, None, :] * V  # gram = root root'
    norm = np.linalg.norm(root, axis=1, keepdims=True)
    whiten = V * np.divide(1, norm, out=np.zeros_like(norm), where=norm > 0)
    change, turn = np.linalg.eigh(np.swapaxes(root, 1, 2) @ K @ root)
    T = whiten @ turn  # P T has orthonormal columns, or zero ones
    inner = (power(1 + change, -0.5) - 1) * np.einsum("gij,gi->gj", T, Pe / length)
    WQ_P = length[:, k:, None] * gram[:, k:, :]
    return np.asarray(Pe[:, k:] + np.einsum("gij,gj->gi", WQ_P @ T, inner), dtype=np.float64)


def weighted_cr3_scores(S: Array, U: Array) -> Array:
    """Q_g'W_g (I - H_gg)^-1 e_g = (I - S_g)^-1 U_g, with S_g = Q_g'W_gQ_g and U_g = Q_g'W_ge_g."""
    return np.asarray(np.linalg.solve(np.eye(S.shape[1]) - S, U[:, :, None])[:, :, 0], dtype=np.float64)


def cluster_influence(fit: LeastSquares, codes: Codes, G: int, type: str) -> Array:
    """How much each cluster moves the coefficients, M u, adjusted for CR2 and CR3: (G, k)."""
    if type in ("CR2", "CR3"):
        return adjusted(fit, codes, G, type) @ fit.root.T
    e = fit.residuals if fit.weights is None else fit.weights * fit.residuals
    return cluster_sums(fit.X_kept, e, codes, G) @ fit.xtx_inverse


def adjusted(fit: LeastSquares, codes: Codes, G: int, type: str) -> Array:
    """The scores Q_g'W_gA_ge_g of CR2 and CR3, (G, k)."""
    w = fit.weights
    e = fit.residuals if w is None else w * fit.residuals
    Q = (fit.root.T @ fit.X_kept.T).T  # column by column in memory
    if type == "CR2" and w is not None:
        return weighted_cr2_scores(Q, w, fit.residuals, codes, G)
    S, U = cluster_grams(Q, w, codes, G), cluster_sums(Q, e, codes, G)
    if w is not None:
        return weighted_cr3_scores(S, U)
    return adjusted_scores(S, U, -0.5 if type == "CR2" else -1.0)


def vcov_of_rows(fit: LeastSquares, e: Array, factor: Array | float) -> Array:
    """The sum of v v' of rows whose scores are e_i x_i, each times a factor."""
    V = fit.X_kept @ fit.xtx_inverse
    V *= (np.sqrt(factor) * e)[:, None]
    return outer_sum(V)


def multi0_factor(type: str, h: Array, k: int) -> Array | float:
    """How sandwich::vcovCL(multi0 = TRUE) adjusts rows that are clusters: only for CR2 and CR3."""
    n = len(h)
    return {"CR2": hc2, "CR3": hc3}[type](h, n, k) * ((n - 1) / n) if type in ("CR2", "CR3") else 1.0


# ----------------------------------------------------------------------------------------------------------
# Covariances of a fit
# ----------------------------------------------------------------------------------------------------------


def vcov_hc(fit: LinearFit, type: HC = "HC3") -> pd.DataFrame:
    """Heteroskedasticity-consistent covariance of the coefficients that are not aliased (sandwich::vcovHC 3.0-2).

    Raises DataError `bad-option` for another type.
    """
    check_option("type", type, HC_FACTORS)
    solution = fit.solution.positive
    factor = HC_FACTORS[type](solution.hatvalues, solution.nobs, solution.rank)
    e = solution.residuals if solution.weights is None else solution.weights * solution.residuals
    return frame_of(fit, vcov_of_rows(solution, e, factor))


def vcov_cluster(
    fit: LinearFit,
    cluster: Any,
    type: CR = "CR1S",
    small_sample: Literal["component", "min"] = "component",
    multi0: bool = False,
) -> pd.DataFrame:
    """Cluster-robust covariance, in any number of cluster dimensions.

    `cluster` is a column's name, an array over the rows, or several of either (list, tuple, dict, DataFrame).
    `type` (clubSandwich's names): CR0 no factor; CR1 G/(G-1); CR1p G/(G-k); CR1S G(n-1)/((G-1)(n-k)); CR2 and CR3
    adjust the scores (for a weighted fit with the identity as working covariance, as clubSandwich for lm).
    Several dimensions are added and subtracted by inclusion and exclusion (Cameron, Gelbach and Miller 2011):
    `small_sample` "component" takes each part's own G, "min" the smallest G of the dimensions for all;
    `multi0` takes every row by itself for the last part (Ma 2014; sandwich::vcovCL, whose HC0 to HC3 with their
    default `cadjust` are CR1, CR1S, CR2 and CR3 here); of a single clustering it only takes off the factor, as there.
    Raises DataError: bad-option, unknown-column, cluster-length, cluster-missing.
    """
    check_option("type", type, CR_FACTORS)
    check_option("small_sample", small_sample, ("component", "min"))
    solution = fit.solution.positive
    dimensions = list(cluster_columns(fit, cluster).values())
    if solution is not fit.solution:
        dimensions = [cluster_codes(codes[fit.solution.used])[0] for codes in dimensions]
    if any(codes.max() == 0 for codes in dimensions):
        raise DataError("one-cluster", "a cluster-robust covariance needs two clusters or more")
    parts = [part for r in range(1, len(dimensions) + 1) for part in combinations(dimensions, r)]
    smallest = min(int(codes.max()) + 1 for codes in dimensions)
    vcov = np.zeros((fit.rank, fit.rank))
    for part in parts:
        sign = (-1) ** (len(part) + 1)
        if multi0 and len(part) == len(dimensions) > 1:
            e = solution.residuals if solution.weights is None else solution.weights * solution.residuals
            factor = multi0_factor(type, solution.hatvalues, fit.rank)
            vcov += sign * vcov_of_rows(solution, e, factor)
            continue
        codes, G = intersection(part)
        times = CR_FACTORS[type](smallest if small_sample == "min" else G, len(codes), fit.rank)
        if multi0 and len(dimensions) == 1:
            times = (G - 1) / G if type in ("CR2", "CR3") else 1.0
        vcov += sign * times * outer_sum(cluster_influence(solution, codes, G, type))
    return frame_of(fit, vcov)


def robcov(fit: LinearFit, cluster: Any = None, method: Literal["huber", "efron"] = "huber") -> LinearFit:
    """The fit with its covariance replaced as `rms::robcov` does (rms 6.5-0); the residual df are kept.

    huber: CR0, or HC0 without clusters. efron: scores from e / (1 - h), summed over clusters. No small-sample
    factor. For a weighted fit robcov's scores leave the weights out and are scaled by the unweighted residual
    variance; so here. Raises DataError: bad-option, cluster-length, cluster-missing, unknown-column.
    """
    check_option("method", method, ("huber", "efron"))
    solution = fit.solution
    e = solution.residuals / (1 - solution.hatvalues) if method == "efron" else solution.residuals
    n_clusters = label = None
    if cluster is None:
        matrix = vcov_of_rows(solution, e, 1.0)
    else:
        ((label, codes),) = cluster_columns(fit, cluster).items()
        label = str(getattr(cluster, "name", None) or label)
        n_clusters = int(codes.max()) + 1
        matrix = outer_sum(cluster_sums(solution.X_kept, e, codes, n_clusters) @ solution.xtx_inverse)
    if solution.weights is not None:
        matrix *= (solution.rss / float(solution.residuals @ solution.residuals)) ** 2
    return fit.with_covariance(Covariance(matrix, f"robcov {method}", fit.df_counted, n_clusters, label))


def ml_sandwich(information: Any, scores: Any, cluster: Any = None) -> pd.DataFrame:
    """I^-1 J I^-1 for maximum likelihood (Huber 1967, White 1982).

    `information` (k, k) is minus the Hessian of the log-likelihood, `scores` (n, k) the gradient of each
    observation; J is the sum of s s', of scores summed within `cluster` (n,) where that is given. Labels are taken
    from a DataFrame. Raises DataError: bad-option for shapes that do not fit, cluster-length, cluster-missing.
    """
    I = np.asarray(information, dtype=np.float64)  # noqa: E741
    s = np.asarray(scores, dtype=np.float64)
    if I.ndim != 2 or s.ndim != 2 or I.shape != (s.shape[1], s.shape[1]):
        raise DataError("bad-option", f"information {I.shape} and scores {s.shape} do not fit together")
    if cluster is not None:
        codes, G = checked_codes(cluster, len(s), None, "cluster")
        s = np.column_stack([np.bincount(codes, column, minlength=G) for column in s.T])
    half = np.linalg.solve(I, s.T)
    labels = next((f.columns for f in (information, scores) if isinstance(f, pd.DataFrame)), None)
    return pd.DataFrame(half @ half.T, index=labels, columns=labels)


def with_vcov(fit: LinearFit, vcov: pd.DataFrame, test: Literal["t", "z"] = "t", df: float | None = None) -> LinearFit:
    """The fit with `vcov` in place of its own, tested by t on `df` (default: the residual df) or by z."""
    check_option("test", test, ("t", "z"))
    kept = [name for name, use in zip(fit.names, fit.solution.kept, strict=True) if use]
    matrix = vcov.loc[kept, kept].to_numpy(dtype=np.float64)
    used = np.inf if test == "z" else float(fit.df_residual if df is None else df)
    return fit.with_covariance(Covariance(matrix, "given", used))


# ----------------------------------------------------------------------------------------------------------
# What the caller gave
# ----------------------------------------------------------------------------------------------------------


def check_option(name: str, value: str, allowed: Iterable[str]) -> None:
    """Refuse an option that is not one of those allowed, naming them."""
    if value not in tuple(allowed):
        raise DataError("bad-option", f"{name} must be one of {', '.join(allowed)}; not {value!r}")


def cluster_columns(fit: LinearFit, cluster: Any) -> dict[str, Codes]:
    """Codes over the rows used for each cluster dimension, by name."""
    if isinstance(cluster, pd.DataFrame | Mapping):
        given: dict[str, Any] = {str(name): cluster[name] for name in cluster}
    elif isinstance(cluster, list | tuple) and cluster and all(_is_column(one) for one in cluster):
        given = {one if isinstance(one, str) else f"cluster{i}": one for i, one in enumerate(cluster, 1)}
    else:
        given = {cluster if isinstance(cluster, str) else "cluster": cluster}
    values = {name: column(fit.data, one) for name, one in given.items()}
    n = len(fit.solution.y)
    return {name: checked_codes(one, n, fit.frame.kept, name)[0] for name, one in values.items()}


def _is_column(one: Any) -> bool:
    return isinstance(one, str | pd.Series | np.ndarray | list | pd.Categorical)


def checked_codes(values: Any, n: int, kept: Any, name: str) -> tuple[Codes, int]:
    """Codes (n,) of a cluster given over the rows used or over all rows of the data."""
    values = values if isinstance(values, pd.Series | pd.Categorical) else np.asarray(values)
    if len(values) != n:
        total = None if kept is None else len(kept)
        if len(values) != total:
            raise DataError(
                "cluster-length",
                f"{name} has {len(values)} values; the fit used {n} rows" + (f" of {total}" if total else ""),
            )
        values = values[np.asarray(kept)]
    codes, G = cluster_codes(values)
    if (codes < 0).any():
        raise DataError("cluster-missing", f"{name} contains {int((codes < 0).sum())} missing values")
    return codes, G


def intersection(dimensions: Sequence[Codes]) -> tuple[Codes, int]:
    """Codes of the cells that several cluster dimensions form, and how many are occupied."""
    joint = dimensions[0]
    for codes in dimensions[1:]:
        _, joint = np.unique(joint * (int(codes.max()) + 1) + codes, return_inverse=True)
    return joint, int(joint.max()) + 1


def frame_of(fit: LinearFit, matrix: Array) -> pd.DataFrame:
    """A covariance under the names of the coefficients that are not aliased."""
    kept = fit.solution.kept
    names = fit.labels if kept.all() else fit.labels[kept]
    return pd.DataFrame(matrix, index=names, columns=names)
