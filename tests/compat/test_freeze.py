from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from compat.adapters.r import r_home
from compat.cases import Case, load_cases
from compat.expected import (
    Expected,
    Provenance,
    dumps,
    expected_path,
    expected_schema,
    from_answer,
    load_expected,
    number,
)
from compat.freeze import Frozen, LocalR, Status, _difference, freeze, write_schemas
from compat.implementations import NotAvailable
from compat.worker import WorkerError
from tests.compat.trees import STACK, alter_digit, expected_file, reseal, rewrite, small_tree

ANSWER: dict[str, Any] = {
    "quantities": {
        "coef": {"labels": ["(Intercept)", "x"], "values": ["0x1.999999999999ap-4", "NA"]},
        "vcov": {"rows": ["a"], "cols": ["a", "b"], "values": [["NaN", "-Inf"]]},
        "sigma": "0x1.5555555555555p-2",
        "nobs": "0x1.ep+4",
    },
    "call": "lm(formula = y ~ x)",
    "versions": {"R": "4.2.2"},
    "warnings": ["careful"],
}
FACTS = {"r_version": "R 4", "blas": "b", "lapack": "l", "platform": "p", "locale": "C", "r_code_sha256": "0" * 64}


@dataclass
class FakeStack:
    """Answers every case alike."""

    answer: Any = field(default_factory=lambda: json.loads(json.dumps(ANSWER)))
    name: str = "r-fake"
    told: Mapping[str, str] = field(default_factory=lambda: dict(FACTS))

    def facts(self, estimator: str) -> Mapping[str, str]:
        return self.told

    def ask(self, case: Case) -> dict[str, Any]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"id": case.id, **self.answer}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return small_tree(tmp_path, "lm-mtcars", "lm-error-unknown-column")


def freeze_one(tree: Path, stack: Any, case: str = "lm-mtcars", **how: Any) -> Frozen:
    (became,) = freeze(load_cases(case, tree), stack, tree, **how)
    return became


def frozen_path(tree: Path) -> Path:
    return tree / "expected" / "r-fake" / "lm-mtcars.json"


# -- the file --------------------------------------------------------------------------------------------------------


def test_a_frozen_file_holds_the_doubles_and_where_they_come_from(tree: Path) -> None:
    assert freeze_one(tree, FakeStack()).status is Status.NEW
    case = load_cases("lm-mtcars", tree)[0]
    found = load_expected(case, "r-fake")
    assert found.quantities == {
        "coef": {"(Intercept)": 0.1, "x": "NA"},
        "vcov": {"a": {"a": "NaN", "b": "-Inf"}},
        "sigma": 1 / 3,
        "nobs": 30.0,
    }
    assert list(found.quantities) == list(ANSWER["quantities"])
    told = msgspec.structs.asdict(found.provenance)
    assert {name: told[name] for name in FACTS} == FACTS
    assert (told["stack"], told["call"], told["packages"]) == ("r-fake", "lm(formula = y ~ x)", {"R": "4.2.2"})
    assert (told["case_sha256"], told["data"]) == (case.sha256, "mtcars")
    assert len(told["data_sha256_doubles"]) == len(told["data_recipe_sha256"]) == 64
    assert found.warnings == ["careful"]


def test_numbers_have_seventeen_digits_one_a_line(tree: Path) -> None:
    freeze_one(tree, FakeStack())
    lines = [line.strip().rstrip(",") for line in frozen_path(tree).read_text().splitlines()]
    assert '"(Intercept)": 0.10000000000000001' in lines
    assert '"sigma": 0.33333333333333331' in lines
    assert '"nobs": 30' in lines
    assert '"x": "NA"' in lines


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-300, 5e-324, 1.7976931348623157e308, -0.0, 2**53 + 1.0, 123456789.0])
def test_every_double_comes_back_as_it_was(value: float) -> None:
    provenance = Provenance(
        **dict.fromkeys((f.name for f in msgspec.structs.fields(Provenance) if f.name != "packages"), ""), packages={}
    )
    kept = Expected(case="c", provenance=provenance, quantities=from_answer({"sigma": value.hex()}))
    (back,) = msgspec.json.decode(dumps(kept), type=Expected).quantities.values()
    assert isinstance(back, float)
    assert back.hex() == value.hex()


def test_an_error_is_frozen_with_kind_and_message(tree: Path) -> None:
    error = {"kind": "unknown-column", "message": "object 'nothing' not found"}
    became = freeze_one(tree, FakeStack({"error": error, "warnings": []}), "lm-error-unknown-column")
    assert became.status is Status.NEW
    found = load_expected(load_cases("lm-error-*", tree)[0], "r-fake")
    assert found.error is not None
    assert (found.error.kind, found.error.message) == (error["kind"], error["message"])
    assert found.quantities == {}


def test_rows_of_data_that_is_not_ours_are_not_given_away(tree: Path) -> None:
    rewrite(tree / "data" / "mtcars.json", lambda spec: spec.update(url="https://example.invalid/mtcars.csv"))
    row = {"labels": ["1"], "values": ["0x1p+0"]}
    quantities = {**ANSWER["quantities"], "fitted": row, "residuals": row, "hatvalues": row}
    freeze_one(tree, FakeStack({**ANSWER, "quantities": quantities}))
    kept = load_expected(load_cases("lm-mtcars", tree)[0], "r-fake").quantities
    assert set(kept) == set(ANSWER["quantities"])


def test_the_schema_of_expected_files_is_strict() -> None:
    text = json.dumps(expected_schema())
    assert '"additionalProperties": false' in text
    assert "r_code_sha256" in text


@pytest.mark.parametrize(("text", "value"), [("Inf", float("inf")), ("-Inf", float("-inf")), (2.5, 2.5)])
def test_special_numbers_are_read(text: Any, value: float) -> None:
    assert number(text) == value


# -- freezing again --------------------------------------------------------------------------------------------------


def test_what_is_the_same_is_left_alone_date_included(tree: Path) -> None:
    freeze_one(tree, FakeStack())
    rewrite(frozen_path(tree), lambda content: content["provenance"].update(date="2001-01-01"))
    reseal(frozen_path(tree))
    before = frozen_path(tree).read_bytes()
    assert freeze_one(tree, FakeStack()).status is Status.UNCHANGED
    assert frozen_path(tree).read_bytes() == before


@pytest.mark.parametrize("write", [True, False])
def test_other_numbers_are_told_with_the_least_digits_and_written_on_demand(tree: Path, write: bool) -> None:
    freeze_one(tree, FakeStack())
    before = frozen_path(tree).read_bytes()
    stack = FakeStack()
    stack.answer["quantities"]["sigma"] = (1 / 3 * (1 + 1e-6)).hex()
    became = freeze_one(tree, stack, write=write)
    assert became.status is Status.NUMBERS
    assert became.detail == "1 of 6 cells, least digits 6.0 at sigma"
    assert (frozen_path(tree).read_bytes() == before) is not write


def test_na_for_nan_is_a_difference(tree: Path) -> None:
    freeze_one(tree, FakeStack())
    stack = FakeStack()
    stack.answer["quantities"]["vcov"]["values"][0][0] = "NA"
    became = freeze_one(tree, stack)
    assert (became.status, became.detail) == (Status.NUMBERS, "NA for NaN, or the reverse")


def test_other_labels_are_a_difference(tree: Path) -> None:
    freeze_one(tree, FakeStack())
    stack = FakeStack()
    stack.answer["quantities"]["coef"]["labels"] = ["(Intercept)", "z"]
    became = freeze_one(tree, stack)
    assert became.status is Status.NUMBERS
    assert became.detail == "cells gone: ['coef[x]'], new: ['coef[z]']"


def test_another_message_of_an_error_is_a_difference(tree: Path) -> None:
    error = {"kind": "unknown-column", "message": "object 'nothing' not found"}
    freeze_one(tree, FakeStack({"error": error, "warnings": []}), "lm-error-unknown-column")
    other = {**error, "message": "object 'something' not found"}
    became = freeze_one(tree, FakeStack({"error": other, "warnings": []}), "lm-error-unknown-column")
    assert became.status is Status.NUMBERS
    assert "object 'nothing' not found" in became.detail


def test_other_warnings_are_a_difference(tree: Path) -> None:
    freeze_one(tree, FakeStack())
    became = freeze_one(tree, FakeStack({**ANSWER, "warnings": ["careful", "very"]}))
    assert (became.status, became.detail) == (Status.PROVENANCE, "warnings")


@pytest.mark.parametrize(("by", "status"), [(1e-13, Status.UNCHANGED), (1e-3, Status.NUMBERS)])
def test_another_end_of_a_search_is_the_same_only_where_it_is_as_good(by: float, status: Status) -> None:
    (case,) = load_cases("lmer-dyestuff")
    kept = load_expected(case, STACK)
    sd: Any = kept.quantities["sd"]
    moved = {name: value * (1 + by) for name, value in sd.items()}
    fresh = msgspec.structs.replace(kept, quantities={**kept.quantities, "sd": moved})
    assert _difference(expected_path(case.id, STACK, case.root), fresh, case).status is status


def test_another_provenance_is_told_by_name(tree: Path) -> None:
    freeze_one(tree, FakeStack())
    became = freeze_one(tree, FakeStack(told={**FACTS, "blas": "openblas"}))
    assert (became.status, became.detail) == (Status.PROVENANCE, "blas")


def test_check_writes_nothing(tree: Path) -> None:
    assert freeze_one(tree, FakeStack(), write=False).status is Status.NEW
    assert not frozen_path(tree).exists()


# -- what must not be frozen -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "answer", "said"),
    [
        ("lm-mtcars", {"error": {"kind": "r-error", "message": "no"}}, "expects values, R refuses"),
        ("lm-error-unknown-column", ANSWER, "expects the error unknown-column, R answers with values"),
        ("lm-error-unknown-column", {"error": {"kind": "no-rows", "message": "no"}}, "R's is no-rows"),
        ("lm-mtcars", WorkerError("crash", "the child died"), "the child died"),
    ],
)
def test_an_answer_of_the_wrong_sort_is_not_frozen(tree: Path, case: str, answer: Any, said: str) -> None:
    became = freeze_one(tree, FakeStack(answer), case)
    assert became.status is Status.FAILED
    assert said in became.detail
    assert not (tree / "expected" / "r-fake").exists()


def test_absent_data_is_not_frozen(tree: Path) -> None:
    (tree / "data" / "mtcars.csv").unlink()

    class Asking(FakeStack):
        def ask(self, case: Case) -> dict[str, Any]:
            assert case.data is not None
            return super().ask(case)

    became = freeze_one(tree, Asking())
    assert became.status is Status.FAILED
    assert "mtcars.csv is missing" in became.detail


def test_an_expected_file_of_no_case_is_an_orphan(tree: Path) -> None:
    freeze_one(tree, FakeStack())
    frozen_path(tree).rename(frozen_path(tree).with_name("lm-gone.json"))
    cases = load_cases("lm-mtcars", tree)
    became = {one.case: one.status for one in freeze(cases, FakeStack(), tree, write=False, whole=True)}
    assert became == {"lm-mtcars": Status.NEW, "lm-gone": Status.ORPHAN}


def test_schemas_are_written_where_they_are_not_as_they_should_be(tmp_path: Path) -> None:
    assert write_schemas(tmp_path, write=False) == ["case.schema.json", "expected.schema.json"]
    assert list(tmp_path.iterdir()) == []
    assert len(write_schemas(tmp_path)) == 2
    assert write_schemas(tmp_path) == []


# -- live ------------------------------------------------------------------------------------------------------------


@pytest.mark.live
def test_the_r_of_this_machine_repeats_what_it_answered(tree: Path) -> None:
    try:
        r_home()
    except NotAvailable as absent:
        pytest.skip(absent.reason)
    r = LocalR(name=STACK)
    try:
        alter_digit(tree, "lm-mtcars", "coef", "wt", by=1e-6)
        cases = load_cases(root=tree)
        first = {one.case: one for one in freeze(cases, r, tree)}
        assert first["lm-mtcars"].status is Status.NUMBERS
        assert first["lm-mtcars"].detail.endswith("at coef[wt]")
        again = list(freeze(cases, r, tree, write=False, whole=True))
    finally:
        r.close()
    assert {one.status for one in again} == {Status.UNCHANGED}
    provenance = json.loads(expected_file(tree, "lm-mtcars").read_text())["provenance"]
    assert provenance["r_version"].startswith("R version ")
    assert provenance["call"].startswith("lm(formula = mpg ~ wt")
    assert "R" in provenance["packages"]
