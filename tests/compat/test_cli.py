from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

from compat import doctor
from compat.adapters import r as r_adapter
from compat.cli import app
from compat.compare import MEANING
from compat.implementations import NotAvailable
from compat.quantities import QUANTITIES
from tests.compat.trees import STACK, alter_digit, expected_file, small_tree

IDS = ("lm-mtcars", "lm-error-unknown-column", "lm-nist-longley", "robcov-huber")
REPLAY = "tests.compat.fakes:replay"


def rcompat(*arguments: str) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return small_tree(tmp_path, *IDS)


# -- check -----------------------------------------------------------------------------------------------------------


def test_check_passes_where_everything_matches(tree: Path) -> None:
    found = rcompat("check", "--fixtures", tree)
    assert found.exit_code == 0
    assert "passed: nothing is unexplained" in found.stdout
    assert "4 cases, 4 fits: 4 MATCH" in found.stdout
    for case in IDS:
        assert case in found.stdout


@pytest.mark.parametrize(
    ("case", "quantity", "label", "cell"),
    [
        ("lm-mtcars", "coef", "wt", "coef[wt]"),
        ("lm-mtcars", "nobs", None, "nobs"),
        ("lm-mtcars", "p_value", "hp", "p_value[hp]"),
        ("lm-nist-longley", "fitted", "3", "fitted[3]"),
        ("robcov-huber", "sigma", None, "sigma"),
    ],
)
def test_check_names_an_altered_cell_and_fails(
    tree: Path, case: str, quantity: str, label: str | None, cell: str
) -> None:
    alter_digit(tree, case, quantity, label, by=1e-6)
    found = rcompat("check", "--fixtures", tree)
    assert found.exit_code == 1
    assert f"{case} by refimpl" in found.stdout
    (line,) = [line for line in found.stdout.splitlines() if line.startswith(f"{cell} ")]
    assert "UNEXPLAINED" in line
    assert "failed: 1 cells are unexplained" in found.stdout


def test_check_shows_as_many_bad_cells_as_it_is_told(tree: Path) -> None:
    for label in ("1", "2", "3", "4"):
        alter_digit(tree, "lm-nist-longley", "fitted", label, by=1e-3)
    some = rcompat("check", "--fixtures", tree, "--cells", "3").stdout
    assert "and 1 more cells (--cells 4 shows them)" in some
    assert "fitted[4]" not in some
    assert "fitted[4]" in rcompat("check", "--fixtures", tree, "--cells", "4").stdout


def test_check_fails_where_nothing_was_compared(tree: Path) -> None:
    for case in IDS:
        expected_file(tree, case).unlink()
    found = rcompat("check", "--fixtures", tree, "--stack", STACK)
    assert found.exit_code == 1
    assert "failed: nothing was compared" in found.stdout
    assert "NOT_RUN (1): no expected file" in found.stdout


def test_check_counts_what_did_not_run_apart_and_fails_under_strict(tree: Path) -> None:
    expected_file(tree, "lm-mtcars").unlink()
    found = rcompat("check", "--fixtures", tree)
    assert found.exit_code == 0
    assert "apart from these: 1 NOT_RUN" in found.stdout
    strict = rcompat("check", "--fixtures", tree, "--strict")
    assert strict.exit_code == 1
    assert "failed: --strict" in strict.stdout


def test_check_shows_certified_digits_beside_rs(tree: Path) -> None:
    (line,) = [line for line in rcompat("check", "--fixtures", tree).stdout.splitlines() if "longley" in line]
    assert "(R 1" in line


def test_check_takes_any_implementation_and_several(tree: Path) -> None:
    found = rcompat("check", "--fixtures", tree, "-i", "refimpl", "-i", REPLAY, "--case", "lm-mtcars")
    assert found.exit_code == 0
    assert "1 cases, 2 fits: 2 MATCH" in found.stdout
    assert "replay" in found.stdout


def test_check_says_in_which_cells_a_wrong_implementation_is_wrong(tree: Path) -> None:
    found = rcompat("check", "--fixtures", tree, "-i", "tests.compat.fakes:off_by_a_little", "--case", "lm-mtcars")
    assert found.exit_code == 1
    named = {line.split()[0] for line in found.stdout.splitlines() if "UNEXPLAINED" in line and "[" in line.split()[0]}
    assert named == {f"std_error[{name}]" for name in ("(Intercept)", "wt", "hp", "qsec", "am")} & named
    assert len(named) > 2


def test_check_takes_a_program_that_speaks_the_line_protocol(tree: Path, tmp_path: Path) -> None:
    program = tmp_path / "port.py"
    program.write_text(
        "import json, sys\n"
        "for line in sys.stdin:\n"
        "    request = json.loads(line)\n"
        "    n = len(request['row_names'])\n"
        "    answer = {'id': request['id'], 'quantities': {'nobs': float(n).hex()}, 'warnings': [], 'versions': {}}\n"
        "    print(json.dumps(answer), flush=True)\n"
    )
    command = f"command: {sys.executable} {program}"
    found = rcompat("check", "--fixtures", tree, "-i", command, "--case", "lm-mtcars")
    assert found.exit_code == 0
    assert "1 cells compared: 1 MATCH" in found.stdout
    assert "NOT_PROVIDED" in found.stdout


def test_a_program_that_dies_costs_its_cases_and_the_run_goes_on(tree: Path) -> None:
    found = rcompat("check", "--fixtures", tree, "-i", f"command: {sys.executable} -c pass", "-i", REPLAY)
    assert found.exit_code == 1
    assert "crash" in found.stdout
    assert f"{len(IDS)} MATCH" in found.stdout


def no_r() -> Path:
    raise NotAvailable("there is no R on the path: get one")


def test_live_without_r_says_how_to_get_it(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(r_adapter, "r_home", no_r)
    monkeypatch.setattr(r_adapter, "implementation", r_adapter.RImplementation())
    found = rcompat("check", "--live", "--fixtures", tree)
    assert found.exit_code == 1
    assert "there is no R on the path: get one" in found.stdout
    assert "failed: nothing was compared" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--case", "nothing-*"], "no case matches nothing-*"),
        (["--implementation", "nobody"], "registered are"),
        (["--implementation", "no.such.module:thing"], "there is no module no"),
        (["--implementation", "compat.cells:NotCells.nothing"], "has no NotCells.nothing"),
        (["--stack", "r-0.1"], "no stack 'r-0.1'"),
        (["--cells", "0"], "--cells"),
    ],
)
def test_a_wrong_command_line_ends_with_status_2(tree: Path, arguments: list[str], said: str) -> None:
    found = rcompat("check", "--fixtures", tree, *arguments)
    assert found.exit_code == 2
    assert said in found.output


def test_a_folder_that_is_no_tree_ends_with_status_2(tmp_path: Path) -> None:
    found = rcompat("check", "--fixtures", tmp_path)
    assert found.exit_code == 2
    assert "has no folder 'cases'" in found.output


def test_a_broken_case_file_ends_with_status_2_and_its_path(tree: Path) -> None:
    (tree / "cases" / "lm" / "lm-mtcars.json").write_text('{"id": "lm-mtcars"}')
    found = rcompat("check", "--fixtures", tree)
    assert found.exit_code == 2
    assert "lm-mtcars.json" in "".join(found.output.split())


# -- reports ---------------------------------------------------------------------------------------------------------


def test_the_json_report_holds_every_fit_and_every_bad_cell(tree: Path, tmp_path: Path) -> None:
    alter_digit(tree, "lm-mtcars", "coef", "wt")
    path = tmp_path / "run.json"
    assert rcompat("check", "--fixtures", tree, "--json", path).exit_code == 1
    report = json.loads(path.read_text())
    assert (report["passed"], report["live"], report["stack"]) == (False, False, STACK)
    assert [one["name"] for one in report["implementations"]] == ["refimpl"]
    results = {result["case"]: result for result in report["results"]}
    assert set(results) == set(IDS)
    (cell,) = results["lm-mtcars"]["cells"]
    assert (cell["cell"], cell["verdict"]) == ("coef[wt]", "UNEXPLAINED")
    assert cell["digits"] == pytest.approx(9, abs=0.01)
    assert cell["got"] == pytest.approx(cell["expected"], rel=2e-9)
    assert report["totals"]["cells"]["UNEXPLAINED"] == 1
    certified = {pair["quantity"]: pair for pair in results["lm-nist-longley"]["certified"]}
    assert certified["coef"]["digits"] >= certified["coef"]["digits_of_r"] - 0.3


def test_the_junit_report_has_a_test_for_each_fit(tree: Path, tmp_path: Path) -> None:
    alter_digit(tree, "lm-mtcars", "coef", "wt")
    expected_file(tree, "robcov-huber").unlink()
    path = tmp_path / "run.xml"
    rcompat("check", "--fixtures", tree, "--junit", path)
    (suite,) = ElementTree.parse(path).getroot()
    assert {key: suite.get(key) for key in ("name", "tests", "failures", "skipped")} == {
        "name": "refimpl", "tests": "4", "failures": "1", "skipped": "1"
    }  # fmt: skip
    tests = {test.get("name"): test for test in suite}
    failure = tests["lm-mtcars"].find("failure")
    assert failure is not None
    assert "coef[wt]: UNEXPLAINED; got" in (failure.text or "")
    skipped = tests["robcov-huber"].find("skipped")
    assert skipped is not None
    assert "no expected file" in str(skipped.get("message"))


# -- list ------------------------------------------------------------------------------------------------------------


def test_list_cases_tells_what_each_is_about(tree: Path) -> None:
    found = rcompat("list", "cases", "--fixtures", tree, "--case", "lm-*")
    assert found.exit_code == 0
    assert "four regressors on 32 rows" in found.stdout
    assert "robcov-huber" not in found.stdout


def test_list_quantities_tells_all_of_them() -> None:
    text = rcompat("list", "quantities").stdout
    assert [name for name in QUANTITIES if f"\n{name} " not in text] == []


def test_list_verdicts_tells_all_of_them() -> None:
    text = rcompat("list", "verdicts").stdout
    assert [verdict for verdict in MEANING if f"\n{verdict} " not in text] == []


def test_list_implementations_tells_which_are_here() -> None:
    text = rcompat("list", "implementations").stdout
    assert "\nrefimpl " in text
    assert "\nr " in text


def test_list_stacks_counts_their_files(tree: Path) -> None:
    text = rcompat("list", "stacks", "--fixtures", tree).stdout
    assert STACK in text
    assert "4" in text


# -- help, freeze and doctor -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("check", ["--live", "--case", "--implementation", "--strict", "--json", "--junit", "Examples:", "--help"]),
        ("list", ["cases", "quantities", "implementations", "verdicts", "Example:"]),
        ("freeze", ["--check", "--case", "Example:"]),
        ("doctor", ["rpy2"]),
    ],
)
def test_help_tells_the_options_and_an_example(command: str, words: list[str]) -> None:
    found = rcompat(command, "--help")
    assert found.exit_code == 0
    assert [word for word in words if word not in found.stdout] == []


def test_no_command_shows_the_help() -> None:
    found = CliRunner().invoke(app, [])
    assert all(command in found.output for command in ("check", "list", "freeze", "doctor"))


def test_freeze_without_r_writes_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(r_adapter, "r_home", no_r)
    before = expected_file(tree, "lm-mtcars").read_bytes()
    found = rcompat("freeze", "--fixtures", tree)
    assert found.exit_code == 1
    assert "NOT_RUN: there is no R on the path" in found.output
    assert expected_file(tree, "lm-mtcars").read_bytes() == before
    assert not (tree / "case.schema.json").exists()


@pytest.mark.parametrize(("state", "status"), [("ok", 0), ("warning", 0), ("missing", 1), ("broken", 1)])
def test_the_doctor_tells_findings_and_advice(monkeypatch: pytest.MonkeyPatch, state: str, status: int) -> None:
    finding = doctor.Finding("R package [lme4]", state, "1.1-31", "install it")  # type: ignore[arg-type]
    monkeypatch.setattr(doctor, "examine", lambda: [finding])
    found = rcompat("doctor")
    assert found.exit_code == status
    assert all(word in found.stdout for word in (state, "R package [lme4]", "1.1-31", "install it"))


def test_a_picture_of_the_report_is_complete_in_itself(tmp_path: Path) -> None:
    picture = tmp_path / "report.svg"
    result = CliRunner().invoke(app, ["check", "--case", "lm-nist-norris", "--svg", str(picture)])
    text = picture.read_text(encoding="utf-8")
    assert result.exit_code == 0, result.output
    assert "lm-nist-norris" in text
    assert "font-face" not in text
