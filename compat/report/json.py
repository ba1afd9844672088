"""A run as JSON: every fit with its counts, and every cell that is no plain MATCH."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from compat.check import Result, Totals
from compat.compare import Row, Verdict


def write(path: Path, results: Sequence[Result], total: Totals, about: Mapping[str, Any], *, strict: bool) -> None:
    """Write the report; `about` says what was asked for (stack, live, implementations)."""
    report = {
        "rcompat": version("rcompat"),
        **about,
        "strict": strict,
        "passed": total.passed(strict),
        "totals": {
            "cases": len(total.cases),
            "fits": dict(total.fits),
            "cells": dict(total.cells),
            "compared": total.compared,
        },
        "results": [_result(result) for result in results],
    }
    path.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _result(result: Result) -> dict[str, Any]:
    least = result.least
    return {
        "case": result.case.id,
        "estimator": result.case.estimator,
        "implementation": result.implementation,
        "compared_with": result.source,
        "verdict": result.verdict,
        "seconds": round(result.seconds, 6),
        "verdicts": dict(Counter(row.verdict for row in result.rows)),
        "least": None if least is None else {"cell": str(least.cell), "digits": least.digits},
        "certified": [
            {"quantity": pair.mine.quantity, "digits": pair.mine.digits, "digits_of_r": pair.r.digits}
            for pair in result.certified
        ],
        "cells": [_row(row) for row in result.rows if row.verdict is not Verdict.MATCH],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "cell": str(row.cell),
        "quantity": row.cell.quantity,
        "label": list(row.cell.label),
        "verdict": row.verdict,
        "got": _number(row.got),
        "expected": _number(row.expected),
        "digits": _number(row.digits),
        "tolerance": _number(row.tolerance),
        "reason": row.reason,
    }


def _number(value: float | None) -> float | str | None:
    """A number as JSON knows it; what is not finite as R writes it."""
    if value is None or math.isfinite(value):
        return value
    return "NA" if math.isnan(value) else "Inf" if value > 0 else "-Inf"
