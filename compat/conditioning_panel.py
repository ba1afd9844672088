"""How much error rounding can make in a panel case: the profile of its transformed least-squares problem.

A rounding error of a column is that of the column before its group means were taken away: the unit of noise is larger
by the share of a column that the transformation leaves. Means are swept out here until nothing changes, which a
profile can be content with; random effects take variances of a rough analysis of variance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from compat.cases import Case
from compat.conditioning import Conditioning, Floats, of_arrays
from refimpl.formula import PanelRows, model_frame, model_matrix, panel_functions, time_numbers
from refimpl.formula.arguments import Function

SWEEPS = 100
R_TOLERANCE = 1e-7  # below this share of a column left by those before it R's lm and plm call it dependent
Codes = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Panel:
    """The rows of a case by individual and time: X (N, p) with its names, y (N,), codes of both, root weights (N,)."""

    X: Floats
    y: Floats
    names: tuple[str, ...]
    ids: Codes
    times: Codes
    root: Floats

    @property
    def rows(self) -> Floats:
        """[X y]."""
        return np.column_stack([self.X, self.y])


@dataclass(frozen=True, eq=False)
class PanelProfile:
    """A transformed problem's profile, and the rows in levels: X (N, k) of the columns kept, y (N,)."""

    conditioning: Conditioning
    X: Floats
    y: Floats


def panel_of(case: Case) -> Panel:
    """Read the rows that a panel case uses, sorted by individual and time."""
    column = case.options.get("weights")
    extra: dict[str, Any] = {} if column is None else {"(weights)": case.data[column]}
    frame = model_frame(case.parsed, with_index_factors(case), extra=extra, functions=functions_of(case))
    design, kept = model_matrix(frame), np.asarray(frame.kept)
    ids, times = (codes[kept] for codes in _index(case))
    order = np.lexsort((times, ids))
    root = np.sqrt(np.asarray(frame.extra["(weights)"], dtype=np.float64)) if extra else np.ones(frame.n)
    X, y = np.asarray(design.X, dtype=np.float64), np.asarray(frame.response, dtype=np.float64)
    y = y if frame.offset is None else y - frame.offset
    return Panel(X[order], y[order], tuple(design.names), ids[order], times[order], root[order])


def with_index_factors(case: Case) -> pd.DataFrame:
    """The data with its index columns as factors, which they are in plm's formulas."""
    given = case.options["index"]
    return case.data if isinstance(given, int) else case.data.assign(**{n: pd.Categorical(case.data[n]) for n in given})


def _index(case: Case) -> tuple[Codes, Codes]:
    given, rows = case.options["index"], len(case.data)
    if isinstance(given, int):
        codes = np.arange(rows) // (rows // given)
        return codes, np.arange(rows) % (rows // given)
    ids = pd.factorize(case.data[given[0]], sort=True)[0]
    times = (
        pd.factorize(case.data[given[1]], sort=True)[0] if len(given) == 2 else pd.Series(ids).groupby(ids).cumcount()
    )
    return np.asarray(ids, dtype=np.intp), np.asarray(times, dtype=np.intp)


def functions_of(case: Case, rows: pd.DataFrame | None = None) -> Mapping[str, Function]:
    """plm's functions for formulas on the rows of a case, or on new rows that have its index columns."""
    if rows is not None:
        case = case.with_data(rows)
    ids, times = _index(case)
    given = case.options["index"]
    if isinstance(given, list) and len(given) == 2:
        levels = [str(level) for level in pd.factorize(case.data[str(given[1])], sort=True)[1]]
    else:
        levels = [str(i + 1) for i in range(int(times.max(initial=-1)) + 1)]
    return panel_functions(PanelRows(ids, times, time_numbers(levels), lambda x: swept(x[:, None], (ids, times))[:, 0]))


def means(A: Floats, codes: Codes) -> Floats:
    """The mean of each row's group, (N, k)."""
    _, codes = np.unique(codes, return_inverse=True)
    sums = np.zeros((int(codes.max(initial=-1)) + 1, A.shape[1]))
    np.add.at(sums, codes, A)
    return np.asarray((sums / np.bincount(codes)[:, None])[codes])


def swept(A: Floats, codes: Sequence[Codes]) -> Floats:
    """A less what the groups explain of it."""
    for _ in range(SWEEPS if len(codes) > 1 else 2):
        before = A
        for one in codes:
            A = A - means(A, one)
        if np.abs(A - before).max(initial=0.0) <= 1e-9 * np.abs(A).max(initial=1.0):
            break
    return A


def transformed(panel: Panel, model: str, effect: str) -> Floats:
    """[X y] as the model takes it; without an intercept where it has none."""
    A = panel.rows
    groups = {"individual": [panel.ids], "time": [panel.times], "twoways": [panel.ids, panel.times]}[effect]
    if model == "within":
        return swept(A, groups) * panel.root[:, None]
    if model == "between":
        _, first = np.unique(groups[0], return_index=True)
        return means(A, groups[0])[first]
    if model == "fd":
        later = np.flatnonzero(np.diff(panel.ids) == 0) + 1
        differences = A[later] - A[later - 1]
        differences[:, [name == "(Intercept)" for name in panel.names] + [False]] = 1.0
        return differences
    if model == "random":
        for codes in groups:
            A = A - rough_theta(panel, codes)[:, None] * means(A, codes)
    return A * panel.root[:, None]


def rough_theta(panel: Panel, codes: Codes) -> Floats:
    """1 - sqrt(s2 / (s2 + T_i s2_u)) by row, from the pooled residuals' analysis of variance."""
    e = panel.y - panel.X @ np.linalg.lstsq(panel.X, panel.y, rcond=None)[0]
    _, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    between = means(e[:, None], codes)[:, 0]
    s2 = float(np.mean((e - between) ** 2))
    s2_group = max(float(np.mean(between**2)) - s2 / float(counts.mean()), 0.0)
    return np.asarray(1 - np.sqrt(s2 / (s2 + counts[inverse] * s2_group + np.finfo(float).tiny)))


@lru_cache(maxsize=8)
def of_panel_case(case: Case, model: str | None = None, columns: tuple[str, ...] = ()) -> PanelProfile:
    """Work out the profile of a case's model (or of another `model` on its data) for the named columns, or all."""
    panel = panel_of(case)
    chosen, effect = model or case.options.get("model") or "pooling", case.options["effect"]
    rows = transformed(panel, chosen, effect)
    at = [j for j, name in enumerate(panel.names) if name in columns] if columns else _varying(rows, panel, chosen)
    at = independent(rows, at)
    levels = panel.rows[:, [*at, -1]]
    moved = rows[:, [*at, -1]]
    profile = of_arrays(moved[:, :-1], moved[:, -1], aliased=[False] * len(at))
    if chosen == "random":  # the share of the means taken away is itself known to the noise of variance components only
        models = ("within", "between", "pooling") if effect != "twoways" else ("within", "pooling")
        below = [of_panel_case(case, one).conditioning for one in models]
        profile = replace(profile, unit=max(profile.unit, *(variance_noise(c) * c.kappa for c in below)))
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.sqrt(np.mean(levels**2, axis=0) / np.mean(moved**2, axis=0))
    unit = profile.unit * float(np.nanmax(np.where(np.isfinite(left), left, 1.0), initial=1.0))
    balanced = np.unique(panel.ids).size * np.unique(panel.times).size == len(panel.y)
    in_levels = chosen == "random" and effect == "twoways" and not balanced
    residual_rows = levels[:, :-1] if in_levels else profile.X
    return PanelProfile(
        replace(profile, unit=unit, X=residual_rows, root_weights=np.ones(len(residual_rows))),
        levels[:, :-1],
        levels[:, -1],
    )


def variance_noise(c: Conditioning) -> float:
    """Relative noise of a mean square of residuals; that of the data where there are no residuals."""
    return 2 * c.fit_noise / c.residual if c.residual > c.fit_noise else c.unit


def independent(rows: Floats, at: Sequence[int]) -> list[int]:
    """Those of the columns `at` that do not depend on earlier ones by R's tolerance: a profile of others is endless."""
    kept: list[int] = []
    basis = np.empty((len(rows), 0))
    for j in at:
        x = rows[:, j]
        left = x - basis @ (basis.T @ x)
        left -= basis @ (basis.T @ left)
        if np.linalg.norm(left) > R_TOLERANCE * np.linalg.norm(x):
            kept.append(j)
            basis = np.column_stack([basis, left / np.linalg.norm(left)])
    return kept


def _varying(rows: Floats, panel: Panel, model: str) -> list[int]:
    """The columns that the transformation leaves something of."""
    size = np.maximum(np.abs(panel.X).max(axis=0, initial=0.0), 1e-300)
    varies = np.ptp(rows[:, :-1], axis=0) > 1e-8 * size
    return [j for j, name in enumerate(panel.names) if varies[j] or (name == "(Intercept)" and model != "within")]
