"""R's contrasts: treatment, SAS, sum, helmert, poly; each with the suffixes that its columns get in names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .polynomials import orthonormal, recurrence

Floats = npt.NDArray[np.float64]


MAX_DENSE = 3_000  # levels of a factor whose contrasts are no indicators


@dataclass(frozen=True, slots=True)
class Contrast:
    """A coding of a factor with k levels, one column a label.

    `marks`: the one level that each column marks with a 1, for codings that are indicators; otherwise None, and `dense`
    is the (k, columns) matrix. A factor of ten thousand levels needs no matrix of a hundred million cells.
    """

    name: str
    n_levels: int
    labels: tuple[str, ...]
    marks: tuple[int, ...] | None = None
    dense: Floats | None = None

    @property
    def matrix(self) -> Floats:
        """The coding as a matrix, (k, columns)."""
        if self.dense is not None:
            return self.dense
        return np.eye(self.n_levels)[:, list(self.marks or ())]

    def first(self, count: int) -> Contrast:
        """Only the first columns."""
        marks = None if self.marks is None else self.marks[:count]
        dense = None if self.dense is None else self.dense[:, :count]
        return Contrast(self.name, self.n_levels, self.labels[:count], marks, dense)


def _marking(name: str, levels: tuple[str, ...], kept: list[int]) -> Contrast:
    return Contrast(name, len(levels), tuple(levels[i] for i in kept), marks=tuple(kept))


def _dense(name: str, matrix: Floats, labels: tuple[str, ...]) -> Contrast:
    return Contrast(name, len(matrix), labels, dense=matrix)


def indicators(levels: tuple[str, ...]) -> Contrast:
    """All levels, one column each: what R does without a margin (contrasts = FALSE)."""
    return _marking("identity", levels, list(range(len(levels))))


def contr_treatment(levels: tuple[str, ...], base: int = 1) -> Contrast:
    """Each level against level number `base` (R: contr.treatment)."""
    return _marking("contr.treatment", levels, [i for i in range(len(levels)) if i != base - 1])


def contr_sas(levels: tuple[str, ...]) -> Contrast:
    """Each level against the last (R: contr.SAS)."""
    return _marking("contr.SAS", levels, list(range(len(levels) - 1)))


def contr_sum(levels: tuple[str, ...]) -> Contrast:
    """Deviations from the mean of the levels; columns are numbered (R: contr.sum)."""
    k = len(levels)
    return _dense("contr.sum", np.vstack([np.eye(k - 1), -np.ones(k - 1)]), _numbers(k - 1))


def contr_helmert(levels: tuple[str, ...]) -> Contrast:
    """Each level against the mean of those before it; columns are numbered (R: contr.helmert)."""
    k = len(levels)
    matrix = np.zeros((k, k - 1))
    for j in range(k - 1):
        matrix[: j + 1, j] = -1.0
        matrix[j + 1, j] = j + 1.0
    return _dense("contr.helmert", matrix, _numbers(k - 1))


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(str(j + 1) for j in range(count))


def contr_poly(levels: tuple[str, ...], scores: Floats | None = None) -> Contrast:
    """Orthonormal polynomials in the scores, 1..k by default; labels .L .Q .C ^4 ... (R: contr.poly)."""
    k = len(levels)
    if k > 95:
        raise DataError("r-error", f"polynomial contrasts of {k} levels cannot be represented accurately; at most 95")
    x = np.arange(1.0, k + 1) if scores is None else scores
    matrix = orthonormal(x - x.mean(), *recurrence(x - x.mean(), k - 1))
    labels = tuple([".L", ".Q", ".C"][j] if j < 3 else f"^{j + 1}" for j in range(k - 1))
    return _dense("contr.poly", matrix, labels)


BY_NAME = {
    "contr.treatment": contr_treatment,
    "contr.SAS": contr_sas,
    "contr.sum": contr_sum,
    "contr.helmert": contr_helmert,
    "contr.poly": contr_poly,
}


def contrast_named(name: str, levels: tuple[str, ...]) -> Contrast:
    """A contrast by R's name, with or without `contr.`. Raises DataError `bad-option`."""
    full = name if name.startswith("contr.") else f"contr.{name}"
    if full not in BY_NAME:
        raise DataError("bad-option", f"no contrast '{name}'; one of {', '.join(BY_NAME)}")
    if len(levels) > MAX_DENSE and full not in ("contr.treatment", "contr.SAS"):
        raise DataError("formula-too-large", f"{full} of {len(levels)} levels; at most {MAX_DENSE}")
    return BY_NAME[full](levels)
