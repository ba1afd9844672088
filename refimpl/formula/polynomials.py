"""Polynomials orthogonal on given points, by their three-term recurrence.

Source: Forsythe (1957), J. SIAM 5; Kennedy & Gentle (1980), Statistical Computing, pp. 343-4.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def recurrence(x: Floats, degree: int) -> tuple[Floats, Floats]:
    """alpha (degree,) and the squared norms (degree + 1,) of the monic polynomials that are orthogonal on x."""
    alpha, norm2 = np.empty(degree), np.empty(degree + 1)
    before, current = np.zeros_like(x), np.ones_like(x)
    norm2[0] = len(x)
    for j in range(degree):
        alpha[j] = (x * current * current).sum() / norm2[j]
        following = (x - alpha[j]) * current - (norm2[j] / norm2[j - 1] if j else 0.0) * before
        before, current = current, following
        norm2[j + 1] = (current * current).sum()
    return alpha, norm2


def orthonormal(x: Floats, alpha: Floats, norm2: Floats) -> Floats:
    """The polynomials of degrees 1.. at x, (n, degree), divided by their norms."""
    columns = np.empty((len(x), len(alpha)), order="F")
    before, current = np.zeros_like(x), np.ones_like(x)
    for j in range(len(alpha)):
        following = (x - alpha[j]) * current - (norm2[j] / norm2[j - 1] if j else 0.0) * before
        before, current = current, following
        columns[:, j] = current / np.sqrt(norm2[j + 1])
    return columns
