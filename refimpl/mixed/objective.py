"""The profiled deviance and REML criterion of a linear mixed model, dense, in four steps.

The normative text: everything else in this room is proved equal to it. Equation numbers are those of Bates, Maechler,
Bolker and Walker (2015), Fitting Linear Mixed-Effects Models Using lme4, J. Stat. Software 67(1).

    symbol   shape    meaning
    y        (n,)     response, offset taken off
    X        (n, p)   fixed-effects model matrix of full column rank
    Z        (n, q)   random-effects model matrix
    Lambda   (q, q)   relative covariance factor: Var(b) = sigma^2 Lambda Lambda'
    w        (n,)     prior weights: Var(y | b) = sigma^2 W^-1
    L        (q, q)   Cholesky factor of Lambda' Z'WZ Lambda + I
    RX       (p, p)   Cholesky factor of the fixed effects' part
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from refimpl.linalg import Array


@dataclass(frozen=True)
class Profile:
    """The objective at one Lambda, and what minimises the penalised sum of squares there."""

    objective: float
    beta: Array
    u: Array
    pwrss: float


def profiled_deviance(
    X: Array, y: Array, Z: Array, Lambda: Array, REML: bool = False, w: Array | None = None
) -> Profile:
    """Minus twice the log-likelihood, profiled over beta and sigma; with REML the REML criterion."""
    n, p = X.shape
    w = np.ones(n) if w is None else w
    WX, Wy, WZ = w[:, None] * X, w * y, w[:, None] * Z

    # Step I: the covariance parameters
    L = np.linalg.cholesky(Lambda.T @ Z.T @ WZ @ Lambda + np.eye(Z.shape[1]))  # (18)

    # Step II: penalised least squares
    cu = solve_triangular(L, Lambda.T @ Z.T @ Wy, lower=True)  # (48)
    RZX = solve_triangular(L, Lambda.T @ Z.T @ WX, lower=True)  # (49)
    RX = np.linalg.cholesky(X.T @ WX - RZX.T @ RZX).T  # (50)
    beta = solve_triangular(RX, solve_triangular(RX.T, X.T @ Wy - RZX.T @ cu, lower=True))  # (52)
    u = solve_triangular(L.T, cu - RZX @ beta)  # (53)

    # Step III: residuals and the penalised weighted residual sum of squares
    residuals = y - X @ beta - Z @ Lambda @ u
    pwrss = float(w @ residuals**2 + u @ u)  # (33)

    # Step IV: the objective
    logdet = 2 * np.log(L.diagonal()).sum() - np.log(w[w > 0]).sum()
    df = int((w > 0).sum())
    if REML:
        logdet += 2 * np.log(RX.diagonal()).sum()
        df -= p
    return Profile(float(logdet + df * (1 + np.log(2 * np.pi * pwrss / df))), beta, u, pwrss)  # (34), (41)


def dense_terms(terms: list[tuple[Array, Array]], thetas: list[Array]) -> tuple[Array, Array]:
    """Z (n, q) and Lambda (q, q) of bar terms, levels in order and a level's columns together.

    A term is (codes (n,), model matrix (n, r)); its theta the lower triangle of its factor, column by column.
    """
    Zs, blocks = [], []
    for (codes, M), theta in zip(terms, thetas, strict=True):
        r, levels = M.shape[1], int(codes.max()) + 1
        indicator = np.eye(levels)[codes]
        Zs.append((indicator[:, :, None] * M[:, None, :]).reshape(len(codes), levels * r))
        factor = np.zeros((r, r))
        factor.T[np.triu_indices(r)] = theta
        blocks.append(np.kron(np.eye(levels), factor))
    q = sum(len(block) for block in blocks)
    Lambda, at = np.zeros((q, q)), 0
    for block in blocks:
        Lambda[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    return np.hstack(Zs), Lambda
