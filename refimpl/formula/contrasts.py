"""R's contrasts: treatment, SAS, sum, helmert, poly. Each is a matrix, levels x columns, with the suffixes its
columns get in names.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .polynomials import orthonormal, recurrence

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contrast:
    """A coding of a factor: `matrix` (levels, columns) and the `labels` of its columns."""

    name: str
    matrix: Floats
    labels: tuple[str, ...]

    @property
    def single(self) -> tuple[int | None, ...]:
        """Per column the one level that it marks with a 1, or None where it is not such an indicator."""
        ones = ((self.matrix == 0).sum(axis=0) == len(self.matrix) - 1) & (self.matrix == 1).any(axis=0)
        return tuple(int(row) if one else None for row, one in zip(self.matrix.argmax(axis=0), ones, strict=True))


def indicators(levels: tuple[str, ...]) -> Contrast:
    """All levels, one column each: what R does without a margin (contrasts = FALSE)."""
    return Contrast("identity", np.eye(len(levels)), levels)


def contr_treatment(levels: tuple[str, ...], base: int = 1) -> Contrast:
    """Each level against level number `base` (R: contr.treatment)."""
    kept = [i for i in range(len(levels)) if i != base - 1]
    return Contrast("contr.treatment", np.eye(len(levels))[:, kept], tuple(levels[i] for i in kept))


def contr_sas(levels: tuple[str, ...]) -> Contrast:
    """Each level against the last (R: contr.SAS)."""
    return Contrast("contr.SAS", np.eye(len(levels))[:, :-1], levels[:-1])


def contr_sum(levels: tuple[str, ...]) -> Contrast:
    """Deviations from the mean of the levels; columns are numbered (R: contr.sum)."""
    k = len(levels)
    matrix = np.vstack([np.eye(k - 1), -np.ones(k - 1)])
    return Contrast("contr.sum", matrix, tuple(str(j + 1) for j in range(k - 1)))


def contr_helmert(levels: tuple[str, ...]) -> Contrast:
    """Each level against the mean of those before it; columns are numbered (R: contr.helmert)."""
    k = len(levels)
    matrix = np.zeros((k, k - 1))
    for j in range(k - 1):
        matrix[: j + 1, j] = -1.0
        matrix[j + 1, j] = j + 1.0
    return Contrast("contr.helmert", matrix, tuple(str(j + 1) for j in range(k - 1)))


def contr_poly(levels: tuple[str, ...], scores: Floats | None = None) -> Contrast:
    """Orthonormal polynomials in the scores, 1..k by default; labels .L .Q .C ^4 ... (R: contr.poly)."""
    k = len(levels)
    if k > 95:
        raise DataError("r-error", f"polynomial contrasts of {k} levels cannot be represented accurately; at most 95")
    x = np.arange(1.0, k + 1) if scores is None else scores
    matrix = orthonormal(x - x.mean(), *recurrence(x - x.mean(), k - 1))
    labels = tuple([".L", ".Q", ".C"][j] if j < 3 else f"^{j + 1}" for j in range(k - 1))
    return Contrast("contr.poly", matrix, labels)


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
    return BY_NAME[full](levels)
