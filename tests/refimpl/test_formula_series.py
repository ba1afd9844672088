"""plm's functions of a panel in formulas: on a panel small enough to lag by hand, and only where there is an index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.cases import load_data
from refimpl import DataError, FormulaError, PanelFit, lm, lmer, plm
from refimpl.formula import (
    PANEL_FUNCTIONS,
    ModelFrame,
    PanelRows,
    model_frame,
    model_matrix,
    panel_functions,
    parse,
    time_numbers,
)
from refimpl.formula.grammar import FUNCTIONS
from refimpl.formula.values import Levels, Numeric
from refimpl.panel.index import panel_index
from refimpl.panel.transforms import functions_of

_ = np.nan

# b has no time 3, a stands unsorted, c has one row.
DATA = pd.DataFrame({
    "id": ["b", "b", "b", "b", "a", "a", "a", "c"],
    "t": [1, 2, 4, 5, 2, 1, 3, 2],
    "x": [1.0, 2, 4, 5, 12, 11, 13, 22],
    "n": [1, 2, 3, 4, 5, 6, 7, 8],
    "l": pd.array([True, False, None, True, True, False, True, False], dtype="boolean"),
    "f": pd.Categorical(["u", "v", "u", "w", "v", "u", "w", "u"]),
    "s": ["p", "q", "p", "r", "q", "p", "r", "p"],
})  # fmt: skip


def frame(text: str, data: pd.DataFrame = DATA) -> ModelFrame:
    """The frame of a one-sided formula, with the index of id and t."""
    functions = functions_of(panel_index(data, ("id", "t")))
    return model_frame(parse(f"~ {text}", PANEL_FUNCTIONS), data, functions=functions)


def values(text: str, data: pd.DataFrame = DATA) -> list[float]:
    """One variable at every row of the data, NaN where the row is dropped."""
    found = frame(text, data)
    (value,) = found.values
    assert isinstance(value, Numeric)
    assert value.values.ndim == 1
    out = np.full(len(data), np.nan)
    out[found.kept] = value.values
    return list(out)


# What plm 2.6-2 gives, in the order of DATA's rows.
BY_HAND = [
    ("lag(x)", [_, 1, _, 4, 11, _, 12, _]),
    ("lag(x, 2)", [_, _, 2, _, _, _, 11, _]),
    ("lag(x, -1)", [2, _, 5, _, 13, 12, _, _]),
    ("lag(x, 0)", [1, 2, 4, 5, 12, 11, 13, 22]),
    ("lag(k = 2, x)", [_, _, 2, _, _, _, 11, _]),
    ("lag(x, 1, shift = 'row')", [_, 1, _, 4, 11, _, 12, _]),
    ("lag(x, 1, 'r')", [_, 1, _, 4, 11, _, 12, _]),
    ("lag(x, 2, shift = 'row')", [_, _, _, _, _, _, 11, _]),
    ("lead(x)", [2, _, 5, _, 13, 12, _, _]),
    ("lead(x, 2)", [_, 4, _, _, _, 13, _, _]),
    ("lead(x, 2, 'row')", [_, _, _, _, _, 13, _, _]),
    ("diff(x)", [_, 1, _, 1, 1, _, 1, _]),
    ("diff(x, 2)", [_, _, 2, _, _, _, 2, _]),
    ("diff(x, 0)", [0, 0, 0, 0, 0, 0, 0, 0]),
    ("diff(l)", [_, -1, _, _, 1, _, 0, _]),
    ("lag(l)", [_, 1, _, _, 0, _, 1, _]),
    ("lag(n)", [_, 1, _, 3, 6, _, 5, _]),
    ("lag(lag(x))", [_, _, _, _, _, _, 11, _]),
    ("lag(x + n)", [_, 2, _, 7, 17, _, 17, _]),
    ("lag(-x)", [_, -1, _, -4, -11, _, -12, _]),
    ("lag(I(x^2))", [_, 1, _, 16, 121, _, 144, _]),
    ("lag(x > 3)", [_, 0, _, 1, 1, _, 1, _]),
    ("lag(f == 'u')", [_, 1, _, 1, 1, _, 0, _]),
    ("lag(ifelse(x > 3, x, 0))", [_, 0, _, 4, 11, _, 12, _]),
    ("I(lag(x) * 2 + n)", [_, 4, _, 12, 27, _, 31, _]),
    ("Between(x)", [3, 3, 3, 3, 12, 12, 12, 22]),
    ("Within(x)", [-2, -1, 1, 2, 0, -1, 1, 0]),
    ("Sum(x)", [12, 12, 12, 12, 36, 36, 36, 22]),
    ("Between(x, 'time')", [6, 12, 4, 5, 12, 6, 13, 12]),
    ("Within(x, effect = 'time')", [-5, -10, 0, 0, 0, 5, 0, 10]),
    ("Sum(x, 'time')", [12, 36, 4, 5, 36, 12, 13, 36]),
    ("Between(l)", [_, _, _, _, 2 / 3, 2 / 3, 2 / 3, 0]),
    ("Between(l, na.rm = TRUE)", [2 / 3, 2 / 3, _, 2 / 3, 2 / 3, 2 / 3, 2 / 3, 0]),
    ("Within(lag(x), na.rm = TRUE)", [_, -1.5, _, 1.5, -0.5, _, 0.5, _]),
    ("Sum(lag(x), na.rm = TRUE)", [_, 5, _, 5, 23, _, 23, _]),
    ("lag(Between(x))", [_, 3, _, 3, 12, _, 12, _]),
]


@pytest.mark.parametrize(("text", "wanted"), BY_HAND)
def test_one_variable_by_hand(text: str, wanted: list[float]) -> None:
    np.testing.assert_allclose(values(text), wanted, rtol=1e-15)


def test_several_lags_are_a_matrix_whose_columns_are_called_by_them() -> None:
    design = model_matrix(frame("lag(log(x), c(0, -1))"))
    assert design.names == ["(Intercept)", "lag(log(x), c(0, -1))0", "lag(log(x), c(0, -1))-1"]
    np.testing.assert_allclose(np.exp(design.X[:, 1:]), [[1, 2], [4, 5], [12, 13], [11, 12]])
    (value,) = frame("I(lead(x, 0:1)^2)").values
    assert isinstance(value, Numeric)
    np.testing.assert_allclose(value.values, [[1, 4], [16, 25], [144, 169], [121, 144]])
    assert model_matrix(frame("diff(x, 1:2)")).names == ["(Intercept)", "diff(x, 1:2)1", "diff(x, 1:2)2"]


def test_factors_and_strings_keep_their_levels() -> None:
    for name, wanted in (("f", ["u", "u", "u", "v"]), ("s", ["p", "p", "p", "q"])):
        (value,) = frame(f"lag({name})").values
        assert isinstance(value, Levels)
        assert [value.levels[code] for code in value.codes] == wanted


def test_the_order_of_the_rows_is_no_matter() -> None:
    shuffled = DATA.sample(frac=1, random_state=3)
    for text in ("lag(x, 1)", "lag(x, 1, 'row')", "diff(x, 2)", "Within(x)", "Within(x, 'twoways')"):
        back = pd.Series(values(text, shuffled), index=shuffled.index).loc[DATA.index]
        np.testing.assert_allclose(back, values(text), atol=1e-13)


def test_of_two_rows_in_a_cell_time_takes_the_first_and_row_the_one_before() -> None:
    twice = pd.DataFrame({"id": [1] * 6, "t": [1, 2, 2, 3, 3, 4], "x": [1.0, 2, 3, 4, 5, 6]})
    assert_rows(values("lag(x)", twice), [_, 1, 1, 2, 2, 4])
    assert_rows(values("lead(x)", twice), [2, 4, 4, 6, 6, _])
    assert_rows(values("diff(x)", twice), [_, 1, 2, 2, 3, 2])
    assert_rows(values("lag(x, 1, 'row')", twice), [_, 1, _, 3, _, 5])
    assert_rows(values("lag(x, 0)", twice), [1, 2, 3, 4, 5, 6])


def assert_rows(got: Sequence[float], wanted: Sequence[float]) -> None:
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(
    ("times", "by_time", "by_row"),
    [
        ([1, 3, 5, 1, 5], [_, _, _, _, _], [_, 1, 2, _, _]),
        ([0.5, 1.5, 2.0, 1.5, 2.0], [_, 1, _, _, _], [_, 1, 2, _, 4]),
        ([0.1, 1.1, 2.1, 0.1, 1.1], [_, _, 2, _, _], [_, 1, 2, _, 4]),  # 1.1 - 1 is not 0.1 in doubles, for plm either
        (["q1", "q2", "q4", "q1", "q3"], [_, 1, _, _, _], [_, 1, _, _, _]),  # places among all times
        (["2", "10", "11", "2", "11"], [_, _, 2, _, _], [3, _, 2, 5, _]),  # numbers, in the order of texts: 10, 11, 2
        (pd.Categorical([3, 2, 1, 3, 1], categories=[3, 2, 1]), [2, 3, _, _, _], [_, 1, 2, _, _]),
    ],
)
def test_times_are_numbers_where_all_are_and_else_places(
    times: Sequence[object], by_time: list[float], by_row: list[float]
) -> None:
    data = pd.DataFrame({"id": [1, 1, 1, 2, 2], "t": times, "x": [1.0, 2, 3, 4, 5]})
    assert_rows(values("lag(x)", data), by_time)
    assert_rows(values("lag(x, 1, 'row')", data), by_row)


def test_two_names_of_one_number_are_one_time() -> None:
    data = pd.DataFrame({"id": [1, 1, 1, 1, 2, 2], "t": ["1", "01", "2", "3", "1", "2"], "x": [1.0, 2, 3, 4, 5, 6]})
    assert_rows(values("lag(x)", data), [_, _, 2, 3, _, 5])
    assert_rows(values("lead(x)", data), [3, 3, 4, _, 6, _])


def test_nobody_lags_somebody_else() -> None:
    after = pd.DataFrame({"id": [1, 1, 2, 2], "t": [1, 2, 3, 4], "x": [1.0, 2, 3, 4]})
    for text, wanted in (("lag(x)", [_, 1, _, 3]), ("lead(x)", [2, _, 4, _])):
        assert_rows(values(text, after), wanted)
        assert_rows(values(text.replace(")", ", 1, 'row')"), after), wanted)


def test_a_row_without_index_has_no_neighbour_and_no_group() -> None:
    holed = DATA.assign(t=DATA["t"].astype(float).where(DATA["n"] != 1))
    assert_rows(values("lag(x)", holed), [_, _, _, 4, 11, _, 12, _])
    with pytest.raises(FormulaError, match="time index") as refused:
        frame("Within(x)", holed)
    assert refused.value.kind == "missing-index"


def test_an_empty_panel_has_empty_lags() -> None:
    rows = PanelRows(np.empty(0, np.intp), np.empty(0, np.intp), time_numbers([]), lambda x: x)
    assert len(rows.earlier(1.0, False)) == len(rows.earlier(1.0, True)) == 0
    assert set(panel_functions(rows)) == PANEL_FUNCTIONS


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lag(x, 1.5)", "whole"),
        ("lag(x, NA)", "whole"),
        ("lag(x, x / 7)", "whole"),
        ("lag(x, 'one')", "numeric"),
        ("lag(x, 1, 'month')", "time, row"),
        ("diff(x, -1)", "negative"),
        ("diff(x, k = 2)", "unused argument 'k'"),
        ("diff(f)", "not of a factor"),
        ("Between(s)", "not of strings"),
        ("Between(x, 'twoways')", "individual, time"),
        ("Within(x, 'group')", "twoways"),
        ("Within(x, 'individual', TRUE)", "na.rm"),
        ("Within(l, 'twoways')", "missing values"),
        ("lag()", "'x' is missing"),
        ("lag(f, 1:2)", "one lag at a time"),
        ("lag(lag(x, 1:2))", "several lags"),
        ("lag(as.numeric(x))", "no series"),
        ("lag(factor(x))", "no series"),
        ("lag(c(x))", "no series"),
        ("lag(5)", "no series"),
        ("lag(ifelse(is.na(l), 0, x))", "no series"),
        ("Between(as.numeric(x))", "no series"),
    ],
)
def test_what_plm_refuses_or_silently_leaves_unlagged_is_refused(text: str, says: str) -> None:
    with pytest.raises(FormulaError, match=says) as refused:
        frame(text)
    assert refused.value.kind == "r-error"


def test_too_many_lags_are_refused_before_they_are_made() -> None:
    with pytest.raises(FormulaError, match="more than 1000 lags") as refused:
        frame("lag(x, 1:1001)")
    assert refused.value.kind == "formula-too-large"


@pytest.mark.parametrize("name", sorted(PANEL_FUNCTIONS))
def test_without_an_index_they_stay_refused(name: str) -> None:
    assert name not in FUNCTIONS
    text = f"x ~ {name}(n)"
    for formula in (text, parse(text, PANEL_FUNCTIONS)):
        with pytest.raises(FormulaError, match=name) as refused:
            lm(formula, DATA)
        assert refused.value.kind == "formula-forbidden"
    with pytest.raises(FormulaError, match=name) as refused:
        lmer(f"{text} + (1 | id)", DATA)
    assert refused.value.kind == "formula-forbidden"


# -- in models --------------------------------------------------------------------------------------------------------


def by_columns(data: pd.DataFrame) -> pd.DataFrame:
    """Grunfeld's data with lags made by hand."""
    firms = data.groupby("firm")
    return data.assign(v1=firms["value"].shift(1), v2=firms["value"].shift(2), dc=firms["capital"].diff())


@pytest.mark.parametrize("model", ["within", "pooling", "fd", "between", "random"])
def test_a_model_of_lags_is_that_of_columns_made_by_hand(model: str) -> None:
    data = load_data("grunfeld")
    inside = grunfeld("inv ~ lag(value, 1:2) + diff(capital)", data, model)
    outside = grunfeld("inv ~ v1 + v2 + dc", by_columns(data), model)
    np.testing.assert_array_equal(inside.coef, outside.coef)
    np.testing.assert_array_equal(inside.vcov, outside.vcov)
    assert list(inside.residuals.index) == list(outside.residuals.index)
    assert inside.nobs == outside.nobs
    assert [name for name in inside.coef.index if name != "(Intercept)"] == [
        "lag(value, 1:2)1", "lag(value, 1:2)2", "diff(capital)",
    ]  # fmt: skip


def grunfeld(text: str, data: pd.DataFrame, model: str = "within") -> PanelFit:
    return plm(text, data, ("firm", "year"), model)  # type: ignore[arg-type]


def test_the_rows_that_a_missing_value_drops_are_still_there_to_be_lagged() -> None:
    data = load_data("grunfeld").copy()
    data.loc[data["year"] == 1940, "capital"] = np.nan
    fit = grunfeld("inv ~ lag(value) + capital", data)
    assert (fit.frame.n_dropped, fit.nobs) == (20, 180)


def test_predictions_lag_the_new_rows() -> None:
    data = load_data("grunfeld")
    fit = grunfeld("inv ~ lag(value) + capital", data)
    again = fit.predict(data.sample(frac=1, random_state=1)).sort_index(key=lambda labels: labels.astype(int))
    first = (data["year"] == data["year"].min()).to_numpy()
    assert np.isnan(again[first]).all()
    np.testing.assert_allclose(again[~first], fit.predict(), rtol=1e-12)
    with pytest.raises(FormulaError, match="index is not known"):
        fit.predict(data.drop(columns="year"))


def test_an_individual_alone_counts_its_times_for_the_lags() -> None:
    data = load_data("grunfeld")
    one = plm("inv ~ lag(value)", data, "firm")
    np.testing.assert_array_equal(one.coef, grunfeld("inv ~ lag(value)", data).coef)
    with pytest.raises(DataError, match="0 "):
        grunfeld("inv ~ lag(value, 20)", data)


# -- against the definitions, on any panel ----------------------------------------------------------------------------


@st.composite
def indexes(draw: st.DrawFn) -> PanelRows:
    """Rows in any order: gaps, rows twice in a cell, rows without individual or time, times with gaps of their own."""
    n = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    T = draw(st.integers(1, 8))
    when = np.sort(rng.choice(12, T, replace=False)).astype(float)
    ids, times = rng.integers(0, draw(st.integers(1, 5)), n), rng.integers(0, T, n)
    gone = rng.random((2, n)) < draw(st.sampled_from([0.0, 0.2]))
    return PanelRows(np.where(gone[0], -1, ids), np.where(gone[1], -1, times), when, lambda x: x)


@given(indexes(), st.integers(-3, 3))
def test_every_row_finds_the_one_before(rows: PanelRows, k: int) -> None:
    n = len(rows.ids)
    whole = [i for i in range(n) if rows.ids[i] >= 0 and rows.times[i] >= 0]
    in_order = sorted(whole, key=lambda i: (rows.ids[i], rows.times[i], i))
    by_time, by_row = np.full(n, -1), np.full(n, -1)
    for place, i in enumerate(in_order):
        then = rows.when[rows.times[i]] - k
        found = [j for j in whole if rows.ids[j] == rows.ids[i] and rows.when[rows.times[j]] == then]
        by_time[i] = min(found, default=-1)
        if 0 <= place - k < len(in_order):
            j = in_order[place - k]
            by_row[i] = j if rows.ids[j] == rows.ids[i] and rows.times[i] - rows.times[j] == k else -1
    if k == 0:
        by_time = by_row = np.arange(n)
    np.testing.assert_array_equal(rows.earlier(float(k), by_row=False), by_time)
    np.testing.assert_array_equal(rows.earlier(float(k), by_row=True), by_row)


def test_what_is_whole_stays_whole() -> None:
    kinds = {
        text: frame(text).values[0].kind for text in ("lag(n)", "lag(l)", "diff(n)", "diff(l)", "diff(x)", "Sum(n)")
    }
    assert kinds == {
        "lag(n)": "integer", "lag(l)": "logical", "diff(n)": "integer", "diff(l)": "integer", "diff(x)": "double",
        "Sum(n)": "integer",
    }  # fmt: skip
    assert frame("Within(n)").values[0].kind == "double"
