"""Tests of panel models: published values, identities, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from compat.cases import load_data
from refimpl import (
    DataError,
    PanelFit,
    anova,
    lm,
    pbgtest,
    pcdtest,
    pcdtest_heterogeneous,
    pFtest,
    phtest,
    phtest_aux,
    plm,
    plm_vcov_hc,
    plmtest,
    pwartest,
)
from refimpl.distributions import upper_chi2

FORMULA, INDEX = "inv ~ value + capital", ("firm", "year")


def fit(model: str = "within", effect: str = "individual", name: str = "grunfeld", **options: Any) -> PanelFit:
    return plm(FORMULA, load_data(name), INDEX, model, effect, **options)  # type: ignore[arg-type]


# Baltagi, Econometric Analysis of Panel Data, table 4.2 (Grunfeld): Breusch-Pagan, Honda, King-Wu, and the mixed test.
BALTAGI = [
    ("individual", "bp", 798.162),
    ("time", "bp", 6.454),
    ("twoways", "bp", 804.615),
    ("individual", "honda", 28.252),
    ("time", "honda", -2.540),
    ("twoways", "honda", 18.181),
    ("individual", "kw", 28.252),
    ("time", "kw", -2.540),
    ("twoways", "kw", 21.832),
    ("twoways", "ghm", 798.162),
]


@pytest.mark.parametrize(("effect", "type", "published"), BALTAGI)
def test_lagrange_multipliers_are_those_in_baltagis_book(effect: str, type: str, published: float) -> None:
    found = plmtest(fit("pooling"), effect, type)  # type: ignore[arg-type]
    assert found.statistic == pytest.approx(published, abs=5e-4)


def test_the_mixed_test_of_nothing_has_probability_one() -> None:
    """Both multipliers negative: the statistic is zero and every mass of the mixture lies at or above it."""
    rng = np.random.default_rng(7)
    data = load_data("grunfeld").assign(noise=rng.normal(size=200))
    for name in INDEX:
        data["noise"] -= data.groupby(name)["noise"].transform("mean")
    found = plmtest(plm("noise ~ 1", data, INDEX, "pooling"), "twoways", "ghm")
    assert (found.statistic, found.p_value) == (0.0, 1.0)


def test_lagrange_multipliers_take_any_model_for_the_pooling_one() -> None:
    wanted = plmtest(fit("pooling", name="grunfeld-gaps"))
    assert plmtest(fit("within", name="grunfeld-gaps")) == wanted
    assert plmtest(fit("random", name="grunfeld-gaps")) == wanted


@pytest.mark.parametrize("effect", ["individual", "time", "twoways"])
def test_the_f_test_is_anovas(effect: str) -> None:
    data = load_data("grunfeld-gaps")
    factors = {"individual": "+ factor(firm)", "time": "+ factor(year)", "twoways": "+ factor(firm) + factor(year)"}
    table = anova(lm(FORMULA, data), lm(f"{FORMULA} {factors[effect]}", data))
    found = pFtest(fit(effect=effect, name="grunfeld-gaps"), fit("pooling", name="grunfeld-gaps"))
    assert found.statistic == pytest.approx(table["f_statistic"].iloc[1], rel=1e-11)
    assert found.p_value == pytest.approx(table["p_value"].iloc[1], rel=1e-9)
    assert found.parameters == {"df1": table["df"].iloc[1], "df2": table["df_residual"].iloc[1]}


def test_hausmans_test_is_symmetric_and_has_two_forms() -> None:
    within, random = fit(), fit("random")
    one, other = phtest(within, random), phtest(random, within)
    assert one.statistic == pytest.approx(other.statistic, rel=1e-9)
    assert one.statistic == pytest.approx(2.3304, abs=5e-5)  # Baltagi, table 4.3 has 2.33
    assert one.p_value == pytest.approx(float(upper_chi2(one.statistic, 2)))
    between = phtest(within, fit("between"))
    aux = phtest_aux(FORMULA, load_data("grunfeld"), INDEX)
    assert between.statistic == pytest.approx(2.1314, abs=5e-5)
    assert aux.statistic == pytest.approx(between.statistic, rel=1e-3)
    robust = phtest_aux(FORMULA, load_data("grunfeld"), INDEX, vcov=plm_vcov_hc)
    assert robust.statistic != pytest.approx(aux.statistic, rel=0.01)


def test_serial_correlation_is_found_where_it_is() -> None:
    rng = np.random.default_rng(2)
    n, T = 40, 12
    e = rng.normal(size=(n, T))
    smooth = np.zeros((n, T))
    for t in range(T):
        smooth[:, t] = 0.7 * (smooth[:, t - 1] if t else 0) + e[:, t]
    x = rng.normal(size=n * T)
    index = {"firm": np.repeat(np.arange(n), T), "year": np.tile(np.arange(T), n)}
    frames = [pd.DataFrame({**index, "x": x, "y": x + u.ravel()}) for u in (e, smooth)]
    white, red = (plm("y ~ x", frame, INDEX) for frame in frames)
    assert pwartest(white).p_value > 0.01
    assert pbgtest(plm("y ~ x", frames[0], INDEX, model="pooling")).p_value > 0.01  # within, deviations are correlated
    for test in (pbgtest, pwartest):
        assert test(red).p_value < 1e-6  # type: ignore[operator]


def test_a_common_shock_is_found() -> None:
    rng = np.random.default_rng(4)
    index = {"firm": np.repeat(np.arange(15), 20), "year": np.tile(np.arange(20), 15)}
    x, shock = rng.normal(size=300), np.tile(rng.normal(size=20), 15)
    frames = [pd.DataFrame({**index, "x": x, "y": x + rng.normal(size=300) + a * shock}) for a in (0.0, 1.0)]
    alone, together = (plm("y ~ x", frame, INDEX) for frame in frames)
    for name in ("cd", "sclm", "bcsclm", "lm"):
        assert pcdtest(alone, name).p_value > 0.01  # type: ignore[arg-type]
        assert pcdtest(together, name).p_value < 1e-6  # type: ignore[arg-type]
    assert 0.3 < pcdtest(together, "rho").statistic < pcdtest(together, "absrho").statistic + 1e-12
    assert np.isnan(pcdtest(together, "rho").p_value)


def test_correlations_are_those_of_the_shared_times() -> None:
    model = fit(name="grunfeld-gaps")
    panel = model.levels.panel
    wide = pd.DataFrame(np.nan, index=range(panel.n), columns=range(panel.T))
    for i, t, u in zip(panel.id.codes, panel.time.codes, model.residual_values, strict=True):
        wide.loc[i, t] = u
    r = wide.T.corr().to_numpy()[np.tril_indices(panel.n, -1)]
    assert pcdtest(model, "rho").statistic == pytest.approx(r.mean(), rel=1e-12)
    assert pcdtest(model, "absrho").statistic == pytest.approx(np.abs(r).mean(), rel=1e-12)


def test_short_series_fall_back_on_within_residuals() -> None:
    data = load_data("panel-awkward")
    with pytest.warns(UserWarning, match="too few rows"):
        found = pcdtest_heterogeneous("y ~ x + z", data, ("who", "wave"))
    assert found == pcdtest(plm("y ~ x + z", data, ("who", "wave")))


@pytest.mark.parametrize(
    "call",
    [
        lambda: pFtest(fit("pooling"), fit("pooling")),
        lambda: plmtest(fit("pooling"), "individual", "ghm"),
        lambda: plmtest(fit("pooling"), "individual", "lr"),  # type: ignore[arg-type]
        lambda: pbgtest(fit("between")),
        lambda: pbgtest(fit(), type="LR"),  # type: ignore[arg-type]
        lambda: pwartest(fit("pooling")),
        lambda: pcdtest(fit("between")),
        lambda: pcdtest(fit("pooling"), "bcsclm"),
        lambda: pcdtest(plm(FORMULA, load_data("grunfeld"), INDEX, effect="time"), "bcsclm"),
        lambda: pcdtest(fit(), "tau"),  # type: ignore[arg-type]
        lambda: pcdtest_heterogeneous(FORMULA, load_data("grunfeld"), INDEX, "bcsclm"),
        lambda: phtest(fit(), plm("inv ~ I(value^2)", load_data("grunfeld"), INDEX, "random")),
    ],
)
def test_what_makes_no_sense_is_refused(call: Any) -> None:
    with pytest.raises(DataError) as refused:
        call()
    assert refused.value.kind == "bad-option"


def test_hausman_by_regression_is_the_same_whatever_the_order_of_the_terms() -> None:
    """What the known defect says of plm: it finds the columns by their place, wrong where one does not vary within."""
    data = load_data("grunfeld").assign(size=lambda d: d["firm"] ** 2.0)
    one, other = (phtest_aux(f"inv ~ {terms}", data, INDEX) for terms in ("value + size", "size + value"))
    assert one.parameters == {"df": 1}
    assert one.statistic == pytest.approx(other.statistic, rel=1e-9)


def test_dependence_over_rows_twice_at_one_time_counts_every_pair() -> None:
    """plm 2.6-2 answers otherwise when the two rows change places; the case plm-test-twice-pcdtest shows it."""
    data = load_data("grunfeld-twice")
    with pytest.warns(UserWarning, match="duplicate couples"):
        fit, turned = (plm(FORMULA, rows, INDEX) for rows in (data, data.iloc[::-1]))
    u, panel = fit.residual_values, fit.levels.panel
    total, count = 0.0, 0
    for i in range(panel.n):
        for j in range(i):
            pairs = [
                (u[a], u[b])
                for a in np.flatnonzero(panel.id.codes == i)
                for b in np.flatnonzero(panel.id.codes == j)
                if panel.time.codes[a] == panel.time.codes[b]
            ]
            total += np.sqrt(len(pairs)) * float(np.corrcoef(np.array(pairs).T)[0, 1])
            count += 1
    np.testing.assert_allclose(pcdtest(fit).statistic, total / np.sqrt(count), rtol=1e-10)
    np.testing.assert_allclose(pcdtest(turned).statistic, pcdtest(fit).statistic, rtol=1e-10)


@pytest.mark.parametrize("index", ["firm", 10])
def test_an_index_of_one_column_or_a_count_is_kept_for_the_pooling_model(index: Any) -> None:
    found = plmtest(plm(FORMULA, load_data("grunfeld"), index))
    np.testing.assert_allclose(found.statistic, plmtest(fit("pooling")).statistic, rtol=1e-12)
