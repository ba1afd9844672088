"""Tolerances are held to what they claim: to bound what perturbing the data by rounding does to each quantity."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from compat.cases import Case, case_in_memory, load_cases
from compat.cells import labelled
from compat.compare import Verdict, compare
from compat.conditioning import EPS, Conditioning, Floats, of_arrays
from compat.conditioning_panel import of_panel_case
from compat.noise import ANOVA_RULES, RULES, Scene, rule_for
from compat.quantities import ESTIMATORS, QUANTITIES, Kind, kind_of, of_estimator
from compat.tolerance import FLOOR, accurate_enough, f_elasticity, held, printed, t_elasticity
from tests.compat.fakes import frozen_values

# -- problems and what their quantities are --------------------------------------------------------------------------


def problem(seed: int, kappa: float, noise: float) -> tuple[Floats, Floats]:
    """A design Q diag(d) Q' of condition `kappa`, columns of different size, and a response with that much noise."""
    rng = np.random.default_rng(seed)
    n, p = 40, 4
    Q = np.linalg.qr(rng.normal(size=(n, p)))[0]
    R = np.linalg.qr(rng.normal(size=(p, p)))[0]
    X = Q @ np.diag(np.geomspace(1, 1 / kappa, p)) @ R * 10.0 ** rng.integers(-3, 4, p)
    y = X @ rng.normal(size=p) + noise * np.linalg.norm(X) * rng.normal(size=n) / np.sqrt(n)
    return X, y


def quantities(X: Floats, y: Floats) -> dict[str, Floats]:
    """The quantities that the rules are about, by orthogonal decomposition of the scaled columns."""
    n, p = X.shape
    lengths = np.linalg.norm(X, axis=0)
    U, s, Vt = np.linalg.svd(X / lengths, full_matrices=False)
    coef = (Vt.T @ ((U.T @ y) / s)) / lengths
    half = (Vt.T / s) / lengths[:, None]
    inverse = half @ half.T
    r = y - X @ coef
    sigma = np.sqrt(r @ r / (n - p))
    se = sigma * np.sqrt(np.diag(inverse))
    scores = X * r[:, None]
    robust = inverse @ (scores.T @ scores) @ inverse
    return {
        "coef": coef,
        "fitted": X @ coef,
        "residuals": r,
        "sigma": np.array([sigma]),
        "deviance": np.array([r @ r]),
        "hatvalues": np.sum(U**2, axis=1),
        "vcov": (sigma**2 * inverse).ravel(),
        "std_error": se,
        "statistic": coef / se,
        "robust vcov": robust.ravel(),
        "robust std_error": np.sqrt(np.diag(robust)),
    }


def allowed(X: Floats, y: Floats) -> dict[str, Floats]:
    """What the rules allow in each of them, without the floor."""
    names = [f"x{i}" for i in range(X.shape[1])]
    data = pd.DataFrame(X, columns=names).assign(y=y)
    text = f"y ~ 0 + {' + '.join(names)}"
    found = quantities(X, y)
    out = {}
    for prefix, case in (
        ("", case_in_memory("lm", text, data)),
        ("robust ", case_in_memory("vcov_hc", text, data, type="HC0")),
    ):
        labels = dict.fromkeys(("coef", "std_error", "statistic"), names)
        expected = {
            name: dict(zip(labels[name], found[name], strict=True)) for name in ("coef", "std_error", "statistic")
        }
        matrix = found[f"{prefix}vcov"].reshape(len(names), -1)
        expected["vcov"] = {r: dict(zip(names, matrix[i], strict=True)) for i, r in enumerate(names)}  # type: ignore[misc]
        if prefix:
            expected["std_error"] = dict(zip(names, found["robust std_error"], strict=True))
        rows = data.index.map(str)
        vectors = {name: dict(zip(rows, found[name], strict=True)) for name in ("fitted", "residuals", "hatvalues")}
        every = {**expected, **vectors, "sigma": found["sigma"][0], "deviance": found["deviance"][0]}
        scene = Scene(case, {name: labelled(value) for name, value in every.items()})
        profile = scene.conditioning
        assert profile is not None
        for name, cells in scene.expected.items():
            if prefix + name in found:
                out[prefix + name] = RULES[name].rule(scene, profile, cells)
    return out


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kappa", [1.0, 1e2, 1e4])
@pytest.mark.parametrize("noise", [1e-3, 1.0])
def test_what_perturbed_data_does_is_allowed(seed: int, kappa: float, noise: float) -> None:
    X, y = problem(seed, kappa, noise)
    unit = of_arrays(X, y).unit
    size = 1e-11  # far above rounding, far below where second-order terms count
    rng = np.random.default_rng(1000 + seed)
    dX = rng.normal(size=X.shape)
    dX *= size * np.linalg.norm(X, axis=0) / np.linalg.norm(dX, axis=0)
    dy = rng.normal(size=y.size)
    dy *= size * np.linalg.norm(y) / np.linalg.norm(dy)
    before, after, limit = quantities(X, y), quantities(X + dX, y + dy), allowed(X, y)
    assert set(limit) == set(before)
    for name, values in before.items():
        moved = np.abs(after[name] - values)
        assert np.all(moved <= limit[name] * (size / unit) * 1.01), name


@pytest.mark.parametrize("kappa", [1.0, 1e2, 1e4])
def test_what_is_allowed_is_not_much_more_than_what_can_happen(kappa: float) -> None:
    """A bound that allows everything bounds too: some perturbations of the size `unit` come near it."""
    X, y = problem(3, kappa, 1.0)
    unit = of_arrays(X, y).unit
    before, limit = quantities(X, y), allowed(X, y)["coef"]
    inverse = of_arrays(X, y).inverse
    r, lengths = before["residuals"], np.linalg.norm(X, axis=0)
    for j in range(X.shape[1]):
        along_y = X @ inverse[j]  # dy in the direction of row j of X^+
        dy = unit * np.linalg.norm(y) * along_y / np.linalg.norm(along_y)
        dX = unit * np.outer(r / np.linalg.norm(r), np.sign(inverse[j]) * lengths)  # what turns all of r into b_j
        moved = abs(inverse[j] @ X.T @ dy) + abs(inverse[j] @ dX.T @ r)
        assert moved <= limit[j] * 1.001
        assert limit[j] < 20 * moved


# -- scales ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [1e-8, 3.0, 1e8])
def test_tolerance_of_a_coefficient_follows_the_units(a: float) -> None:
    X, y = problem(5, 10.0, 0.1)
    base = allowed(X, y)["coef"]
    np.testing.assert_allclose(allowed(X, a * y)["coef"], a * base, rtol=1e-6)
    np.testing.assert_allclose(allowed(X * np.array([a, 1, 1, 1]), y)["coef"], base / np.array([a, 1, 1, 1]), rtol=1e-6)


def test_a_coefficient_that_is_zero_is_held_to_the_noise_of_the_data() -> None:
    x = np.arange(1.0, 21.0)
    data = pd.DataFrame({"x": x, "y": 3 * x})
    case = case_in_memory("lm", "y ~ x", data)
    scene = Scene(case, {"coef": labelled({"(Intercept)": 0.0, "x": 3.0})})
    limit = held(scene, "coef", scene.expected["coef"]).allowed
    noise = EPS * np.linalg.norm(data["y"]) / np.sqrt(20)
    assert noise < limit[0] < 1e4 * noise


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_in_a_perfect_fit_sigma_is_noise_and_no_more(size: float) -> None:
    x = np.arange(1.0, 21.0)
    data = pd.DataFrame({"x": x, "y": size * (2 + 3 * x)})
    case = case_in_memory("lm", "y ~ x", data)
    expected = {"sigma": size * 1e-15, "coef": {"(Intercept)": 2 * size, "x": 3 * size}, "deviance": 0.0}

    def verdict(sigma: float) -> Verdict:
        return {str(r.cell): r.verdict for r in compare(case, {**expected, "sigma": sigma}, expected)}["sigma"]

    assert verdict(0.0) is Verdict.MATCH
    assert verdict(size * 1e-14) is Verdict.MATCH
    assert verdict(size * 1e-9) is Verdict.UNEXPLAINED


# -- kinds -----------------------------------------------------------------------------------------------------------


def limit_of(case: Case, name: str) -> Floats:
    scene = Scene(case, {key: labelled(value) for key, value in frozen_values(case).items()})
    return held(scene, name, scene.expected[name]).allowed


@pytest.fixture(scope="module")
def cars() -> Case:
    return load_cases("lm-mtcars")[0]


@pytest.mark.parametrize("name", [name for name in of_estimator("lm") if QUANTITIES[name].kind is Kind.EXACT])
def test_counts_are_held_to_equality(cars: Case, name: str) -> None:
    values = frozen_values(cars)
    if name in values:
        assert np.all(limit_of(cars, name) == 0)


@pytest.mark.parametrize("name", [name for name in of_estimator("lm") if QUANTITIES[name].kind is Kind.ALGEBRAIC])
def test_where_the_data_are_tame_everything_is_held_to_ten_digits(cars: Case, name: str) -> None:
    values = frozen_values(cars)
    half = (labelled(values["conf_high"]).values - labelled(values["conf_low"]).values) / 2
    if name in values:
        cells = labelled(values[name]).values
        scale = np.abs(cells) + {"conf_low": half, "conf_high": half}.get(name, 0)
        if name in ("fitted", "residuals", "residual_quantiles", "vcov"):
            scale = np.full(cells.size, np.max(np.abs(cells)))
        assert np.all(limit_of(cars, name) <= 1e-10 * scale)
        assert np.all(limit_of(cars, name) >= FLOOR * np.abs(cells))


def test_every_algebraic_quantity_has_a_rule_with_a_reason() -> None:
    """Without a rule a quantity is held to R's floor, which only a count of rounding errors can justify.

    The objective of a mixed model at a given theta is: a sum of logarithms, of which lme4 itself repeats 12 digits.
    """
    without = {
        (estimator, name)
        for estimator in ESTIMATORS
        for name in of_estimator(estimator)
        if kind_of(name, estimator) is Kind.ALGEBRAIC and rule_for(name, estimator) is None
    }
    assert without == {("lmer", "objective_at")}
    assert all(len(entry.reason) > 10 for entry in (*RULES.values(), *ANOVA_RULES.values()))


def test_without_a_model_matrix_only_the_floor_is_allowed_and_the_reason_says_so() -> None:
    case = case_in_memory("lm", "y ~ q", pd.DataFrame({"y": [1.0, 2.0]}))
    scene = Scene(case, {"coef": labelled({"q": 2.0})})
    found = held(scene, "coef", scene.expected["coef"])
    assert found.allowed.tolist() == [2 * FLOOR]
    assert "no model matrix" in found.reason
    assert "q" in found.reason


def test_aliased_columns_are_left_out_of_the_conditioning() -> None:
    X, y = problem(1, 10.0, 0.1)
    twice = np.column_stack([X, X[:, 0] + X[:, 1]])
    one, two = of_arrays(X, y), of_arrays(twice, y)
    assert two.kept.tolist() == [True, True, True, True, False]
    assert two.kappa == pytest.approx(one.kappa)


@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_conditioning_does_not_see_the_size_of_columns(factor: float) -> None:
    X, y = problem(2, 100.0, 0.1)
    scaled = X * np.array([factor, 1, 1, 1])
    assert of_arrays(scaled, y).kappa == pytest.approx(of_arrays(X, y).kappa, rel=1e-6)


def test_rows_of_weight_zero_do_not_count() -> None:
    X, y = problem(4, 10.0, 0.1)
    weights = np.ones(y.size)
    weights[:5] = 0
    with_zeros, without = of_arrays(X, y, weights), of_arrays(X[5:], y[5:])
    assert (with_zeros.n, with_zeros.df) == (without.n, without.df)
    assert with_zeros.kappa == pytest.approx(without.kappa)
    assert with_zeros.residual == pytest.approx(without.residual)


def test_groups_of_rows_have_more_leverage_than_their_rows() -> None:
    X, y = problem(6, 1.0, 0.1)
    profile: Conditioning = of_arrays(X, y)
    groups = [np.arange(0, 20), np.arange(20, 40)]
    assert profile.leverage() < profile.leverage(groups) < 1


# -- tails -----------------------------------------------------------------------------------------------------------


def steepest(log_tail: Callable[[Floats], Floats], at: Floats) -> Floats:
    step = 1e-4 * np.maximum(at, 1e-3)
    return np.abs(log_tail(at + step) - log_tail(at - step)) / (2 * step)


@pytest.mark.parametrize("df", [1.0, 2.0, 5.0, 30.0, 1e4, np.inf])
def test_the_elasticity_of_t_bounds_its_tail(df: float) -> None:
    t = np.geomspace(1e-3, 30, 200)
    tail = stats.norm.logsf if np.isinf(df) else stats.t(df).logsf
    bound = t_elasticity(t, df)
    assert np.all(steepest(tail, t) <= bound * (1 + 1e-4))
    assert np.all(bound <= 1 + 2.5 * np.maximum(steepest(tail, t), 0.4))


@pytest.mark.parametrize("df1", [1.0, 2.0, 3.0, 20.0])
@pytest.mark.parametrize("df2", [1.0, 4.0, 100.0])
def test_the_elasticity_of_f_bounds_its_tail(df1: float, df2: float) -> None:
    value = np.geomspace(1e-3, 1e4, 200)
    slope = steepest(stats.f(df1, df2).logsf, value) * value
    bound = f_elasticity(value, np.array(df1), np.array(df2))
    assert np.all(slope <= bound * (1 + 1e-3) + 1e-6)


@pytest.mark.parametrize("df", [1.0, 2.0, 9.0])
def test_the_elasticity_of_f_bounds_chi_squared(df: float) -> None:
    value = np.geomspace(1e-3, 200, 200)
    slope = steepest(stats.chi2(df).logsf, value) * value
    assert np.all(slope <= f_elasticity(value / df, np.array(df), np.array(np.inf)) * (1 + 1e-3) + 1e-6)


def tail_verdict(got: float, expected: float) -> Verdict:
    x = np.arange(20.0)
    case = case_in_memory("lm", "y ~ x", pd.DataFrame({"x": x, "y": x + np.sin(x)}))
    (row,) = compare(case, {"p_value": {"x": got}}, {"p_value": {"x": expected}})
    return row.verdict


@pytest.mark.parametrize(
    ("got", "expected", "verdict"),
    [
        (1e-200 * (1 + 1e-13), 1e-200, Verdict.MATCH),
        (1e-200 * (1 + 1e-9), 1e-200, Verdict.UNEXPLAINED),
        (0.0, 1e-200, Verdict.UNEXPLAINED),
        (0.0, 1e-310, Verdict.MATCH),
        (5e-324, 0.0, Verdict.MATCH),
        (1e-200, 0.0, Verdict.UNEXPLAINED),
        (1.0, 1.0, Verdict.MATCH),
        (-0.5, 0.5, Verdict.UNEXPLAINED),
        (1 + 1e-9, 1.0, Verdict.UNEXPLAINED),
    ],
)
def test_tail_probabilities_are_compared_on_the_log_scale(got: float, expected: float, verdict: Verdict) -> None:
    assert tail_verdict(got, expected) is verdict


def test_a_p_value_is_allowed_what_its_statistic_is(cars: Case) -> None:
    values = frozen_values(cars)
    scene = Scene(cars, {key: labelled(value) for key, value in values.items()})
    t = held(scene, "statistic", scene.expected["statistic"])
    p = held(scene, "p_value", scene.expected["p_value"])
    assert p.on_log
    df = values["df_residual"]
    for label, statistic, move, room in zip(
        values["statistic"], values["statistic"].values(), t.allowed, p.allowed, strict=True
    ):
        moved = 2 * stats.t.sf(abs(statistic) + move, df)
        assert abs(np.log(moved) - np.log(values["p_value"][label])) <= room


# -- printed and certified -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "half"),
    [("0.155", "0.0005"), ("-12", "0.5"), ("1e3", "500"), ("2.50", "0.005"), ("-0.358191792925910e-01", "5e-17")],
)
def test_a_printed_number_hides_half_a_unit_of_its_last_digit(text: str, half: str) -> None:
    assert printed(text) == Decimal(half)


def test_what_is_not_finite_has_no_last_digit() -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        printed("NaN")


@pytest.mark.parametrize(
    ("digits", "digits_of_r", "enough"),
    [(9.0, 9.0, True), (8.8, 9.0, True), (8.6, 9.0, False), (12.8, 15.0, True), (12.6, 15.0, False), (16.0, 5.0, True)],
)
def test_as_many_certified_digits_as_r_up_to_thirteen(digits: float, digits_of_r: float, enough: bool) -> None:
    assert accurate_enough(digits, digits_of_r) is enough


def test_a_dependent_column_does_not_make_a_panel_case_endlessly_loose() -> None:
    (dependent,) = load_cases("plm-awkward-random-time-dependent")
    whole = case_in_memory("plm", "y ~ x + z + year", dependent.data, **dependent.options)
    one, other = (of_panel_case(case, "within").conditioning for case in (dependent, whole))
    assert one.kappa == pytest.approx(other.kappa)
    assert one.kappa < 1e3
