"""A mixed model in ball arithmetic (python-flint): objective, score and Hessian enclosed, from exact doubles.

The parameters are the entries of G = Lambda Lambda', in which the score is rational and nothing is singular at zero:
V = W^-1 + Z G Z', and by Woodbury only (I + Z'WZ G)^-1 is needed, for each set of levels that occur together alone.
Where the optimum is, and that it is one, is certify's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, arb_mat
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from compat.mixed import MixedModel

Arb = Any  # flint has no types
Parameter = tuple[int, int, int]  # term, row, column of its G, row >= column


@dataclass(frozen=True)
class Component:
    """Levels that occur together: places (m,) in b, Z'WZ (m, m), Z'W[X y] (m, p + 1), E_k (m, m) of each parameter."""

    places: list[int]
    ZZ: Arb
    ZXy: Arb
    E: list[Arb]


@dataclass(frozen=True)
class Enclosure:
    """What a box of G encloses: objective, score (t,), Hessian (t, t), beta (p, 1), the inverse of X'V^-1X (p, p), the
    residual sum of squares r'V^-1r, s = Z'V^-1 r and N = Z'V^-1Z of each component.
    """

    objective: Arb
    score: list[Arb]
    hessian: Arb
    beta: Arb
    inverse: Arb
    rss: Arb
    s: list[Arb]
    N: list[Arb]


def most_together(model: MixedModel) -> int:
    """How many random effects depend on each other at most."""
    labels = connected_components(sparse.csr_matrix(model.ZZ), directed=False)[1]
    return int(np.bincount(labels).max())


class BallModel:
    """Exact cross-products of a model; `parameters` are the entries of every term's G."""

    def __init__(self, model: MixedModel) -> None:
        self.model = model
        sizes = [len(term.names) for term in model.random]
        self.parameters: list[Parameter] = [
            (t, i, j) for t, r in enumerate(sizes) for j in range(r) for i in range(j, r)
        ]
        self.p, self.df, self.REML = model.p, model.df, model.REML
        w = model.frame.frame.extra.get("(weights)")
        self.weights = [1.0] * model.n if w is None else [float(one) for one in w]
        self.log_weights = sum((arb(one).log() for one in self.weights), arb(0))
        self.XyXy, self.components = self._cross_products()

    # -- exact sums --------------------------------------------------------------------------------------------------

    def _rows(self) -> Iterator[tuple[list[tuple[int, Arb]], list[Arb], Arb]]:
        """Of each row the places in b with their values, [x y] and the weight."""
        m = self.model
        starts = m.frame.random.group_pointers
        y = np.asarray(m.frame.frame.response, dtype=np.float64)
        for i in range(m.n):
            z = [
                (int(start + term.codes[i] * len(term.names) + c), arb(float(value)))
                for start, term in zip(starts, m.random, strict=False)
                for c, value in enumerate(np.asarray(term.matrix.X)[i])
                if value != 0
            ]
            shift = sum((arb(float(part[i])) for part in self._offsets), arb(0))
            yield z, [arb(float(x)) for x in m.X[i]] + [arb(float(y[i])) - shift], arb(self.weights[i])

    @property
    def _offsets(self) -> list[Any]:
        given = [self.model.frame.fixed.offset, self.model.frame.frame.extra.get("(offset)")]
        return [np.asarray(part) for part in given if part is not None]

    def _cross_products(self) -> tuple[Arb, list[Component]]:
        """[X y]'W[X y], and the parts of Z'WZ and Z'W[X y] that belong together."""
        q, k = len(self.model.ZZ), self.p + 1
        whole = [[arb(0)] * k for _ in range(k)]
        ZZ: dict[tuple[int, int], Arb] = {}
        ZXy = [[arb(0)] * k for _ in range(q)]
        for z, xy, w in self._rows():
            weighted = [w * value for value in xy]
            for a in range(k):
                for b in range(k):
                    whole[a][b] += weighted[a] * xy[b]
            for place, value in z:
                for b in range(k):
                    ZXy[place][b] += value * weighted[b]
                for other, another in z:
                    ZZ[place, other] = ZZ.get((place, other), arb(0)) + value * w * another
        together = sparse.coo_matrix((np.ones(len(ZZ)), np.array(list(ZZ)).T), shape=(q, q))
        labels = connected_components(together + self._levels_together(), directed=False)[1]
        components = []
        for label in range(int(labels.max()) + 1):
            places = np.flatnonzero(labels == label).tolist()
            block = arb_mat([[ZZ.get((a, b), arb(0)) for b in places] for a in places])
            components.append(Component(places, block, arb_mat([ZXy[a] for a in places]), self._indicators(places)))
        return arb_mat(whole), components

    def _levels_together(self) -> Any:
        """A level's columns belong together even where their cross-product is zero."""
        blocks = [np.ones((len(t.names), len(t.names))) for t in self.model.random for _ in t.levels]
        return sparse.block_diag(blocks, format="coo")

    def _indicators(self, places: Sequence[int]) -> list[Arb]:
        """The symmetric E_k with G = sum of g_k E_k, of the levels of one component."""
        where = {place: at for at, place in enumerate(places)}
        out = []
        for t, i, j in self.parameters:
            term, start = self.model.random[t], int(self.model.frame.random.group_pointers[t])
            E, r = arb_mat(len(places), len(places)), len(term.names)
            for level in range(len(term.levels)):
                a, b = start + level * r + i, start + level * r + j
                if a in where:
                    E[where[a], where[b]] = E[where[b], where[a]] = arb(1)
            out.append(E)
        return out

    # -- the objective -------------------------------------------------------------------------------------------------

    def evaluate(self, G: Sequence[Arb]) -> Enclosure:
        """Enclose everything over a box of the parameters."""
        p, t = self.p, len(G)
        M = self.XyXy * arb(1)
        logdet = -self.log_weights
        solved = []
        for part in self.components:
            Gc = _sum([g * E for g, E in zip(G, part.E, strict=True)])
            A = part.ZZ * Gc + identity(len(part.places))
            logdet += A.det().log()
            N, D = A.solve(part.ZZ), A.solve(part.ZXy)
            M = M - part.ZXy.transpose() * Gc * D
            solved.append((N, D))
        S, b = _block(M, 0, p, 0, p), _block(M, 0, p, p, p + 1)
        inverse = S.inv()
        beta = inverse * b
        rss = M[p, p] - (b.transpose() * beta)[0, 0]
        if self.REML:
            logdet += S.det().log()
        c = arb(self.df) / rss
        objective = logdet + self.df * (1 + (2 * arb.pi() / c).log())
        direction = arb_mat([[-beta[a, 0]] for a in range(p)] + [[arb(1)]])
        s = [D * direction for _, D in solved]
        score, hessian = self._derivatives(solved, s, inverse, c, t)
        return Enclosure(objective, score, hessian, beta, inverse, rss, s, [N for N, _ in solved])

    def _derivatives(
        self, solved: Sequence[tuple[Arb, Arb]], s: Sequence[Arb], inverse: Arb, c: Arb, t: int
    ) -> tuple[list[Arb], Arb]:
        """tr(E_k P) - c s'E_k s and its derivatives, P = V^-1 for ML, less its part in X for REML."""
        sums = _Sums(t, self.p)
        for part, (N, Dy), sc in zip(self.components, solved, s, strict=True):
            sums.add(part, N, _block(Dy, 0, Dy.nrows(), 0, self.p), sc, self.REML)
        hessian = arb_mat(t, t)
        for k in range(t):
            for m in range(k + 1):
                trace = sums.ENEN[k][m]
                if self.REML:
                    through = inverse * sums.DED[k] * inverse * sums.DED[m]
                    trace += through.trace() - 2 * (inverse * sums.DENED[k][m]).trace()
                inner = sums.sENEs[k][m] - (sums.DEs[k].transpose() * inverse * sums.DEs[m])[0, 0]
                square = c * c / self.df * sums.sEs[k] * sums.sEs[m]
                hessian[k, m] = hessian[m, k] = 2 * c * inner - trace - square
        reduced = [(inverse * sums.DED[k]).trace() if self.REML else arb(0) for k in range(t)]
        return [sums.EN[k] - reduced[k] - c * sums.sEs[k] for k in range(t)], hessian


class _Sums:
    """Sums over the components of traces and forms, each named by its factors: DENED[k][m] is D'E_k N E_m D."""

    def __init__(self, t: int, p: int) -> None:
        self.t = t
        self.EN, self.sEs = [arb(0)] * t, [arb(0)] * t
        self.DED, self.DEs = [arb_mat(p, p)] * t, [arb_mat(p, 1)] * t
        self.ENEN = [[arb(0)] * t for _ in range(t)]
        self.sENEs = [[arb(0)] * t for _ in range(t)]
        self.DENED = [[arb_mat(p, p)] * t for _ in range(t)]

    def add(self, part: Component, N: Arb, D: Arb, s: Arb, REML: bool) -> None:
        """Add one component."""
        EN, Es, ED = [E * N for E in part.E], [E * s for E in part.E], [E * D for E in part.E]
        for k in range(self.t):
            self.EN[k] += EN[k].trace()
            self.sEs[k] += (s.transpose() * Es[k])[0, 0]
            self.DED[k] = self.DED[k] + D.transpose() * ED[k]
            self.DEs[k] = self.DEs[k] + D.transpose() * Es[k]
            for m in range(k + 1):
                self.ENEN[k][m] += (EN[k] * EN[m]).trace()
                self.sENEs[k][m] += (Es[k].transpose() * N * Es[m])[0, 0]
                if REML:
                    self.DENED[k][m] = self.DENED[k][m] + ED[k].transpose() * N * ED[m]


def identity(m: int) -> Arb:
    """The identity matrix (m, m)."""
    return arb_mat([[int(i == j) for j in range(m)] for i in range(m)])


def _sum(parts: Sequence[Arb]) -> Arb:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _block(M: Arb, top: int, bottom: int, left: int, right: int) -> Arb:
    return arb_mat([[M[i, j] for j in range(left, right)] for i in range(top, bottom)])
