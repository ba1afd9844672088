"""Models written level by level: their equations, lmer's formula, and that fitting them is fitting that."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from refimpl import DataError, FormulaError, Hierarchy, hlm, lmer
from refimpl.formula import parse
from refimpl.formula.bars import split_bars

TWO = hlm(level1="y ~ x", level2={"group": "g", "(Intercept)": "z", "x": "z"})
THREE = hlm(
    level1="math ~ ses",
    level2={"group": "class:school", "(Intercept)": "size", "ses": "1"},
    level3={"group": "school", "(Intercept)": "sector", "size": "1", "ses": "sector"},
)
FOUR = hlm(
    level1="y ~ x",
    level2={"group": "a:b:c", "(Intercept)": "1"},
    level3={"group": "b:c", "(Intercept)": "u"},
    level4={"group": "c", "(Intercept)": "v", "x": "v"},
)


def test_two_levels_are_the_lectures_four_equations() -> None:
    assert TWO.equations().splitlines() == [
        "level 1: y_ij = beta_0j + beta_1j x_ij + u_ij",
        "level 2: beta_0j = gamma_00 + gamma_01 z_j + epsilon_0j",
        "level 2: beta_1j = gamma_10 + gamma_11 z_j + epsilon_1j",
        "combined: y_ij = gamma_00 + gamma_10 x_ij + gamma_01 z_j + gamma_11 x_ij z_j"
        " + epsilon_0j + epsilon_1j x_ij + u_ij",
    ]
    assert TWO.formula == "y ~ 1 + x + z + x:z + (1 + x | g)"


def test_latex_of_two_levels() -> None:
    assert TWO.latex().splitlines() == [
        r"\begin{align}",
        r"  y_{ij} &= \beta_{0j} + \beta_{1j}\, x_{ij} + u_{ij} \\",
        r"  \beta_{0j} &= \gamma_{00} + \gamma_{01}\, z_{j} + \epsilon_{0j} \\",
        r"  \beta_{1j} &= \gamma_{10} + \gamma_{11}\, z_{j} + \epsilon_{1j} \\",
        r"  y_{ij} &= \gamma_{00} + \gamma_{10}\, x_{ij} + \gamma_{01}\, z_{j} + \gamma_{11}\, x_{ij}\, z_{j}"
        r" + \epsilon_{0j} + \epsilon_{1j}\, x_{ij} + u_{ij}",
        r"\end{align}",
    ]


def test_three_levels_cross_all_of_them() -> None:
    assert THREE.formula == (
        "math ~ 1 + ses + size + sector + ses:sector + (1 + ses | class:school) + (1 + size + ses | school)"
    )
    assert THREE.equations().splitlines() == [
        "level 1: math_ijk = beta_0jk + beta_1jk ses_ijk + u_ijk",
        "level 2: beta_0jk = gamma_00k + gamma_01k size_jk + epsilon_0jk",
        "level 2: beta_1jk = gamma_10k + epsilon_1jk",
        "level 3: gamma_00k = delta_000 + delta_001 sector_k + nu_00k",
        "level 3: gamma_01k = delta_010 + nu_01k",
        "level 3: gamma_10k = delta_100 + delta_101 sector_k + nu_10k",
        "combined: math_ijk = delta_000 + delta_100 ses_ijk + delta_010 size_jk + delta_001 sector_k"
        " + delta_101 ses_ijk sector_k + epsilon_0jk + epsilon_1jk ses_ijk"
        " + nu_00k + nu_01k size_jk + nu_10k ses_ijk + u_ijk",
    ]


def test_four_levels_skip_those_that_model_nothing() -> None:
    assert FOUR.formula == "y ~ 1 + x + u + v + x:v + (1 | a:b:c) + (1 | b:c) + (1 + x | c)"
    assert FOUR.equations().splitlines() == [
        "level 1: y_ijkl = beta_0jkl + beta_1l x_ijkl + u_ijkl",
        "level 2: beta_0jkl = gamma_00kl + epsilon_0jkl",
        "level 3: gamma_00kl = delta_000l + delta_001 u_kl + nu_00kl",
        "level 4: delta_000l = zeta_0000 + zeta_0001 v_l + xi_000l",
        "level 4: beta_1l = zeta_10 + zeta_11 v_l + xi_1l",
        "combined: y_ijkl = zeta_0000 + zeta_10 x_ijkl + delta_001 u_kl + zeta_0001 v_l + zeta_11 x_ijkl v_l"
        " + epsilon_0jkl + nu_00kl + xi_000l + xi_1l x_ijkl + u_ijkl",
    ]


def test_coefficients_without_error_vary_by_their_predictors_alone() -> None:
    model = hlm(level1="y ~ x", level2={"group": "g", "(Intercept)": "1", "x": "z", "no_error": ["x"]})
    assert model.formula == "y ~ 1 + x + x:z + (1 | g)"
    assert "level 2: beta_1j = gamma_10 + gamma_11 z_j" in model.equations().splitlines()


def test_every_symbol_stands_for_one_coefficient() -> None:
    xs, zs = (" + ".join(f"{name}{k}" for k in range(1, 13)) for name in "xz")
    model = hlm(level1=f"y ~ {xs}", level2={"group": "g", "(Intercept)": zs, "x1": zs, "x11": zs})
    for upto in (0, 1):
        symbols = [model._symbols(upto)[name] for name in model.coefficients(upto)]
        assert len(set(symbols)) == len(symbols)


@pytest.mark.parametrize("model", [TWO, THREE, FOUR], ids=["two", "three", "four"])
def test_every_summand_of_the_equation_is_a_term_of_the_formula(model: Hierarchy) -> None:
    left, _, right = model.equations().splitlines()[-1].removeprefix("combined: ").partition(" = ")
    fixed, bars = split_bars(parse(model.formula))
    summands = right.split(" + ")
    assert len(summands) == len(model.fixed) + sum(len(columns.split(" + ")) for columns, _ in model.bars) + 1
    assert len(bars) == len(model.levels)
    assert left.startswith(model.response)
    assert str(fixed) == f"{model.response} ~ {' + '.join(model.fixed)}"


def test_fitting_the_levels_is_fitting_the_combined_formula() -> None:
    rng = np.random.default_rng(4)
    g, x = np.repeat(np.arange(30), 8), rng.normal(size=240)
    z, b = rng.normal(size=30), rng.normal(size=(30, 2))
    y = 1 + z[g] + (0.5 + 0.3 * z[g] + 0.4 * b[g, 1]) * x + b[g, 0] + rng.normal(size=240)
    data = pd.DataFrame({"y": y, "x": x, "z": z[g], "g": [f"g{j}" for j in g]})
    one, other = TWO.fit(data, REML=False), lmer("y ~ x * z + (x | g)", data, REML=False)
    assert one.criterion == pytest.approx(other.criterion, rel=1e-13)
    pd.testing.assert_series_equal(one.coef, other.coef, rtol=1e-10)
    pd.testing.assert_frame_equal(one.coef_by_group["g"], other.coef_by_group["g"], rtol=1e-10)
    assert TWO.fit(data, start=other.theta).REML


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ({"level1": "~ x", "level2": {"group": "g", "x": "z"}}, "level 1 needs a response"),
        ({"level1": "y ~ x", "level2": {"x": "z"}}, "level 2 needs its grouping factor"),
        ({"level1": "y ~ x", "level2": {"group": "g", "w": "z"}}, "level 2 models 'w'; the levels below have"),
        ({"level1": "y ~ x", "level2": {"group": "g"}}, "level 2 models no coefficient"),
        ({"level1": "y ~ x", "level2": {"group": "g", "x": "1", "no_error": ["w"]}}, "no coefficient: w"),
        ({"level1": "y ~ x", "level2": {"group": "g", "x": "1"}, "level4": {"group": "h"}}, "the second are level3"),
    ],
)  # fmt: skip
def test_a_hierarchy_with_a_hole_is_refused(levels: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message) as refusal:
        hlm(**levels)  # type: ignore[arg-type]
    assert refusal.value.kind == "bad-option"


def test_text_that_is_no_formula_is_refused() -> None:
    with pytest.raises(FormulaError):
        hlm(level1="y ~ x", level2={"group": "g", "x": "z +"})
