"""The pytest plugin: options, markers, header, summary, and the fixtures that `compat.suite` is made of.

It is loaded in every run of pytest where rcompat is installed, so it imports nothing heavy and stays silent
in runs that are not about rcompat. The tests themselves are in suite.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from compat.cases import Case
    from compat.implementations import Implementation
    from compat.suite.known import KnownFailures

REQUIRE_LIVE = "RCOMPAT_REQUIRE_LIVE"
COUNTS = "rcompat_verdicts"
EXCUSED = "rcompat_known_failures"
CASE = "rcompat_case"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("rcompat", "rcompat: compare an implementation with R")
    group.addoption(
        "--implementation", action="append", metavar="X", default=None,
        help="implementation under test: a registered name, 'module:object' or 'command: program'; repeatable",
    )  # fmt: skip
    group.addoption(
        "--rcompat-live", action="store_true", help="compare with what R answers now, not with frozen answers"
    )
    group.addoption(
        "--rcompat-case", action="append", metavar="GLOB", default=None, help="only these cases; repeatable"
    )
    group.addoption(
        "--rcompat-fixtures", metavar="DIR", default=None, help="another tree of cases, data and expected files"
    )
    group.addoption("--rcompat-stack", metavar="NAME", default=None, help="whose frozen answers to compare with")
    group.addoption(
        "--rcompat-convention", action="append", metavar="NAME", default=None,
        help="accept answers by this convention (`rcompat list conventions`); repeatable",
    )  # fmt: skip
    group.addoption(
        "--known-failures", metavar="FILE", default=None, help="cells that are known to fail, each with its reason"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and what collects the verdicts."""
    config.addinivalue_line("markers", "live: asks a live R")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Tally(config), "rcompat-tally")


# -- what a run is about ---------------------------------------------------------------------------------------------


def fixtures_of(config: pytest.Config) -> Path:
    """Return the tree of fixtures a run uses."""
    from compat.data import fixtures_root

    given = config.getoption("--rcompat-fixtures")
    return Path(given).resolve() if given else fixtures_root()


def stack_of(config: pytest.Config) -> str:
    """Return the stack a run compares with."""
    from compat.expected import DEFAULT_STACK, stacks

    there = stacks(fixtures_of(config))
    return config.getoption("--rcompat-stack") or (there[0] if len(there) == 1 else DEFAULT_STACK)


def cases_of(config: pytest.Config) -> list[Case]:
    """Return the cases a run is about; UsageError where none matches."""
    from compat.cases import load_cases

    globs = config.getoption("--rcompat-case") or ["*"]
    found = load_cases(globs, fixtures_of(config))
    if not found:
        raise pytest.UsageError(f"--rcompat-case: no case matches {' or '.join(globs)}")
    return found


def known_failures_of(config: pytest.Config) -> KnownFailures:
    """Return the known failures of a run, none where no file was given; UsageError where it cannot be read."""
    from compat.suite.known import read

    given = config.getoption("--known-failures")
    try:
        return read(Path(given) if given else None)
    except (OSError, ValueError) as error:
        raise pytest.UsageError(f"--known-failures: {error}") from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `rcompat_implementation` or `rcompat_case` once for each of them."""
    if "rcompat_implementation" in metafunc.fixturenames:
        specs = metafunc.config.getoption("--implementation") or ["refimpl"]
        metafunc.parametrize("rcompat_implementation", specs, indirect=True, scope="session")
    if CASE in metafunc.fixturenames:
        live = [pytest.mark.live] if metafunc.config.getoption("--rcompat-live") else []
        cases = [pytest.param(case, id=case.id, marks=live) for case in cases_of(metafunc.config)]
        metafunc.parametrize(CASE, cases)


@pytest.fixture(scope="session")
def rcompat_implementation(request: pytest.FixtureRequest) -> Iterator[Implementation]:
    """The implementation under test, found once and closed at the end."""
    from compat.implementations import UnknownImplementation, close, find_or_explain

    try:
        found = find_or_explain(request.param)
    except UnknownImplementation as error:
        raise pytest.UsageError(f"--implementation: {error}") from None
    yield found
    close(found)


@pytest.fixture(scope="session")
def rcompat_r(request: pytest.FixtureRequest) -> Iterator[Implementation | None]:
    """R asked now, under --rcompat-live; None otherwise."""
    from compat.implementations import close, find_or_explain

    if not request.config.getoption("--rcompat-live"):
        yield None
        return
    found = find_or_explain("r")
    yield found
    close(found)


# -- header and summary ----------------------------------------------------------------------------------------------


def _concerned(config: pytest.Config) -> bool:
    """Whether a run is about rcompat: its own checkout, its suite, or one of its options."""
    asked = any("compat.suite" in str(argument) for argument in config.args)
    return asked or bool(config.getoption("--implementation")) or (config.rootpath / "compat" / "suite").is_dir()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which BLAS, numpy and R the run stands on."""
    if not _concerned(config):
        return []
    import numpy as np

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    lines = [f"rcompat: numpy {np.__version__}, BLAS {blas['name']} {blas['version']}"]
    return [*lines, f"rcompat: frozen {stack_of(config)}; {_live_r()}"]


def _live_r() -> str:
    from compat.adapters.r import r_home
    from compat.implementations import NotAvailable

    try:
        return f"live R in {r_home()}"
    except NotAvailable as absent:
        return f"no live R: {absent.reason}"


class _Tally:
    """Collects verdicts and passed live tests from reports, so that it works with xdist's workers too."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.cells: Counter[str] = Counter()
        self.excused: set[int] = set()
        self.cases: set[str] = set()
        self.live_passed = 0
        self.problems: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a test recorded."""
        if report.when != "call":
            return
        self.live_passed += report.passed and "live" in report.keywords
        properties: dict[str, Any] = dict(report.user_properties)
        self.cells.update(json.loads(properties.get(COUNTS, "{}")))
        self.excused.update(json.loads(properties.get(EXCUSED, "[]")))
        if CASE in properties:
            self.cases.add(str(properties[CASE]))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the session where live tests were required and none passed, or a known failure does not fail."""
        if os.environ.get(REQUIRE_LIVE) == "1" and not self._without_live() and self.live_passed == 0:
            self.problems.append(f"{REQUIRE_LIVE}=1, and no live test passed: R was not asked (see `rcompat doctor`)")
        if self.cases:
            self.problems += known_failures_of(self.config).unmatched(self.excused, self.cases)
        if self.problems and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _without_live(self) -> bool:
        """Whether the run leaves live tests out on purpose."""
        return "not live" in str(self.config.getoption("-m", default=""))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the counts of verdicts, and what makes the session fail beside its tests."""
        if self.cells or self.problems:
            terminalreporter.section("rcompat")
        if self.cells:
            counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(self.cells.items()))
            terminalreporter.line(f"{len(self.cases)} cases, cells: {counts}")
        for problem in self.problems:
            terminalreporter.line(f"FAILED: {problem}", red=True)
