"""What a stack answered for a case, as it lies in `expected/<stack>/<id>.json`.

Reading, writing and the schema; who asks the stack is freeze. Numbers are written with 17 significant digits,
one a line, in R's order of labels; NA, NaN and infinities are strings. A seal tells which cell was edited by hand: a
digit too far behind, or in a cell that is excused, would not be noticed by comparing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast
from zlib import crc32

import msgspec

from compat.cases import Case, ErrorKind
from compat.cells import SPECIAL, Cell, Label

DEFAULT_STACK = "r-4.2.2-debian12"

Special = Literal["NA", "NaN", "Inf", "-Inf"]
Number = float | Special
Value = Number | dict[str, Number | dict[str, Number]]


class Provenance(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Where the numbers come from, complete enough to get them again."""

    stack: str
    r_version: str
    packages: dict[str, str]
    blas: str
    lapack: str
    platform: str
    locale: str
    call: str
    r_code_sha256: str
    case_sha256: str
    data: str
    data_sha256_doubles: str
    data_recipe_sha256: str
    date: str


class Refusal(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The error with which R refused."""

    kind: ErrorKind
    message: str


class Expected(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One expected file: quantities, or the error R stops with."""

    case: str
    provenance: Provenance
    quantities: dict[str, Value] = {}
    error: Refusal | None = None
    warnings: list[str] = []
    seal: dict[str, str] = {}

    @property
    def edited(self) -> list[Cell]:
        """The cells that are not as they were frozen; of a quantity whose labels are others only its name."""
        words = {name: text.split() for name, text in self.seal.items()}
        out = []
        for name, cells in _sealed_cells(self).items():
            before = words.pop(name, [])
            if len(before) != len(cells):
                out.append(Cell(name, ()))
                continue
            out += [cell for (cell, text), word in zip(cells, before, strict=True) if _word(text) != word]
        return out + [Cell(name, ()) for name in words]


class ExpectedMissing(Exception):
    """No expected file for a case on this stack."""


def expected_path(case: str, stack: str, root: Path) -> Path:
    """Return where the expected file of a case lies."""
    return root / "expected" / stack / f"{case}.json"


def stacks(root: Path) -> list[str]:
    """Return the stacks that have expected files."""
    folder = root / "expected"
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def load_expected(case: Case, stack: str) -> Expected:
    """Read a case's expected file; ExpectedMissing where there is none, ValueError where it is not one."""
    path = expected_path(case.id, stack, case.root)
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Expected)
    except FileNotFoundError:
        hint = f"run `rcompat freeze --case {case.id}` where that R is"
        raise ExpectedMissing(f"no expected file {stack}/{case.id}.json: {hint}") from None
    except msgspec.DecodeError as error:
        raise ValueError(f"{path}: {error}") from None
    if found.case != case.id:
        raise ValueError(f"{path}: it is about the case {found.case!r}")
    return found


def sealed(expected: Expected) -> Expected:
    """The same with a seal: for each quantity a word of four hexadecimal digits a cell."""
    words = {name: " ".join(_word(text) for _, text in cells) for name, cells in _sealed_cells(expected).items()}
    return msgspec.structs.replace(expected, seal=words)


def _sealed_cells(expected: Expected) -> dict[str, list[tuple[Cell, str]]]:
    """Every cell with what it says, by quantity; of an error, of the provenance and of the warnings each part."""
    error = {} if expected.error is None else msgspec.structs.asdict(expected.error)
    told = {str(i): text for i, text in enumerate(expected.warnings, 1)}
    texts = {"provenance": msgspec.structs.asdict(expected.provenance), "warnings": told, "error": error}
    said = {
        name: [(Cell(name, (part,)), f"{part}={text}") for part, text in parts.items()]
        for name, parts in texts.items()
        if parts
    }
    return said | {
        name: [(Cell(name, label), f"{'/'.join(label)}={_block(cell, 0)}") for label, cell in _flat(value)]
        for name, value in expected.quantities.items()
    }


def _flat(value: Number | Mapping[str, Any], label: Label = ()) -> Iterator[tuple[Label, Number]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, (*label, name))
    else:
        yield label, value


def _word(text: str) -> str:
    return f"{crc32(text.encode()) & 0xFFFF:04x}"


def number(value: float | str) -> float:
    """Return the double that a cell of an expected file stands for; NA and NaN are both a NaN."""
    return SPECIAL[value] if isinstance(value, str) else value


def dumps(expected: Expected) -> str:
    """Return the text of an expected file."""
    parts = [
        f'  "case": {json.dumps(expected.case)}',
        f'  "provenance": {_indented(msgspec.to_builtins(expected.provenance))}',
    ]
    if expected.error is None:
        parts.append(f'  "quantities": {_block(expected.quantities, 1)}')
    else:
        parts.append(f'  "error": {_indented(msgspec.to_builtins(expected.error))}')
    if expected.warnings:
        parts.append(f'  "warnings": {_indented(expected.warnings)}')
    parts.append(f'  "seal": {_indented(sealed(expected).seal)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _indented(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n  ")


def _block(value: Any, depth: int) -> str:
    """A nested mapping with one number a line."""
    if isinstance(value, str):
        return json.dumps(value)
    if not isinstance(value, Mapping):
        return "-0.0" if str(value) == "-0.0" else f"{value:.17g}"  # -0 is an integer in JSON, without a sign
    if not value:
        return "{}"
    pad = "  " * (depth + 1)
    names = (json.dumps(str(name), ensure_ascii=False) for name in value)
    lines = [f"{pad}{name}: {_block(inner, depth + 1)}" for name, inner in zip(names, value.values(), strict=True)]
    return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}"


def from_answer(quantities: Mapping[str, Any]) -> dict[str, Value]:
    """Turn the quantities of a line-protocol answer (hex strings) into those of an expected file.

    Nothing is rounded: 17 digits give back the same double, and NA stays apart from NaN.
    """
    return {name: _value(value) for name, value in quantities.items()}


def _value(value: Any) -> Value:
    if isinstance(value, str):
        return _cell(value)
    values = value["values"]
    if "labels" in value:
        return dict(zip(value["labels"], map(_cell, values), strict=True))
    rows = ({c: _cell(v) for c, v in zip(value["cols"], row, strict=True)} for row in values)
    return dict(zip(value["rows"], rows, strict=True))


def _cell(text: str) -> Number:
    return cast(Special, text) if text in SPECIAL else float.fromhex(text)


def expected_schema() -> dict[str, Any]:
    """Return the JSON Schema of an expected file."""
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": draft, "title": "An expected file of rcompat", **msgspec.json.schema(Expected)}
