"""The tree of fixtures checks itself: what is in it belongs together, and says where it comes from."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from compat.adapters.refimpl import implementation
from compat.cases import Case, DataUnavailable, features, load_cases
from compat.cells import labelled
from compat.check import certified_values, check, known_defects, stale
from compat.compare import Verdict
from compat.data import DataSpec, data_spec, doubles_sha256, file_sha256, fixtures_root, locate, read_file
from compat.expected import DEFAULT_STACK, dumps, expected_path, load_expected, stacks
from compat.freeze import write_schemas
from compat.quantities import ESTIMATORS, labels_of, of_estimator

ROOT = fixtures_root()
CASES = load_cases()
DATA = sorted(path.stem for path in (ROOT / "data").glob("*.json"))


def of_case(case: Case) -> str:
    return case.id


def test_there_is_something_of_everything() -> None:
    counts = Counter(case.estimator for case in CASES)
    assert set(counts) == set(ESTIMATORS)
    assert len(CASES) >= 45
    assert sum(case.expects_error is not None for case in CASES) >= 5
    assert len(list((ROOT / "published" / "nist").glob("*.json"))) == 11
    assert DEFAULT_STACK in stacks(ROOT)


def test_ids_are_unique_and_begin_with_their_estimator() -> None:
    assert [name for name, count in Counter(case.id for case in CASES).items() if count > 1] == []
    assert [case.id for case in CASES if not case.id.startswith(case.estimator.replace("_", "-") + "-")] == []


def test_descriptions_are_short_and_in_the_present_tense() -> None:
    descriptions = {case.id: case.description for case in CASES}
    assert {name: text for name, text in descriptions.items() if len(text) > 120} == {}
    words = re.compile(r"\b(should|must|will|would)\b|^(tests?|checks?)\b", re.IGNORECASE)
    assert {name: text for name, text in descriptions.items() if words.search(text)} == {}
    assert {name: text for name, text in descriptions.items() if text.endswith(".") or text != text.strip()} == {}


def test_descriptions_tell_cases_of_an_estimator_apart() -> None:
    counts = Counter((case.estimator, case.description) for case in CASES)
    assert [key for key, count in counts.items() if count > 1] == []


def test_features_are_from_the_registry_and_all_of_it_is_used() -> None:
    known = features()
    used = {feature for case in CASES for feature in case.features}
    assert used - set(known) == set()
    assert set(known) - used == set()
    assert all(0 < len(text) < 80 for text in known.values())


def test_error_cases_carry_their_feature_and_no_other_does() -> None:
    assert [case.id for case in CASES if ("errors" in case.features) != (case.expects_error is not None)] == []


@pytest.mark.parametrize("stack", stacks(ROOT))
def test_every_case_has_an_expected_file_and_every_expected_file_a_case(stack: str) -> None:
    files = {path.stem for path in (ROOT / "expected" / stack).glob("*.json")}
    names = {case.id for case in CASES}
    assert names - files == set()
    assert files - names == set()


@pytest.mark.parametrize("case", CASES, ids=of_case)
def test_expected_files_are_complete_current_and_as_freeze_writes_them(case: Case) -> None:
    path = expected_path(case.id, DEFAULT_STACK, ROOT)
    expected = load_expected(case, DEFAULT_STACK)
    provenance = expected.provenance
    assert stale(case, expected) == ""
    assert dumps(expected) == path.read_text(encoding="utf-8")
    assert (expected.error is not None) == (case.expects_error is not None)
    if expected.error is not None:
        assert expected.error.kind == case.expects_error
        assert expected.quantities == {}
    else:
        assert expected.quantities
        assert provenance.call
    assert provenance.stack == DEFAULT_STACK
    assert provenance.r_version.startswith("R version 4.2.2")
    assert all((provenance.blas, provenance.lapack, provenance.platform, "C.UTF-8" in provenance.locale))
    assert re.fullmatch(r"[0-9a-f]{64}", provenance.r_code_sha256)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", provenance.date)


@pytest.mark.parametrize("case", [case for case in CASES if case.expects_error is None], ids=of_case)
def test_expected_quantities_are_of_the_estimator_and_labelled_as_the_table_says(case: Case) -> None:
    depths = {"scalar": 0, "vector": 1, "matrix": 2}
    quantities = load_expected(case, DEFAULT_STACK).quantities
    assert set(quantities) - set(of_estimator(case.estimator)) == set()
    for name, value in quantities.items():
        cells = labelled(value)
        assert cells.depth in (depths[labels_of(name, case.estimator)], -1), name


def test_no_expected_file_gives_away_rows_of_data_that_is_not_ours() -> None:
    outside = {name for name in DATA if data_spec(name, ROOT).url is not None}
    assert outside
    for case in CASES:
        if case.data_name in outside and case.expects_error is None:
            assert not {"fitted", "residuals", "hatvalues"} & set(load_expected(case, DEFAULT_STACK).quantities)
    assert [name for name in outside if (ROOT / "data" / f"{name}.csv").exists()] == []


def test_schemas_are_as_the_structs_say() -> None:
    assert write_schemas(ROOT, write=False) == []


# -- data --------------------------------------------------------------------------------------------------------------


def test_every_data_set_is_used_and_every_file_described() -> None:
    used = {case.data_name for case in CASES}
    assert set(DATA) - used == set()
    assert used - set(DATA) == set()
    assert {path.stem for path in (ROOT / "data").glob("*.csv")} - set(DATA) == set()


def located(name: str) -> tuple[Path, DataSpec]:
    spec = data_spec(name, ROOT)
    try:
        return locate(spec, ROOT), spec
    except DataUnavailable as absent:
        pytest.skip(absent.reason)


@pytest.mark.parametrize("name", DATA)
def test_checksums_are_right_and_the_source_is_told(name: str) -> None:
    path, spec = located(name)
    assert file_sha256(path) == spec.sha256
    assert doubles_sha256(read_file(path, spec)) == spec.sha256_doubles
    assert all((spec.description, spec.source, spec.licence))


@pytest.mark.parametrize("name", DATA)
def test_files_are_ascii_or_utf8_with_unix_lines(name: str) -> None:
    path, _ = located(name)
    text = path.read_bytes()
    assert text.decode("utf-8")
    if path.is_relative_to(ROOT):
        assert b"\r" not in text
        assert text.endswith(b"\n")


# -- certified values and defects --------------------------------------------------------------------------------------


def test_certified_values_belong_to_cases_and_have_all_digits() -> None:
    files = [json.loads(path.read_text()) for path in sorted((ROOT / "published" / "nist").glob("*.json"))]
    by_id = {case.id: case for case in CASES}
    for file in files:
        certified = certified_values(by_id[file["case"]])
        assert certified is not None
        assert {"coef", "std_error"} <= set(certified)
        assert set(certified) <= set(of_estimator(by_id[file["case"]].estimator))
        assert "NIST" in file["source"]
        assert all(isinstance(text, str) for text in dict(certified["coef"]).values())


def test_every_known_defect_is_still_one() -> None:
    """An entry that excuses nothing is deleted, as one in a file of known failures is."""
    defects = known_defects(ROOT)
    told: set[tuple[str, str]] = set()
    for defect in defects:
        assert defect.stack in stacks(ROOT)
        cases = load_cases(defect.case)
        assert cases
        for result in check(cases, [implementation], defect.stack):
            told |= {
                (defect.case, row.cell.quantity) for row in result.rows if row.verdict is Verdict.KNOWN_REFERENCE_DEFECT
            }
    assert told == {(defect.case, name) for defect in defects for name in defect.quantities}
