"""R's generic functions: each answers for every kind of fit as the fit itself does, and refuses the wrong kind."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import refimpl as ri
from compat.cases import load_data


@pytest.fixture(scope="module")
def fits() -> dict[str, Any]:
    grunfeld, sleep = load_data("grunfeld"), load_data("sleepstudy")
    model, index = "inv ~ value + capital", ("firm", "year")
    return {
        "lm": ri.lm(model, grunfeld),
        "within": ri.plm(model, grunfeld, index=index),
        "random": ri.plm(model, grunfeld, index=index, model="random"),
        "lmer": ri.lmer("Reaction ~ Days + (Days | Subject)", sleep),
    }


@pytest.mark.parametrize("kind", ["lm", "within", "random", "lmer"])
def test_confint_and_predict_are_the_fit_s_own(fits: dict[str, Any], kind: str) -> None:
    fit = fits[kind]
    pd.testing.assert_frame_equal(ri.confint(fit, 0.9), fit.confint(0.9))
    assert (ri.confint(fit)["low"] == fit.conf_low).all()
    assert (ri.predict(fit) == fit.predict()).all(axis=None)


def test_options_of_predict_reach_the_fit(fits: dict[str, Any]) -> None:
    fixed = ri.predict(fits["lmer"], re_form="none")
    pd.testing.assert_series_equal(fixed, fits["lmer"].predict(re_form="none"))
    assert (fixed != ri.predict(fits["lmer"])).any()
    assert list(ri.predict(fits["lm"], interval="prediction")) == ["fit", "se", "low", "high"]


def test_fixed_and_random_effects_are_those_of_the_model(fits: dict[str, Any]) -> None:
    pd.testing.assert_series_equal(ri.fixef(fits["lmer"]), fits["lmer"].coef)
    assert len(ri.fixef(fits["within"], type="dfirst")) == 9
    assert len(ri.ranef(fits["random"])) == 10
    pd.testing.assert_frame_equal(ri.ranef(fits["lmer"])["Subject"], fits["lmer"].ranef["Subject"])


@pytest.mark.parametrize("function", [ri.fixef, ri.ranef])
def test_a_linear_model_has_neither(fits: dict[str, Any], function: Any) -> None:
    with pytest.raises(ri.DataError, match="of a plm or an lmer fit") as caught:
        function(fits["lm"])
    assert caught.value.kind == "bad-option"
