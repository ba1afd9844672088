"""What a run ends in: terminal table, JSON, junit. Nothing is judged here; verdicts come from compare."""

from __future__ import annotations

import math

from compat.check import Result
from compat.compare import Row


def number(value: float | None) -> str:
    """A double with all its digits, as R writes what is not finite; a dash where there is none."""
    if value is None:
        return "-"
    if math.isnan(value):
        return "NA"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return f"{value:.17g}"


def describe(row: Row) -> str:
    """One bad cell in one line: what was got and wanted, digits, what is allowed, and why."""
    parts = [f"{row.cell}: {row.verdict}"]
    if row.got is not None or row.expected is not None:
        parts.append(f"got {number(row.got)}, R {number(row.expected)}")
    if row.digits is not None:
        parts.append(f"{row.digits:.1f} digits")
    if row.tolerance is not None:
        parts.append(f"allowed {row.tolerance:.2g}")
    return "; ".join([*parts, row.reason] if row.reason else parts)


def certified_text(result: Result) -> str:
    """The least certified digits of an implementation and of R, as 13.2 (R 12.9); empty where none are known."""
    if not result.certified:
        return ""
    mine = min(pair.mine.digits for pair in result.certified)
    theirs = min(pair.r.digits for pair in result.certified)
    return f"{mine:.1f} (R {theirs:.1f})"
