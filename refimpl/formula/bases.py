"""R's functions that make a matrix of columns and must repeat themselves on new data: scale, poly, bs, ns.

Each leaves a basis on its value: what was estimated from the data of the fit. Given that basis, only `x` is new.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import comb

import numpy as np
import numpy.typing as npt

from .arguments import Arguments, Function
from .operators import is_factor, power
from .polynomials import orthonormal, recurrence
from .values import Floats, Levels, Numeric, Value

MAX_DEGREE = 100
MAX_DF = 200
MAX_PRODUCTS = 1_000


def _matrix(arguments: Arguments, formal: str) -> Floats:
    value = arguments.value(formal)
    if isinstance(value, Levels):
        raise arguments.fail(f"'{formal}' must be numeric")
    return value.values if value.values.ndim == 2 else value.values[:, None]


# scale: subtract and divide, column by column; sums in extended precision, as R's colMeans and sum


@dataclass(frozen=True, slots=True)
class Scaling:
    """The centre and the scale of each column; None where there is none."""

    center: Floats | None
    scale: Floats | None


def _column_sums(values: Floats) -> npt.NDArray[np.longdouble]:
    return np.asarray(np.nansum(values.astype(np.longdouble), axis=0))


def _option(arguments: Arguments, formal: str, k: int) -> Floats | bool:
    """`center` and `scale` are TRUE, FALSE or one number a column."""
    if not arguments.has(formal):
        return True
    value = arguments.numbers(formal)
    if value.kind == "logical" and value.values.size == 1:
        return arguments.flag(formal, True)
    if value.values.size != k:
        raise arguments.fail(f"'{formal}' must have one number for each of the {k} columns")
    return value.values.reshape(k)


def _scaling(arguments: Arguments, x: Floats) -> Scaling:
    center = _option(arguments, "center", x.shape[1])
    if center is True:
        center = (_column_sums(x) / (~np.isnan(x)).sum(axis=0)).astype(np.float64)
    middle = None if isinstance(center, bool) else center
    scale = _option(arguments, "scale", x.shape[1])
    if scale is True:
        centred = x if middle is None else x - middle
        count = np.maximum(1, (~np.isnan(x)).sum(axis=0) - 1)
        scale = np.sqrt((_column_sums(centred * centred) / count).astype(np.float64))
    return Scaling(middle, None if isinstance(scale, bool) else scale)


def _scale(arguments: Arguments) -> Value:
    arguments.match("x", "center", "scale")
    x = _matrix(arguments, "x")
    value = arguments.value("x")
    with np.errstate(all="ignore"):
        scaling = arguments.basis if isinstance(arguments.basis, Scaling) else _scaling(arguments, x)
        result = x if scaling.center is None else x - scaling.center
        result = result if scaling.scale is None else result / scaling.scale
    return Numeric(result, "double", value.labels if isinstance(value, Numeric) else None, scaling)


# poly: orthonormal polynomials in each variable


@dataclass(frozen=True, slots=True)
class Polynomials:
    """`alpha` and `norm2` of the recurrence for each variable, or none for raw powers."""

    alpha: tuple[Floats, ...]
    norm2: tuple[Floats, ...]


def _poly_arguments(arguments: Arguments) -> tuple[list[Floats], int, bool]:
    arguments.match("x", "...", "degree", "coefs", "raw", "simple")
    if arguments.has("coefs"):
        raise arguments.fail("'coefs' cannot be given")
    columns = [arguments.column("x")]
    degree = arguments.number("degree", 1.0)
    for i, extra in enumerate(arguments.dots):
        value = arguments.evaluator.value(extra)
        if isinstance(value, Levels):
            raise arguments.fail("variables must be numeric")
        if i == 0 and len(value) == 1 and not arguments.has("degree"):
            degree = float(value.values.flat[0])
        elif value.values.shape == columns[0].shape:
            columns.append(value.values)
        else:
            raise arguments.fail("variables of different lengths")
    if not degree >= 1:
        raise arguments.fail("the degree must be at least 1")
    if degree > MAX_DEGREE or (len(columns) > 1 and comb(int(degree) + len(columns), len(columns)) > MAX_PRODUCTS):
        raise arguments.fail("too many columns", "formula-too-large")
    return columns, int(degree), arguments.flag("raw", False)


def _fit_polynomials(arguments: Arguments, columns: list[Floats], degree: int) -> Polynomials:
    fitted = []
    for x in columns:
        if np.isnan(x).any():
            raise arguments.fail("missing values are not allowed")
        if degree >= len(np.unique(x)):
            raise arguments.fail("the degree must be less than the number of different values")
        fitted.append(recurrence(x, degree))
    return Polynomials(tuple(a for a, _ in fitted), tuple(n for _, n in fitted))


def _poly(arguments: Arguments) -> Value:
    columns, degree, raw = _poly_arguments(arguments)
    with np.errstate(all="ignore"):
        if raw:
            basis = Polynomials((), ())
            blocks = [np.column_stack([_whole_power(x, d) for d in range(1, degree + 1)]) for x in columns]
        else:
            given = isinstance(arguments.basis, Polynomials)
            basis = arguments.basis if given else _fit_polynomials(arguments, columns, degree)
            blocks = [orthonormal(x, a, n) for x, a, n in zip(columns, basis.alpha, basis.norm2, strict=True)]
    if len(blocks) == 1:
        return Numeric(blocks[0], "double", tuple(str(d + 1) for d in range(degree)), basis)
    return _several(blocks, degree, basis)


def _degrees(variables: int, total: int) -> list[tuple[int, ...]]:
    """The degrees of each variable that sum to at most `total`, the first variable running fastest."""
    if variables == 0:
        return [()]
    return [(d, *rest) for rest in _degrees(variables - 1, total) for d in range(total - sum(rest) + 1)]


def _whole_power(x: Floats, degree: int) -> Floats:
    return x if degree == 1 else power(x, np.array([float(degree)]))


def _several(blocks: list[Floats], degree: int, basis: Polynomials) -> Numeric:
    """Products of the variables' polynomials, of total degree 1..degree; R names them `1.0`, `2.0`, `0.1`, ..."""
    degrees = [d for d in _degrees(len(blocks), degree) if any(d)]
    columns = []
    for choice in degrees:
        column = np.ones(len(blocks[0]))
        for block, d in zip(blocks, choice, strict=True):
            column = column * block[:, d - 1] if d else column
        columns.append(column)
    return Numeric(np.column_stack(columns), "double", tuple(".".join(map(str, d)) for d in degrees), basis)


# bs, ns: B-splines and natural splines (de Boor 1978; R 4.2 splines::bs, splines::ns)


@dataclass(frozen=True, slots=True)
class Spline:
    """Inner and boundary knots, degree, intercept; for natural splines the (basis, columns) constraint-free map."""

    knots: Floats
    boundary: Floats
    degree: int
    intercept: bool
    natural: Floats | None


def _all_knots(spline: Spline) -> Floats:
    ends = np.repeat(spline.boundary, spline.degree + 1)
    return np.sort(np.concatenate([ends, spline.knots]))


def _b_splines(spline: Spline, x: Floats, derivative: int = 0) -> Floats:
    """The B-splines (or a derivative) at x; beyond the boundary the end polynomials go on."""
    knots = _all_knots(spline)
    size = len(knots) - spline.degree - 1
    from scipy.interpolate import BSpline  # half of what refimpl takes to import, for splines only

    curves = BSpline(knots, np.eye(size), spline.degree, extrapolate=True)
    result = np.full((len(x), size), np.nan)
    there = ~np.isnan(x)
    result[there] = curves(x[there], derivative)
    return result


def _interior(arguments: Arguments, x: Floats, boundary: Floats, count: int) -> Floats:
    """The knots given, or quantiles of the x inside the boundary."""
    if arguments.has("knots"):
        knots = arguments.column("knots")
        if not np.isfinite(knots).all() or (knots < boundary[0]).any() or (knots > boundary[1]).any():
            raise arguments.fail("knots must lie inside the boundary knots")
        return np.sort(knots)
    inside = x[(x >= boundary[0]) & (x <= boundary[1])]
    return np.quantile(inside, np.linspace(0.0, 1.0, count + 2)[1:-1]) if count > 0 else np.empty(0)


def _boundary(arguments: Arguments, x: Floats) -> Floats:
    if arguments.has("Boundary.knots"):
        boundary = np.sort(arguments.column("Boundary.knots"))
    else:
        present = x[~np.isnan(x)]
        boundary = np.array([present.min(), present.max()]) if len(present) else np.empty(0)
    if len(boundary) != 2 or not np.isfinite(boundary).all() or boundary[0] >= boundary[1]:
        raise arguments.fail("needs two different, finite boundary knots")
    return boundary


def _degrees_of_freedom(arguments: Arguments) -> float:
    df = arguments.number("df", 0.0)
    if df > MAX_DF:
        raise arguments.fail(f"'df' is above {MAX_DF}", "formula-too-large")
    if not df >= 0 or df != int(df):
        raise arguments.fail("'df' must be a whole number")
    return df


def _spline_x(arguments: Arguments) -> Floats:
    if is_factor(arguments.value("x")):
        raise arguments.fail("'x' must be numeric")
    return arguments.column("x")


def _bs(arguments: Arguments) -> Value:
    arguments.match("x", "df", "knots", "degree", "intercept", "Boundary.knots")
    x = _spline_x(arguments)
    if isinstance(arguments.basis, Spline):
        spline = arguments.basis
    else:
        degree = arguments.number("degree", 3.0)
        if not 1 <= degree <= MAX_DEGREE or degree != int(degree):
            raise arguments.fail(f"the degree must be a whole number between 1 and {MAX_DEGREE}")
        intercept = arguments.flag("intercept", False)
        boundary = _boundary(arguments, x)
        count = int(np.ceil(_degrees_of_freedom(arguments) - degree - intercept)) if arguments.has("df") else 0
        spline = Spline(_interior(arguments, x, boundary, count), boundary, int(degree), intercept, None)
    columns = _b_splines(spline, x)
    return _numbered(columns if spline.intercept else columns[:, 1:], spline)


def _ns(arguments: Arguments) -> Value:
    arguments.match("x", "df", "knots", "intercept", "Boundary.knots")
    x = _spline_x(arguments)
    if isinstance(arguments.basis, Spline):
        spline = arguments.basis
    else:
        intercept = arguments.flag("intercept", False)
        boundary = _boundary(arguments, x)
        count = int(np.ceil(_degrees_of_freedom(arguments) - 1 - intercept)) if arguments.has("df") else 0
        spline = Spline(_interior(arguments, x, boundary, count), boundary, 3, intercept, None)
        spline = replace(spline, natural=_natural_map(spline))
    assert spline.natural is not None
    columns = _linear_beyond(spline, x)
    return _numbered((columns if spline.intercept else columns[:, 1:]) @ spline.natural, spline)


def _natural_map(spline: Spline) -> Floats:
    """The combinations, orthonormal, whose second derivative is 0 at both boundary knots: QR's last columns."""
    curvature = _b_splines(spline, spline.boundary, 2)
    curvature = curvature if spline.intercept else curvature[:, 1:]
    q, _ = np.linalg.qr(curvature.T, mode="complete")
    return np.asarray(q[:, 2:])


def _linear_beyond(spline: Spline, x: Floats) -> Floats:
    """The cubic B-splines, continued by straight lines beyond the boundary knots."""
    inside = np.clip(x, *spline.boundary)
    columns = _b_splines(spline, inside)
    beyond = (x < spline.boundary[0]) | (x > spline.boundary[1])
    if beyond.any():
        columns[beyond] += (x - inside)[beyond, None] * _b_splines(spline, inside[beyond], 1)
    return columns


def _numbered(columns: Floats, spline: Spline) -> Numeric:
    return Numeric(columns, "double", tuple(str(j + 1) for j in range(columns.shape[1])), spline)


FUNCTIONS: dict[str, Function] = {"scale": _scale, "poly": _poly, "bs": _bs, "ns": _ns}
