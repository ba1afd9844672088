from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from compat import data
from compat.cases import Case, CaseError, DataUnavailable, case_in_memory, case_schema, load_cases
from compat.data import doubles_sha256, file_sha256, load_data

CSV = "x,n,b,f,s\n0.1,1,TRUE,lo,ü\nNA,NA,NA,NA,NA\n.12353658,3,FALSE,hi,a\n1e-300,4,TRUE,lo,B\n"
COLUMNS: dict[str, Any] = {
    "x": {"type": "double"},
    "n": {"type": "integer"},
    "b": {"type": "logical"},
    "f": {"type": "factor", "levels": ["lo", "mid", "hi"]},
    "s": {"type": "character"},
}


def put_data(tree: Path, csv: str | None = CSV, name: str = "small", **changes: Any) -> Path:
    """Write a data set with the checksums that belong to it, unless `changes` say otherwise."""
    folder = tree / "data"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    path.write_text(csv or CSV, encoding="utf-8")
    spec: dict[str, Any] = {
        "name": name,
        "description": "four rows",
        "source": "made for this test",
        "licence": "none needed",
        "sha256": file_sha256(path),
        "sha256_doubles": "",
        "columns": COLUMNS,
    }
    parsed = data.read_file(path, data.msgspec.convert({**spec, **changes}, data.DataSpec))
    spec["sha256_doubles"] = doubles_sha256(parsed)
    if csv is None:
        path.unlink()
    (folder / f"{name}.json").write_text(json.dumps({**spec, **changes}), encoding="utf-8")
    return path


def put_case(tree: Path, folder: str = "lm", **changes: Any) -> Path:
    case = {"id": "lm-small", "estimator": "lm", "description": "a line", "data": "small", "formula": "x ~ n"} | changes
    path = tree / "cases" / folder / f"{case['id']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(case))
    return path


# -- cases -----------------------------------------------------------------------------------------------------------


def test_a_case_is_loaded_with_every_option_that_is_not_null(tmp_path: Path) -> None:
    put_case(tmp_path, options={"weights": "n", "newdata": {"n": [1, 2]}}, features=["weights"])
    (case,) = load_cases(root=tmp_path)
    assert (case.id, case.estimator, case.formula, case.data_name) == ("lm-small", "lm", "x ~ n", "small")
    assert case.options == {"weights": "n", "level": 0.95, "newdata": {"n": [1, 2]}}
    assert (case.features, case.expects_error, case.formulas) == (("weights",), None, ("x ~ n",))


def test_an_error_case_names_its_kind(tmp_path: Path) -> None:
    put_case(tmp_path, expects={"error": "unknown-column"})
    assert load_cases(root=tmp_path)[0].expects_error == "unknown-column"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"options": {"wieghts": "n"}}, "wieghts"),
        ({"options": {"level": 1.5}}, r"\$\.options\.level"),
        ({"estimator": "logit"}, "logit"),
        ({"expects": {"error": "bad-luck"}}, r"\$\.expects"),
        ({"id": "LM_small"}, r"\$\.id"),
        ({"description": ""}, r"\$\.description"),
        ({"expected": 1}, "expected"),
        ({"formula": None}, r"\$\.formula"),
        ({"estimator": "vcov_hc"}, "options"),
        ({"estimator": "vcov_cluster", "options": {"type": "CR0", "cluster": []}}, "cluster"),
    ],
)
def test_what_is_no_case_is_refused_with_the_place(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    put_case(tmp_path, **changes)
    with pytest.raises(CaseError, match=said):
        load_cases(root=tmp_path)


def test_a_case_belongs_into_the_folder_of_its_estimator(tmp_path: Path) -> None:
    put_case(tmp_path, folder="ols")
    with pytest.raises(CaseError, match=r"belongs at cases/lm/lm-small\.json"):
        load_cases(root=tmp_path)


def test_a_file_that_is_not_json_is_refused_with_its_path(tmp_path: Path) -> None:
    put_case(tmp_path).write_text("{")
    with pytest.raises(CaseError, match=r"lm-small\.json"):
        load_cases(root=tmp_path)


def test_globs_choose_cases(tmp_path: Path) -> None:
    for name in ("lm-a-one", "lm-a-two", "lm-b"):
        put_case(tmp_path, id=name)
    assert [case.id for case in load_cases("lm-a-*", tmp_path)] == ["lm-a-one", "lm-a-two"]
    assert [case.id for case in load_cases(["lm-b", "*-one"], tmp_path)] == ["lm-a-one", "lm-b"]
    assert load_cases("ols-*", tmp_path) == []


def test_the_digest_of_a_case_is_about_what_r_answers(tmp_path: Path) -> None:
    def digest(**changes: Any) -> str:
        data._load_once.cache_clear()
        from compat import cases

        cases._all_cases.cache_clear()
        put_case(tmp_path, **changes)
        return load_cases(root=tmp_path)[0].sha256

    base = digest()
    assert len(base) == 64
    assert digest(description="other words", features=["weights"]) == base
    assert digest(options={"level": 0.95}) == base
    others = [digest(formula="x ~ b"), digest(data="other"), digest(options={"level": 0.9})]
    assert len({base, *others}) == 4


def test_a_case_in_memory_is_validated_and_completed() -> None:
    frame = pd.DataFrame({"y": [1.0, 2.0], "g": ["a", "b"]}, index=[10, 20])
    case = case_in_memory("vcov_cluster", "y ~ 1", frame, type="CR0", cluster=["g"])
    assert case.options["definer"] == "clubSandwich"
    assert case.data.index.tolist() == ["10", "20"]
    assert frame.index.tolist() == [10, 20]
    with pytest.raises(CaseError, match="CR9"):
        case_in_memory("vcov_cluster", "y ~ 1", frame, type="CR9", cluster=["g"])


def test_a_case_with_other_data_is_the_same_case_otherwise() -> None:
    frame = pd.DataFrame({"y": [1.0, 2.0]})
    case = case_in_memory("lm", "y ~ 1", frame)
    other: Case = case.with_data(frame * 2, formula="y ~ 0")
    assert other.data["y"].tolist() == [2.0, 4.0]
    assert (other.formula, other.estimator, other.options) == ("y ~ 0", "lm", case.options)
    assert case.data["y"].tolist() == [1.0, 2.0]


def test_the_schema_knows_every_estimator() -> None:
    text = json.dumps(case_schema())
    for estimator in ("lm", "ols", "robcov", "vcov_hc", "vcov_cluster", "ml_sandwich", "anova"):
        assert f'"{estimator}"' in text
    assert '"additionalProperties": false' in text


# -- data ------------------------------------------------------------------------------------------------------------


def test_columns_have_the_types_of_their_spec(tmp_path: Path) -> None:
    put_data(tmp_path)
    frame = load_data("small", tmp_path)
    assert frame.index.tolist() == ["1", "2", "3", "4"]
    np.testing.assert_array_equal(frame["x"].to_numpy(), [0.1, np.nan, 0.12353658, 1e-300])
    assert {name: str(dtype) for name, dtype in frame.dtypes.items() if name != "f"} == {
        "x": "float64", "n": "Int64", "b": "boolean", "s": "str"
    }  # fmt: skip
    assert list(frame["f"].cat.categories) == ["lo", "mid", "hi"]
    assert not frame["f"].cat.ordered
    assert frame.loc["2"].isna().all()
    assert frame["s"].dropna().tolist() == ["ü", "a", "B"]


def test_columns_without_missing_values_are_plain(tmp_path: Path) -> None:
    columns = {"n": {"type": "integer"}, "b": {"type": "logical"}, "o": {"type": "ordered", "levels": ["1", "2"]}}
    put_data(tmp_path, csv="n,b,o\n1,TRUE,2\n2,FALSE,1\n", columns=columns)
    frame = load_data("small", tmp_path)
    assert (frame["n"].dtype, frame["b"].dtype) == (np.int64, np.bool_)
    assert frame["o"].cat.ordered


def test_missing_words_are_the_specs_own(tmp_path: Path) -> None:
    columns = {"x": {"type": "double"}, "s": {"type": "character"}}
    put_data(tmp_path, csv="x,s\n,NA\n.,.\n", columns=columns, missing=["", "."])
    frame = load_data("small", tmp_path)
    assert frame["x"].isna().tolist() == [True, True]
    assert frame["s"].tolist()[0] == "NA"
    assert frame["s"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("csv", "changes", "said"),
    [
        ("x,n,b,f,s\n1,1,TRUE,low,a\n", {}, "no level"),
        ("x,n,b,f\n1,1,TRUE,lo\n", {}, "its columns are"),
        ("x,n,b,f,s\n1,1,TRUE,lo\n", {}, ":2: 4 cells for 5 columns"),
        ("x,n,b,f,s\none,1,TRUE,lo,a\n", {}, "column x: could not convert"),
        ("x,n,b,f,s\n1,1,T,lo,a\n", {}, "column b: 'T' is neither"),
        ("x,n,b,f,s\n1,1.5,TRUE,lo,a\n", {}, "1.5"),
    ],
)
def test_a_file_that_is_not_as_its_spec_says_is_refused(
    tmp_path: Path, csv: str, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        put_data(tmp_path, csv=csv, **changes)


def test_rows_are_kept_with_their_labels_and_columns_derived(tmp_path: Path) -> None:
    put_data(tmp_path, keep_where_not_missing=["x"], derive={"lx": "log(x * 1000)", "n2": "n^2"})
    frame = load_data("small", tmp_path)
    assert frame.index.tolist() == ["1", "3", "4"]
    np.testing.assert_allclose(frame["lx"], np.log(np.array([0.1, 0.12353658, 1e-300]) * 1000), rtol=1e-15)
    assert frame["n2"].tolist() == [1.0, 9.0, 16.0]


def test_a_derived_column_is_missing_where_its_parts_are(tmp_path: Path) -> None:
    put_data(tmp_path, derive={"twice": "2 * x"})
    assert load_data("small", tmp_path)["twice"].isna().tolist() == [False, True, False, False]


def test_the_digest_of_doubles_is_over_little_endian_columns() -> None:
    frame = pd.DataFrame(
        {
            "x": [1.5, np.nan],
            "f": pd.Categorical(["b", None], categories=["a", "b"]),
            "s": pd.array(["z", "B"], dtype="str"),
            "b": [True, False],
        }
    )
    nan = bytes.fromhex("000000000000f87f")
    by_hand = b"".join(
        [struct.pack("<d", 1.5), nan, struct.pack("<d", 2), nan, struct.pack("<dd", 2, 1), struct.pack("<dd", 1, 0)]
    )
    assert doubles_sha256(frame) == hashlib.sha256(by_hand).hexdigest()


# -- where data comes from -------------------------------------------------------------------------------------------


def reason(name: str, tree: Path) -> str:
    data._load_once.cache_clear()
    data.data_spec.cache_clear()
    with pytest.raises(DataUnavailable) as refused:
        load_data(name, tree)
    return refused.value.reason


def test_data_with_another_checksum_is_not_used(tmp_path: Path) -> None:
    path = put_data(tmp_path)
    path.write_text(CSV.replace("0.1,", "0.2,"))
    assert "has sha256" in reason("small", tmp_path)


def test_doubles_with_another_checksum_are_not_used(tmp_path: Path) -> None:
    put_data(tmp_path, sha256_doubles="0" * 64)
    assert "the doubles of small have sha256" in reason("small", tmp_path)


def test_an_unknown_data_set_is_unavailable_by_name(tmp_path: Path) -> None:
    assert "no data set 'nowhere'" in reason("nowhere", tmp_path)


def test_data_comes_from_the_folder_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_data(tmp_path, csv=None, url="https://example.invalid/x.csv", file="other.csv")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "other.csv").write_text(CSV, encoding="utf-8")
    monkeypatch.setenv("RCOMPAT_DATA", str(folder))
    assert load_data("small", tmp_path)["x"].iloc[0] == 0.1
    (folder / "other.csv").write_text("x\n1\n")
    assert "has sha256" in reason("small", tmp_path)


def no_network(calls: list[str]) -> Callable[..., str]:
    def retrieve(url: str, **_: Any) -> str:
        calls.append(url)
        raise ConnectionError("no such host")

    return retrieve


def test_offline_the_reason_says_how_to_get_the_data_and_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr("pooch.retrieve", no_network(calls))
    monkeypatch.delenv("RCOMPAT_DATA", raising=False)
    put_data(tmp_path, csv=None, url="https://example.invalid/small.csv")
    said = reason("small", tmp_path)
    assert "example.invalid" in said
    assert "RCOMPAT_DATA" in said
    with pytest.raises(DataUnavailable, match="ConnectionError"):
        load_data("small", tmp_path)
    assert calls == ["https://example.invalid/small.csv"]


def test_a_download_is_held_to_the_recorded_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    fetched = tmp_path / "cache.csv"
    fetched.write_text(CSV, encoding="utf-8")

    def retrieve(url: str, **how: Any) -> str:
        asked.update(how, url=url)
        return str(fetched)

    monkeypatch.setattr("pooch.retrieve", retrieve)
    monkeypatch.delenv("RCOMPAT_DATA", raising=False)
    put_data(tmp_path, csv=None, url="https://example.invalid/small.csv")
    assert load_data("small", tmp_path).shape == (4, 5)
    assert asked["known_hash"] == f"sha256:{file_sha256(fetched)}"
    assert asked["fname"] == "small.csv"


def test_absent_data_without_a_url_says_so(tmp_path: Path) -> None:
    put_data(tmp_path, csv=None)
    assert "names no URL" in reason("small", tmp_path)


def test_a_case_without_its_data_raises_when_the_data_is_asked_for(tmp_path: Path) -> None:
    put_case(tmp_path, data="nowhere")
    (case,) = load_cases(root=tmp_path)
    with pytest.raises(DataUnavailable):
        _ = case.data
