"""The tables of a benchmark: ratios of the others' time to ours, growth in rows, memory; on a terminal and in markdown.

Also what falls short: a contender that must be beaten and is not, memory over the limit.
"""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.benchmarks.runner import Result, Row
from tests.benchmarks.suite import Contender


def heading(result: Result, contender: Contender) -> str:
    """A contender's name, R's with the BLAS that it really ran on."""
    about = result.about.get(contender.name)
    if about is None or contender.language != "R":
        return contender.label
    return f"R, {about['blas'].split('.so')[0]}"


def ratio_text(row: Row, contender: str) -> str:
    """The ratio with two or three figures, or why there is none."""
    ratio = row.ratio(contender)
    if ratio is None:
        return row.absent.get(contender, "-")
    return f"{ratio:.2f}" if ratio < 9.95 else f"{ratio:.0f}"


def time_text(seconds: float | None) -> str:
    """A time in the unit that suits it."""
    if seconds is None:
        return "-"
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def growth_text(result: Result, row: Row) -> str:
    """Our time a row, over our time a row at the next smaller size: 1 is linear growth."""
    smaller = [r for r in result.rows if r.label == row.label and r.n < row.n and r.ours]
    if not smaller or row.ours is None:
        return ""
    before = max(smaller, key=lambda r: r.n)
    assert before.ours is not None
    return f"{(row.ours / row.n) / (before.ours / before.n):.2f}"


def memory_text(row: Row) -> str:
    """Peak memory in design matrices: what the process grew by, and what Python allocated."""
    return "" if row.resident is None else f"{row.resident:.2f} / {row.allocated:.2f}"


def cells(result: Result) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the table as texts."""
    others = result.contenders[1:]
    headings = ["", "rows", "refimpl", *(heading(result, c) for c in others), "growth", "memory"]
    rows = [
        [
            row.label,
            f"{row.n:,}" if row.task.sizes == "all" else "",
            time_text(row.ours),
            *(ratio_text(row, c.name) for c in others),
            growth_text(result, row),
            memory_text(row),
        ]
        for row in sorted(result.rows, key=lambda row: [r.label for r in result.rows].index(row.label))
    ]
    return headings, rows


EXPLANATION = (
    "Times of the others over refimpl's: above 1, refimpl is quicker. One thread, medians. growth: refimpl's time a "
    "row over that at the size before. memory: refimpl's peak beyond the data, the process's / what Python allocates, "
    "in design matrices."
)


def versions(result: Result) -> str:
    """Every contender's versions and BLAS."""
    return "; ".join(
        f"{c.label}: {result.about[c.name]['version']} on {result.about[c.name]['blas']}"
        if c.name in result.about
        else f"{c.label}: {result.missing.get(c.name, 'not run')}"
        for c in result.contenders
    )


def print_table(result: Result, console: Console) -> None:
    """The table on the terminal, a ratio below 1 in red, and what has to be said about it."""
    headings, rows = cells(result)
    table = Table(title=result.suite.title, caption=EXPLANATION, header_style="bold")
    for position, text in enumerate(headings):
        table.add_column(text, justify="left" if position == 0 else "right")
    last_label = ""
    for row in rows:
        if row[0] != last_label and last_label:
            table.add_section()
        shown = [row[0] if row[0] != last_label else "", *(coloured(text) for text in row[1:])]
        last_label = row[0]
        table.add_row(*shown)
    console.print(table)
    for note in [versions(result), *result.notes]:
        console.print(note, markup=False, highlight=False)


def coloured(text: str) -> str:
    """Ratios behind 1 are red; words are dim."""
    if text[:2] == "0.":
        return f"[red]{text}[/red]"
    return f"[dim]{escape(text)}[/dim]" if text[:1].isalpha() else escape(text)


def markdown(result: Result) -> str:
    """The table as README has it."""
    headings, rows = cells(result)
    rule = ["---", *("---:" for _ in headings[1:])]
    lines = [f"| {' | '.join(line)} |" for line in (headings, rule, *rows)]
    notes = [f"- {note}" for note in result.notes]
    return "\n".join([f"### {result.suite.title}", "", *lines, "", EXPLANATION, "", versions(result), *notes, ""])


def shortfalls(result: Result) -> list[str]:
    """Where refimpl is behind somebody it must beat, takes more memory than it may, or disagrees."""
    found = []
    for row in result.rows:
        name = f"{row.label}, {row.n:,} rows"
        for contender in result.contenders[1:]:
            ratio = row.ratio(contender.name)
            held = contender.must_beat is None or row.task.name in contender.must_beat
            if held and ratio is not None and ratio < contender.times:
                least = f", not {contender.times:g}" if contender.times != 1.0 else ""
                found.append(f"behind: {name}: {contender.label} takes {ratio:.2f} of refimpl's time{least}")
        if row.ours is None:
            found.append(f"not measured: {name}")
        if row.resident is not None and row.resident > result.suite.memory_limit:
            found.append(f"memory: {name}: {row.resident:.1f} design matrices")
        free = {contender.name for contender in result.contenders if not contender.must_agree}
        found += [
            f"disagreement: {name}: {other} by {size:.1e}"
            for other, size in row.disagreement.items()
            if other not in free and not size <= row.task.agreement
        ]
    return found
