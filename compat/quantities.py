"""The table of quantities: every named result of a fit, what it means and how R spells it.

What decides how its cells are compared (the kind) is here; how far two of them may lie apart is in tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Labels(StrEnum):
    """How the cells of a quantity are named: not at all, by one label, or by a row and a column."""

    SCALAR = "scalar"
    VECTOR = "vector"
    MATRIX = "matrix"


class Kind(StrEnum):
    """What sort of number a quantity is; it decides how two cells are compared."""

    EXACT = "exact"
    ALGEBRAIC = "algebraic"
    OPTIMISED = "optimised"
    TAIL = "tail"
    BOUNDARY = "boundary"
    PRINTED = "printed"


@dataclass(frozen=True, slots=True)
class Quantity:
    """One row of the table: `in_r` is the R expression, with `f` a fit and `s` its summary."""

    name: str
    labels: Labels
    kind: Kind
    definition: str
    in_r: str
    estimators: frozenset[str]


_S, _V, _M = Labels.SCALAR, Labels.VECTOR, Labels.MATRIX
_EXACT, _ALGEBRAIC, _TAIL, _OPTIMISED = Kind.EXACT, Kind.ALGEBRAIC, Kind.TAIL, Kind.OPTIMISED

_LINEAR = "lm ols"
_VCOV = "vcov_hc vcov_cluster"
_TABLE = f"{_LINEAR} robcov {_VCOV} plm plm_vcov lmer"
_FIT = f"{_LINEAR} plm lmer"
_LIKELIHOOD = f"{_LINEAR} lmer lmer_anova"

_ROWS: tuple[tuple[str, Labels, Kind, str, str, str], ...] = (
    ("coef", _V, _ALGEBRAIC, "estimated coefficients, NA where aliased", "coef(f), of lmer fixef(f)", _TABLE),
    ("std_error", _V, _ALGEBRAIC, "square roots of the diagonal of vcov",
     "sqrt(diag(vcov(f, complete = TRUE)))", f"{_TABLE} ml_sandwich"),
    ("statistic", _V, _ALGEBRAIC, "coef divided by std_error", "coef(s)[, 3]", f"{_TABLE} plm_test"),
    ("p_value", _V, _TAIL, "two-sided tail probability of the statistic",
     "2 * pt(-abs(statistic), df)", f"{_LINEAR} robcov {_VCOV} plm plm_vcov plm_test anova lmer_anova"),
    ("conf_low", _V, _ALGEBRAIC, "lower confidence limit of the coefficient", "confint(f)[, 1]", _FIT),
    ("conf_high", _V, _ALGEBRAIC, "upper confidence limit of the coefficient", "confint(f)[, 2]", _FIT),
    ("vcov", _M, _ALGEBRAIC, "covariance matrix of the coefficients, NA rows and columns where aliased",
     "vcov(f, complete = TRUE)", f"{_TABLE} ml_sandwich"),
    ("nobs", _S, _EXACT, "rows used, without those of weight zero", "nobs(f)", _TABLE),
    ("rank", _S, _EXACT, "rank of the model matrix, by R's pivoting", "f$rank", _FIT),
    ("df_residual", _S, _EXACT, "residual degrees of freedom", "df.residual(f)", f"{_FIT} robcov anova plm_vcov"),
    ("sigma", _S, _ALGEBRAIC, "residual standard error", "sigma(f)", f"{_FIT} robcov"),
    ("aliased", _V, _EXACT, "1 where the coefficient is not estimable, else 0", "is.na(coef(f))", _FIT),
    ("n_dropped", _S, _EXACT, "rows left out because of a missing value", "length(na.action(f))", _FIT),
    ("fitted", _V, _ALGEBRAIC, "fitted values, by row name", "fitted(f)", _FIT),
    ("residuals", _V, _ALGEBRAIC, "response residuals, by row name", "residuals(f)", _FIT),
    ("hatvalues", _V, _ALGEBRAIC, "diagonal of the hat matrix, by row name", "hatvalues(f)", _LINEAR),
    ("r_squared", _S, _ALGEBRAIC, "share of the variation explained", "s$r.squared", f"{_LINEAR} plm"),
    ("adj_r_squared", _S, _ALGEBRAIC, "r_squared adjusted for the number of coefficients",
     "s$adj.r.squared", f"{_LINEAR} plm"),
    ("f_statistic", _S, _ALGEBRAIC, "F of all coefficients but the intercept",
     "s$fstatistic[1]", "lm anova plm plm_vcov"),
    ("f_numdf", _S, _EXACT, "numerator degrees of freedom of the F", "s$fstatistic[2]", "lm plm plm_vcov"),
    ("f_dendf", _S, _EXACT, "denominator degrees of freedom of the F", "s$fstatistic[3]", "lm plm plm_vcov"),
    ("f_p_value", _S, _TAIL, "tail probability of the F", "pf(F, numdf, dendf, lower.tail = FALSE)", "lm plm plm_vcov"),
    ("loglik", _S, _ALGEBRAIC, "Gaussian log-likelihood at the estimates", "logLik(f)", _LIKELIHOOD),
    ("aic", _S, _ALGEBRAIC, "Akaike's criterion, sigma counted as a parameter", "AIC(f)", _LIKELIHOOD),
    ("bic", _S, _ALGEBRAIC, "Bayesian criterion, sigma counted as a parameter", "BIC(f)", _LIKELIHOOD),
    ("deviance", _S, _ALGEBRAIC, "weighted residual sum of squares; of a mixed model -2 loglik",
     "deviance(f)", _LIKELIHOOD),
    ("residual_quantiles", _V, _ALGEBRAIC, "Min 1Q Median 3Q Max of the (weighted) residuals",
     "quantile(s$residuals)", f"{_LINEAR} plm"),
    ("lr_chi2", _S, _ALGEBRAIC, "likelihood ratio chi-squared against the intercept alone",
     'f$stats["Model L.R."]', "ols"),
    ("lr_df", _S, _EXACT, "degrees of freedom of lr_chi2", 'f$stats["d.f."]', "ols"),
    ("lr_p_value", _S, _TAIL, "tail probability of lr_chi2", "pchisq(L.R., d.f., lower.tail = FALSE)", "ols"),
    ("g_index", _S, _ALGEBRAIC, "Gini's mean difference of the fitted values", 'f$stats["g"]', "ols"),
    ("predicted", _V, _ALGEBRAIC, "prediction for the new rows", "predict(f, newdata)", "lm plm lmer"),
    ("predicted_se", _V, _ALGEBRAIC, "standard error of the predicted mean",
     "predict(f, newdata, se.fit = TRUE)$se.fit", "lm"),
    ("predicted_conf_low", _V, _ALGEBRAIC, "lower limit of the predicted mean",
     'predict(f, newdata, interval = "confidence")[, "lwr"]', "lm"),
    ("predicted_conf_high", _V, _ALGEBRAIC, "upper limit of the predicted mean",
     'predict(f, newdata, interval = "confidence")[, "upr"]', "lm"),
    ("predicted_pred_low", _V, _ALGEBRAIC, "lower limit of a new observation",
     'predict(f, newdata, interval = "prediction")[, "lwr"]', "lm"),
    ("predicted_pred_high", _V, _ALGEBRAIC, "upper limit of a new observation",
     'predict(f, newdata, interval = "prediction")[, "upr"]', "lm"),
    ("n_clusters", _V, _EXACT, "number of clusters, by the cluster's name",
     "length(unique(cluster))", "robcov vcov_cluster"),
    ("df", _S, _EXACT, "degrees of freedom of the reference distribution, Inf for the normal",
     "coeftest(f, df = df)", f"{_VCOV} anova plm plm_vcov"),
    ("objective", _S, _OPTIMISED, "what is minimised: ML deviance, or REML criterion",
     "REMLcrit(f) or deviance(f)", "lmer"),
    ("objective_at", _V, _ALGEBRAIC, "the objective at the thetas that the case gives",
     "lmer(..., devFunOnly = TRUE)(theta)", "lmer"),
    ("theta", _V, _OPTIMISED, "lower triangles of the relative covariance factors, column by column",
     'getME(f, "theta")', "lmer"),
    ("sd", _V, _OPTIMISED, "standard deviations of the random effects, group.column", "VarCorr(f)", "lmer"),
    ("cor", _V, _OPTIMISED, "correlations of the random effects, group.row.column", "VarCorr(f)", "lmer"),
    ("fixef_correlation", _M, _OPTIMISED, "correlation matrix of the coefficients", "cov2cor(vcov(f))", "lmer"),
    ("scaled_residual_quantiles", _V, _OPTIMISED, "Min 1Q Median 3Q Max of the weighted residuals over sigma",
     "quantile(s$residuals)", "lmer"),
    ("ranef", _V, _ALGEBRAIC, "conditional modes of the random effects, group/level/column; of plm the individuals'",
     "ranef(f)", "lmer plm"),
    ("ranef_condvar", _V, _OPTIMISED, "their conditional covariances, group/level/row/column of the lower triangle",
     'attr(ranef(f)[[group]], "postVar")', "lmer"),
    ("coef_by_group", _V, _OPTIMISED, "coefficients plus random effects of a level, group/level/column",
     "coef(f)", "lmer"),
    ("n_groups", _V, _EXACT, "levels of each grouping factor", "ngrps(f)", "lmer"),
    ("is_singular", _S, Kind.BOUNDARY, "1 where a relative factor's diagonal is below 1e-4, else 0",
     "isSingular(f)", "lmer"),
    ("predicted_fixed", _V, _OPTIMISED, "prediction for the new rows without random effects",
     "predict(f, newdata, re.form = NA)", "lmer"),
    ("npar", _V, _EXACT, "parameters of each model, sigma counted", "anova(f, g)$npar", "lmer_anova"),
    ("chisq", _V, _OPTIMISED, "drop in deviance from the model before, by rising npar",
     "anova(f, g)$Chisq", "lmer_anova"),
    ("chi_df", _V, _EXACT, "degrees of freedom of chisq", "anova(f, g)$Df", "lmer_anova"),
    ("rss", _V, _ALGEBRAIC, "residual sum of squares of each model", "anova(f, g)$RSS", "anova plm"),
    ("sum_sq", _V, _ALGEBRAIC, "drop in rss from the model before", 'anova(f, g)$"Sum of Sq"', "anova"),
    ("tss", _S, _ALGEBRAIC, "sum of squares of the transformed response about its mean",
     "printed by summary(f)", "plm"),
    ("wald_chi2", _S, _ALGEBRAIC, "Wald's chi-squared of all slopes", "s$fstatistic$statistic", "plm plm_vcov"),
    ("wald_df", _S, _EXACT, "degrees of freedom of wald_chi2", "s$fstatistic$parameter", "plm plm_vcov"),
    ("wald_p_value", _S, _TAIL, "tail probability of wald_chi2", "s$fstatistic$p.value", "plm plm_vcov"),
    ("ercomp", _V, _ALGEBRAIC, "variances of the parts of the error: idios, id, time", "ercomp(f)$sigma2", "plm"),
    ("theta_quasi_demeaning", _V, _ALGEBRAIC, "share of the group mean taken away, by effect or by group",
     "ercomp(f)$theta", "plm"),
    ("fixef", _V, _ALGEBRAIC, "fixed effects, of two ways the individuals'", "fixef(f)", "plm"),
    ("fixef_se", _V, _ALGEBRAIC, "their standard errors", 'attr(fixef(f), "se")', "plm"),
    ("fixef_dfirst", _V, _ALGEBRAIC, "fixed effects less the first", 'fixef(f, type = "dfirst")', "plm"),
    ("fixef_dmean", _V, _ALGEBRAIC, "fixed effects less their mean over the rows", 'fixef(f, type = "dmean")', "plm"),
    ("fixef_time", _V, _ALGEBRAIC, "the times' fixed effects of two ways", 'fixef(f, effect = "time")', "plm"),
    ("within_intercept", _S, _ALGEBRAIC, "overall intercept of a within model", "within_intercept(f)", "plm"),
    ("within_intercept_se", _S, _ALGEBRAIC, "its standard error", 'attr(within_intercept(f), "se")', "plm"),
    ("ranef_time", _V, _ALGEBRAIC, "the times' random effects of two ways", 'ranef(f, effect = "time")', "plm"),
    ("n_individuals", _S, _EXACT, "individuals in the rows used", "pdim(f)$nT$n", "plm"),
    ("n_times", _S, _EXACT, "distinct times in the rows used", "pdim(f)$nT$T", "plm"),
    ("parameter", _V, _EXACT, "parameters of a test's distribution under the null", "t$parameter", "plm_test"),
)  # fmt: skip

# In anova's table these are per model, elsewhere per fit; robcov knows one clustering, and no name for it; a test has
# one statistic.
_OTHER_LABELS: dict[tuple[str, str], Labels] = {
    **{("anova", name): _V for name in ("df_residual", "df", "f_statistic", "p_value")},
    **{("lmer_anova", name): _V for name in ("aic", "bic", "loglik", "deviance")},
    ("robcov", "n_clusters"): _S,
    ("plm", "rss"): _S,
    ("plm_test", "statistic"): _S,
    ("plm_test", "p_value"): _S,
}

# Of a mixed model everything that depends on theta is as good as the optimum; the objective at a given theta does not.
MIXED: frozenset[str] = frozenset({"lmer", "lmer_anova"})


QUANTITIES: dict[str, Quantity] = {row[0]: Quantity(*row[:5], frozenset(row[5].split())) for row in _ROWS}
ESTIMATORS: tuple[str, ...] = (
    "lm", "ols", "robcov", "vcov_hc", "vcov_cluster", "ml_sandwich", "anova",
    "plm", "plm_vcov", "plm_test", "lmer", "lmer_anova",
)  # fmt: skip


def quantity(name: str) -> Quantity:
    """Return the row of the table with this name; KeyError names the ones there are."""
    try:
        return QUANTITIES[name]
    except KeyError:
        raise KeyError(f"no quantity {name!r}; there are {', '.join(QUANTITIES)}") from None


def of_estimator(estimator: str) -> tuple[str, ...]:
    """Return the names of the quantities an estimator has, in the table's order."""
    return tuple(row.name for row in QUANTITIES.values() if estimator in row.estimators)


def labels_of(name: str, estimator: str) -> Labels:
    """Return how the cells of a quantity are labelled when this estimator gives it."""
    return _OTHER_LABELS.get((estimator, name)) or quantity(name).labels


def kind_of(name: str, estimator: str) -> Kind:
    """Return what sort of number a quantity is when this estimator gives it; algebraic where it is not in the table."""
    kind = QUANTITIES[name].kind if name in QUANTITIES else Kind.ALGEBRAIC
    if estimator in MIXED and kind is Kind.ALGEBRAIC and name != "objective_at":
        return Kind.OPTIMISED
    return kind
