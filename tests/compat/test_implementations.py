from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from compat.cases import case_in_memory
from compat.implementations import (
    CommandImplementation,
    Implementation,
    NotAvailable,
    Refused,
    Unavailable,
    UnknownImplementation,
    close,
    find,
    find_or_explain,
    is_reference,
    registered,
)
from compat.quantities import ESTIMATORS, QUANTITIES, Labels, labels_of, of_estimator, quantity
from tests.compat.fakes import Replay


def test_registered_implementations_are_found_by_name() -> None:
    assert {"refimpl", "r"} <= set(registered())
    assert find("refimpl").name == "refimpl"
    assert find("refimpl").capabilities == frozenset(ESTIMATORS)


def test_an_object_a_class_and_a_function_are_found_in_modules() -> None:
    for spec in ("tests.compat.fakes:replay", "tests.compat.fakes:Replay", "tests.compat.fakes:off_by_a_little"):
        found = find(spec)
        assert isinstance(found, Implementation)
        assert found.name == "replay"


@pytest.mark.parametrize(
    "spec",
    [
        "nobody",
        "no.module:x",
        "compat.cells:nothing",
        "compat.quantities:QUANTITIES",
        "compat.cells:cells",
        "command: ",
    ],
)
def test_what_names_nothing_is_unknown(spec: str) -> None:
    with pytest.raises((UnknownImplementation, TypeError)):
        find(spec)


def test_an_adapter_without_its_library_is_not_available(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "adapter_without_library.py").write_text("import a_library_that_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(NotAvailable, match="needs the package a_library_that_nobody_has"):
        find("adapter_without_library:implementation")
    stand_in = find_or_explain("adapter_without_library:implementation")
    assert isinstance(stand_in, Unavailable)
    with pytest.raises(NotAvailable, match="nobody_has"):
        stand_in.fit(case_in_memory("lm", "y ~ 1", pd.DataFrame({"y": [1.0]})))


PROGRAM = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    y = [float.fromhex(v) for v in request["data"]["y"]["values"]]
    if request["estimator"] == "lm":
        rest = {"quantities": {"coef": {"labels": ["(Intercept)"], "values": [(sum(y) / len(y)).hex()]}}}
    else:
        rest = {"error": {"kind": request["formula"].split("~")[0].strip("` "), "message": "no"}}
    print(json.dumps({"id": request["id"], "warnings": [], "versions": {"mine": "1.2"}, **rest}), flush=True)
"""


def test_a_program_answers_cases_and_refuses(tmp_path: Path) -> None:
    path = tmp_path / "port.py"
    path.write_text(PROGRAM)
    found = find(f"command: {sys.executable} {path}")
    assert isinstance(found, CommandImplementation)
    frame = pd.DataFrame({"y": [1.0, 2.0, 6.0], "missing-package": 1.0})
    try:
        values = found.fit(case_in_memory("lm", "y ~ 1", frame))
        assert values["coef"].to_dict() == {"(Intercept)": 3.0}
        assert found.version == "mine 1.2"
        with pytest.raises(Refused) as refused:
            found.fit(case_in_memory("ols", "y ~ 1", frame))
        assert refused.value.kind == "y"
        with pytest.raises(NotAvailable, match="no"):
            found.fit(case_in_memory("ols", "`missing-package` ~ 1", frame.assign(**{"missing-package": 2.0})))
    finally:
        close(found)


def test_only_r_is_the_reference() -> None:
    r = Replay()
    assert not is_reference(r)
    r.name = "r"
    assert is_reference(r)


def test_closing_what_cannot_be_closed_is_nothing() -> None:
    assert close(Replay()) is None


# -- the table of quantities -----------------------------------------------------------------------------------------


def test_every_quantity_is_defined_and_belongs_to_estimators() -> None:
    for row in QUANTITIES.values():
        assert row.definition
        assert row.in_r
        assert row.estimators
        assert row.estimators <= set(ESTIMATORS)
        assert not row.definition.endswith(".")


def test_every_estimator_has_quantities() -> None:
    assert all(of_estimator(estimator) for estimator in ESTIMATORS)
    assert "f_statistic" not in of_estimator("ols")
    assert of_estimator("nothing") == ()


def test_an_unknown_quantity_names_the_known_ones() -> None:
    with pytest.raises(KeyError, match="std_error"):
        quantity("bse")


@pytest.mark.parametrize(
    ("name", "estimator", "labels"),
    [
        ("p_value", "lm", Labels.VECTOR),
        ("df_residual", "lm", Labels.SCALAR),
        ("df_residual", "anova", Labels.VECTOR),
        ("n_clusters", "robcov", Labels.SCALAR),
        ("n_clusters", "vcov_cluster", Labels.VECTOR),
        ("vcov", "ml_sandwich", Labels.MATRIX),
    ],
)
def test_labels_depend_on_the_estimator_where_they_must(name: str, estimator: str, labels: Labels) -> None:
    assert labels_of(name, estimator) is labels
