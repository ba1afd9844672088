"""The table of a run: one line a fit, every unexplained cell below it, and the totals."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from compat.check import Result, Totals
from compat.compare import ABSENT, Row, Verdict
from compat.report import certified_text, number

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from compat.doctor import Finding

_STYLE = {
    Verdict.MATCH: "green",
    Verdict.MATCH_UNDER_CONVENTION: "green",
    Verdict.REFERENCE_NOT_CONVERGED: "yellow",
    Verdict.KNOWN_REFERENCE_DEFECT: "yellow",
    Verdict.NOT_PROVIDED: "dim",
    Verdict.NOT_RUN: "yellow",
}

# A page that is not a terminal has no width of its own; this one holds the longest line of the table.
PAGE = 160
PICTURE = 150
GAP = 2  # between columns


def console() -> Console:
    """Return a console on stdout, wide enough where stdout is no terminal."""
    from rich.console import Console

    page = Console(highlight=False)
    return page if page.is_terminal else Console(highlight=False, width=PAGE, soft_wrap=True)


def show(page: Console, results: Sequence[Result], total: Totals, *, strict: bool = False, cells: int = 10) -> None:
    """Print the table, up to `cells` bad cells of each fit, what did not run and why, and the totals."""
    page.print(_table(page, results))
    for result in results:
        if result.bad:
            _show_bad(page, result, cells)
    _show_absent(page, results)
    _show_totals(page, total, strict)


Column = tuple[str, Callable[[Result], str]]

_COLUMNS: tuple[Column, ...] = (
    ("case", lambda result: result.case.id),
    ("implementation", lambda result: result.implementation),
    ("estimator", lambda result: result.case.estimator),
    ("cells", lambda result: str(result.compared)),
    ("digits", lambda result: "" if result.least is None else f"{result.least.digits:.1f}"),
    ("at", lambda result: "" if result.least is None else str(result.least.cell)),
    ("certified", certified_text),
    ("verdict", lambda result: str(result.verdict)),
)

# What a page gives up first when it is too narrow; the id of a case begins with its estimator.
_DISPENSABLE = ("estimator", "at", "certified", "implementation")


def picture(file: Path, results: Sequence[Result], total: Totals, *, strict: bool = False, cells: int = 10) -> None:
    """Write what `show` prints as an SVG file, in colours."""
    from rich._export_format import CONSOLE_SVG_FORMAT
    from rich.console import Console
    from rich.terminal_theme import MONOKAI

    own_fonts = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.S)  # nothing loaded from elsewhere

    page = Console(
        record=True, width=PICTURE, file=StringIO(), force_terminal=True, color_system="truecolor", highlight=False
    )
    show(page, results, total, strict=strict, cells=cells)
    file.write_text(page.export_svg(title="rcompat check", theme=MONOKAI, code_format=own_fonts), encoding="utf-8")


def _table(page: Console, results: Sequence[Result]) -> Table:
    """One line a fit, in as many columns as the page is wide."""
    from rich.cells import cell_len

    texts = {name: [text(result) for result in results] for name, text in _COLUMNS}
    texts = {name: column for name, column in texts.items() if any(column)}
    widths = {name: max(cell_len(text) for text in (name, *column)) for name, column in texts.items()}
    for name in _DISPENSABLE:
        if sum(widths.values()) + GAP * (len(widths) - 1) <= page.width:
            break
        widths.pop(name, None)
    return _with_columns({name: texts[name] for name in widths}, widths, [_style(one.verdict) for one in results])


def _with_columns(texts: Mapping[str, Sequence[str]], widths: Mapping[str, int], styles: Sequence[str]) -> Table:
    """The texts as they are, no markup; widths told, for to find them takes rich longer than all the rest."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for name, width in widths.items():
        right = name in ("cells", "digits", "certified")
        table.add_column(name, no_wrap=True, width=width, justify="right" if right else "left")
    for row, style in zip(zip(*texts.values(), strict=True), styles, strict=True):
        table.add_row(*map(Text, row[:-1]), Text(row[-1], style))
    return table


def _plain(text: str) -> str:
    """Text in which brackets are brackets and no markup."""
    from rich.markup import escape

    return escape(text)


def _style(verdict: Verdict) -> str:
    return _STYLE.get(verdict, "bold red")


def _verdict(verdict: Verdict) -> str:
    return f"[{_style(verdict)}]{verdict}[/{_style(verdict)}]"


def _show_bad(page: Console, result: Result, most: int) -> None:
    page.print()
    page.print(f"[bold]{_plain(result.case.id)}[/bold] by {_plain(result.implementation)}, against {result.source}:")
    page.print(_bad_cells(result.bad[:most]))
    if len(result.bad) > most:
        page.print(f"  ... and {len(result.bad) - most} more cells (--cells {len(result.bad)} shows them)")


def _bad_cells(rows: Sequence[Row]) -> Table:
    """The cells; a reason that many have in a row is told once."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 2))
    table.add_column("cell", overflow="fold", max_width=48)
    for name in ("got", "expected", "digits", "tolerance"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("reason", overflow="fold", ratio=1)
    before = ""
    for row in rows:
        table.add_row(
            _plain(str(row.cell)),
            number(row.got),
            number(row.expected),
            "-" if row.digits is None else f"{row.digits:.1f}",
            "-" if row.tolerance is None else f"{row.tolerance:.1e}",
            _verdict(row.verdict),
            "as above" if row.reason == before else _plain(row.reason),
        )
        before = row.reason
    return table


def _show_absent(page: Console, results: Sequence[Result]) -> None:
    """Each reason once, with how many fits it kept away; of quantities left out which, and of how many fits."""
    fits: Counter[tuple[Verdict, str]] = Counter()
    quantities: dict[tuple[Verdict, str], Counter[str]] = {}
    for result in results:
        for row in result.rows:
            if row.verdict not in ABSENT:
                continue
            key = (row.verdict, row.reason)
            if result.compared == 0 and len(result.rows) == 1:
                fits[key] += 1
            else:
                quantities.setdefault(key, Counter())[row.cell.quantity] += 1
    if fits or quantities:
        page.print()
    for (verdict, reason), count in fits.items():
        page.print(f"{_verdict(verdict)} ({count}): {_plain(reason)}")
    for (verdict, reason), counts in quantities.items():
        which = ", ".join(f"{name} ({count})" for name, count in counts.most_common())
        page.print(f"{_verdict(verdict)} ({counts.total()}): {_plain(reason)}: {_plain(which)}")


def _show_totals(page: Console, total: Totals, strict: bool) -> None:
    page.print()
    fits = ", ".join(f"{count} {verdict}" for verdict, count in sorted(total.fits.items()))
    page.print(f"{len(total.cases)} cases, {total.fits.total()} fits: {fits}")
    cells = ", ".join(f"{count} {verdict}" for verdict, count in sorted(total.cells.items()) if verdict not in ABSENT)
    page.print(f"{total.compared} cells compared: {cells or 'none'}; {total.seconds:.1f} s in the fits")
    absent = {verdict: total.cells[verdict] for verdict in sorted(ABSENT) if total.cells[verdict]}
    if absent:
        page.print("apart from these: " + ", ".join(f"{count} {verdict}" for verdict, count in absent.items()))
    if total.compared == 0:
        page.print("[bold red]failed: nothing was compared[/bold red]")
    elif total.bad:
        page.print(f"[bold red]failed: {total.bad} cells are unexplained[/bold red]")
    elif not total.passed(strict):
        page.print("[bold red]failed: --strict, and something was not run or not provided[/bold red]")
    else:
        page.print("[bold green]passed: nothing is unexplained[/bold green]")


def show_findings(page: Console, findings: Sequence[Finding]) -> None:
    """Print what the doctor found, and under each finding what to do about it."""
    from rich.table import Table

    styles = {"ok": "green", "information": "dim", "warning": "yellow", "missing": "bold red", "broken": "bold red"}
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for one in findings:
        style = styles[one.state]
        table.add_row(f"[{style}]{one.state}[/{style}]", _plain(one.item), _plain(one.seen))
        if one.advice:
            table.add_row("", "", _plain(one.advice))
    page.print(table)
