"""Freeze: ask a stack for every case and keep what it answered, with everything needed to get it again.

Only what R said is ever written; a file whose numbers and provenance are the same is left as it is, date included.
"""

from __future__ import annotations

import datetime
import json
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from compat.adapters.r import RImplementation, text_for_r
from compat.cases import Case, DataUnavailable, case_schema, data_digests
from compat.cells import cells
from compat.compare import Verdict, compare, digits
from compat.data import data_spec
from compat.expected import Expected, Provenance, Refusal, dumps, expected_path, expected_schema, from_answer
from compat.quantities import MIXED, of_estimator
from compat.worker import WorkerError, encode_request


class Status(StrEnum):
    """What became of one expected file."""

    UNCHANGED = "unchanged"
    NEW = "new"
    NUMBERS = "numbers differ"
    PROVENANCE = "provenance differs"
    FAILED = "not frozen"
    ORPHAN = "no such case"


@dataclass(frozen=True)
class Frozen:
    """One expected file after a freeze, or as a freeze would leave it."""

    case: str
    status: Status
    detail: str = ""

    @property
    def fine(self) -> bool:
        """Whether there is nothing to do."""
        return self.status is Status.UNCHANGED


class Stack(Protocol):
    """One R with its packages."""

    name: str

    def facts(self, estimator: str) -> Mapping[str, str]:
        """Return r_version, blas, lapack, platform, locale and r_code_sha256."""
        ...

    def ask(self, case: Case) -> dict[str, Any]:
        """Return the raw answer of the line protocol, with `call` and `versions`, an error included."""
        ...


_FACTS = ("r_version", "blas", "lapack", "platform", "locale", "r_code_sha256")


class LocalR:
    """The R of this machine behind its own front end; its name is made of its version and the system's.

    Raises NotAvailable(reason) where there is none.
    """

    def __init__(self, name: str | None = None) -> None:
        self._r = RImplementation(host="rscript")
        self._r.provenance()
        self.name = name or f"r-{self._r.version}-{_system()}"

    def facts(self, estimator: str) -> Mapping[str, str]:
        """Return what this R says about itself, and the digest of the R code behind an estimator."""
        provenance = self._r.provenance(estimator)
        return {name: provenance[name] for name in _FACTS}

    def ask(self, case: Case) -> dict[str, Any]:
        """Return the worker's raw answer; WorkerError where none came."""
        return self._r.ask(encode_request(case, of_estimator(case.estimator), text_for_r))

    def close(self) -> None:
        """End the worker."""
        self._r.close()


def _system() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return platform.system().lower()
    return re.sub(r"[^a-z0-9.]+", "", f"{release['ID']}{release.get('VERSION_ID', '')}".lower())


def freeze(
    cases: Sequence[Case], stack: Stack, root: Path, *, write: bool = True, whole: bool = False
) -> Iterator[Frozen]:
    """Ask the stack for each case and write its expected file (nothing under `write=False`); yield what became of it.

    `whole` says that `cases` are all there are, so that an expected file of no case is an orphan.
    """
    for case in cases:
        try:
            fresh = expected_of(case, stack)
        except (DataUnavailable, WorkerError, NotFrozen) as problem:
            yield Frozen(case.id, Status.FAILED, str(problem))
            continue
        path = expected_path(case.id, stack.name, root)
        became = _difference(path, fresh, case)
        if write and not became.fine:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dumps(fresh), encoding="utf-8")
        yield became
    if whole:
        yield from orphans(cases, stack.name, root)


class NotFrozen(Exception):
    """An answer that must not be kept."""


def expected_of(case: Case, stack: Stack) -> Expected:
    """Ask the stack for a case; NotFrozen where its answer is not of the sort that the case expects."""
    answer = stack.ask(case)
    error = answer.get("error")
    if error is not None and case.expects_error is None:
        raise NotFrozen(f"the case expects values, R refuses ({error['kind']}): {error['message']}")
    if error is None and case.expects_error is not None:
        raise NotFrozen(f"the case expects the error {case.expects_error}, R answers with values")
    if error is not None and error["kind"] != case.expects_error:
        raise NotFrozen(f"the case expects the error {case.expects_error}, R's is {error['kind']}: {error['message']}")
    return Expected(
        case=case.id,
        provenance=Provenance(
            stack=stack.name,
            packages=answer.get("versions", {}),
            call=answer.get("call", ""),
            case_sha256=case.sha256,
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            **data_digests(case),
            **stack.facts(case.estimator),
        ),
        quantities={} if error else from_answer(_publishable(case, answer["quantities"])),
        error=None if error is None else Refusal(error["kind"], error["message"]),
        warnings=answer.get("warnings", []),
    )


# Fitted values and residuals add up to the response, row by row.
_BY_ROW = frozenset({"fitted", "residuals", "hatvalues"})


def _publishable(case: Case, quantities: Mapping[str, Any]) -> dict[str, Any]:
    """The quantities that may be kept: data that is not in the repository must not come back out of them."""
    spec = data_spec(case.data_name, case.root)
    kept_outside = spec.url is not None or spec.r_package is not None
    return {name: value for name, value in quantities.items() if not (kept_outside and name in _BY_ROW)}


def _difference(path: Path, fresh: Expected, case: Case) -> Frozen:
    """How a fresh answer differs from the file that is there."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Expected)
    except FileNotFoundError:
        return Frozen(fresh.case, Status.NEW)
    except msgspec.DecodeError as error:
        return Frozen(fresh.case, Status.NUMBERS, f"the file cannot be read: {error}")
    if (numbers := _numbers_differ(kept, fresh)) and not _same_optimum(kept, fresh, case):
        return Frozen(fresh.case, Status.NUMBERS, numbers)
    if cells_edited := kept.edited:
        return Frozen(fresh.case, Status.NUMBERS, f"edited by hand: {', '.join(map(str, cells_edited[:3]))}")
    old, new = msgspec.structs.asdict(kept.provenance), msgspec.structs.asdict(fresh.provenance)
    changed = [name for name in new if name != "date" and old[name] != new[name]]
    if kept.warnings != fresh.warnings:
        changed.append("warnings")
    if changed:
        return Frozen(fresh.case, Status.PROVENANCE, ", ".join(changed))
    return Frozen(fresh.case, Status.UNCHANGED)


def _same_optimum(kept: Expected, fresh: Expected, case: Case) -> bool:
    """Whether a mixed model's answers are two ends of one search. lme4 does not repeat itself to the last bit: from one
    process to the next its sums are rounded in another order, and its optimiser then stops elsewhere.
    """
    if case.estimator not in MIXED or kept.error is not None or fresh.error is not None:
        return False
    same_cells = list(cells(kept.quantities)) == list(cells(fresh.quantities))
    rows = compare(case, fresh.quantities, kept.quantities)
    return same_cells and all(row.verdict is Verdict.MATCH for row in rows)


def _numbers_differ(kept: Expected, fresh: Expected) -> str:
    if (kept.error, fresh.error) != (None, None):
        return "" if kept.error == fresh.error else f"the error was {kept.error}, is {fresh.error}"
    old, new = cells(kept.quantities), cells(fresh.quantities)
    if list(old) != list(new):
        gone, come = [str(c) for c in old if c not in new], [str(c) for c in new if c not in old]
        return f"cells gone: {gone[:3]}, new: {come[:3]}" if gone or come else "the order of the cells"
    before, after = np.array(list(old.values())), np.array(list(new.values()))
    differ = ~((before == after) | (np.isnan(before) & np.isnan(after)))
    if not differ.any():
        return "" if kept.quantities == fresh.quantities else "NA for NaN, or the reverse"
    shared = np.nan_to_num(digits(before, after)[differ])
    where = [str(cell) for cell, flag in zip(old, differ.tolist(), strict=True) if flag]
    return f"{differ.sum()} of {differ.size} cells, least digits {shared.min():.1f} at {where[int(shared.argmin())]}"


def orphans(cases: Iterable[Case], stack: str, root: Path) -> Iterator[Frozen]:
    """Yield the expected files of a stack that belong to no case."""
    known = {case.id for case in cases}
    for path in sorted((root / "expected" / stack).glob("*.json")):
        if path.stem not in known:
            yield Frozen(path.stem, Status.ORPHAN, "delete it, or bring the case back")


def write_schemas(root: Path, *, write: bool = True) -> list[str]:
    """Write the JSON Schemas of cases and expected files; return the names of those that were not as they are now."""
    texts = {"case.schema.json": case_schema(), "expected.schema.json": expected_schema()}
    changed = []
    for name, schema in texts.items():
        text = json.dumps(schema, indent=2, sort_keys=True) + "\n"
        path = root / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            changed.append(name)
            if write:
                path.write_text(text, encoding="utf-8")
    return changed
