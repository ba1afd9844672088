"""Random mixed models for tests, and what the textbook's dense formulas make of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from refimpl.least_squares import ols
from refimpl.linalg import Array
from refimpl.mixed.blocks import Blocks, Term, build
from refimpl.mixed.objective import dense_terms
from refimpl.mixed.profile import vector


@dataclass(frozen=True)
class Drawn:
    """A model, and a factor for each term in the units of its columns."""

    X: Array
    y: Array
    w: Array | None
    terms: tuple[Term, ...]
    factors: tuple[Array, ...]
    REML: bool

    @property
    def blocks(self) -> Blocks:
        return build(ols(self.X, self.y, self.w), self.terms)

    @property
    def weights(self) -> Array:
        return np.ones(len(self.y)) if self.w is None else self.w

    def scaled(self, blocks: Blocks) -> list[Array]:
        """The factors of the scaled columns."""
        return [np.linalg.solve(T, L) for T, L in zip(blocks.to_user, self.factors, strict=True)]

    def dense(self) -> tuple[Array, Array]:
        """Z (n, q) and Lambda (q, q)."""
        pairs = [(term.codes, term.Z) for term in self.terms]
        return dense_terms(pairs, [vector([factor]) for factor in self.factors])


@st.composite
def models(draw: DrawFn, rows: tuple[int, int] = (12, 40), fixed: int = 0, most: int = 3, levels: int = 6) -> Drawn:
    """Crossed, nested and doubled terms, with and without intercepts, of unbalanced groups, some of one row."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, p = draw(st.integers(*rows)), draw(st.integers(fixed, 3))
    X = rng.normal(size=(n, p))
    if p and draw(st.booleans()):
        X[:, 0] = 1.0
    terms: list[Term] = []
    for _ in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from(["new", "same", "nested"])) if terms else "new"
        r = draw(st.integers(1, 3 if kind == "new" else 2))
        codes = random_codes(rng, n, draw(st.integers(2, levels))) if kind == "new" else terms[-1].codes
        codes = codes // 2 if kind == "nested" and codes.max() > 1 else codes
        Z = rng.normal(size=(n, r))
        if draw(st.booleans()):
            Z[:, 0] = 1.0
        terms.append(Term(codes, int(codes.max()) + 1, Z))
    sizes = [draw(st.sampled_from([0.0, 0.03, 1.0, 30.0])) for _ in terms]
    factors = tuple(size * np.tril(rng.normal(size=(t.r, t.r))) for size, t in zip(sizes, terms, strict=True))
    w = rng.uniform(0.2, 4.0, n) if draw(st.booleans()) else None
    return Drawn(X, rng.normal(size=n) + 5.0, w, tuple(terms), factors, draw(st.booleans()) and p > 0)


def random_codes(rng: np.random.Generator, n: int, levels: int) -> np.ndarray:
    """A level for each row, every level there, the first ones oftener."""
    codes = np.floor(levels * rng.uniform(size=n) ** 2).astype(np.intp)
    codes[:levels] = np.arange(levels)
    return rng.permutation(codes)


def moves(terms: tuple[Term, ...]) -> list[Array]:
    """dLambda / dtheta_k (q, q) of each theta."""
    q, start, out = sum(term.levels * term.r for term in terms), 0, []
    for term in terms:
        at = start + term.r * np.arange(term.levels)
        for j in range(term.r):
            for i in range(j, term.r):
                move = np.zeros((q, q))
                move[at + i, at + j] = 1.0
                out.append(move)
        start += term.levels * term.r
    return out


@dataclass(frozen=True)
class Textbook:
    """V, the GLS estimate, b = Sigma Z'V^-1(y - X beta), and Sigma - Sigma Z'V^-1Z Sigma, all over sigma^2."""

    beta: Array
    b: Array
    conditional: Array
    inverse: Array


def textbook(model: Drawn) -> Textbook:
    Z, Lambda = model.dense()
    Sigma = Lambda @ Lambda.T
    V = np.diag(1 / model.weights) + Z @ Sigma @ Z.T
    VX, Vy, VZ = (np.linalg.solve(V, A) for A in (model.X, model.y, Z))
    inverse = np.linalg.inv(model.X.T @ VX)
    beta = inverse @ model.X.T @ Vy
    b = Sigma @ VZ.T @ (model.y - model.X @ beta)
    return Textbook(beta, b, Sigma - Sigma @ Z.T @ VZ @ Sigma, inverse)
