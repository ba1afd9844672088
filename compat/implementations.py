"""Implementations: anything that takes a case and returns quantities; R is one of them.

The protocol, how one is found by what the command line says, and the adapter for any program that speaks the
line protocol. The adapters for libraries are in adapters.
"""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Mapping, Set
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from compat.cases import Case
from compat.quantities import ESTIMATORS, of_estimator

if TYPE_CHECKING:
    from compat.worker import Worker

GROUP = "rcompat.implementations"
COMMAND = "command:"

# The kind of error of a worker that lacks a package: nothing was refused, it could not be tried.
MISSING_PACKAGE = "missing-package"


class NotAvailable(Exception):
    """An implementation (or a part of it) that cannot run here; `reason` is what the report prints."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotProvided(Exception):
    """A case that an implementation has no answer to by design, as a library without such an option."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownImplementation(LookupError):
    """A specification that names nothing."""


class Refused(Exception):
    """The implementation answered with an error; `kind` is one of the shared vocabulary."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@runtime_checkable
class Implementation(Protocol):
    """What a port has to offer to be judged.

    `fit` returns a mapping from quantity to a float, a mapping from label to float (for a matrix: from row
    to such a mapping), or a pandas Series or DataFrame. What it leaves out is NOT_PROVIDED. An exception with
    an attribute `kind` is an answer too: where R refuses, so must a port. `close()`, if any, ends it. An attribute
    `conventions`, if any, names those by which it answers on purpose (`rcompat list conventions`); `parallel`, that
    it may be called in forks of the process: it holds no connection and no process of its own.
    """

    name: str
    version: str
    capabilities: Set[str]

    def fit(self, case: Case) -> Mapping[str, Any]:
        """Fit a case; raises NotProvided(reason) where it has no such model, NotAvailable where it cannot run."""
        ...


@runtime_checkable
class InLanes(Implementation, Protocol):
    """An implementation of several processes: threads may ask it at once, one thread a lane."""

    lanes: int

    def lane(self, estimator: str) -> int:
        """Which of them answers for an estimator."""


class CommandImplementation:
    """A program that answers one JSON line with one JSON line, as `compat.worker` describes."""

    capabilities: Set[str] = frozenset(ESTIMATORS)

    def __init__(self, command: str) -> None:
        self.command = shlex.split(command)
        if not self.command:
            raise UnknownImplementation("command: names no program")
        self.name = command.strip()
        self.version = ""
        self._worker: Worker | None = None

    def fit(self, case: Case) -> Mapping[str, Any]:
        """Send the case as a line, return the quantities of the answer; Refused where it holds an error."""
        from compat.worker import Worker, decode_quantities, encode_request

        if self._worker is None:
            self._worker = Worker(self.command)
        answer = self._worker.ask(encode_request(case, list(of_estimator(case.estimator))))
        self.version = self.version or " ".join(f"{k} {v}" for k, v in answer.get("versions", {}).items())
        if "error" in answer:
            if answer["error"]["kind"] == MISSING_PACKAGE:
                raise NotAvailable(answer["error"]["message"])
            raise Refused(answer["error"]["kind"], answer["error"]["message"])
        return decode_quantities(answer["quantities"])

    def close(self) -> None:
        """End the program."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


class Unavailable:
    """Stands for an implementation that cannot run here: every case is NOT_RUN, with the reason."""

    capabilities: Set[str] = frozenset(ESTIMATORS)
    version = ""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason

    def fit(self, case: Case) -> Mapping[str, Any]:
        """Raise NotAvailable with the reason."""
        raise NotAvailable(self.reason)


def find_or_explain(spec: str) -> Implementation:
    """Find an implementation; one that is known but not available stands in for itself and says why."""
    try:
        return find(spec)
    except NotAvailable as absent:
        return Unavailable(spec, absent.reason)


def registered() -> dict[str, str]:
    """Return the implementations that installed packages announce: name -> "module:object"."""
    return {entry.name: entry.value for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name)}


def find(spec: str) -> Implementation:
    """Find an implementation by a registered name, "module:object" or "command: program arguments".

    A class or a function without arguments is called to get the object. Raises UnknownImplementation where
    the text names nothing, NotAvailable(reason) where the thing exists but what it needs does not.
    """
    if spec.startswith(COMMAND):
        return CommandImplementation(spec.removeprefix(COMMAND))
    target = spec if ":" in spec else registered().get(spec)
    if target is None:
        known = ", ".join(registered()) or "none"
        raise UnknownImplementation(
            f"no implementation {spec!r}: registered are {known}; "
            'or give "package.module:object" or "command: program arguments"'
        )
    found = _import(spec, target)
    if not isinstance(found, Implementation) or isinstance(found, type):
        if not callable(found):
            raise UnknownImplementation(f"{target} has no name, version, capabilities and fit(case)")
        found = found()
    if not isinstance(found, Implementation):
        raise UnknownImplementation(f"{target} has no name, version, capabilities and fit(case)")
    return found


def _import(spec: str, target: str) -> object:
    module, _, path = target.partition(":")
    try:
        found: object = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise UnknownImplementation(f"{spec!r}: there is no module {error.name}") from None
        raise NotAvailable(f"{spec} needs the package {error.name}: pip install {error.name}") from None
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise UnknownImplementation(f"{spec!r}: {module} has no {path}") from None
    return found


def close(implementation: Implementation) -> None:
    """Let an implementation end what it started."""
    end = getattr(implementation, "close", None)
    if callable(end):
        end()


def is_reference(implementation: Implementation) -> bool:
    """Whether this is R itself, whose messages are compared as well as its kinds of error."""
    return bool(getattr(implementation, "is_reference", implementation.name == "r"))
