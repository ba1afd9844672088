"""A checked transcript as text, line by line, and as JSON. Nothing is judged here."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compat.compare import Verdict
from compat.published import Token
from compat.transcript.check import AGREEING, CheckedStep, Report
from compat.transcript.judge import CONSTANT, Row
from compat.transcript.session import COMMENTED, is_commented

if TYPE_CHECKING:
    from rich.console import Console

_ORDER = (
    Verdict.MATCH, Verdict.MATCH_UNDER_CONVENTION, Verdict.REFERENCE_NOT_CONVERGED, Verdict.STRUCTURE,
    Verdict.UNEXPLAINED, Verdict.NOT_PROVIDED, Verdict.NOT_RUN,
)  # fmt: skip
_MARKS = {Verdict.MATCH: "ok", Verdict.MATCH_UNDER_CONVENTION: "~"}
_STYLES = {"ok": "green", "~": "yellow", "?": "dim", "!!": "bold red", "": "dim"}
_ABSENT = frozenset({Verdict.NOT_PROVIDED, Verdict.NOT_RUN})
_MOST = 12  # lines of explanation below one line of the transcript


def lines(report: Report) -> Iterator[tuple[str, str]]:
    """Every line of the report with its mark: `ok`, `~` explained, `?` not checked, `!!` wrong, and "" without numbers.

    Below a line of the transcript stand, indented, the explanations that belong to it.
    """
    notes = _notes(report)
    by_line: dict[int, list[Row]] = defaultdict(list)
    for row in report.rows:
        by_line[row.cell.token.line].append(row)
    unread = Counter(token.line for token in report.unread)
    remarks = {remark.line for remark in report.remarks}
    for number, text in enumerate(report.lines, 1):
        rows = by_line.get(number, [])
        mark = "!!" if number in remarks else _mark(rows, unread[number])
        count = str(len(rows) + unread[number]) if rows or unread[number] else ""
        yield mark, f"{number:4d} {mark:>2} {count:>3} | {text}"
        for note in notes.get(number, [])[:_MOST]:
            yield mark, f"{'':12}   {note}"


def _mark(rows: Sequence[Row], unread: int) -> str:
    verdicts = {row.verdict for row in rows}
    if verdicts & {Verdict.UNEXPLAINED, Verdict.STRUCTURE}:
        return "!!"
    if unread or verdicts & _ABSENT:
        return "?"
    explained = {Verdict.MATCH_UNDER_CONVENTION, Verdict.REFERENCE_NOT_CONVERGED}
    return "~" if verdicts & explained else "ok" if rows else ""


def _notes(report: Report) -> dict[int, list[str]]:
    """What is said below each line; a reason that many cells of a line share is told once."""
    out: dict[int, list[str]] = defaultdict(list)
    for step in report.steps:
        if step.problem and step.step.source:
            out[step.step.last].append(f"not read: {step.problem}")
        out[step.step.last] += [f"note: {note}" for note in step.notes]
        for number, count in Counter(token.line for token in step.unread).items():
            out[number].append(f"{count} number{'s' * (count > 1)} not read")
    shared: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in report.rows:
        if row.verdict is not Verdict.MATCH:
            shared[row.cell.token.line, _why(row)].append(row)
    for (line, why), rows in shared.items():
        out[line].append(f"{_which(rows)}: {why}{_as_called(rows)}")
    for remark in report.remarks:
        out[remark.line].append(remark.text)
    return out


def _why(row: Row) -> str:
    if row.verdict is Verdict.MATCH_UNDER_CONVENTION:
        return f"{row.convention}: {row.reason}"
    return f"{row.verdict}: {row.reason}"


def _which(rows: Sequence[Row]) -> str:
    """The cells, by name where they are few."""
    return rows[0].cell.name if len(rows) == 1 else f"{len(rows)} numbers"


def _as_called(rows: Sequence[Row]) -> str:
    """What is here and what the command would give, where something else explains the numbers."""
    pairs = [(row.value, row.called) for row in rows if row.value is not None and row.called is not None]
    if not pairs:
        return ""
    here, there = (", ".join(f"{x:.8g}" for x in values) for values in zip(*pairs, strict=True))
    return f"; so {here}, as called {there}"


def totals(report: Report) -> Iterator[str]:
    """The counts, what was explained by what, the contradictions, and how it ends."""
    counts = report.counts
    found = counts.total()
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _ORDER if counts[verdict])
    yield f"{found} numbers found: {said or 'none'}"
    explained = Counter(row.convention for row in report.rows if row.verdict is Verdict.MATCH_UNDER_CONVENTION)
    for convention, count in explained.most_common():
        where = sorted({row.cell.token.line for row in report.rows if row.convention == convention})
        yield f"  {count} by the convention '{convention}' (line{'s' * (len(where) > 1)} {_span(where)})"
    unread = [step for step in report.steps if step.problem and step.step.source]
    if unread:
        yield f"{len(unread)} commands not read"
    identities = report.identities + len(report.contradictions)
    if identities:
        yield f"{identities} identities between printed numbers: {report.identities} hold"
    for finding in report.contradictions:
        yield f"  contradiction: {finding.text}"
        yield f"    because {finding.statement}"


def _span(numbers: Sequence[int]) -> str:
    """Line numbers, runs as first-last."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def ending(report: Report, strict: bool) -> str:
    """The last line."""
    counts = report.counts
    agreed = sum(counts[verdict] for verdict in AGREEING)
    wrong = counts[Verdict.UNEXPLAINED] + counts[Verdict.STRUCTURE]
    if not any(row.verdict in AGREEING and row.cell.quantity not in CONSTANT for row in report.rows):
        return "failed: no number was checked"
    if wrong or report.remarks:
        also = f", {len(report.remarks)} remarks" if report.remarks else ""
        return f"failed: {wrong} numbers are unexplained{also}"
    absent = counts[Verdict.NOT_RUN] + counts[Verdict.NOT_PROVIDED]
    if not report.passed(strict):
        return f"failed: --strict, and {absent} numbers were not checked"
    rest = f"; {absent} were not checked" if absent else ": all numbers found, all explained"
    return f"passed: {agreed} numbers agree{rest}"


def show(page: Console, report: Report, *, strict: bool = False, quiet: bool = False) -> None:
    """Print the report on a console; `quiet` leaves out the lines that agree."""
    for mark, text in lines(report):
        if not quiet or mark in ("~", "?", "!!"):
            page.print(text, style=_STYLES[mark], markup=False, highlight=False, soft_wrap=True)
    page.print()
    for text in totals(report):
        page.print(text, markup=False, highlight=False, soft_wrap=True)
    last = ending(report, strict)
    page.print(last, style="bold green" if last.startswith("passed") else "bold red", markup=False)


# ---- JSON -----------------------------------------------------------------------------------------------------------


def as_json(report: Report, about: dict[str, Any], *, strict: bool = False) -> dict[str, Any]:
    """The report as JSON knows it: totals, commands, every number, remarks, contradictions."""
    commented = is_commented(report.lines)
    return {
        "rcompat": version("rcompat"),
        **about,
        "passed": report.passed(strict),
        "totals": {str(verdict): count for verdict, count in sorted(report.counts.items())},
        "conventions": dict(Counter(row.convention for row in report.rows if row.convention)),
        "commands": [_command(step) for step in report.steps if step.step.source],
        "numbers": [_number(row, _where(row.cell.token, report.lines, commented)) for row in report.rows],
        "not_read": [{**_where(token, report.lines, commented), "text": token.text} for token in report.unread],
        "remarks": [{"line": remark.line, "text": remark.text} for remark in report.remarks],
        "identities": {"hold": report.identities, "fail": len(report.contradictions)},
        "contradictions": [
            {"statement": one.statement, "text": one.text, "lines": sorted({c.token.line for c in one.cells})}
            for one in report.contradictions
        ],
    }


def write_json(path: Path, report: Report, about: dict[str, Any], *, strict: bool = False) -> None:
    """Write it to a file."""
    text = json.dumps(as_json(report, about, strict=strict), indent=1, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _command(step: CheckedStep) -> dict[str, Any]:
    lines_ = [step.step.first, step.step.last]
    return {"lines": lines_, "text": step.step.source, "read": not step.problem, "problem": step.problem}


def _where(token: Token, lines_: Sequence[str], commented: bool) -> dict[str, int]:
    """Line and column in the file, where a tab is one character and the output may stand behind a comment sign."""
    text = lines_[token.line - 1]
    mark = COMMENTED.match(text) if commented else None
    start = token.start + (mark.end() if mark else 0)
    column = next((i for i in range(len(text) + 1) if len(text[:i].expandtabs()) >= start), start)
    return {"line": token.line, "column": column + 1}


def _number(row: Row, where: dict[str, int]) -> dict[str, Any]:
    return {
        **where,
        "text": row.cell.token.text,
        "quantity": row.cell.quantity,
        "label": list(row.cell.label),
        "verdict": str(row.verdict),
        "value": _finite(row.value),
        "as_called": _finite(row.called),
        "against": row.source,
        "convention": row.convention,
        "reason": row.reason,
    }


def _finite(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "NA" if math.isnan(value) else "Inf" if value > 0 else "-Inf"
