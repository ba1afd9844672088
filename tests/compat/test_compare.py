from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from compat.cases import Case, load_cases
from compat.cells import Cell, NotCells, cells, labelled
from compat.compare import (
    BAD,
    MEANING,
    Defect,
    Failure,
    Row,
    Verdict,
    compare,
    compare_quantity,
    digits,
    excuse,
)
from compat.tolerance import Held, Second
from tests.compat.fakes import Quantities, frozen_values

NAN = float("nan")


@pytest.fixture(scope="module")
def case() -> Case:
    return load_cases("lm-mtcars")[0]


def bad(rows: list[Row]) -> dict[str, Verdict]:
    return {str(row.cell): row.verdict for row in rows if row.verdict is not Verdict.MATCH}


def compare_changed(case: Case, change: Callable[[Quantities], None]) -> list[Row]:
    got = frozen_values(case)
    change(got)
    return compare(case, got, frozen_values(case))


# -- cells -----------------------------------------------------------------------------------------------------------


def test_cells_are_named_by_quantity_and_labels() -> None:
    found = cells({"sigma": 2.0, "coef": {"a": 1.0}, "vcov": {"a": {"b": 3.0}}})
    assert {str(cell): value for cell, value in found.items()} == {"sigma": 2.0, "coef[a]": 1.0, "vcov[a, b]": 3.0}


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1.0, "b": 2.0},
        {"a": np.float64(1), "b": 2},
        pd.Series([1.0, 2.0], index=["a", "b"]),
        pd.Series([1, 2], index=["a", "b"], dtype="Int64"),
    ],
)
def test_vectors_of_every_sort_are_the_same_cells(value: Any) -> None:
    assert labelled(value).as_dict() == {("a",): 1.0, ("b",): 2.0}


@pytest.mark.parametrize(
    "value",
    [
        {"r": {"c": 1.0, "d": 2.0}},
        pd.DataFrame([[1.0, 2.0]], index=["r"], columns=["c", "d"]),
        {"r": pd.Series([1.0, 2.0], index=["c", "d"])},
    ],
)
def test_matrices_of_every_sort_are_the_same_cells(value: Any) -> None:
    assert labelled(value).as_dict() == {("r", "c"): 1.0, ("r", "d"): 2.0}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.array([1.0, 2.0]), "without labels"),
        ([1.0], "without labels"),
        (pd.Series([1.0, 2.0], index=["a", "a"]), "occurs twice"),
        ({"a": 1.0, "b": {"c": 2.0}}, "one label and some have two"),
        ("one", "is no number"),
        (object(), "is no number"),
    ],
)
def test_what_has_no_cells_is_refused(value: Any, said: str) -> None:
    with pytest.raises(NotCells, match=said):
        labelled(value)


def test_labels_are_texts_whatever_the_index_holds() -> None:
    assert labelled(pd.Series([1.0, 2.0], index=[1, 2])).labels == (("1",), ("2",))


@pytest.mark.parametrize("verdict", [Verdict.STRUCTURE, Verdict.ERROR, Verdict.CANDIDATE_NOT_CONVERGED])
def test_a_defect_of_r_excuses_numbers_and_nothing_else(verdict: Verdict) -> None:
    defect = Defect("r-fake", "lm-*", ("coef",), "it is off")
    row = Row(Cell("coef", ("a",)), verdict)
    assert excuse([row], "r-fake", "lm-mtcars", [defect]) == [row]


def test_where_everything_is_allowed_anything_will_do() -> None:
    limits = Held(np.array([math.inf]), "nothing is known")
    rows = compare_quantity("coef", labelled({"a": NAN}), labelled({"a": 1.0}), limits)
    assert [row.verdict for row in rows] == [Verdict.MATCH]


def test_rows_and_columns_of_a_table_are_not_exchanged() -> None:
    table = pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], index=["a", "b"], columns=["c", "d"])
    assert labelled(table).as_dict() == {("a", "c"): 1.0, ("a", "d"): 2.0, ("b", "c"): 3.0, ("b", "d"): 4.0}


@pytest.mark.parametrize(("behind", "verdict"), [(True, Verdict.REFERENCE_NOT_CONVERGED), (False, Verdict.MATCH)])
def test_a_second_place_for_the_cells_is_where_it_was_shifted_to(behind: bool, verdict: Verdict) -> None:
    limits = Held(np.array([1e-9]), "near", second=Second(np.array([0.5]), np.array([1e-9]), "elsewhere", behind))
    for got, wanted in ((1.5, verdict), (0.5, Verdict.UNEXPLAINED), (1.0, Verdict.MATCH)):
        (row,) = compare_quantity("coef", labelled({"a": got}), labelled({"a": 1.0}), limits)
        assert row.verdict is wanted


def test_missing_cells_are_the_same_cells() -> None:
    assert labelled({"a": NAN, "b": 1.0}).equals(labelled({"a": NAN, "b": 1.0}))
    assert not labelled({"a": NAN, "b": 1.0}).equals(labelled({"b": 1.0, "a": NAN}))


# -- digits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("got", "expected", "shared"),
    [
        (1.0, 1.0, 16.0),
        (1.001, 1.0, 3.0),
        (0.001, 0.0, 3.0),
        (0.0, 0.0, 16.0),
        (2.0, 1.0, 0.0),
        (101.0, 1.0, -2.0),
        (-1.0, 1.0, -math.log10(2)),
        (NAN, NAN, 16.0),
        (math.inf, math.inf, 16.0),
        (1.0 + 2**-52, 1.0, -math.log10(2**-52)),
        (2e300, 1e300, 0.0),
        (1e-20, 0.0, 16.0),
    ],
)
def test_digits_are_the_logarithm_of_the_relative_difference(got: float, expected: float, shared: float) -> None:
    assert digits(np.array([got]), np.array([expected]))[0] == pytest.approx(shared, abs=1e-9)


@pytest.mark.parametrize(
    ("got", "expected"), [(NAN, 1.0), (1.0, NAN), (math.inf, 1.0), (1.0, math.inf), (NAN, math.inf)]
)
def test_digits_of_what_is_not_finite_are_not_a_number(got: float, expected: float) -> None:
    assert math.isnan(digits(np.array([got]), np.array([expected]))[0])


# -- one verdict for every cell --------------------------------------------------------------------------------------


def test_the_same_numbers_match_in_every_cell(case: Case) -> None:
    rows = compare_changed(case, lambda got: None)
    assert bad(rows) == {}
    assert {row.cell for row in rows} == set(cells(frozen_values(case)))


def test_every_wrong_cell_is_named_and_no_other(case: Case) -> None:
    def change(got: Quantities) -> None:
        got["coef"]["wt"] *= 1 + 1e-9
        got["sigma"] *= 1 - 1e-9
        got["vcov"]["wt"]["hp"] *= 1.1

    wrong = bad(compare_changed(case, change))
    assert wrong == dict.fromkeys(["coef[wt]", "sigma", "vcov[wt, hp]"], Verdict.UNEXPLAINED)


def test_a_missing_label_and_one_too_many_are_structure(case: Case) -> None:
    def change(got: Quantities) -> None:
        got["coef"]["weight"] = got["coef"].pop("wt")

    rows = compare_changed(case, change)
    assert bad(rows) == {"coef[wt]": Verdict.STRUCTURE, "coef[weight]": Verdict.STRUCTURE}
    assert {row.reason for row in rows if row.bad} == {"this label is missing", "R has no such label here"}


def test_another_order_is_structure_and_says_where(case: Case) -> None:
    def change(got: Quantities) -> None:
        got["coef"] = dict(reversed(got["coef"].items()))

    (row,) = [row for row in compare_changed(case, change) if row.bad]
    assert (str(row.cell), row.verdict) == ("coef", Verdict.STRUCTURE)
    assert "at place 1" in row.reason
    assert "(Intercept)" in row.reason


def test_swapped_names_are_unexplained_in_both_cells(case: Case) -> None:
    def change(got: Quantities) -> None:
        got["coef"]["wt"], got["coef"]["hp"] = got["coef"]["hp"], got["coef"]["wt"]

    assert bad(compare_changed(case, change)) == dict.fromkeys(["coef[wt]", "coef[hp]"], Verdict.UNEXPLAINED)


def test_a_missing_quantity_is_not_provided_and_the_others_are_compared(case: Case) -> None:
    rows = compare_changed(case, lambda got: got.pop("std_error") and None)
    assert bad(rows) == {"std_error": Verdict.NOT_PROVIDED}
    assert sum(row.verdict is Verdict.MATCH for row in rows) > 100


def test_a_quantity_that_is_none_is_not_provided(case: Case) -> None:
    assert bad(compare_changed(case, lambda got: got.update(sigma=None))) == {"sigma": Verdict.NOT_PROVIDED}


def test_a_quantity_that_r_does_not_give_is_ignored(case: Case) -> None:
    assert bad(compare_changed(case, lambda got: got.update(g_index=1.0, own_invention={"a": 1.0}))) == {}


def test_values_without_labels_are_structure(case: Case) -> None:
    rows = compare_changed(case, lambda got: got.update(coef=np.array([1.0, 2.0, 3.0])))
    assert bad(rows) == {"coef": Verdict.STRUCTURE}


def test_a_vector_for_a_number_is_structure(case: Case) -> None:
    rows = compare_changed(case, lambda got: got.update(sigma={"sigma": 1.0}))
    assert bad(rows) == {"sigma": Verdict.STRUCTURE}
    assert "expected a single number, got one label a cell" in {row.reason for row in rows}


def test_missing_numbers_are_alike_and_differ_from_any_number() -> None:
    case = load_cases("lm-aliased-last")[0]
    aliased = [name for name, value in frozen_values(case)["coef"].items() if math.isnan(value)]
    assert len(aliased) == 1
    assert bad(compare_changed(case, lambda got: None)) == {}

    def number_for_na(got: Quantities) -> None:
        got["coef"][aliased[0]] = 0.0

    def na_for_number(got: Quantities) -> None:
        got["coef"]["(Intercept)"] = NAN

    rows = compare_changed(case, number_for_na)
    assert bad(rows) == {f"coef[{aliased[0]}]": Verdict.UNEXPLAINED}
    assert "R has NA, this is a number" in {row.reason for row in rows}
    rows = compare_changed(case, na_for_number)
    assert bad(rows) == {"coef[(Intercept)]": Verdict.UNEXPLAINED}
    assert "R has a number, this is missing" in {row.reason for row in rows}


@pytest.mark.parametrize("wrong", [math.inf, -math.inf, 1e308, -1.0])
def test_a_p_value_beyond_its_range_is_unexplained(case: Case, wrong: float) -> None:
    def change(got: Quantities) -> None:
        got["p_value"]["wt"] = wrong

    assert bad(compare_changed(case, change)) == {"p_value[wt]": Verdict.UNEXPLAINED}


def test_a_bad_row_tells_got_expected_digits_and_tolerance(case: Case) -> None:
    def change(got: Quantities) -> None:
        got["sigma"] *= 1 + 1e-6

    (row,) = [row for row in compare_changed(case, change) if row.bad]
    assert row.expected is not None
    assert row.got == pytest.approx(row.expected * (1 + 1e-6), rel=1e-15)
    assert row.digits == pytest.approx(6.0, abs=1e-3)
    assert row.tolerance is not None
    assert 0 < row.tolerance < 1e-9
    assert "residuals' length" in row.reason


# -- errors as answers -----------------------------------------------------------------------------------------------


REFUSAL = Failure("unknown-column", "object 'q' not found")


@pytest.mark.parametrize(
    ("got", "expected", "verdict"),
    [
        (REFUSAL, REFUSAL, Verdict.MATCH),
        (Failure("unknown-column", "other words"), REFUSAL, Verdict.MATCH),
        (Failure("no-rows", "none left"), REFUSAL, Verdict.UNEXPLAINED),
        ({"sigma": 1.0}, REFUSAL, Verdict.UNEXPLAINED),
        (REFUSAL, {"sigma": 1.0}, Verdict.ERROR),
        (Failure("crash", "died"), {"sigma": 1.0}, Verdict.ERROR),
        (Failure("not-converged", "no"), {"sigma": 1.0}, Verdict.CANDIDATE_NOT_CONVERGED),
    ],
)
def test_errors_are_answers(case: Case, got: Any, expected: Any, verdict: Verdict) -> None:
    (row,) = compare(case, got, expected)
    assert (str(row.cell), row.verdict) == ("error", verdict)


@pytest.mark.parametrize(("text", "verdict"), [(REFUSAL.message, Verdict.MATCH), ("other", Verdict.UNEXPLAINED)])
def test_messages_are_compared_where_r_has_to_repeat_itself(case: Case, text: str, verdict: Verdict) -> None:
    rows = compare(case, Failure("unknown-column", text), REFUSAL, messages=True)
    assert [(str(row.cell), row.verdict) for row in rows] == [("error", Verdict.MATCH), ("error[message]", verdict)]


# -- known defects ---------------------------------------------------------------------------------------------------


def test_a_known_defect_excuses_its_cells_only() -> None:
    rows = [
        Row(Cell("vcov", ("a", "a")), Verdict.UNEXPLAINED),
        Row(Cell("coef", ("a",)), Verdict.UNEXPLAINED),
        Row(Cell("vcov", ("a", "b")), Verdict.MATCH),
    ]
    defect = Defect("r-1", "vcov-hc-*", ("vcov",), "wrong before 2.0")
    verdicts = [row.verdict for row in excuse(rows, "r-1", "vcov-hc-fd", [defect])]
    assert verdicts == [Verdict.KNOWN_REFERENCE_DEFECT, Verdict.UNEXPLAINED, Verdict.MATCH]
    assert excuse(rows, "r-2", "vcov-hc-fd", [defect]) == rows
    assert excuse(rows, "r-1", "lm-fd", [defect]) == rows


def test_every_verdict_has_a_meaning_and_the_bad_ones_are_bad() -> None:
    assert set(MEANING) == set(Verdict)
    assert {v for v in Verdict if Row(Cell("x", ()), v).bad} == BAD


# -- certified values ------------------------------------------------------------------------------------------------


def certified_rows(case: Case, factor: float) -> dict[str, Row]:
    got, expected = {"coef": {"a": 1 + factor, "b": 2.0}}, {"coef": {"a": 1 + 1e-9, "b": 2.0}}
    rows = compare(case, got, expected, {"coef": {"a": "1.00000000000000", "b": "2.00000000000000"}})
    return {str(row.cell): row for row in rows}


def test_fewer_certified_digits_than_r_are_unexplained(case: Case) -> None:
    row = certified_rows(case, 3e-9)["coef[certified]"]
    assert row.verdict is Verdict.UNEXPLAINED
    assert row.reason == "8.5 certified digits at a, R has 9.0"


@pytest.mark.parametrize("factor", [1.9e-9, 1e-9, 1e-12, 0.0])
def test_as_many_certified_digits_as_r_match(case: Case, factor: float) -> None:
    assert certified_rows(case, factor)["coef[certified]"].verdict is Verdict.MATCH


def test_of_an_algebraic_quantity_being_near_the_truth_is_not_enough(case: Case) -> None:
    got, expected = {"coef": {"wt": 1 + 9e-13}}, {"coef": {"wt": 1.0}}
    rows = compare(case, got, expected, {"coef": {"wt": "1.00000000000000"}})
    assert [row.verdict for row in rows] == [Verdict.MATCH, Verdict.UNEXPLAINED]


def test_certified_values_under_other_names_are_taken_in_order(case: Case) -> None:
    expected = {"coef": {"(Intercept)": 1.0, "x": 2.0}}
    rows = compare(case, expected, expected, {"coef": {"B0": "1.0000", "B1": "2.0000"}})
    assert {str(row.cell): row.digits for row in rows}["coef[certified]"] == 16.0
