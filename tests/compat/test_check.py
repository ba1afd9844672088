from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compat import cases as case_files
from compat import check as run
from compat.cases import Case, load_cases
from compat.check import Result, check, totals
from compat.compare import Verdict
from compat.data import DataUnavailable
from compat.implementations import NotAvailable, NotProvided, Refused, Unavailable
from tests.compat.fakes import Quantities, Raising, Replay
from tests.compat.trees import STACK, alter_digit, case_file, expected_file, rewrite, small_tree

IDS = ("lm-mtcars", "robcov-huber", "lm-error-unknown-column", "lm-nist-longley")


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    yield small_tree(tmp_path, *IDS)
    case_files._all_cases.cache_clear()


def results(tree: Path, *implementations: object, live: object | None = None, glob: str = "*") -> list[Result]:
    return list(check(load_cases(glob, tree), implementations, STACK, live))  # type: ignore[arg-type]


def verdicts(found: list[Result]) -> dict[str, Verdict]:
    return {result.case.id: result.verdict for result in found}


def test_what_was_frozen_matches_itself_in_every_cell(tree: Path) -> None:
    found = results(tree, Replay())
    assert verdicts(found) == dict.fromkeys(IDS, Verdict.MATCH)
    assert all(row.verdict is Verdict.MATCH for result in found for row in result.rows)
    assert totals(found).passed(strict=True)


def test_each_case_is_fitted_once_by_each_implementation(tree: Path) -> None:
    one, two = Replay(), Replay()
    results(tree, one, two)
    assert sorted(one.asked) == sorted(two.asked) == sorted(IDS)


def test_an_altered_digit_is_found_in_its_cell_and_in_no_other(tree: Path) -> None:
    alter_digit(tree, "lm-mtcars", "coef", "wt")
    found = results(tree, Replay(lambda q: None), glob="lm-mtcars")
    assert verdicts(found) == {"lm-mtcars": Verdict.MATCH}  # the replay repeats the altered file

    def as_before(quantities: Quantities) -> None:
        quantities["coef"]["wt"] /= 1 + 1e-9

    found = results(tree, Replay(as_before), glob="lm-mtcars")
    assert [str(row.cell) for row in found[0].bad] == ["coef[wt]"]
    assert not totals(found).passed()


def test_an_estimator_that_is_not_offered_is_not_provided_and_not_asked_for(tree: Path) -> None:
    only_lm = Replay()
    only_lm.capabilities = frozenset({"lm"})
    found = results(tree, only_lm)
    assert verdicts(found)["robcov-huber"] is Verdict.NOT_PROVIDED
    assert "robcov-huber" not in only_lm.asked
    assert totals(found).passed()
    assert not totals(found).passed(strict=True)


@pytest.mark.parametrize(
    ("error", "verdict", "said"),
    [
        (ZeroDivisionError("division by zero"), Verdict.ERROR, "exception: ZeroDivisionError: division by zero"),
        (SystemExit(3), Verdict.ERROR, "exception: SystemExit: 3"),
        (Refused("no-rows", "none left"), Verdict.ERROR, "no-rows: none left"),
        (Refused("not-converged", "too far"), Verdict.CANDIDATE_NOT_CONVERGED, "too far"),
        (NotAvailable("there is no R"), Verdict.NOT_RUN, "there is no R"),
        (DataUnavailable("offline"), Verdict.NOT_RUN, "offline"),
    ],
)
def test_what_an_implementation_raises_costs_one_case(
    tree: Path, error: BaseException, verdict: Verdict, said: str
) -> None:
    found = results(tree, Raising(error), Replay(), glob="lm-mtcars")
    assert [result.verdict for result in found] == [verdict, Verdict.MATCH]
    assert [row.reason for row in found[0].rows] == [said]


def test_what_an_implementation_does_not_provide_is_counted_as_that(tree: Path) -> None:
    found = results(tree, Raising(NotProvided("not this one")))
    assert set(verdicts(found).values()) == {Verdict.NOT_PROVIDED}
    assert {row.reason for result in found for row in result.rows} == {"not this one"}
    assert {result.compared for result in found} == {0}


def test_a_run_in_which_nothing_was_compared_fails(tree: Path) -> None:
    found = results(tree, Unavailable("port", "its compiler is missing"))
    assert {result.verdict for result in found} == {Verdict.NOT_RUN}
    assert totals(found).compared == 0
    assert not totals(found).passed()


def test_a_case_without_expected_file_is_not_run_and_says_what_to_do(tree: Path) -> None:
    expected_file(tree, "lm-mtcars").unlink()
    (result,) = results(tree, Replay(), glob="lm-mtcars")
    assert result.verdict is Verdict.NOT_RUN
    assert "rcompat freeze --case lm-mtcars" in result.rows[0].reason


def test_a_case_without_its_data_is_not_run_with_the_reason(tree: Path) -> None:
    rewrite(tree / "data" / "mtcars.json", lambda spec: spec.update(sha256="0" * 64))
    found = verdicts(results(tree, Replay()))
    assert found["lm-mtcars"] is Verdict.NOT_RUN
    assert found["lm-nist-longley"] is Verdict.MATCH


def test_a_changed_case_makes_its_expected_file_stale(tree: Path) -> None:
    rewrite(case_file(tree, "lm-mtcars"), lambda case: case.update(options={"level": 0.9}))
    (result,) = results(tree, Replay(), glob="lm-mtcars")
    assert result.verdict is Verdict.STRUCTURE
    assert "was changed since" in result.bad[0].reason


def test_changed_data_makes_its_expected_files_stale(tree: Path) -> None:
    rewrite(tree / "data" / "mtcars.json", lambda spec: spec.update(derive={"wt2": "wt^2"}))
    (result,) = results(tree, Replay(), glob="lm-mtcars")
    assert "the data mtcars was changed" in result.bad[0].reason


def test_an_error_case_wants_the_kind_of_error(tree: Path) -> None:
    found = results(tree, Raising(Refused("no-rows", "none")), glob="lm-error-*")
    assert [str(row.cell) for row in found[0].bad] == ["error"]
    found = results(tree, Raising(Refused("unknown-column", "other words")), glob="lm-error-*")
    assert verdicts(found) == {"lm-error-unknown-column": Verdict.MATCH}


def test_certified_values_are_compared_beside_rs(tree: Path) -> None:
    (result,) = results(tree, Replay(), glob="lm-nist-longley")
    pairs = {pair.mine.quantity: pair for pair in result.certified}
    assert {"coef", "std_error", "sigma", "r_squared"} <= set(pairs)
    assert all(pair.mine.digits == pair.r.digits > 8 for pair in pairs.values())
    assert "coef[certified]" in {str(row.cell) for row in result.rows}


# -- live ------------------------------------------------------------------------------------------------------------


class FakeR(Replay):
    name = "r"


def test_live_compares_with_r_now_and_r_with_what_was_frozen(tree: Path) -> None:
    def newer(quantities: Quantities) -> None:
        quantities["sigma"] *= 2

    r, port = FakeR(newer), Replay(newer)
    found = results(tree, port, live=r, glob="lm-mtcars")
    assert [(result.implementation, result.verdict) for result in found] == [
        ("r", Verdict.UNEXPLAINED),
        ("replay", Verdict.MATCH),
    ]
    assert [str(row.cell) for row in found[0].bad] == ["sigma"]
    assert [result.source for result in found] == [f"frozen {STACK}", "live r"]
    assert (r.asked, port.asked) == (["lm-mtcars"], ["lm-mtcars"])


def test_live_r_among_the_implementations_is_fitted_once(tree: Path) -> None:
    r = FakeR()
    found = results(tree, r, Replay(), live=r, glob="lm-mtcars")
    assert [result.implementation for result in found] == ["r", "replay"]
    assert r.asked == ["lm-mtcars"]


def test_live_without_r_runs_nothing(tree: Path) -> None:
    found = results(tree, Replay(), live=Unavailable("r", "install R"))
    assert {row.reason for result in found for row in result.rows} == {"install R"}
    assert not totals(found).passed()


def test_r_has_to_repeat_its_message(tree: Path) -> None:
    found = results(tree, live=Raising(Refused("unknown-column", "other words")), glob="lm-error-*")
    assert verdicts(found) == {"lm-error-unknown-column": Verdict.MATCH}
    raising = Raising(Refused("unknown-column", "other words"))
    raising.name = "r"
    (result,) = results(tree, live=raising, glob="lm-error-*")
    assert [str(row.cell) for row in result.bad] == ["error[message]"]


# -- known defects ---------------------------------------------------------------------------------------------------


def put_defect(tree: Path) -> None:
    defect = {"stack": STACK, "case": "lm-*", "quantities": ["sigma"], "reason": "wrong before 9.0"}
    (tree / "defects.json").write_text(json.dumps([defect]))
    run.known_defects.cache_clear()


def test_a_known_defect_is_told_and_does_not_fail(tree: Path) -> None:
    put_defect(tree)

    def right(quantities: Quantities) -> None:
        quantities["sigma"] *= 2

    (result,) = results(tree, Replay(right), glob="lm-mtcars")
    assert result.verdict is Verdict.KNOWN_REFERENCE_DEFECT
    assert totals([result]).passed(strict=True)
    assert {row.reason for row in result.rows if row.cell.quantity == "sigma"} == {f"{STACK}: wrong before 9.0"}


def test_r_has_to_repeat_its_defects(tree: Path) -> None:
    put_defect(tree)

    def changed(quantities: Quantities) -> None:
        quantities["sigma"] *= 2

    (result,) = results(tree, live=FakeR(changed), glob="lm-mtcars")
    assert result.verdict is Verdict.UNEXPLAINED


# -- counting --------------------------------------------------------------------------------------------------------


def test_the_gravest_verdict_is_the_results(tree: Path) -> None:
    def two_faults(quantities: Quantities) -> None:
        quantities["sigma"] *= 2
        quantities["coef"].pop("wt")

    (result,) = results(tree, Replay(two_faults), glob="lm-mtcars")
    assert result.verdict is Verdict.STRUCTURE
    assert {row.verdict for row in result.bad} == {Verdict.STRUCTURE, Verdict.UNEXPLAINED}


def test_the_least_digits_are_those_of_a_compared_cell(tree: Path) -> None:
    def less(quantities: Quantities) -> None:
        quantities["coef"]["hp"] *= 1 + 1e-13

    (result,) = results(tree, Replay(less), glob="lm-mtcars")
    least = result.least
    assert least is not None
    assert str(least.cell) == "coef[hp]"
    assert least.digits == pytest.approx(13.0, abs=0.1)


def test_totals_count_cells_fits_and_cases(tree: Path) -> None:
    cases: list[Case] = load_cases(root=tree)
    total = totals(check(cases, [Replay(), Raising(NotAvailable("no"))], STACK))
    assert total.fits == {Verdict.MATCH: len(IDS), Verdict.NOT_RUN: len(IDS)}
    assert total.cells[Verdict.NOT_RUN] == len(IDS)
    assert total.cases == set(IDS)
    assert total.compared == total.cells[Verdict.MATCH] > 300


# -- the seal of an expected file ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "label", "by"), [("coef", "wt", 1e-3), ("coef", "wt", 2e-16), ("sigma", None, 1e-15)]
)
def test_an_edited_cell_is_named_however_small_the_change(
    tree: Path, quantity: str, label: str | None, by: float
) -> None:
    alter_digit(tree, "lm-mtcars", quantity, label, by=by, seal=False)
    (result,) = results(tree, Replay(), glob="lm-mtcars")
    assert result.verdict is Verdict.STRUCTURE
    where = quantity if label is None else f"{quantity}[{label}]"
    said = f"the expected file was edited since it was frozen, in {where}: run `rcompat freeze --case lm-mtcars`"
    assert [row.reason for row in result.rows] == [said]
    assert not totals([result]).passed()


@pytest.mark.parametrize("change", ["provenance", "label", "quantity", "no seal"])
def test_any_other_edit_is_told_too(tree: Path, change: str) -> None:
    def edit(content: dict[str, Any]) -> None:
        if change == "provenance":
            content["provenance"]["r_version"] = "R version 4.9.9"
        elif change == "label":
            content["quantities"]["coef"]["weight"] = content["quantities"]["coef"].pop("wt")
        elif change == "quantity":
            del content["quantities"]["sigma"]
        else:
            content["seal"] = {}

    rewrite(expected_file(tree, "lm-mtcars"), edit)
    (result,) = results(tree, Replay(), glob="lm-mtcars")
    (reason,) = [row.reason for row in result.rows]
    named = {"provenance": "provenance[r_version]", "label": "coef[", "quantity": "sigma", "no seal": "and "}[change]
    assert named in reason
    assert result.verdict is Verdict.STRUCTURE


def test_an_error_that_was_edited_is_told(tree: Path) -> None:
    path = expected_file(tree, "lm-error-unknown-column")
    rewrite(path, lambda content: content["error"].update(message="something else"))
    (result,) = results(tree, Replay(), glob="lm-error-*")
    assert "error[message]" in result.rows[0].reason
