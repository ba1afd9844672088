"""The variances of individuals', times' and idiosyncratic errors of a random-effects model, and plm's theta.

Quadratic forms of the residuals of preliminary models are equated to what is expected of them (Swamy and Arora 1972;
Wallace and Hussain 1969; Amemiya 1971; Baltagi and Chang 1994 and Baltagi, Song and Jung 2002 for unbalanced panels),
or divided by counts. Nerlove (1971) takes the variance of the estimated effects instead. Models are in models.py.

For residuals u = M y, M = I - X H X'Q with H = (X'QX)^-1, and a form u'Au under the error covariance
s2_idios I + sum over effects of s2 Z Z':   E u'Au = s2_idios tr M'AM + sum of s2 tr M'AM ZZ'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refimpl.errors import DataError, RankDeficient
from refimpl.least_squares import LeastSquares, ols
from refimpl.linalg import Array
from refimpl.panel.index import PanelIndex
from refimpl.panel.transforms import Effect, Groups, Transformer, columns

RandomMethod = Literal["swar", "amemiya", "walhus", "nerlove"]
RandomModel = Literal["within", "pooling", "Between", "between"]

MODELS: dict[str, tuple[RandomModel, RandomModel]] = {
    "swar": ("within", "Between"),
    "amemiya": ("within", "within"),
    "walhus": ("pooling", "pooling"),
}
# How a method corrects for degrees of freedom in a balanced panel, for the within and the between form:
# 0 divides by the rows or groups; 1 the former less the effects; 2 less the slopes too; 3 by the expectation.
CORRECTION = {"swar": (2, 2), "amemiya": (1, 1), "walhus": (1, 1), "nerlove": (0, 0)}
EXACT = (3, 3)


@dataclass(frozen=True)
class VarianceComponents:
    """Variances of the parts of the error (plm: ercomp).

    `variances`: idios, id and/or time; a negative estimate is 0. `theta` by effect: the share of the group mean that
    is taken away, one number a group; of two ways "total" too, one number a row (a single one where balanced).
    """

    variances: pd.Series[float]
    theta: dict[str, Array]
    method: str
    balanced: bool

    @property
    def shares(self) -> pd.Series[float]:
        """Each variance as a share of their sum."""
        return self.variances / self.variances.sum()


def variance_components(
    X: Array,
    y: Array,
    panel: PanelIndex,
    effect: Effect,
    method: RandomMethod | None = None,
    models: Sequence[RandomModel] | None = None,
    dfcor: int | Sequence[int] | None = None,
) -> VarianceComponents:
    """Estimate the components of the error of y (n,) on X (n, k), rows in the panel's order (plm 2.6-2: ercomp).

    `method` swar (the default), amemiya, walhus, nerlove; or `models`, the one or two preliminary models whose
    residuals enter the within and the between form; `dfcor` 0 to 3 for each form (3, the expectation, if unbalanced).
    Raises DataError: bad-option, empty-model, not-estimable; RankDeficient where an expectation needs the inverse of a
    singular matrix.
    """
    forms = Forms(X, y, Transformer(panel, effect))
    balanced = forms.transformer.balanced
    chosen, correction = _choices(method, models, dfcor, balanced)
    if "etween" in chosen[1] and method != "nerlove":
        forms.check_groups(chosen[0])
    if method == "nerlove":
        found = forms.nerlove()
    elif correction == EXACT:
        found = forms.unbiased(chosen)
    else:
        found = forms.counted(chosen, correction)
    variances = pd.Series(np.maximum(found, 0.0), index=["idios", *forms.parts])
    theta = quasi_demeaning(variances, forms.transformer)
    return VarianceComponents(variances, theta, method or ("models" if models else "swar"), balanced)


def _choices(
    method: str | None, models: Sequence[str] | None, dfcor: int | Sequence[int] | None, balanced: bool
) -> tuple[tuple[RandomModel, RandomModel], tuple[int, int]]:
    """The models of the two forms and how each is corrected, defaults filled in."""
    if method is not None and models is not None:
        raise DataError("bad-option", "give a random_method or random_models, not both")
    if method is not None and method not in CORRECTION:
        raise DataError("bad-option", f"random_method must be one of {', '.join(CORRECTION)}; not {method!r}")
    chosen = tuple(models) if models is not None else MODELS.get(method or "swar", MODELS["swar"])
    chosen = chosen * 2 if len(chosen) == 1 else chosen
    if len(chosen) != 2 or any(m not in ("within", "pooling", "Between", "between") for m in chosen):
        raise DataError("bad-option", "random_models are one or two of within, pooling, Between, between")
    if "etween" in chosen[0]:
        raise DataError("bad-option", "the between estimator is only relevant for the between quadratic form")
    default = EXACT if models is not None or not balanced else CORRECTION[method or "swar"]
    given = default if dfcor is None else (dfcor, dfcor) if isinstance(dfcor, int) else tuple(dfcor)
    if len(given) != 2 or any(d not in (0, 1, 2, 3) for d in given):
        raise DataError("bad-option", "random_dfcor is 0, 1, 2 or 3, one for both forms or one for each")
    if not balanced and given != EXACT:
        raise DataError("bad-option", "dfcor should equal 3 for unbalanced panels")
    return chosen, EXACT if 3 in given else (given[0], given[1])  # type: ignore[return-value]


def quasi_demeaning(variances: pd.Series[float], transformer: Transformer) -> dict[str, Array]:
    """theta = 1 - sqrt(s2_idios / (s2_idios + T_i s2)) for each group; of two ways, what is added back, too."""
    s2, panel = float(variances["idios"]), transformer.panel
    inner = {name: transformer.rows_of(name) * float(variances[name]) for name in transformer.parts}
    theta = {name: 1 - np.sqrt(s2 / (s2 + share)) for name, share in inner.items()}
    if transformer.effect == "twoways":
        at = (slice(0, 1),) * 2 if transformer.balanced else (panel.id.codes, panel.time.codes)
        both = np.sqrt(s2 / (s2 + inner["id"][at[0]] + inner["time"][at[1]]))
        theta["total"] = theta["id"][at[0]] + theta["time"][at[1]] + both - 1
    return theta


UNDETERMINED = 1e13  # a condition beyond which the solution of the moment equations is rounding alone
NO_VARIATION = float(np.sqrt(np.finfo(float).eps))  # plm drops a column whose values span less than this


def varies(A: Array) -> NDArray[np.bool_]:
    """Which columns of A (n, k) are not constant, by plm's rule (seen in plm 2.6-2: a span of 1.5e-8)."""
    return np.asarray(np.ptp(A, axis=0) >= NO_VARIATION) if len(A) else np.zeros(A.shape[1], bool)


@dataclass(frozen=True)
class Forms:
    """The preliminary models of y (n,) on X (n, k), and quadratic forms in their residuals."""

    X: Array
    y: Array
    transformer: Transformer

    @property
    def parts(self) -> dict[str, Groups]:
        """The groups of each effect."""
        return self.transformer.parts

    @cached_property
    def lost(self) -> int:
        """Degrees of freedom that the effects take."""
        panel = self.transformer.panel
        return panel.n + panel.T - 1 if len(self.parts) == 2 else self.transformer.groups.size

    def check_groups(self, first: RandomModel) -> None:
        """Refuse fewer groups than a between model needs, after a within model without columns."""
        if first == "within":
            _ = self.within_slopes
        for groups in self.parts.values():
            k = int(self.between_columns(groups).sum())
            if groups.size <= k:
                needed = f"{k} coefficient(s) (incl. intercept) to be estimated"
                raise DataError(
                    "not-estimable", f"model not estimable: {needed} but only {groups.size} groups in the between model"
                )

    # -- preliminary models -------------------------------------------------------------------------------------

    @cached_property
    def slopes(self) -> Array:
        """X without its constant columns."""
        return columns(self.X, varies(self.X))

    @cached_property
    def within_slopes(self) -> tuple[Array, Array]:
        """The slopes that vary within: as they are, and transformed. Refused where there are none."""
        x = self.transformer.within(self.slopes)
        kept = varies(x)
        if not kept.any():
            raise DataError("empty-model", "empty model: no regressor varies within")
        return columns(self.slopes, kept), columns(x, kept)

    @cached_property
    def within_fit(self) -> LeastSquares:
        """The within model."""
        return ols(self.within_slopes[1], self.transformer.within(self.y[:, None])[:, 0])

    @cached_property
    def pooling_fit(self) -> LeastSquares:
        """The pooling model."""
        return ols(self.X, self.y)

    def between_fit(self, groups: Groups, X: Array, model: RandomModel = "Between") -> LeastSquares:
        """The regression of group means on those of X, each weighted by its rows ("Between") or not ("between")."""
        weights = groups.counts if model == "Between" else None
        return ols(groups.means(X), groups.means(self.y[:, None])[:, 0], weights)

    def between_columns(self, groups: Groups) -> NDArray[np.bool_]:
        """The columns of X that a between model takes: the intercept, and slopes whose group means vary, (k,)."""
        return np.asarray(varies(groups.means(self.X)) | ~varies(self.X))

    @cached_property
    def within_residuals(self) -> Array:
        """y less the slopes' part by the within model, centred, (n,)."""
        u = self.y - self.within_slopes[0] @ np.nan_to_num(self.within_fit.coef)
        return np.asarray(u - u.mean())

    def residuals(self, model: RandomModel, groups: Groups) -> tuple[Array, int]:
        """The residuals of the rows (n,) and how many slopes were estimated."""
        if model == "within":
            return self.within_residuals, self.within_fit.rank
        X = self.X if model == "pooling" else columns(self.X, self.between_columns(groups))
        fit = self.pooling_fit if model == "pooling" else self.between_fit(groups, X, model)
        slopes = fit.rank - (self.X.shape[1] - self.slopes.shape[1])
        return self.y - X @ np.nan_to_num(fit.coef), slopes

    # -- quadratic forms ----------------------------------------------------------------------------------------

    def within_form(self, model: RandomModel) -> tuple[float, int]:
        """u'Wu and the slopes."""
        if model == "within":
            return self.within_fit.rss, self.within_fit.rank
        u, slopes = self.residuals(model, self.transformer.groups)
        w = self.transformer.within(u[:, None])[:, 0]
        return float(w @ w), slopes

    def between_form(self, model: RandomModel, groups: Groups) -> tuple[float, int]:
        """u'Pu, P the projection on group means, and the slopes."""
        u, slopes = self.residuals(model, groups)
        sums = groups.sums_of(u)
        return float(sums @ (sums / groups.counts)), slopes

    # -- three ways to the variances ----------------------------------------------------------------------------

    def counted(self, models: tuple[RandomModel, RandomModel], correction: tuple[int, int]) -> list[float]:
        """Forms over counts: q_W / (degrees of freedom), and (q_P / groups - that) / (rows a group); balanced."""
        panel = self.transformer.panel
        rows, cells = panel.N, panel.n * panel.T
        form, slopes = self.within_form(models[0])
        idios = form / _positive((rows, rows - self.lost, rows - self.lost - slopes)[correction[0]])
        out = [idios]
        for groups in self.parts.values():
            form, slopes = self.between_form(models[1], groups)
            per_group = form / _positive((groups.size, groups.size, groups.size - slopes - 1)[correction[1]])
            out.append((per_group - idios) * groups.size / cells)
        return out

    def nerlove(self) -> list[float]:
        """q_W / n, and the variance of the effects that the within model leaves about their mean by rows."""
        u, rows = self.within_residuals[:, None], self.transformer.panel.N
        if len(self.parts) == 2:
            effects = [e[:, 0] for e in self.transformer.crossed.effects(u)]
        else:
            effects = [self.transformer.groups.means(u)[:, 0]]
        out = [self.within_fit.rss / rows]
        for e, (name, groups) in zip(effects, self.parts.items(), strict=True):
            weights = self.transformer.rows_of(name)
            centred = e - (groups.counts @ e) / rows
            out.append(float(weights @ centred**2) / weights.sum() * len(e) / (len(e) - 1))
        return out

    def unbiased(self, models: tuple[RandomModel, RandomModel]) -> list[float]:
        """The variances for which every form equals its expectation."""
        groups = self.parts.values()
        rows = [self.expected_within(models[0])] + [self.expected_between(models[1], g) for g in groups]
        forms = [self.within_form(models[0])[0]] + [self.between_form(models[1], g)[0] for g in groups]
        size = np.maximum(np.abs(rows).max(axis=1), np.finfo(float).tiny)
        scaled = np.array(rows) / size[:, None]
        if not np.isfinite(scaled).all() or np.linalg.cond(scaled) > UNDETERMINED:
            raise DataError("not-estimable", "model not estimable: the quadratic forms do not tell the variances apart")
        return [float(s) for s in np.linalg.solve(scaled, np.array(forms) / size)]

    # -- expectations -------------------------------------------------------------------------------------------

    def expected_within(self, model: RandomModel) -> Array:
        """The coefficients of s2_idios and of each effect's s2 in E u'Wu."""
        left = self.transformer.panel.N - self.lost
        if model == "within":
            return np.array([left - self.within_slopes[1].shape[1]] + [0.0] * len(self.parts))
        # A = W, Q = I, and W Z = 0: of the terms with ZZ' only the last stays
        H, wx = full_rank(self.pooling_fit).xtx_inverse, self.transformer.within(self.X)
        HSH = H @ gram(wx) @ H
        own = left - np.trace(HSH @ gram(self.X))
        return np.array([own] + [np.trace(HSH @ gram(g.sums(self.X))) for g in self.parts.values()])

    def expected_between(self, model: RandomModel, groups: Groups) -> Array:
        """The same for E u'Pu, P of one effect; plm takes those of "Between" for "between" too, with every column."""
        if model == "within":
            x, wx = self.within_slopes
            if x.shape[1] < self.slopes.shape[1]:
                raise DataError("not-estimable", "model not estimable due to variable(s) lacking within variation")
            return self._traces(groups, groups.means(x) - x.mean(axis=0), x, wx, self.within_fit, 1.0)
        means = groups.means(self.X)
        if model == "pooling":
            return self._traces(groups, means, self.X, self.X, self.pooling_fit, 0.0)
        return self._traces(groups, means, self.X, None, self.between_fit(groups, self.X), 0.0)

    def _traces(
        self, groups: Groups, means: Array, x: Array, qx: Array | None, fit: LeastSquares, centred: float
    ) -> Array:
        """tr M'AM and tr M'AM ZZ' of each effect, from X, QX (None: AX) and the fit whose H = (X'QX)^-1 is.

        M'AM = A - QXHX'A - AXHX'Q + QXH X'AX HX'Q. A is P, or P - J, J the grand mean's projection, where `centred`
        is 1; the rows of AX are `means`, one a group.
        """
        rows, H = self.transformer.panel.N, full_rank(fit).xtx_inverse
        q_sums = groups.sums(x if qx is None else qx)
        qx_ax, qx_qx = q_sums.T @ means, groups.sums(x).T @ means if qx is None else gram(qx)
        HSH = H @ (groups.sums(x).T @ means) @ H
        out = [groups.size - centred - 2 * np.trace(H @ qx_ax) + np.trace(HSH @ qx_qx)]
        for other in self.parts.values():
            a = self.sums_of_means(other, groups, means)
            q = a if qx is None else other.sums(qx)
            shared = float(rows) if other is groups else overlap(self.transformer.panel, groups)
            shared -= centred * float(other.counts @ other.counts) / rows
            out.append(shared - 2 * np.trace(H @ (q.T @ a)) + np.trace(HSH @ gram(q)))
        return np.array(out)

    def sums_of_means(self, other: Groups, groups: Groups, means: Array) -> Array:
        """What Groups.sums would give of rows that are their groups' `means` (size, k)."""
        if other is groups:
            return means * groups.counts[:, None]
        table = self.transformer.table
        return np.asarray((table if other is self.transformer.ids else table.T) @ means)


def _positive(df: int) -> int:
    """Degrees of freedom, refused where there are none."""
    if df <= 0:
        raise DataError("not-estimable", "model not estimable: no degrees of freedom are left for a variance component")
    return df


def gram(A: Array) -> Array:
    """A'A."""
    return np.asarray(A.T @ A)


def overlap(panel: PanelIndex, groups: Groups) -> float:
    """tr P Z Z' for P of one index and Z of the other: the sum over cells of rows^2 / rows of the group."""
    _, first, rows = np.unique(panel.cells, return_index=True, return_counts=True)
    return float(np.sum(rows.astype(np.float64) ** 2 / groups.counts[groups.codes[first]]))


def full_rank(fit: LeastSquares) -> LeastSquares:
    """The fit, refused where its columns depend on each other: R's solve() stops there too."""
    if not fit.kept.all():
        raise RankDeficient("dependent columns in a preliminary model: its expectation is not estimable")
    return fit
