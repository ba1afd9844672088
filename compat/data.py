"""Data sets by name: a CSV of short decimals beside a JSON that says what its columns are.

Every implementation is handed the frame made here, so all see the same doubles; nobody parses a file twice.
Data that is not in the repository comes from the folder RCOMPAT_DATA, by download, or from the R package that ships
it (r_data), checked by its sha256.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from compat.r_data import exported

ColumnType = Literal["double", "integer", "logical", "factor", "ordered", "character"]


class DataUnavailable(Exception):
    """A data set that cannot be had here and now; `reason` is what the report prints."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ColumnSpec(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """What a column of the file is; `levels` in their order, for factors only."""

    type: ColumnType
    levels: list[str] = []


class DataSpec(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """The JSON beside a CSV: where it comes from, what its columns are, and its two checksums.

    A set that is not in the repository has a `url`, or an `r_package` that ships it as `r_object`.
    """

    name: str
    description: str
    source: str
    licence: str
    sha256: str
    sha256_doubles: str
    columns: dict[str, ColumnSpec]
    url: str | None = None
    r_package: str | None = None
    r_object: str | None = None
    file: str | None = None
    missing: list[str] = msgspec.field(default_factory=lambda: ["NA"])
    keep_where_not_missing: list[str] = []
    derive: dict[str, str] = {}


def fixtures_root() -> Path:
    """Return the folder of the fixtures: inside the package in a wheel, beside it in a checkout."""
    inside = Path(__file__).parent / "fixtures"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "fixtures"


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache(maxsize=256)
def data_spec(name: str, root: Path) -> DataSpec:
    """Read and validate `data/<name>.json` under `root`."""
    path = root / "data" / f"{name}.json"
    try:
        spec = msgspec.json.decode(path.read_bytes(), type=DataSpec)
    except FileNotFoundError:
        raise DataUnavailable(f"there is no data set {name!r} under {root / 'data'}") from None
    except msgspec.ValidationError as error:
        raise ValueError(f"{path}: {error}") from None
    if spec.name != name:
        raise ValueError(f"{path}: its name is {spec.name!r}")
    return spec


def load_data(name: str, root: Path | None = None) -> pd.DataFrame:
    """Return a data set as a frame whose row labels are R's "1".."N" of the file's rows.

    Doubles are float64, integers int64 (Int64 with missing values), logicals bool (boolean with missing
    values), factors Categorical with their levels in order, characters str. Loaded once a process.
    Raises DataUnavailable where the file cannot be had or its checksum is not the recorded one.
    """
    frame, problem = _load_once(name, root or fixtures_root())
    if frame is None:
        raise DataUnavailable(problem)
    return frame


@lru_cache(maxsize=64)
def _load_once(name: str, root: Path) -> tuple[pd.DataFrame | None, str]:
    """The frame, or why there is none: a failure is remembered too, so one dead host is asked once."""
    try:
        spec = data_spec(name, root)
        path = locate(spec, root)
    except DataUnavailable as absent:
        return None, absent.reason
    frame = read_file(path, spec)
    seen = doubles_sha256(frame)
    if seen != spec.sha256_doubles:
        return None, f"the doubles of {name} have sha256 {seen}, recorded is {spec.sha256_doubles}"
    return _shape(frame, spec), ""


def load_copy(name: str, path: Path, root: Path | None = None) -> pd.DataFrame:
    """Return a data set read from a file of one's own, whatever its checksum; ValueError for other columns."""
    spec = data_spec(name, root or fixtures_root())
    return _shape(read_file(path, spec), spec)


def locate(spec: DataSpec, root: Path) -> Path:
    """Return the path of a data set's CSV, downloaded or had from R if it must be; its checksum is the recorded one."""
    file = spec.file or f"{spec.name}.csv"
    here = root / "data" / file
    folder = os.environ.get("RCOMPAT_DATA")
    if here.is_file():
        path = here
    elif folder and (Path(folder) / file).is_file():
        path = Path(folder) / file
    elif spec.r_package is not None:
        found = exported(spec.r_package, spec.r_object or spec.name, file, spec.sha256)
        if isinstance(found, str):
            raise DataUnavailable(f"{found}; or put {file} into a folder and name that folder in RCOMPAT_DATA")
        path = found
    elif spec.url is None:
        raise DataUnavailable(f"{here} is missing, and {spec.name} names no URL to fetch it from")
    else:
        return _download(spec, spec.url, file)
    seen = file_sha256(path)
    if seen != spec.sha256:
        raise DataUnavailable(f"{path} has sha256 {seen}, recorded is {spec.sha256}")
    return path


def _download(spec: DataSpec, url: str, file: str) -> Path:
    import pooch  # type: ignore[import-untyped]

    pooch.get_logger().setLevel("WARNING")
    try:
        return Path(
            pooch.retrieve(
                url,
                known_hash=f"sha256:{spec.sha256}",
                fname=file,
                path=pooch.os_cache("rcompat"),
                downloader=pooch.HTTPDownloader(timeout=10),
            )
        )
    except (OSError, ValueError) as error:
        # A wrong checksum is told whole; of a connection that failed the sort of failure is enough.
        cause = type(error).__name__ if isinstance(error, OSError) else str(error).splitlines()[0]
        raise DataUnavailable(
            f"{file} is not part of this package and could not be fetched from {url} ({cause}); "
            "put it into a folder and name that folder in RCOMPAT_DATA"
        ) from None


def read_file(path: Path, spec: DataSpec) -> pd.DataFrame:
    """Parse every column and row of a CSV by its spec; Python's float() rounds each decimal correctly."""
    with path.open(newline="", encoding="utf-8") as handle:
        header, *rows = csv.reader(handle)
    if header != list(spec.columns):
        raise ValueError(f"{path}: its columns are {header}, recorded are {list(spec.columns)}")
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ValueError(f"{path}:{line}: {len(row)} cells for {len(header)} columns")
    texts = list(zip(*rows, strict=True))
    columns = {}
    for at, (name, column) in enumerate(spec.columns.items()):
        try:
            columns[name] = _parse(texts[at], column, spec.missing)
        except ValueError as error:
            raise ValueError(f"{path}, column {name}: {error}") from None
    return pd.DataFrame(columns, index=pd.Index([str(i) for i in range(1, len(rows) + 1)]))


Parsed = NDArray[np.float64] | pd.api.extensions.ExtensionArray | NDArray[np.int64] | NDArray[np.bool_]


def _parse(texts: Sequence[str], column: ColumnSpec, missing: Sequence[str]) -> Parsed:
    absent = frozenset(missing)
    if column.type == "double":
        return np.array([np.nan if t in absent else float(t) for t in texts], dtype=np.float64)
    if column.type == "integer":
        return _whole(pd.array([pd.NA if t in absent else int(t) for t in texts], dtype="Int64"))
    if column.type == "logical":
        return _whole(pd.array([pd.NA if t in absent else _truth(t) for t in texts], dtype="boolean"))
    values = [None if t in absent else t for t in texts]
    if column.type == "character":
        return pd.array(values, dtype="str")
    strange = {v for v in values if v is not None} - set(column.levels)
    if strange:
        raise ValueError(f"it has values that are no level of it: {sorted(strange)}")
    return pd.Categorical(values, categories=column.levels, ordered=column.type == "ordered")


def _truth(text: str) -> bool:
    if text not in ("TRUE", "FALSE"):
        raise ValueError(f"{text!r} is neither TRUE nor FALSE")
    return text == "TRUE"


def _whole(values: pd.api.extensions.ExtensionArray) -> Parsed:
    """The plain numpy array where nothing is missing."""
    if values.isna().any():
        return values
    if str(values.dtype) == "Int64":
        return np.asarray(values, dtype=np.int64)
    return np.asarray(values, dtype=np.bool_)


def _shape(frame: pd.DataFrame, spec: DataSpec) -> pd.DataFrame:
    """Keep the rows the spec wants, then add its derived columns."""
    kept = frame.dropna(subset=spec.keep_where_not_missing) if spec.keep_where_not_missing else frame
    for name, text in spec.derive.items():
        kept = kept.assign(**{name: derived_column(text, kept)})
    return kept


def derived_column(text: str, data: pd.DataFrame) -> NDArray[np.float64]:
    """Evaluate the left side of a model formula on the columns of a frame, as R would; missing where R's is NA."""
    from refimpl.formula import model_frame, parse

    frame = model_frame(parse(f"{text} ~ 1"), data)
    out = np.full(len(data), np.nan)
    out[np.asarray(frame.kept)] = frame.response
    return out


# One NaN for all that is missing, so that a checksum does not depend on who made it.
_NAN = np.frombuffer(bytes.fromhex("000000000000f87f"), dtype="<f8")[0]


def doubles_sha256(frame: pd.DataFrame) -> str:
    """Return the sha256 over the columns in order, each as little-endian float64.

    Factors count as R's codes 1..k in the order of their levels, characters as codes in the order of their
    sorted distinct values (by code point), logicals as 0 and 1; what is missing as NaN 0x7ff8000000000000.
    """
    digest = hashlib.sha256()
    for name in frame.columns:
        values = _codes(frame[name])
        values[np.isnan(values)] = _NAN
        digest.update(values.astype("<f8").tobytes())
    return digest.hexdigest()


def _codes(column: pd.Series) -> NDArray[np.float64]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = np.asarray(column.cat.codes, dtype=np.float64) + 1
        return np.where(codes == 0, np.nan, codes)
    if pd.api.types.is_numeric_dtype(column.dtype):  # bool and the nullable types too
        return np.array(column.to_numpy(dtype=np.float64, na_value=np.nan))
    present = column.notna().to_numpy()
    texts = [str(value) for value in column[present]]
    place = {text: at for at, text in enumerate(sorted(set(texts)), start=1)}
    codes = np.full(len(column), np.nan)
    codes[present] = [place[text] for text in texts]
    return codes


def recipe_sha256(spec: DataSpec) -> str:
    """Return the sha256 of what turns the file into a frame: columns, missing words, rows kept, derived."""
    recipe = [spec.columns, spec.missing, spec.keep_where_not_missing, spec.derive]
    return hashlib.sha256(msgspec.json.encode(recipe)).hexdigest()
