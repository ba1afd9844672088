"""The panel index: order, levels, dimensions, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from refimpl import DataError, pdim, plm
from refimpl.panel.index import panel_index

FRAME = pd.DataFrame({"id": ["b", "a", "b", "C"], "t": [10, 9, 9, 10], "x": [1.0, 2.0, 3.0, 4.0]})


def test_levels_are_numbers_in_order_and_strings_by_code_point() -> None:
    panel = panel_index(FRAME, ("id", "t"))
    assert panel.id.levels == ("C", "a", "b")
    assert panel.time.levels == ("9", "10")
    assert panel.order.tolist() == [3, 1, 2, 0]
    assert panel.take(panel.order).ordered


def test_a_factor_keeps_its_own_order_and_loses_unused_levels() -> None:
    data = FRAME.assign(id=pd.Categorical(FRAME["id"], categories=["z", "b", "a", "C"]))
    assert panel_index(data, ("id", "t")).id.levels == ("b", "a", "C")


def test_a_mapping_is_read_like_a_frame() -> None:
    columns = {name: FRAME[name].to_numpy() for name in FRAME}
    found, wanted = panel_index(columns, ("id", "t")), panel_index(FRAME, ("id", "t"))
    np.testing.assert_array_equal(found.cells, wanted.cells)


def test_times_are_counted_where_only_individuals_are_named() -> None:
    panel = panel_index(FRAME, "id")
    assert panel.time.codes.tolist() == [0, 0, 1, 0]
    assert panel.time.levels == ("1", "2")
    assert panel.time.name == "time"


def test_a_number_of_individuals_stacks_the_rows() -> None:
    panel = panel_index(FRAME, 2)
    assert panel.id.codes.tolist() == [0, 0, 1, 1]
    assert panel.time.codes.tolist() == [0, 1, 0, 1]
    assert panel.balanced


def test_without_an_index_the_first_two_columns_are_it() -> None:
    assert panel_index(FRAME).id.name == "id"
    assert panel_index(FRAME).time.name == "t"


@pytest.mark.parametrize(
    ("ids", "times", "balanced", "text"),
    [
        ([1, 1, 2, 2], [1, 2, 1, 2], True, "Balanced Panel: n = 2, T = 2, N = 4"),
        ([1, 1, 2, 2], [1, 2, 3, 4], False, "Unbalanced Panel: n = 2, T = 2-2, N = 4"),
        ([1, 1, 2, 2], [1, 1, 2, 2], False, "Unbalanced Panel: n = 2, T = 2-2, N = 4"),
        ([1, 1, 2], [1, 2, 1], False, "Unbalanced Panel: n = 2, T = 1-2, N = 3"),
        ([1, 1, 1, 2, 2], [1, 2, 2, 1, 2], True, "Balanced Panel: n = 2, T = 2, N = 5"),
        ([2, 1, 1, 1, 2], [2, 1, 2, 2, 2], False, "Unbalanced Panel: n = 2, T = 2-3, N = 5"),
    ],
)
def test_dimensions_read_as_plm_prints_them(ids: list[int], times: list[int], balanced: bool, text: str) -> None:
    found = pdim(pd.DataFrame({"id": ids, "t": times}))
    assert found.balanced is balanced
    assert str(found) == text
    assert found.periods.sum() == found.individuals.sum() == found.N == len(ids)


def test_duplicates_and_gaps_are_seen() -> None:
    twice = pd.DataFrame({"id": [1, 1, 2], "t": [1, 1, 1]})
    assert panel_index(twice).duplicated
    assert not panel_index(FRAME).duplicated
    gap = pd.DataFrame({"id": [1, 1, 2, 2, 3], "t": [1, 3, 1, 2, 9]})
    assert panel_index(gap).consecutive.to_dict() == {"1": False, "2": True, "3": True}


def test_duplicates_are_warned_of() -> None:
    data = pd.DataFrame({"id": [1, 1, 1, 2, 2], "t": [1, 1, 2, 1, 2], "x": [1.0, 2, 4, 3, 7], "y": [2.0, 3, 1, 5, 4]})
    with pytest.warns(UserWarning, match="duplicate couples"):
        fit = plm("y ~ x", data, ("id", "t"))
    assert fit.nobs == 5


def test_a_missing_index_is_refused_where_its_row_is_used() -> None:
    data = pd.DataFrame(
        {"id": [1.0, 1, 2, 2, np.nan], "t": [1, 2, 1, 2, 1], "x": [1.0, 2, 4, 3, 7], "y": [2.0, 3, 1, 5, 4]}
    )
    with pytest.raises(DataError) as refused:
        plm("y ~ x", data, ("id", "t"))
    assert refused.value.kind == "missing-index"
    assert plm("y ~ x", data.assign(y=data["y"].where(data["id"].notna())), ("id", "t")).nobs == 4


@pytest.mark.parametrize(
    ("index", "kind"),
    [
        (("id", "when"), "unknown-column"),
        (("who", "t"), "unknown-column"),
        (3, "bad-option"),
        (("id", "t", "x"), "bad-option"),
    ],
)
def test_a_wrong_index_is_refused(index: object, kind: str) -> None:
    with pytest.raises(DataError) as refused:
        panel_index(FRAME, index)  # type: ignore[arg-type]
    assert refused.value.kind == kind
