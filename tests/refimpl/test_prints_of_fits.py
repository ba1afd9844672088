"""str() of a fit is R's print of it, its repr a line. The texts are R 4.2.2's and plm 2.6-2's own."""

from __future__ import annotations

import pandas as pd
import pytest

import refimpl as ri
from compat.data import load_data

LM = """
Call:
lm(formula = mpg ~ wt + w2 + factor(carb) * hp, data = data)

Coefficients:
     (Intercept)                wt                w2     factor(carb)2  \n\
         49.5481           -2.8891                NA          -12.0894  \n\
   factor(carb)3     factor(carb)4     factor(carb)6     factor(carb)8  \n\
         13.5091          -18.0625           12.7710           42.0315  \n\
              hp  factor(carb)2:hp  factor(carb)3:hp  factor(carb)4:hp  \n\
         -0.1978            0.1399                NA            0.1741  \n\
factor(carb)6:hp  factor(carb)8:hp  \n\
              NA                NA  \n"""
EMPTY = """
Call:
lm(formula = mpg ~ 0, data = data)

No coefficients
"""
WITHIN = """
Model Formula: inv ~ value + capital

Coefficients:
  value capital \n\
0.11012 0.31007 \n"""
POOLING = """
Model Formula: log(inv) ~ value + capital + I(value^2) + I(capital^2) + I(value * \n\
    capital)

Coefficients:
       (Intercept)              value            capital         I(value^2) \n\
        2.3513e+00         1.5417e-03         2.8633e-03        -1.6536e-07 \n\
      I(capital^2) I(value * capital) \n\
       -1.4713e-07        -3.8244e-07 \n"""


@pytest.fixture
def cars() -> pd.DataFrame:
    data = load_data("mtcars")
    return data.assign(w2=2 * data["wt"])


@pytest.mark.parametrize(("formula", "text"), [("mpg ~ wt + w2 + factor(carb) * hp", LM), ("mpg ~ 0", EMPTY)])
def test_print_of_a_linear_model_is_rs(cars: pd.DataFrame, formula: str, text: str) -> None:
    assert str(ri.lm(formula, cars)) == text


@pytest.mark.parametrize(
    ("formula", "model", "text"),
    [
        ("inv ~ value + capital", "within", WITHIN),
        ("log(inv) ~ value + capital + I(value^2) + I(capital^2) + I(value * capital)", "pooling", POOLING),
    ],
)
def test_print_of_a_panel_model_is_plms(formula: str, model: str, text: str) -> None:
    assert str(ri.plm(formula, load_data("grunfeld"), index=("firm", "year"), model=model)) == text


def test_rms_prints_a_fit_as_its_summary(cars: pd.DataFrame) -> None:
    fit = ri.ols("mpg ~ wt", cars)
    assert str(fit) == str(fit.summary())
    assert str(ri.robcov(fit)) == str(ri.robcov(fit).summary())


def test_repr_of_a_fit_is_one_line(cars: pd.DataFrame) -> None:
    firms, sleep = load_data("grunfeld"), load_data("sleepstudy")
    assert repr(ri.lm("mpg ~ wt", cars)) == "<lm: mpg ~ wt, 32 rows, 2 coefficients>"
    panel = ri.plm("inv ~ value", firms, index=("firm", "year"))
    assert repr(panel) == "<plm within (individual): inv ~ value, 200 rows, 1 coefficient>"
    mixed = ri.lmer("Reaction ~ Days + (Days | Subject)", sleep)
    assert repr(mixed) == "<lmer by REML: Reaction ~ Days + (Days | Subject), 180 rows, 1743.63 at the optimum>"
    assert "array" not in repr(ri.pdim(firms, ("firm", "year")))
    assert "Point" not in repr(mixed.optimum)


def test_the_table_of_anova_prints_itself(cars: pd.DataFrame) -> None:
    table = ri.anova(ri.lm("mpg ~ wt", cars), ri.lm("mpg ~ wt + hp", cars))
    assert repr(table).startswith("Analysis of Variance Table\n\nModel 1: mpg ~ wt\nModel 2: mpg ~ wt + hp\n")
    assert type(table.iloc[:, :2]) is pd.DataFrame


def test_anova_names_its_models() -> None:
    sleep = load_data("sleepstudy")
    fits = [ri.lmer(f"Reaction ~ Days + ({x} | Subject)", sleep) for x in ("Days", "1")]
    assert list(ri.anova(*fits, names=["slope", "level"]).index) == ["level", "slope"]
    with pytest.raises(ri.DataError, match="a name of its own"):
        ri.anova(*fits, names=["same", "same"])
