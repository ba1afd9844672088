"""The design matrix: columns, names, rows and errors on small data whose answers can be read off."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from refimpl.errors import RefimplError
from refimpl.formula import model_frame, model_matrix, parse


@pytest.fixture
def data() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "y": [0.5, 1.5, -1.0, 2.0, 0.0, 3.0],
            "x": [1.0, 2.0, np.nan, 4.0, 5.0, 6.0],
            "z": [1.0, 1.0, 2.0, 2.0, 3.0, 3.0],
            "a": pd.Categorical(list("vuwvuw"), categories=["v", "u", "w", "unused"]),
            "lg": [True, False, True, True, False, False],
            "ch": list("BaBaBa"),
            "one": ["k"] * 6,
            "inf": [1.0, 2.0, 3.0, 4.0, 5.0, np.inf],
            "my col": [1, 2, 3, 4, 5, 6],
        },
        index=list("pqrstu"),
    )


def matrix(text, data, **options):
    return model_matrix(model_frame(parse(text), data), **options)


def test_frame_drops_incomplete_rows_and_names_them(data):
    frame = model_frame(parse("y ~ a - x"), data, extra={"(weights)": [1, 1, 1, 1, np.nan, 1]}, keep=["one"])
    assert (frame.n, frame.n_dropped, frame.dropped) == (4, 2, ["r", "t"])
    assert list(frame.row_labels) == ["p", "q", "s", "u"]
    np.testing.assert_array_equal(frame.kept, [True, True, False, True, False, True])
    np.testing.assert_array_equal(frame.response, [0.5, 1.5, 2.0, 3.0])
    np.testing.assert_array_equal(frame.extra["(weights)"], [1.0, 1.0, 1.0, 1.0])
    assert list(frame.extra["one"]) == ["k"] * 4


def test_factor_times_number(data):
    mm = matrix("y ~ a * z + offset(z)", data)
    assert mm.names == ["(Intercept)", "au", "aw", "z", "au:z", "aw:z"]
    assert list(mm.assign) == [0, 1, 1, 2, 3, 3]
    assert mm.parts == [
        (),
        (("a", "u"),),
        (("a", "w"),),
        (("z", None),),
        (("a", "u"), ("z", None)),
        (("a", "w"), ("z", None)),
    ]
    u, w, z = np.array([0, 1, 0, 0, 1, 0]), np.array([0, 0, 1, 0, 0, 1]), data["z"].to_numpy()
    np.testing.assert_array_equal(mm.X, np.column_stack([np.ones(6), u, w, z, u * z, w * z]))
    np.testing.assert_array_equal(mm.offset, z)
    assert mm.X.flags.f_contiguous


def test_new_data_gives_the_same_columns(data):
    mm = matrix("y ~ a * z + lg + offset(z)", data)
    new = mm.for_newdata({"a": ["w", "v", None], "z": [10.0, 20.0, 30.0], "lg": [True, False, True]})
    assert new.names == mm.names
    expected = [[1, 0, 1, 10, 1, 0, 10], [1, 0, 0, 20, 0, 0, 0], [1, np.nan, np.nan, 30, 1, np.nan, np.nan]]
    np.testing.assert_array_equal(new.X, expected)
    np.testing.assert_array_equal(new.offset, [10.0, 20.0, 30.0])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("y ~ q", "unknown-column"),
        ("y ~ one", "one-level-factor"),
        ("y ~ x - one", "one-level-factor"),
        ("y ~ inf", "infinite-values"),
        ("y ~ x +", "formula-syntax"),
        ("y ~ system('ls')", "formula-forbidden"),
        ("y ~ log(x - x - 1) ", "no-rows"),
    ],
)
def test_matrix_refuses(data, text, kind):
    with pytest.raises(RefimplError) as caught:
        matrix(text, data)
    assert caught.value.kind == kind


@pytest.mark.parametrize(("text", "kind"), [("ch ~ x", "non-numeric-response"), ("inf ~ z", "infinite-values")])
def test_response_refuses(data, text, kind):
    frame = model_frame(parse(text), data)
    with pytest.raises(RefimplError) as caught:
        _ = frame.response
    assert caught.value.kind == kind


def test_unseen_level_is_named(data):
    with pytest.raises(RefimplError, match="new levels: zz") as caught:
        matrix("y ~ ch", data).for_newdata({"ch": ["a", "zz"]})
    assert caught.value.kind == "unseen-level"
