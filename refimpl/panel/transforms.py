"""What plm does to the columns before least squares: means, deviations from them, differences, quasi-deviations.

Every transformation is a sum over groups. Two-way ones of an unbalanced panel solve for the effects: the individuals or
times that are more numerous are eliminated, the rest is a small dense system. No matrix of dummies is ever formed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.sparse import csgraph

from refimpl.formula import PanelRows, panel_functions, time_numbers
from refimpl.formula.arguments import Function
from refimpl.linalg import Array
from refimpl.panel.index import Codes, Dimension, PanelIndex

Effect = Literal["individual", "time", "twoways"]


class Groups:
    """Sums and means over the groups of one index: `codes` (n,) into `size` groups of `counts` rows."""

    def __init__(self, dimension: Dimension) -> None:
        self.codes = dimension.codes
        self.size = dimension.size
        self.counts = dimension.counts
        self.contiguous = len(self.codes) < 2 or bool((np.diff(self.codes) >= 0).all())

    @cached_property
    def starts(self) -> Codes:
        """The first row of each group, where the rows of a group stand together."""
        return np.concatenate([[0], np.cumsum(self.counts[:-1])]).astype(np.intp)

    def sums_of(self, x: Array) -> Array:
        """The sum of one column (n,) over each group, (size,)."""
        if self.contiguous:
            return np.asarray(np.add.reduceat(x, self.starts))
        return np.asarray(np.bincount(self.codes, x, minlength=self.size), dtype=np.float64)

    def sums(self, A: Array, times: Array | None = None) -> Array:
        """The sums of the columns of A (n, k), each times `times` (n,), over each group, (size, k)."""
        out: Array = np.empty((self.size, A.shape[1]), order="F")
        for j in range(A.shape[1]):
            out[:, j] = self.sums_of(A[:, j] if times is None else A[:, j] * times)
        return out

    def means(self, A: Array) -> Array:
        """The means of the columns of A (n, k) over each group, (size, k)."""
        return self.sums(A) / self.counts[:, None]

    def spread(self, a: Array) -> Array:
        """A number for each group (size,), at each of its rows (n,)."""
        return np.repeat(a, self.counts.astype(np.intp)) if self.contiguous else a[self.codes]


def columns(A: Array, wanted: NDArray[np.bool_]) -> Array:
    """These columns of A, without a copy where they are all, or all but the first."""
    if wanted[1:].all():
        return A if wanted.all() else A[:, 1:]
    return np.asarray(A[:, wanted], order="F")


def deviations(groups: Groups, A: Array) -> Array:
    """A less its group means, (n, k).

    The means are taken twice: what rounding the first mean leaves, the second takes away.
    """
    out: Array = np.empty(A.shape, order="F")
    for j in range(A.shape[1]):
        x = A[:, j] - groups.spread(groups.sums_of(A[:, j]) / groups.counts)
        x -= groups.spread(groups.sums_of(x) / groups.counts)
        out[:, j] = x
    return out


@dataclass(frozen=True)
class Crossed:
    """Two crossed sets of effects u, v in min |x - Z_1 u - Z_2 v|^2 + |u|^2 / ratio_1 + |v|^2 / ratio_2.

    Without ratios (infinite ones) that is the two-way projection, and the first effect of each connected part of the
    panel in the smaller factor is zero; with ratios of variances it is the best linear prediction of the effects.
    """

    big: Groups
    small: Groups
    table: sparse.csr_array  # (big, small): rows in each cell
    scale: Array  # (big,) 1 / (rows + 1 / ratio)
    free: Codes  # (f,) effects of the smaller factor that are solved for
    factor: tuple[NDArray[np.float64], bool]  # Cholesky of the Schur complement, (f, f)
    swapped: bool

    def effects(self, A: Array) -> tuple[Array, Array]:
        """The effects for each column of A (n, k): of individuals (n_ids, k) and of times (T, k)."""
        first, second = self.big.sums(A), self.small.sums(A)
        right = second - self.table.T @ (first * self.scale[:, None])
        v = np.zeros_like(right)
        if len(self.free):
            v[self.free] = linalg.cho_solve(self.factor, right[self.free], check_finite=False)
        u = (first - self.table @ v) * self.scale[:, None]
        return (v, u) if self.swapped else (u, v)

    def take_away(self, A: Array, out: Array) -> None:
        """Subtract from `out` (n, k), in place, the effects for each column of A (n, k)."""
        u, v = self.effects(A)
        first, second = (v, u) if self.swapped else (u, v)
        for j in range(A.shape[1]):
            out[:, j] -= self.big.spread(first[:, j])
            out[:, j] -= self.small.spread(second[:, j])

    def deviations(self, A: Array) -> Array:
        """A less the effects for each of its columns, (n, k)."""
        out = np.array(A, order="F")
        self.take_away(A, out)
        return out


def crossed(panel: PanelIndex, ratios: tuple[float, float] = (np.inf, np.inf)) -> Crossed:
    """Prepare the two-way solve; `ratios`: the variances of individuals' and times' effects over that of the errors."""
    swapped = panel.n < panel.T
    one, two = (panel.time, panel.id) if swapped else (panel.id, panel.time)
    first, second = ratios[::-1] if swapped else ratios
    big, small = Groups(one), Groups(two)
    table = cell_counts(big, small)
    scale = first / (1.0 + first * big.counts) if np.isfinite(first) else 1.0 / big.counts
    shared = (table.T @ (sparse.diags_array(scale) @ table)).toarray()
    free = np.arange(small.size if second > 0 else 0)
    if np.isinf(first) and np.isinf(second):
        free = np.delete(free, first_of_each_part(shared))
    S = np.diag(small.counts + 1.0 / second if second > 0 else small.counts) - shared
    factor = linalg.cho_factor(S[np.ix_(free, free)]) if len(free) else (np.empty((0, 0)), False)
    return Crossed(big, small, table, scale, free, factor, swapped)


def cell_counts(rows: Groups, across: Groups) -> sparse.csr_array:
    """How many rows two groupings share, (size, size)."""
    ones, places = np.ones(len(rows.codes)), (rows.codes.astype(np.int32), across.codes.astype(np.int32))
    return sparse.coo_array((ones, places), shape=(rows.size, across.size)).tocsr()


def first_of_each_part(shared: Array) -> Codes:
    """The first effect of each connected part of the panel: `shared` (f, f) is positive where two have a group alike.

    That is a small graph; the one of all rows would be the longest thing in memory.
    """
    _, part = csgraph.connected_components(shared > 0, directed=False)
    _, first = np.unique(part, return_index=True)
    return np.asarray(first, dtype=np.intp)


class Transformer:
    """The transformations of one panel under one effect; groups and factors are made once."""

    def __init__(self, panel: PanelIndex, effect: Effect) -> None:
        self.panel = panel
        self.effect = effect
        self.ids = Groups(panel.id)
        self.times = Groups(panel.time)

    @property
    def groups(self) -> Groups:
        """Those of the one effect."""
        return self.times if self.effect == "time" else self.ids

    @cached_property
    def parts(self) -> dict[str, Groups]:
        """The groups of each effect, named as plm's ercomp names them."""
        named = {"id": self.ids, "time": self.times}
        return named if self.effect == "twoways" else {"time" if self.effect == "time" else "id": self.groups}

    @property
    def balanced(self) -> bool:
        """Whether the formulas of a balanced panel hold: by plm's rule; of two ways only with one row in each cell."""
        return self.panel.one_a_cell if self.effect == "twoways" else self.panel.balanced

    def rows_of(self, name: str) -> Array:
        """The rows of each individual ("id") or time; of a balanced panel the times or individuals there are."""
        groups, others = (self.ids, self.times) if name == "id" else (self.times, self.ids)
        return np.full(groups.size, float(others.size)) if self.balanced else groups.counts

    @cached_property
    def crossed(self) -> Crossed:
        """The two-way projection."""
        return crossed(self.panel)

    def within(self, A: Array) -> Array:
        """A less what individuals, times or both explain of it, (n, k)."""
        if self.effect != "twoways":
            return deviations(self.groups, A)
        if self.balanced:
            return deviations(self.ids, deviations(self.times, deviations(self.ids, A)))
        once = self.crossed.deviations(A)
        self.crossed.take_away(once, once)  # once more for the last digits
        return once

    def between(self, A: Array) -> Array:
        """The group means, a row a group, (groups, k)."""
        return self.groups.means(A)

    def differences(self, A: Array) -> Array:
        """Each row less the row before it of the same individual, gaps or not, (n - individuals, k)."""
        later = self.later[1:]
        out: Array = np.empty((int(later.sum()), A.shape[1]), order="F")
        for j in range(A.shape[1]):
            out[:, j] = np.diff(A[:, j])[later]
        return out

    @cached_property
    def later(self) -> NDArray[np.bool_]:
        """The rows that follow another row of the same individual, (n,)."""
        codes = self.panel.id.codes
        return np.concatenate([[False], codes[1:] == codes[:-1]]) if len(codes) else np.zeros(0, bool)

    def quasi(self, A: Array, theta: Mapping[str, Array]) -> Array:
        """A less theta times its group means; of two ways (balanced) with theta["total"] times the grand mean added."""
        out = np.array(A, order="F")
        for name, groups in self.parts.items():
            means = groups.means(A) * theta[name][:, None]
            for j in range(A.shape[1]):
                out[:, j] -= groups.spread(means[:, j])
        return out + theta["total"] * A.mean(axis=0) if self.effect == "twoways" else out

    @cached_property
    def table(self) -> sparse.csr_array:
        """Rows in each cell of individual and time, (n_ids, T)."""
        return cell_counts(self.ids, self.times)


def functions_of(panel: PanelIndex) -> Mapping[str, Function]:
    """plm's functions for formulas on the rows of this index, in whatever order they stand."""

    def two_ways(x: Array) -> Array:
        return Transformer(panel, "twoways").within(x[:, None])[:, 0]

    return panel_functions(PanelRows(panel.id.codes, panel.time.codes, time_numbers(panel.time.levels), two_ways))
