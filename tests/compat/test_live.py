"""R asked now, through whatever hosts it here: it repeats what was frozen, and refimpl agrees with it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compat.adapters.r import RImplementation
from compat.adapters.refimpl import implementation as refimpl
from compat.cases import load_cases
from compat.check import Result, check
from compat.cli import app
from compat.compare import ABSENT, Verdict
from compat.expected import DEFAULT_STACK, load_expected
from compat.implementations import NotAvailable
from tests.compat.trees import alter_digit, small_tree

pytestmark = pytest.mark.live

RIGHT = {Verdict.MATCH, Verdict.KNOWN_REFERENCE_DEFECT, Verdict.REFERENCE_NOT_CONVERGED}


@pytest.fixture(scope="module")
def live() -> list[Result]:
    """Every case, fitted by R now and by refimpl."""
    r = RImplementation()
    try:
        version = r.provenance()["r_version"]
    except NotAvailable as absent:
        pytest.skip(absent.reason)
    cases = load_cases()
    if version != load_expected(cases[0], DEFAULT_STACK).provenance.r_version:
        pytest.skip(f"the answers of {DEFAULT_STACK} are not those of {version}")
    found = list(check(cases, [refimpl], DEFAULT_STACK, r))
    r.close()
    return found


@pytest.mark.parametrize("name", ["r", "refimpl"])
def test_nothing_is_unexplained_against_r_asked_now(live: list[Result], name: str) -> None:
    results = [result for result in live if result.implementation == name]
    assert len(results) == len(load_cases())
    assert {str(row.cell): row.reason for result in results for row in result.bad} == {}
    assert {result.verdict for result in results} - RIGHT <= {Verdict.NOT_RUN}
    absent = [result.case.features for result in results if result.verdict is Verdict.NOT_RUN]
    assert all("external-data" in features for features in absent)


def test_r_repeats_most_numbers_to_the_last_bit_whatever_its_blas(live: list[Result]) -> None:
    # lme4's search stops where its last bits send it; how far apart two ends may be is for the verdicts
    of_r = [one for one in live if one.implementation == "r" and not one.case.estimator.startswith("lmer")]
    rows = [row for result in of_r for row in result.rows if row.verdict not in ABSENT]
    assert len(rows) > 20000
    assert min(row.digits for row in rows if row.digits is not None) > 5
    same = [row.got is None or row.got == row.expected or math.isnan(row.got) for row in rows]
    assert sum(same) > 0.5 * len(rows)


def test_the_command_line_asks_r_and_names_what_r_no_longer_answers(tmp_path: Path) -> None:
    tree = small_tree(tmp_path, "lm-mtcars", "robcov-huber", "lm-error-unknown-column")
    found = CliRunner().invoke(app, ["check", "--live", "--fixtures", str(tree)], catch_exceptions=False)
    if "NOT_RUN" in found.stdout:
        pytest.skip(found.stdout)
    assert found.exit_code == 0
    assert "3 cases, 6 fits: 6 MATCH" in found.stdout
    alter_digit(tree, "lm-mtcars", "coef", "wt", by=1e-6)
    found = CliRunner().invoke(app, ["check", "--live", "--fixtures", str(tree)], catch_exceptions=False)
    assert found.exit_code == 1
    assert "lm-mtcars by r, against frozen" in found.stdout
    assert "lm-mtcars by refimpl" not in found.stdout
