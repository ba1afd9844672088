"""A child process that answers one JSON line with one JSON line: time limit, kill of its whole group, restart.

The line protocol is written down here: how a case becomes a request, how an answer becomes quantities, and how
a double travels without losing a bit. What the child runs (R, or any port) is not known here.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

import pandas as pd

from refimpl.formula import parse

if TYPE_CHECKING:
    from compat.cases import Case

Value = float | pd.Series | pd.DataFrame

# R's NA is a NaN whose low word is 1954; the quiet one survives every copy that Python and numpy make.
NA: float = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_07A2))[0]
_NAMES = {"NA": NA, "NaN": math.nan, "Inf": math.inf, "-Inf": -math.inf}


# ---- doubles ----------------------------------------------------------------------------------------------------


def is_na(x: float) -> bool:
    """Whether a double is R's NA and not merely a NaN."""
    return math.isnan(x) and struct.unpack("<Q", struct.pack("<d", x))[0] & 0xFFFF_FFFF == 1954


def encode_double(x: float) -> str:
    """Return a double as C99 hex text, or NA, NaN, Inf, -Inf; decode_double gives the same bits back."""
    if math.isnan(x):
        return "NA" if is_na(x) else "NaN"
    if math.isinf(x):
        return "Inf" if x > 0 else "-Inf"
    return x.hex()


def decode_double(text: str) -> float:
    """Return the double of a C99 hex text (or NA, NaN, Inf, -Inf); ValueError for anything else."""
    known = _NAMES.get(text)
    if known is not None:
        return known
    if "0x" not in text.lower():
        raise ValueError(f"not a hex double: {text!r}")
    return float.fromhex(text)


# ---- requests ---------------------------------------------------------------------------------------------------


def encode_column(column: pd.Series) -> dict[str, Any]:
    """Return a column as the protocol's typed values; a missing cell is R's NA, a factor travels as codes and levels.

    Raises TypeError for a dtype that R's data frames have no column for.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        codes = [None if code < 0 else code + 1 for code in column.cat.codes.tolist()]
        levels = [str(level) for level in dtype.categories]
        return {"type": "factor", "codes": codes, "levels": levels, "ordered": bool(dtype.ordered)}
    if pd.api.types.is_bool_dtype(dtype):
        return {"type": "logical", "values": ["NA" if v is pd.NA else str(bool(v)).upper() for v in column]}
    if pd.api.types.is_integer_dtype(dtype):
        values = column.tolist()
        if all(v is pd.NA or abs(v) < 2**31 for v in values):
            return {"type": "integer", "values": ["NA" if v is pd.NA else str(v) for v in values]}
        return encode_column(column.astype("float64"))
    if pd.api.types.is_float_dtype(dtype):
        values = column.to_numpy(dtype="float64", na_value=math.nan).tolist()
        return {"type": "double", "values": ["NA" if v != v else encode_double(v) for v in values]}
    if pd.api.types.is_string_dtype(dtype):
        return {"type": "character", "values": [None if pd.isna(v) else str(v) for v in column]}
    raise TypeError(f"column {column.name!r}: no R column holds dtype {dtype}")


def _encode_option(value: Any) -> Any:
    if isinstance(value, float):
        return encode_double(value)
    if isinstance(value, Mapping):
        return {str(name): _encode_option(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode_option(item) for item in value]
    return value


def _encode_newdata(columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """New rows for predict: texts are characters, truth values logicals, everything else doubles."""
    encoded = {}
    for name, values in columns.items():
        present = [v for v in values if v is not None]
        if present and all(isinstance(v, str) for v in present):
            dtype = "str"
        elif present and all(isinstance(v, bool) for v in present):
            dtype = "boolean"
        else:
            dtype = "float64"
        encoded[name] = encode_column(pd.Series(list(values), dtype=dtype, name=name))
    return encoded


def _encode_labels(values: Any) -> Any:
    """Cluster labels given in an option: texts stay, numbers become R's shortest text, a missing one null."""
    if isinstance(values, str) or values is None:
        return values
    if isinstance(values, list | tuple):
        return [_encode_labels(value) for value in values]
    return f"{values:.15g}"


def encode_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a case's options as they travel: doubles as hex text, new data as typed columns."""
    special: dict[str, Callable[[Any], Any]] = {"newdata": _encode_newdata, "cluster": _encode_labels}
    present = {name: value for name, value in options.items() if value is not None}
    return {name: special.get(name, _encode_option)(value) for name, value in present.items()}


def deparsed(text: str, functions: frozenset[str] = frozenset()) -> str:
    """Return a formula as R would write it; FormulaError where the first gate refuses it (`functions`: see `parse`)."""
    return str(parse(text, functions))


def encode_request(
    case: Case, want: Sequence[str] = (), formula_text: Callable[[str, frozenset[str]], str] = deparsed
) -> dict[str, Any]:
    """Return the request for a case; `want` names the quantities, none means all.

    Every formula passes `formula_text` first: what travels is what was understood, not what was written.
    Raises FormulaError for a formula that is not allowed, and DataUnavailable.
    """
    data = case.data
    options = dict(case.options)
    if "formulas" in options:
        options["formulas"] = [formula_text(text, case.functions) for text in options["formulas"]]
    return {
        "id": case.id,
        "estimator": case.estimator,
        "formula": formula_text(case.formula, case.functions),
        "options": encode_options(options),
        "data": {str(name): encode_column(data[name]) for name in data.columns},
        "row_names": [str(label) for label in data.index],
        "want": list(want),
    }


def decode_quantity(value: Any) -> Value:
    """Return one quantity of an answer: a float, a Series by label, or a DataFrame by row and column label."""
    if isinstance(value, str):
        return decode_double(value)
    if "labels" in value:
        return pd.Series([decode_double(v) for v in value["values"]], index=value["labels"], dtype="float64")
    rows = [[decode_double(v) for v in row] for row in value["values"]]
    return pd.DataFrame(rows, index=value["rows"], columns=value["cols"], dtype="float64")


def decode_quantities(quantities: Mapping[str, Any]) -> dict[str, Value]:
    """Return the quantities of an answer in their order; ValueError or KeyError where it is not the protocol's."""
    return {name: decode_quantity(value) for name, value in quantities.items()}


# ---- the child --------------------------------------------------------------------------------------------------


class WorkerError(Exception):
    """A request that got no answer; `kind` is crash (the child died), timeout, or no-answer (not the protocol)."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Client(Protocol):
    """Anything that answers requests."""

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to one request."""
        ...


class Worker:
    """A child that is started at the first request, and again after it died or was killed.

    `timeout` is in seconds, a request at a time, a start of the child included. `env` is added to the
    environment. The child leads a process group of its own, and the whole group is killed with it. POSIX only.
    """

    def __init__(self, command: Sequence[str], timeout: float = 60.0, env: Mapping[str, str] | None = None) -> None:
        self.command = list(command)
        self.timeout = timeout
        self.env = dict(env or {})
        self._child: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._unread = b""

    def start(self) -> None:
        """Start the child now, so that it gets ready while something else is done; else the first request does."""
        if self._child is None:
            self._start()

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request and return its answer, an R error included; WorkerError where none came.

        After a WorkerError the child is gone with its group, and the next request starts a new one.
        """
        line = json.dumps(request, separators=(",", ":")).encode() + b"\n"
        try:
            return self._checked(self._exchange(line), request)
        except BaseException:  # an interrupt too: what is half-way answered is of no use to the next request
            self._kill()
            raise

    def close(self) -> None:
        """End the child, kindly if it listens."""
        if self._child is not None and self._child.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(timeout=2.0)
        self._kill()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the child."""
        self.close()

    def __del__(self) -> None:
        """Leave no child behind."""
        self._kill()

    def _start(self) -> subprocess.Popen[bytes]:
        self._unread = b""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the child
        try:
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=os.environ | self.env,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise WorkerError("crash", f"{self.command[0]} does not start: {error}") from None
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
        return self._child

    def _exchange(self, line: bytes) -> bytes:
        """Write a line and read one, whichever the child is ready for, until the time is over."""
        child = self._child or self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        deadline = time.monotonic() + self.timeout
        to_write = memoryview(line)
        with selectors.DefaultSelector() as ready:
            ready.register(child.stdin, selectors.EVENT_WRITE)
            ready.register(child.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                events = ready.select(min(1.0, max(0.0, deadline - time.monotonic())))
                if not events and child.poll() is not None:  # dead, but what it started holds the pipe open
                    raise self._death(child)
                if not events and time.monotonic() >= deadline:
                    raise WorkerError("timeout", f"no answer within {self.timeout:g} s{self._last_words()}")
                for key, _ in events:
                    if key.fileobj is child.stdout:
                        self._read(child)
                        continue
                    to_write = to_write[self._write(child, to_write) :]
                    if not to_write:
                        ready.unregister(child.stdin)
        answer, _, self._unread = self._unread.partition(b"\n")
        return answer

    def _write(self, child: subprocess.Popen[bytes], data: memoryview) -> int:
        assert child.stdin is not None
        try:
            return os.write(child.stdin.fileno(), data)
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            raise self._death(child) from None

    def _read(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        chunk = os.read(child.stdout.fileno(), 1 << 20)
        if not chunk:
            raise self._death(child)
        self._unread += chunk

    def _death(self, child: subprocess.Popen[bytes]) -> WorkerError:
        try:
            status = child.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            return WorkerError("no-answer", f"the child closed its output without an answer{self._last_words()}")
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return WorkerError("crash", f"the child {how} before it answered{self._last_words()}")

    def _last_words(self) -> str:
        """The end of what the child wrote to stderr, for the message."""
        if self._stderr is None:
            return ""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - 2000))
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return f"; it last said: {' | '.join(lines[-3:])[-400:]}" if lines else ""

    def _checked(self, answer: bytes, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            found = json.loads(answer)
        except ValueError:
            raise WorkerError("no-answer", f"not a JSON line: {answer[:200]!r}") from None
        if not isinstance(found, dict) or not ({"quantities", "error"} & found.keys()):
            raise WorkerError("no-answer", f"neither quantities nor an error: {answer[:200]!r}")
        if found.get("id") not in (request.get("id"), None):
            raise WorkerError("no-answer", f"an answer to {found.get('id')!r}, asked was {request.get('id')!r}")
        return found

    def _kill(self) -> None:
        """End the child and everything it started: what it left behind keeps the group alive after it."""
        child, self._child = getattr(self, "_child", None), None
        if child is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
        stderr, self._stderr = getattr(self, "_stderr", None), None
        if stderr is not None:
            stderr.close()
