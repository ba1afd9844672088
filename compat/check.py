"""The way of the data: a case is fitted once per implementation and run, its cells compared with what R answered.

What the verdicts are is compare's business; how they are shown is report's. Nothing here asserts or prints.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from compat.cases import Case, DataUnavailable, data_digests
from compat.cells import Cell, NotCells, labelled
from compat.compare import (
    ABSENT,
    Certified,
    CertifiedDigits,
    Defect,
    Failure,
    Row,
    Verdict,
    certified_digits,
    compare,
    excuse,
)
from compat.expected import Expected, ExpectedMissing, load_expected
from compat.implementations import Implementation, InLanes, NotAvailable, NotProvided, is_reference
from compat.processes import in_order


class Absent(NamedTuple):
    """No answer, and none to be blamed for: NOT_RUN or NOT_PROVIDED, and why."""

    verdict: Verdict
    reason: str


Answer = Mapping[str, Any] | Failure | Absent


class CertifiedPair(NamedTuple):
    """How many digits of a quantity are certified right: the implementation's, and R's."""

    mine: CertifiedDigits
    r: CertifiedDigits


@dataclass(frozen=True)
class Result:
    """What one implementation's fit of one case came to; `source` says whose answer it was compared with."""

    case: Case
    implementation: str
    source: str
    rows: tuple[Row, ...]
    seconds: float = 0.0
    certified: tuple[CertifiedPair, ...] = ()

    @property
    def compared(self) -> int:
        """How many cells were compared."""
        return sum(row.verdict not in ABSENT for row in self.rows)

    @property
    def bad(self) -> list[Row]:
        """The rows that make a run fail."""
        return [row for row in self.rows if row.bad]

    @property
    def verdict(self) -> Verdict:
        """The gravest verdict of its cells; NOT_PROVIDED only where nothing was compared."""
        found = {row.verdict for row in self.rows}
        return next(one for one in _GRAVITY if one in found)

    @property
    def least(self) -> Row | None:
        """The compared cell with the fewest digits."""
        judged = [row for row in self.rows if row.digits is not None and row.verdict not in ABSENT]
        return min(judged, key=lambda row: row.digits or 0.0, default=None)


_GRAVITY = (
    Verdict.ERROR, Verdict.STRUCTURE, Verdict.UNEXPLAINED, Verdict.CANDIDATE_NOT_CONVERGED,
    Verdict.REFERENCE_NOT_CONVERGED, Verdict.KNOWN_REFERENCE_DEFECT, Verdict.MATCH_UNDER_CONVENTION,
    Verdict.MATCH, Verdict.NOT_RUN, Verdict.NOT_PROVIDED,
)  # fmt: skip


@dataclass
class Totals:
    """Counts over a run, and whether it passed."""

    cells: Counter[Verdict] = field(default_factory=Counter)
    fits: Counter[Verdict] = field(default_factory=Counter)
    cases: set[str] = field(default_factory=set)
    seconds: float = 0.0

    def add(self, result: Result) -> None:
        """Count one result."""
        self.cells.update(row.verdict for row in result.rows)
        self.fits[result.verdict] += 1
        self.cases.add(result.case.id)
        self.seconds += result.seconds

    @property
    def compared(self) -> int:
        """How many cells were compared."""
        return sum(count for verdict, count in self.cells.items() if verdict not in ABSENT)

    @property
    def bad(self) -> int:
        """How many cells make the run fail."""
        return sum(count for verdict, count in self.cells.items() if verdict in _BAD)

    def passed(self, strict: bool = False) -> bool:
        """Whether nothing is unexplained and something was compared; under `strict` nothing may be absent either."""
        absent = sum(self.cells[verdict] for verdict in ABSENT)
        return self.bad == 0 and self.compared > 0 and not (strict and absent)


_BAD = frozenset(verdict for verdict in Verdict if Row(Cell("", ()), verdict).bad)


def totals(results: Iterable[Result]) -> Totals:
    """Count results."""
    out = Totals()
    for result in results:
        out.add(result)
    return out


# -- asking ----------------------------------------------------------------------------------------------------------


def ask(implementation: Implementation, case: Case) -> Answer:
    """Let an implementation fit a case, its warnings unheard; what it raises is an answer, or why there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _answer(implementation, case)


def _answer(implementation: Implementation, case: Case) -> Answer:
    if case.estimator not in implementation.capabilities:
        return Absent(Verdict.NOT_PROVIDED, f"{implementation.name} does not offer {case.estimator}")
    try:
        _ = case.data
        return dict(implementation.fit(case))
    except (DataUnavailable, NotAvailable) as absent:
        return Absent(Verdict.NOT_RUN, absent.reason)
    except NotProvided as absent:
        return Absent(Verdict.NOT_PROVIDED, absent.reason)
    except (Exception, SystemExit) as error:  # an adapter may raise anything; it costs one case
        kind = getattr(error, "kind", None)
        if isinstance(kind, str):
            return Failure(kind, str(error))
        return Failure("exception", f"{type(error).__name__}: {error}")


def frozen(case: Case, stack: str) -> Answer:
    """Return what a stack answered for a case, from its expected file; one that is stale or edited fails the run."""
    try:
        found = load_expected(case, stack)
    except ExpectedMissing as missing:
        return Absent(Verdict.NOT_RUN, str(missing))
    if why := stale(case, found) or edited(found):
        return Absent(Verdict.STRUCTURE, f"{why}: run `rcompat freeze --case {case.id}`")
    return Failure(found.error.kind, found.error.message) if found.error else found.quantities


def edited(expected: Expected) -> str:
    """Say which cells of an expected file are not what was frozen; an empty text where all are."""
    cells = [str(cell) for cell in expected.edited]
    more = f" and {len(cells) - NAMED} more" if len(cells) > NAMED else ""
    return f"the expected file was edited since it was frozen, in {', '.join(cells[:NAMED])}{more}" if cells else ""


NAMED = 10  # cells at most


def stale(case: Case, expected: Expected) -> str:
    """Say what changed since an expected file was frozen; an empty text where nothing did."""
    provenance = expected.provenance
    if case.sha256 and provenance.case_sha256 != case.sha256:
        return "the case was changed since its expected file was frozen"
    then = {name: getattr(provenance, name) for name in ("data", "data_sha256_doubles", "data_recipe_sha256")}
    if case.sha256 and then != data_digests(case):
        return f"the data {case.data_name} was changed since this was frozen"
    return ""


# -- comparing -------------------------------------------------------------------------------------------------------


def judge(
    case: Case,
    implementation: Implementation,
    answer: Answer,
    reference: Answer,
    *,
    source: str,
    stack: str,
    seconds: float = 0.0,
    conventions: Collection[str] = (),
) -> Result:
    """Compare one answer with R's; `conventions` are accepted, beside those that the implementation declares."""
    for one in (reference, answer):
        if isinstance(one, Absent):
            row = Row(Cell(case.estimator, ()), one.verdict, reason=one.reason)
            return Result(case, implementation.name, source, (row,), seconds)
    assert not isinstance(answer, Absent)
    assert not isinstance(reference, Absent)
    certified = certified_values(case)
    repeats = is_reference(implementation)
    rows = compare(case, answer, reference, certified, messages=repeats)
    if not repeats:  # R has to repeat its defects
        rows = excuse(rows, stack, case.id, known_defects(case.root))
        accepted = {*conventions, *getattr(implementation, "conventions", ())}
        rows = _explained(case, answer, reference, rows, accepted)
    pairs = _pairs(answer, reference, certified)
    return Result(case, implementation.name, source, tuple(rows), seconds, pairs)


def _explained(case: Case, answer: Answer, reference: Answer, rows: list[Row], accepted: Collection[str]) -> list[Row]:
    """The same rows, with the convention under which they agree where one is known."""
    if not any(row.bad for row in rows) or not isinstance(answer, Mapping) or not isinstance(reference, Mapping):
        return rows
    from compat.conventions.explain import explain

    return explain(case, answer, reference, rows, accepted)


def _pairs(answer: Answer, reference: Answer, certified: Certified | None) -> tuple[CertifiedPair, ...]:
    if certified is None or not isinstance(answer, Mapping) or not isinstance(reference, Mapping):
        return ()
    try:
        mine, theirs = (
            {
                found.quantity: found
                for found in certified_digits({k: labelled(v) for k, v in one.items() if k in certified}, certified)
            }
            for one in (answer, reference)
        )
    except NotCells:
        return ()
    return tuple(CertifiedPair(mine[name], theirs[name]) for name in mine if name in theirs)


def check(
    cases: Iterable[Case],
    implementations: Sequence[Implementation],
    stack: str,
    live: Implementation | None = None,
    conventions: Collection[str] = (),
    jobs: int = 1,
) -> Iterator[Result]:
    """A result for each case and implementation, compared with the frozen answers of a stack.

    With `live` (R as an implementation) they are compared with what R answers now instead, and R's own answer is
    compared with the frozen one. Answers by one of `conventions` (their names), or by one that the implementation
    declares itself, agree under that convention. Where all implementations have `parallel`, so many `jobs` run at once.
    """
    cases = list(cases)
    if live is not None:
        return _check_live(cases, implementations, stack, live, conventions)

    def results(at: int) -> list[Result]:
        case = cases[at]
        return _judged(case, implementations, frozen(case, stack), f"frozen {stack}", stack, conventions)

    parallel = all(getattr(one, "parallel", False) for one in implementations)
    found = in_order(results, len(cases), jobs if parallel else 1)
    return (replace(one, case=case) for case, several in zip(cases, found, strict=True) for one in several)


def _check_live(
    cases: Sequence[Case],
    implementations: Sequence[Implementation],
    stack: str,
    live: Implementation,
    conventions: Collection[str],
) -> Iterator[Result]:
    others = [one for one in implementations if one is not live]
    for case, (now, seconds) in zip(cases, _ahead(live, cases), strict=True):
        reference, source = frozen(case, stack), f"frozen {stack}"
        yield judge(case, live, now, reference, source=source, stack=stack, seconds=seconds)
        yield from _judged(case, others, now, f"live {live.name}", stack, conventions)


def _judged(
    case: Case,
    implementations: Sequence[Implementation],
    reference: Answer,
    source: str,
    stack: str,
    conventions: Collection[str],
) -> list[Result]:
    """What each implementation answers to a case, compared with one reference."""
    results = []
    for implementation in implementations:
        answer, seconds = _timed(implementation, case)
        result = judge(
            case, implementation, answer, reference,
            source=source, stack=stack, seconds=seconds, conventions=conventions,
        )  # fmt: skip
        results.append(result)
    return results


def _ahead(live: Implementation, cases: Sequence[Case]) -> Iterator[tuple[Answer, float]]:
    """R's answers in the order of the cases, asked for while earlier ones are judged: R has processes of its own."""
    lanes = [live.lane(case.estimator) if isinstance(live, InLanes) else 0 for case in cases]
    pools = [ThreadPoolExecutor(max_workers=1) for _ in range(max(lanes, default=0) + 1)]
    try:
        # catch_warnings is no thing for threads, and R warns in its answers
        asked = [pools[lane].submit(_timed, live, case, _answer) for case, lane in zip(cases, lanes, strict=True)]
        yield from (one.result() for one in asked)
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)


def _timed(
    implementation: Implementation, case: Case, asked: Callable[[Implementation, Case], Answer] = ask
) -> tuple[Answer, float]:
    start = time.perf_counter()
    answer = asked(implementation, case)
    return answer, time.perf_counter() - start


# -- what lies beside the cases --------------------------------------------------------------------------------------


class CertifiedFile(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True, kw_only=True):
    """A file of `published/nist`, or of `certified`: values as decimal strings, right up to their last digit.

    What was proved here says of which case, which data and with how many bits.
    """

    source: str
    case: str
    quantities: dict[str, str | dict[str, str]]
    case_sha256: str = ""
    data_sha256_doubles: str = ""
    bits: int = 0


@lru_cache(maxsize=16)
def certified_files(root: Path) -> dict[str, CertifiedFile]:
    """Return the files of certified values by case."""
    paths = sorted((root / "published" / "nist").glob("*.json")) + sorted((root / "certified").glob("*.json"))
    files = [msgspec.json.decode(path.read_bytes(), type=CertifiedFile) for path in paths]
    return {file.case: file for file in files}


def certified_values(case: Case) -> Certified | None:
    """Return the certified values of a case by quantity, None where there are none."""
    found = certified_files(case.root).get(case.id)
    return None if found is None else found.quantities


@lru_cache(maxsize=16)
def known_defects(root: Path) -> tuple[Defect, ...]:
    """Return the defects that stacks are known to have: `defects.json` of the fixtures, where it exists."""
    path = root / "defects.json"
    if not path.is_file():
        return ()
    return tuple(msgspec.json.decode(path.read_bytes(), type=list[Defect]))
