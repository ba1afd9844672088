"""Kernel density estimates with the numbers of R's `density()`: its bandwidth, its kernels, its grid.

R (before 4.4) spreads the data over a grid, convolves with a kernel taken at a slightly closer spacing, interpolates.
All three are here, because an estimate summed over the data differs from R's in the third digit. Weights are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import irfft, rfft

from refimpl.errors import DataError
from refimpl.linalg import Array

Kernel = Literal["gaussian", "epanechnikov", "rectangular", "triangular", "biweight", "cosine", "optcosine"]
MARGIN = 4.0  # bandwidths that the working grid goes beyond `low` and `high` on each side
LEAST_GRID = 512


@dataclass(frozen=True)
class Density:
    """A density estimate at equally spaced points: x (n,), y (n,), the bandwidth, and the observations behind it."""

    x: Array
    y: Array
    bandwidth: float
    nobs: int

    def at(self, points: ArrayLike) -> Array:
        """The estimate at other points, linear between its own; zero outside them."""
        return np.asarray(np.interp(np.asarray(points, dtype=np.float64), self.x, self.y, left=0.0, right=0.0))


def nrd0(x: ArrayLike) -> float:
    """Silverman's rule of thumb, 0.9 min(sd, IQR / 1.34) n^(-1/5) (Silverman 1986, eq. 3.31; R: bw.nrd0, 4.2.2).

    Where the quartiles coincide the sd stands alone; where all values do, the size of the first, or 1 if that is zero.
    Raises DataError `no-rows` below two values.
    """
    values = _finite(x)
    if len(values) < 2:
        raise DataError("no-rows", "need at least 2 points to select a bandwidth automatically")
    sd = float(np.std(values, ddof=1)) if np.ptp(values) > 0 else 0.0
    low, high = np.quantile(values, [0.25, 0.75])
    spread = min(sd, float(high - low) / 1.34) or sd or abs(float(values[0])) or 1.0
    return float(0.9 * spread * len(values) ** -0.2)


def density(
    x: ArrayLike,
    bandwidth: float | None = None,
    adjust: float = 1.0,
    kernel: Kernel = "gaussian",
    n: int = 512,
    low: float | None = None,
    high: float | None = None,
    cut: float = 3.0,
) -> Density:
    """Kernel density of x (N,) at n points from `low` to `high` (R: density.default, 4.2.2).

    `bandwidth` is the kernel's standard deviation before `adjust`, by default `nrd0(x)`; `low` and `high` are by
    default `cut` bandwidths beyond the data. Infinite values keep their share of the mass and have no density.

    Raises DataError: infinite-values for a missing value, no-rows without data, bad-option as R stops.
    """
    everything = np.asarray(x, dtype=np.float64).ravel()
    if np.isnan(everything).any():
        raise DataError("infinite-values", f"x contains {int(np.isnan(everything).sum())} missing values")
    values = everything[np.isfinite(everything)]
    if not len(values):
        raise DataError("no-rows", "x has no finite value")
    h = adjust * (nrd0(values) if bandwidth is None else bandwidth)
    if not (np.isfinite(h) and h > 0):
        raise DataError("bad-option", f"the bandwidth is {h}, not positive and finite")
    if kernel not in KERNELS:
        raise DataError("bad-option", f"kernel is one of {', '.join(KERNELS)}; not {kernel!r}")
    first = float(values.min() - cut * h if low is None else low)
    last = float(values.max() + cut * h if high is None else high)
    if n < 1 or not (np.isfinite(first) and np.isfinite(last) and first <= last):
        raise DataError("bad-option", f"{n} points from {first} to {last} are no grid")
    size = LEAST_GRID if n <= LEAST_GRID else 1 << (n - 1).bit_length()
    start, stop = first - MARGIN * h, last + MARGIN * h
    mass = spread(values, start, stop, size) / len(everything)
    y = convolved(mass, KERNELS[kernel], 2 * (stop - start) / (2 * size - 1) / h)
    points = np.linspace(first, last, n)
    place = (points - start) / ((stop - start) / (size - 1))
    return Density(points, np.interp(place, np.arange(size), y) / h, float(h), len(everything))


def spread(values: Array, start: float, stop: float, size: int) -> Array:
    """Counts on a grid of `size` points, (size,): each value shared by its two neighbours, the nearer gets more."""
    place = np.clip((values - start) / ((stop - start) / (size - 1)), -2, size + 1)
    left = np.floor(place).astype(np.int64)
    share = place - left
    mass = np.zeros(size)
    for at, part in ((left, 1 - share), (left + 1, share)):
        inside = (at >= 0) & (at < size)
        mass += np.bincount(at[inside], part[inside], minlength=size)
    return mass


def convolved(mass: Array, kernel: Callable[[Array], Array], step: float) -> Array:
    """Sum over j of mass_j K((i - j) step) for every i, (size,); what the transform leaves below zero is zero.

    `step`, in bandwidths, is the grid's own spacing less 1 / (2 size - 1) of it: R's way before 4.4, which makes the
    estimate too large by 1 + 1 / (2 size - 2) (?density of R 4.4, old.coords).
    """
    size = len(mass)
    distance = step * np.concatenate([np.arange(size + 1), np.arange(size - 1, 0, -1)])
    transform = rfft(mass, 2 * size) * rfft(kernel(distance))
    return np.maximum(irfft(transform, 2 * size)[:size], 0.0)


# ----------------------------------------------------------------------------------------------------------
# Kernels of standard deviation one, at u >= 0 (Silverman 1986, table 3.1; ?density for the cosines)
# ----------------------------------------------------------------------------------------------------------


def gaussian(u: Array) -> Array:
    """The normal density."""
    return np.asarray(np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi))


def epanechnikov(u: Array) -> Array:
    """3/4 (1 - v^2), v = u / sqrt 5."""
    return within(u, np.sqrt(5), lambda v: 0.75 * (1 - v**2))


def rectangular(u: Array) -> Array:
    """1/2, v = u / sqrt 3."""
    return within(u, np.sqrt(3), lambda v: np.full_like(v, 0.5))


def triangular(u: Array) -> Array:
    """1 - v, v = u / sqrt 6."""
    return within(u, np.sqrt(6), lambda v: 1 - v)


def biweight(u: Array) -> Array:
    """15/16 (1 - v^2)^2, v = u / sqrt 7."""
    return within(u, np.sqrt(7), lambda v: 15 / 16 * (1 - v**2) ** 2)


def cosine(u: Array) -> Array:
    """(1 + cos(pi v)) / 2, v = u sqrt(1/3 - 2/pi^2)."""
    return within(u, 1 / np.sqrt(1 / 3 - 2 / np.pi**2), lambda v: (1 + np.cos(np.pi * v)) / 2)


def optcosine(u: Array) -> Array:
    """pi/4 cos(pi v / 2), v = u sqrt(1 - 8/pi^2)."""
    return within(u, 1 / np.sqrt(1 - 8 / np.pi**2), lambda v: np.pi / 4 * np.cos(np.pi * v / 2))


def within(u: Array, a: float, shape: Callable[[Array], Array]) -> Array:
    """shape(u / a) / a for u below a, zero from there on."""
    return np.where(u < a, shape(u / a) / a, 0.0)


KERNELS: Mapping[str, Callable[[Array], Array]] = {
    "gaussian": gaussian, "epanechnikov": epanechnikov, "rectangular": rectangular, "triangular": triangular,
    "biweight": biweight, "cosine": cosine, "optcosine": optcosine,
}  # fmt: skip


def _finite(x: ArrayLike) -> Array:
    values = np.asarray(x, dtype=np.float64).ravel()
    return values[np.isfinite(values)]
