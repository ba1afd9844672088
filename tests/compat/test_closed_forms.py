"""Closed forms against the estimators whose numbers they are, fitted by themselves: a form that is off is no reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from compat.cases import load_data
from compat.cells import labelled
from compat.conventions import CLOSED_FORMS
from compat.conventions.closed_forms import Cells, Known, NotKnown
from refimpl import lm, lmer, ols, plm, robcov, vcov_cluster, vcov_hc

Quantities = Mapping[str, Any]


def known(quantities: Quantities) -> Known:
    """A fit's quantities as a form asks for them."""
    return lambda name: labelled(quantities[name]).as_dict() if name in quantities else None


def by(name: str, quantity: str, quantities: Quantities) -> Cells:
    (form,) = (form for form in CLOSED_FORMS if (form.name, form.quantity) == (name, quantity))
    return form.cells(known(quantities))


def of(fit: Any, *names: str, **more: Any) -> dict[str, Any]:
    return {name: getattr(fit, name) for name in names} | more


TESTED = ("coef", "std_error", "statistic", "nobs", "df_residual")


@pytest.mark.parametrize(
    ("name", "cluster", "wanted"),
    [
        ("HC1 for HC0", None, lambda f: vcov_hc(f, "HC1")),
        ("CR1 for CR0", "g", lambda f: vcov_cluster(f, "g", "CR1")),
        ("CR1S for CR0", "g", lambda f: vcov_cluster(f, "g", "CR1S")),
    ],
)
def test_factors_of_robust_errors_are_the_other_types(
    name: str, cluster: str | None, wanted: Callable[[Any], pd.DataFrame]
) -> None:
    fit = ols("y ~ x + z", load_data("clusters"))
    robust = robcov(fit, cluster)
    told = of(robust, *TESTED) | ({} if cluster is None else {"n_clusters": robust.n_clusters})
    errors = np.sqrt(np.diag(wanted(fit)))
    np.testing.assert_allclose(list(by(name, "std_error", told).values()), errors, rtol=1e-12)
    np.testing.assert_allclose(list(by(name, "statistic", told).values()), fit.coef / errors, rtol=1e-12)


def test_maximum_likelihood_divides_by_the_rows() -> None:
    fit = lm("mpg ~ wt + hp", load_data("mtcars"))
    told = of(fit, *TESTED, "sigma", "aic", "bic")
    sigma = math.sqrt(fit.deviance / 32)
    assert by("maximum-likelihood sigma", "sigma", told)[()] == pytest.approx(sigma, rel=1e-14)
    errors = sigma * np.sqrt(np.diag(fit.solution.xtx_inverse))
    found = by("standard errors of maximum likelihood", "std_error", told)
    np.testing.assert_allclose(list(found.values()), errors, rtol=1e-13)
    assert by("AIC without sigma", "aic", told)[()] == pytest.approx(-2 * fit.loglik + 2 * 3, rel=1e-14)
    assert by("BIC without sigma", "bic", told)[()] == pytest.approx(-2 * fit.loglik + 3 * math.log(32), rel=1e-14)


def test_adjusted_r_squared_of_panels() -> None:
    data = load_data("grunfeld")
    fit = plm("inv ~ value + capital", data, ("firm", "year"))
    told = of(fit, "r_squared", "df_residual", "nobs", "rank", "rss", "tss", N=200.0)
    demeaned = data[["inv", "value", "capital"]] - data.groupby("firm")[["inv", "value", "capital"]].transform("mean")
    plain = lm("inv ~ value + capital", demeaned)
    adjusted = by("adjusted R2, effects not counted", "adj_r_squared", told)[()]
    assert adjusted == pytest.approx(plain.adj_r_squared, rel=1e-12)
    assert by("R2 of sums of squares", "r_squared", told)[()] == pytest.approx(plain.r_squared, rel=1e-12)
    within = 1 - (plain.deviance / 188) / (float((demeaned["inv"] ** 2).sum()) / 190)  # 10 effects, 2 slopes
    assert by("adjusted within R2", "adj_r_squared", told)[()] == pytest.approx(within, rel=1e-12)
    assert by("plm's old adjusted R2", "adj_r_squared", told)[()] == pytest.approx(fit.r_squared * 188 / 200, rel=1e-14)
    fewer = plm("inv ~ value", data, ("firm", "year"), "between")  # of which the rows are not the panel's
    told = of(fewer, "r_squared", "df_residual", "nobs", N=200.0)
    assert by("plm's old adjusted R2", "adj_r_squared", told)[()] == pytest.approx(fewer.r_squared * 8 / 200, rel=1e-14)


def test_mixed_models_by_other_counts() -> None:
    fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    told = of(fit, "nobs", "rank", "bic", "n_parameters", "REML")
    bic = fit.criterion + 6 * math.log(180 - 2)
    assert by("BIC on n - p rows", "bic", told)[()] == pytest.approx(bic, rel=1e-13)
    assert by("df.residual without variance parameters", "df_residual", told)[()] == 178
    with pytest.raises(NotKnown):  # nlme takes n rows for maximum likelihood
        by("BIC on n - p rows", "bic", told | {"REML": False})


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_limits_by_another_distribution_keep_the_level(level: float) -> None:
    normal, t = {0.9: (1.6448536269514715, 1.65299911257), 0.95: (1.9599639845400536, 1.97266269238)}[
        level
    ]  # qnorm; qt, 188
    for fit, name, quantile, digits in (
        (lm("mpg ~ wt + hp", load_data("mtcars")), "normal limits", normal, 1e-12),
        (plm("inv ~ value + capital", load_data("grunfeld"), ("firm", "year")), "t limits", t, 1e-10),
    ):
        told = of(fit, *TESTED, conf_high=fit.confint(level)["high"])
        for quantity, sign in (("conf_low", -1), ("conf_high", 1)):
            wanted = fit.coef + sign * quantile * fit.std_error
            np.testing.assert_allclose(list(by(name, quantity, told).values()), wanted, rtol=digits)


def test_of_several_clusterings_the_fewest_clusters_count() -> None:
    told = {"statistic": pd.Series([2.0], index=["x"]), "n_clusters": pd.Series([30.0, 6.0], index=["g", "t"])}
    p = 0.10193947883  # R: 2 * pt(-2, 5)
    for name in ("t p-values on G - 1 df", "p-values by subtraction, G - 1 df"):
        assert by(name, "p_value", told)[("x",)] == pytest.approx(p, rel=1e-9)
    assert by("normal p-values", "p_value", told)[("x",)] == pytest.approx(0.0455002638963584, rel=1e-13)


def test_a_panel_s_clusters_are_one_more_than_its_f_test_has() -> None:
    told = {"statistic": pd.Series([2.0], index=["x"]), "f_dendf": 5.0}
    assert by("t p-values on G - 1 df", "p_value", told)[("x",)] == pytest.approx(0.10193947883, rel=1e-9)
