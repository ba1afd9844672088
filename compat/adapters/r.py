"""R itself as an implementation: it defines what the others are compared with.

Which child hosts R is decided here (rpy2 where it can load this R, Rscript else) and how R is found. What the
child does is in r_host and r/worker.R. Importing this needs no R: it is looked for at the first request.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence, Set
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from compat.cases import Case
from compat.implementations import NotAvailable, Refused
from compat.quantities import ESTIMATORS, of_estimator
from compat.worker import Value, Worker, WorkerError, decode_quantities, deparsed, encode_request
from refimpl.errors import FormulaError

R_FOLDER = Path(__file__).parents[1] / "r"
ROOT = Path(__file__).parents[2]
INSTALL = f"on Debian or Ubuntu run `sh {R_FOLDER / 'install-debian.sh'}`, elsewhere see https://www.r-project.org"

Host = Literal["auto", "rpy2", "rscript"]

ROOMS = (
    {"ols", "robcov", "vcov_hc", "ml_sandwich"},  # rms takes longest to load
    {"lm", "anova", "vcov_cluster"},
    {"plm", "plm_vcov", "plm_test"},
    {"lmer", "lmer_anova"},
)
"""Estimators that one R answers for: those of one package together, and about as long to wait for as the others."""


def r_home() -> Path:
    """Return R's home: R_HOME, or what the R on the path says; NotAvailable(reason) tells how to get R."""
    given = os.environ.get("R_HOME")
    if given and Path(given).is_dir():
        return Path(given)
    if shutil.which("R") is None:
        raise NotAvailable(f"there is no R on the path: {INSTALL}")
    try:
        said = subprocess.run(["R", "RHOME"], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotAvailable(f"R does not start ({error}): {INSTALL}") from None
    return Path(said.stdout.strip().splitlines()[-1])


def host_command(host: Host, home: Path) -> list[str]:
    """Return the command of a host: a Python that embeds R, or R's own front end."""
    if host == "rpy2":
        return [sys.executable, "-P", "-m", "compat.r_host"]
    return [str(home / "bin" / "Rscript"), "--vanilla", str(R_FOLDER / "worker.R")]


def host_environment(home: Path) -> dict[str, str]:
    """Return what a host needs in its environment: one locale, one language, one thread, libR's folder."""

    def before(name: str, folder: Path) -> str:
        present = os.environ.get(name)
        return f"{folder}{os.pathsep}{present}" if present else str(folder)

    return {
        "LC_ALL": "C.UTF-8",
        "LANGUAGE": "en",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "R_HOME": str(home),
        "LD_LIBRARY_PATH": before("LD_LIBRARY_PATH", home / "lib"),
        "PYTHONPATH": before("PYTHONPATH", ROOT),
    }


def worker_files(estimator: str | None = None) -> list[Path]:
    """Return the R files an answer depends on: all, or those up to the one that defines the estimator."""
    description = (R_FOLDER / "DESCRIPTION").read_text(encoding="utf-8")
    listed = re.search(r"^Collate:(.*?)(?=^\S|\Z)", description, re.MULTILINE | re.DOTALL)
    rooms = [R_FOLDER / name for name in (listed.group(1).split() if listed else [])]
    files = [R_FOLDER / "worker.R", R_FOLDER / "allowed.txt"]
    for room in rooms:
        files.append(room)
        if f'register("{estimator}"' in room.read_text(encoding="utf-8"):
            break
    return files


def worker_sha256(estimator: str | None = None) -> str:
    """Return the sha256 over the R files an answer depends on, in their order."""
    digest = hashlib.sha256()
    for path in worker_files(estimator):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def text_for_r(text: str, functions: frozenset[str] = frozenset()) -> str:
    """Return a formula as it goes to R: deparsed, or as written where our gate refuses it.

    So R says itself what it thinks of the text: worker.R only parses it, and has a gate of its own.
    """
    try:
        return deparsed(text, functions)
    except FormulaError:
        return text


class RRefused(Refused):
    """R answered with an error; `warnings` are what it had said before."""

    def __init__(self, kind: str, message: str, warnings: Sequence[str]) -> None:
        super().__init__(kind, message)
        self.warnings = list(warnings)


class RProcess:
    """One R in a child process: started at the first request, restarted after it died; not for two threads at once."""

    def __init__(self, host: Host, timeout: float, command: Sequence[str] | None) -> None:
        self.host = host
        self.hosted_by = ""
        self.stack: dict[str, Any] = {}
        self.version = ""
        self._timeout = timeout
        self._command = list(command) if command else None
        self._worker: Worker | None = None
        self._candidates: list[tuple[str, Worker]] = []

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a request of the line protocol, R's errors included."""
        return self.started().ask(request)

    def started(self) -> Worker:
        """Return the worker, which has answered at least once; NotAvailable(reason) where no host starts."""
        if self._worker is None:
            self._worker = self._start()
        return self._worker

    def prepare(self) -> None:
        """Let R start up while something else is done. Says nothing where there is no R: the first request does."""
        if self._worker is None and not self._candidates:
            with contextlib.suppress(NotAvailable, WorkerError):
                self._candidates = self._find_hosts()
                self._candidates[0][1].start()

    def close(self) -> None:
        """End R."""
        workers = [worker for _, worker in self._candidates] + ([self._worker] if self._worker else [])
        self._candidates, self._worker = [], None
        for worker in workers:
            worker.close()

    def _find_hosts(self) -> list[tuple[str, Worker]]:
        """The hosts to try, none started: with "auto" rpy2's where it is installed, then Rscript's."""
        if self._command is not None:
            return [("command", Worker(self._command, self._timeout))]
        home = r_home()
        env = host_environment(home)
        hosts: list[Host] = [self.host]
        if self.host == "auto":
            hosts = ["rpy2", "rscript"] if find_spec("rpy2") else ["rscript"]
        return [(host, Worker(host_command(host, home), self._timeout, env)) for host in hosts]

    def _start(self) -> Worker:
        reasons = []
        candidates, self._candidates = self._candidates or self._find_hosts(), []
        for host, worker in candidates:
            try:
                return self._try(worker, host)
            except WorkerError as error:
                reasons.append(f"{host}: {error}")
        raise NotAvailable(f"R does not start ({'; '.join(reasons)}); `rcompat doctor` tells more")

    def _try(self, worker: Worker, host: str) -> Worker:
        found = worker.ask({"id": "versions", "estimator": "versions"})
        if "error" in found:
            worker.close()
            raise NotAvailable(f"R's worker does not answer: {found['error']['message']}")
        self.stack = found["provenance"]
        self.version = found["versions"]["R"]
        self.hosted_by = host
        return worker


class RImplementation:
    """R behind the line protocol.

    `host` chooses who hosts it, `command` replaces the host by any program that answers like worker.R, and
    `timeout` is in seconds a request. `version` is empty until R was asked.
    """

    name = "r"
    capabilities: Set[str] = frozenset(ESTIMATORS)

    def __init__(self, host: Host = "auto", timeout: float = 60.0, command: Sequence[str] | None = None) -> None:
        self.timeout = timeout
        self.version = ""
        self._new = partial(RProcess, host, timeout, command)
        self._all = [self._new()]
        atexit.register(self.close)

    @property
    def lanes(self) -> int:
        """How many R there are at most; each may be asked by a thread of its own."""
        return len(self._all)

    @lanes.setter
    def lanes(self, number: int) -> None:
        self._all += [self._new() for _ in range(number - len(self._all))]

    def lane(self, estimator: str) -> int:
        """Which R answers for an estimator: to load a package takes longer than many a fit, so one R loads it."""
        return next((at for at, room in enumerate(ROOMS) if estimator in room), 0) % len(self._all)

    def fit(self, case: Case) -> Mapping[str, Value]:
        """Return R's quantities of a case; Refused with R's kind and message, WorkerError where R died."""
        return decode_quantities(self.answer(case)["quantities"])

    def answer(self, case: Case, want: Sequence[str] | None = None) -> dict[str, Any]:
        """Return R's whole answer: quantities as they travelled, warnings, the call and versions.

        `want` are the quantities to ask for, by default all that the estimator has; an empty one asks for what R has.
        """
        names = of_estimator(case.estimator) if want is None else want
        found = self.ask(encode_request(case, list(names), text_for_r))
        if "error" not in found:
            return found
        kind, message = found["error"]["kind"], found["error"]["message"]
        if kind == "missing-package":
            raise NotAvailable(message)
        raise RRefused(kind, message, found.get("warnings", []))

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a request of the line protocol, R's errors included."""
        process = self._all[self.lane(str(request.get("estimator")))]
        process.started()
        self.version = process.version
        return process.ask(request)

    def provenance(self, estimator: str | None = None) -> dict[str, Any]:
        """Return what produced the numbers: R, packages, blas, lapack, platform, locale, r_code_sha256, host."""
        process = self._all[self.lane(estimator or "")]
        process.started()
        self.version = process.version
        return {**process.stack, "r_code_sha256": worker_sha256(estimator), "host": process.hosted_by}

    def prepare(self) -> None:
        """Let each R start up while something else is done."""
        for one in self._all:
            one.prepare()

    def close(self) -> None:
        """End each R."""
        for one in self._all:
            one.close()


implementation = RImplementation()
