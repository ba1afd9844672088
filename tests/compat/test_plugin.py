from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

# Runs inside this process forget what they import, and numpy cannot be loaded twice: it is loaded here.
import compat.adapters.r
import compat.adapters.refimpl
import compat.check
import compat.report
import compat.suite.known  # noqa: F401
from compat.pytest_plugin import REQUIRE_LIVE
from tests.compat.trees import STACK, small_tree

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
IDS = ("lm-mtcars", "lm-error-unknown-column")

PORT = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
import pandas as pd
from tests.compat.fakes import Replay

class Port(Replay):
    name = "port"

right = Port()

def nine_digits(quantities):
    quantities["std_error"] = pd.Series(quantities["std_error"]) * np.float64(1 + 1e-9)

wrong = Port(nine_digits)
wrong.name = "wrong"
"""


@pytest.fixture(autouse=True)
def only_this_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs inside this process load no other plugin; the one in a process of its own finds this one by itself."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "compat.pytest_plugin")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return small_tree(tmp_path, *IDS)


@pytest.fixture
def suite(pytester: pytest.Pytester, tree: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder of somebody else's, with a port in it; `--pyargs compat.suite` is run there."""
    monkeypatch.delenv(REQUIRE_LIVE, raising=False)
    pytester.makepyfile(port=PORT)
    pytester.makeini("[pytest]\n")
    pytester.syspathinsert()
    return pytester


def run_suite(suite: pytest.Pytester, tree: Path, *arguments: str) -> pytest.RunResult:
    fixed = ("--pyargs", "compat.suite.test_cases", "--rcompat-fixtures", str(tree), "-p", "no:cacheprovider")
    return suite.runpytest_inprocess(*fixed, *arguments)


# -- the suite -------------------------------------------------------------------------------------------------------


def test_a_right_port_passes_with_a_test_for_each_case(suite: pytest.Pytester, tree: Path) -> None:
    found = run_suite(suite, tree, "--implementation", "port:right", "-v")
    found.assert_outcomes(passed=2)
    assert found.ret == 0
    for case in IDS:
        found.stdout.fnmatch_lines([f"*test_case_agrees_with_r*port:right-{case}* PASSED*"])
    found.stdout.fnmatch_lines(["2 cases, cells: * MATCH"])


def test_a_wrong_port_fails_and_every_bad_cell_is_shown(suite: pytest.Pytester, tree: Path) -> None:
    found = run_suite(suite, tree, "--implementation", "port:wrong", "--rcompat-case", "lm-mtcars")
    found.assert_outcomes(failed=1)
    text = found.stdout.str()
    assert f"wrong on lm-mtcars, against frozen {STACK}: 5 bad cells" in text
    assert "lm(mpg ~ wt" in text
    assert "data mtcars" in text
    found.stdout.fnmatch_lines(["*std_error?wt?: UNEXPLAINED; got *, R *; 9.0 digits; allowed *; half the relative*"])
    assert text.count("std_error[") == 5


def test_several_implementations_stand_side_by_side(suite: pytest.Pytester, tree: Path) -> None:
    found = run_suite(
        suite, tree, "--implementation", "port:right", "--implementation", "port:wrong", "--rcompat-case", "lm-mtcars"
    )
    found.assert_outcomes(passed=1, failed=1)


def test_what_was_not_run_is_skipped_with_the_reason(suite: pytest.Pytester, tree: Path) -> None:
    (tree / "data" / "mtcars.csv").unlink()
    found = run_suite(suite, tree, "--implementation", "port:right", "--rcompat-case", "lm-mtcars", "-rs")
    found.assert_outcomes(skipped=1)
    found.stdout.fnmatch_lines(["*NOT_RUN*mtcars.csv is missing*"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rcompat-case", "nothing-*"], "no case matches nothing-[*]"),
        (["--implementation", "nobody"], "no implementation 'nobody'"),
        (["--known-failures", "no-such-file"], "no-such-file"),
    ],
)
def test_wrong_options_are_told(suite: pytest.Pytester, tree: Path, arguments: list[str], said: str) -> None:
    found = run_suite(suite, tree, *arguments)
    assert found.ret != 0
    assert said.replace("[*]", "*") in found.stdout.str() + found.stderr.str()


def test_two_workers_count_what_one_counts(
    suite: pytest.Pytester, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.delenv("PYTEST_PLUGINS")
    junit = tmp_path / "run.xml"
    found = suite.runpytest_subprocess(
        "--pyargs", "compat.suite.test_cases", "--rcompat-fixtures", str(tree), "--implementation", "port:wrong",
        "-n", "2", "--junit-xml", str(junit), "-p", "no:cacheprovider",
    )  # fmt: skip
    found.assert_outcomes(passed=1, failed=1)
    found.stdout.fnmatch_lines(["2 cases, cells: * MATCH, 5 UNEXPLAINED"])
    properties = {p.get("name"): p.get("value") for p in ElementTree.parse(junit).getroot().iter("property")}
    assert properties["rcompat_case"] in IDS


# -- known failures --------------------------------------------------------------------------------------------------


def known(suite: pytest.Pytester, *lines: str) -> str:
    path = suite.path / "known-failures.txt"
    path.write_text("\n".join(["# what is wrong in this port", "", *lines]) + "\n")
    return str(path)


def test_known_failures_are_expected(suite: pytest.Pytester, tree: Path) -> None:
    file = known(suite, "lm-* std_error[*]  # nine digits are enough for now")
    found = run_suite(
        suite, tree, "--implementation", "port:wrong", "--rcompat-case", "lm-mtcars", "--known-failures", file, "-rx"
    )
    found.assert_outcomes(xfailed=1)
    assert found.ret == 0
    found.stdout.fnmatch_lines(["*nine digits are enough for now*"])


def test_a_failure_beside_the_known_ones_fails(suite: pytest.Pytester, tree: Path) -> None:
    file = known(suite, "lm-mtcars std_error[wt]  # this one only")
    found = run_suite(
        suite, tree, "--implementation", "port:wrong", "--rcompat-case", "lm-mtcars", "--known-failures", file
    )
    found.assert_outcomes(failed=1)


def test_an_entry_that_no_longer_fails_is_an_error(suite: pytest.Pytester, tree: Path) -> None:
    file = known(suite, "lm-mtcars std_error[*]  # mended long ago", "ols-* coef[*]  # not run here")
    found = run_suite(suite, tree, "--implementation", "port:right", "--known-failures", file)
    found.assert_outcomes(passed=2)
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    found.stdout.fnmatch_lines(
        ["FAILED: *known-failures.txt:3: nothing fails at lm-mtcars std_error?[*]?: delete the entry"]
    )
    assert "ols-*" not in found.stdout.str().split("rcompat ===")[-1]


@pytest.mark.parametrize("line", ["lm-mtcars std_error[*]", "lm-mtcars # a reason", "# only a comment #"])
def test_an_entry_needs_case_cell_and_reason(suite: pytest.Pytester, tree: Path, line: str) -> None:
    found = run_suite(suite, tree, "--implementation", "port:right", "--known-failures", known(suite, line))
    if line.startswith("#"):
        found.assert_outcomes(passed=2)
    else:
        assert found.ret != 0
        assert "known-failures.txt:3: not 'case cell # reason'" in found.stdout.str() + found.stderr.str()


# -- live ------------------------------------------------------------------------------------------------------------


LIVE = """
import pytest

@pytest.mark.live
def test_asks_r():
    if {skip}:
        pytest.skip("there is no R")

def test_asks_nobody():
    assert 1 + 1 == 2
"""


@pytest.mark.parametrize(
    ("skip", "environment", "arguments", "passes"),
    [
        (True, "1", [], False),
        (False, "1", [], True),
        (True, "0", [], True),
        (True, "1", ["-m", "not live"], True),
        (True, "1", ["-m", "live"], False),
    ],
)
def test_where_live_tests_are_required_one_has_to_pass(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    skip: bool,
    environment: str,
    arguments: list[str],
    passes: bool,
) -> None:
    monkeypatch.setenv(REQUIRE_LIVE, environment)
    pytester.makepyfile(LIVE.format(skip=skip))
    found = pytester.runpytest_inprocess("--strict-markers", *arguments)
    assert (found.ret == 0) is passes
    line = f"FAILED: {REQUIRE_LIVE}=1, and no live test passed: R was not asked (see `rcompat doctor`)"
    assert (line in found.stdout.str()) is not passes


# -- header ----------------------------------------------------------------------------------------------------------


def test_the_header_tells_what_the_run_stands_on(suite: pytest.Pytester, tree: Path) -> None:
    found = run_suite(suite, tree, "--implementation", "port:right")
    found.stdout.fnmatch_lines(["rcompat: numpy *, BLAS *", f"rcompat: frozen {STACK}; *live R*"])


def test_other_peoples_runs_are_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing():\n    assert True\n")
    assert (
        "rcompat"
        not in pytester.runpytest_inprocess("-p", "no:cacheprovider")
        .stdout.str()
        .replace("plugins: ", "")
        .split("rootdir")[0]
    )
