"""How rounding noise travels into the quantities that panel models have of their own; one short rule each.

The rules that hold for every least-squares fit are in noise; the profile of a panel case is in conditioning_panel.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from compat.cells import Labelled
from compat.conditioning import Conditioning, Floats
from compat.conditioning_panel import PanelProfile, functions_of, of_panel_case, variance_noise, with_index_factors
from compat.noise import Noise, Scene, coef, relative, square, vcov


def profile(s: Scene) -> PanelProfile:
    """The case's profile."""
    return of_panel_case(s.case, None, columns_of(s))


def columns_of(s: Scene) -> tuple[str, ...]:
    """The columns that R estimates coefficients for."""
    found = s.expected.get("coef")
    return () if found is None else tuple(found.names())


def tss(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """A squared length."""
    return np.array([square(c, c.centred)])


def rss(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """A squared length."""
    return np.array([square(c, c.residual)])


def wald(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """W = b'V^-1 b moves by 2 g'db - g'dV g, g = V^-1 b; F is W over its degrees of freedom."""
    b, V = s.expected.get("coef"), s.expected.get("vcov")
    if b is None or V is None:
        return np.abs(cells.values) * relative(c, c.residual)
    names = [name for name in b.names() if name != "(Intercept)"]
    values, moved = b.as_dict(), dict(zip(b.labels, coef(s, c, b).tolist(), strict=True))
    cov, cov_moved = V.as_dict(), dict(zip(V.labels, vcov(s, c, V).tolist(), strict=True))
    M = np.array([[cov[i, j] for j in names] for i in names])
    dM = np.array([[cov_moved[i, j] for j in names] for i in names])
    g = np.abs(np.linalg.solve(M, np.array([values[n,] for n in names])))
    noise = 2 * g @ np.array([moved[n,] for n in names]) + g @ dM @ g
    df1 = s.scalar("f_numdf")
    return np.array([noise / (df1 if df1 == df1 else 1.0)])


def ercomp(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """Differences of mean squares: noise relative to the largest of them."""
    return np.full(cells.values.size, variance_noise(c) * float(np.max(np.abs(cells.values), initial=0.0)))


def theta(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """A root of a ratio of variances."""
    return np.full(cells.values.size, variance_noise(c))


def in_levels(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """y - X b of the largest row in levels."""
    found = profile(s)
    largest = float(np.max(c.linear_noise(found.X), initial=0.0)) + c.unit * float(np.max(np.abs(found.y), initial=0.0))
    return np.full(cells.values.size, largest)


def ranef(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """A mean residual in levels times a share that moves as the variances do."""
    return in_levels(s, c, cells) + variance_noise(c) * float(np.max(np.abs(cells.values), initial=0.0))


def effect_se(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """sqrt(s2/T + x'Vx): the noise of sigma, and that of the inverse."""
    own = c.sigma_noise / c.sigma if c.sigma > 0 else 1.0
    return np.asarray(np.abs(cells.values) * (own + 2 * c.unit * c.kappa * np.sqrt(c.lengths.size)))


def predicted(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """The linear form of each new row, and the effect added to it."""
    from refimpl.formula import model_frame, model_matrix

    design = model_matrix(model_frame(s.case.parsed, with_index_factors(s.case), functions=functions_of(s.case)))
    rows = pd.DataFrame(s.case.options["newdata"])
    index = s.case.options["index"]
    indexed = isinstance(index, list) and all(name in rows for name in index)
    new = np.asarray(design.for_newdata(rows, functions_of(s.case, rows) if indexed else None).X, dtype=np.float64)
    at = [design.names.index(name) for name in columns_of(s)]
    return c.linear_noise(new[:, at]) + in_levels(s, c, cells)


def statistic(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """A ratio of quadratic forms of residuals, times at most the number of rows."""
    if s.case.options["test"] == "phtest":
        return hausman(s, cells)
    return np.asarray((np.abs(cells.values) + c.n) * variance_noise(c))


def hausman(s: Scene, cells: Labelled) -> Floats:
    """|d'D^-1 d| moves by 2 g'dd + g'dD g, g = D^-1 d, where D = V1 - V2 may be small beside V1 and V2."""
    models = s.case.options.get("models") or ["within", "random"]
    one, two = (of_panel_case(s.case, model) for model in models)
    k = min(one.conditioning.lengths.size, two.conditioning.lengths.size)
    parts = [
        (p.conditioning.coef[-k:], (p.conditioning.sigma**2 * p.conditioning.inverse)[-k:, -k:]) for p in (one, two)
    ]
    sign = 1 if set(models) == {"within", "between"} else -1
    d, D = parts[0][0] - parts[1][0], parts[0][1] + sign * parts[1][1]
    g = np.abs(np.linalg.pinv(D) @ d)
    noise = 0.0
    for found, (_, V) in zip((one, two), parts, strict=True):
        c = found.conditioning
        root = np.sqrt(np.diag(V))
        noise += 2 * float(g @ c.linear_noise(np.eye(c.lengths.size))[-k:])
        noise += float((g @ root) ** 2) * (variance_noise(c) + 4 * c.unit * c.kappa)
    return np.array([noise + abs(float(cells.values[0])) * 1e-12])


_LEVELS = "y - X b in levels: the linear form of the largest row"
RULES: Mapping[str, Noise] = {
    "tss": Noise(tss, "a sum of squares about the mean"),
    "rss": Noise(rss, "the residual vector's noise |dy - dX b|, squared"),
    "f_statistic": Noise(wald, "b'V^-1 b: noise of b and of V"),
    "wald_chi2": Noise(wald, "b'V^-1 b: noise of b and of V"),
    "ercomp": Noise(ercomp, "differences of mean squares: relative to the largest"),
    "theta_quasi_demeaning": Noise(theta, "a root of a ratio of mean squares"),
    "fixef": Noise(in_levels, _LEVELS),
    "fixef_dfirst": Noise(in_levels, _LEVELS),
    "fixef_dmean": Noise(in_levels, _LEVELS),
    "fixef_time": Noise(in_levels, _LEVELS),
    "within_intercept": Noise(in_levels, _LEVELS),
    "fixef_se": Noise(effect_se, "noise of sigma and of the row's form in (X'X)^-1"),
    "within_intercept_se": Noise(effect_se, "noise of sigma and of the row's form in (X'X)^-1"),
    "ranef": Noise(ranef, f"{_LEVELS}, shrunk"),
    "ranef_time": Noise(ranef, f"{_LEVELS}, shrunk"),
    "predicted": Noise(predicted, "the new row's linear form and its effect's"),
}
TEST_RULES: Mapping[str, Noise] = {
    "statistic": Noise(statistic, "a ratio of quadratic forms of residuals; of phtest the noise of both fits"),
}
