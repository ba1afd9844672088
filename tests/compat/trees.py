"""Fixture trees for tests: copies of a few real cases with their data and expected files, to be changed at will."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from compat.data import fixtures_root
from compat.expected import DEFAULT_STACK, Expected, dumps

STACK = DEFAULT_STACK


def small_tree(folder: Path, *ids: str) -> Path:
    """Copy the cases with these ids, and what belongs to them, into a tree of their own."""
    real = fixtures_root()
    tree = folder / "tree"
    for case in ids:
        (path,) = (real / "cases").glob(f"*/{case}.json")
        data = json.loads(path.read_text())["data"]
        _copy(path, tree / path.relative_to(real))
        _copy(real / "expected" / STACK / f"{case}.json", tree / "expected" / STACK / f"{case}.json")
        for found in (real / "data").glob(f"{data}.*"):
            _copy(found, tree / "data" / found.name)
    for certified in [*(real / "published" / "nist").glob("*.json"), *(real / "certified").glob("*.json")]:
        if json.loads(certified.read_text())["case"] in ids:
            _copy(certified, tree / certified.relative_to(real))
    return tree


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def expected_file(tree: Path, case: str) -> Path:
    return tree / "expected" / STACK / f"{case}.json"


def case_file(tree: Path, case: str) -> Path:
    (path,) = (tree / "cases").glob(f"*/{case}.json")
    return path


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a JSON file in place; Python's json gives every double back as it was."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def alter_digit(
    tree: Path, case: str, quantity: str, label: str | None = None, by: float = 1e-9, seal: bool = True
) -> None:
    """Move one expected number by a relative `by`, as if R had said so; without a new `seal`, as an editor would."""

    def change(content: dict[str, Any]) -> None:
        at = content["quantities"]
        if label is None:
            at[quantity] *= 1 + by
        else:
            at[quantity][label] *= 1 + by

    path = expected_file(tree, case)
    rewrite(path, change)
    if seal:
        reseal(path)


def reseal(path: Path) -> None:
    """Seal an expected file as it is now."""
    path.write_text(dumps(msgspec.json.decode(path.read_bytes(), type=Expected)))
