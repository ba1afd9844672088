"""The command line: check, transcript, list, freeze, lecture, doctor. What is asked for and shown, not what is done.

Heavy imports are inside the commands, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from compat.cases import Case
    from compat.check import Result
    from compat.implementations import Implementation

# The matrices of cases are small: more threads of a BLAS only wait for each other. Read when numpy is first imported.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

app = typer.Typer(
    name="rcompat",
    help="Judge ports of R's regression estimators: every number against R's, and why two of them differ.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Globs = Annotated[
    list[str] | None,
    typer.Option("--case", metavar="GLOB", help="Only the cases whose id matches, as 'lm-nist-*'. Repeatable."),
]
Fixtures = Annotated[
    Path | None,
    typer.Option("--fixtures", metavar="DIR", help="Another tree of cases, data and expected files.", file_okay=False),
]
StackName = Annotated[
    str | None, typer.Option("--stack", metavar="NAME", help="Whose frozen answers; `rcompat list stacks` names them.")
]

CHECK_EXAMPLES = """\b
Examples:
  rcompat check                                    refimpl against R's frozen answers
  rcompat check --live                             against the R of this machine, asked now
  rcompat check --case 'lm-nist-*'                 some of the cases
  rcompat check --implementation mypkg.adapter:implementation
  rcompat check --implementation 'command: julia port.jl' --implementation refimpl
  rcompat check -i statsmodels --convention 'no weights'
  rcompat check --json run.json --junit run.xml    reports for other programs
  rcompat check --case 'lm-nist-*' --svg run.svg   a picture of the report
"""


@app.command(epilog=CHECK_EXAMPLES)
def check(
    live: Annotated[
        bool, typer.Option("--live", help="Ask R now, and check that it repeats its frozen answers.")
    ] = False,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", "-j", metavar="N", min=1, help="So many processes at once: of refimpl, with --live of R."
        ),
    ] = min(2, os.cpu_count() or 1),
    case: Globs = None,
    implementation: Annotated[
        list[str] | None,
        typer.Option(
            "--implementation",
            "-i",
            metavar="X",
            help="A registered name, 'module:object' or 'command: program'. Repeatable; refimpl if none is given.",
        ),
    ] = None,
    convention: Annotated[
        list[str] | None,
        typer.Option(
            "--convention",
            metavar="NAME",
            help="Accept answers by this convention; `rcompat list conventions` names them. Repeatable.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail as well where something is NOT_RUN or NOT_PROVIDED.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="F", help="Write the report as JSON.", dir_okay=False)
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="F", help="Write a junit file.", dir_okay=False)
    ] = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="F", help="Write the report as a picture.", dir_okay=False)
    ] = None,
    cells: Annotated[int, typer.Option("--cells", metavar="N", min=1, help="Show up to N bad cells of a fit.")] = 10,
    stack: StackName = None,
    fixtures: Fixtures = None,
) -> None:
    """Fit every case and compare every number with R's.

    Exit status 0 if nothing is unexplained and something was compared, 1 otherwise, 2 for a wrong command line.
    """
    from compat import check as run
    from compat.implementations import close
    from compat.report import terminal

    root = _root(fixtures)
    chosen: list[Implementation] = []
    now = _r_now(jobs) if live else None
    page = terminal.console()
    try:
        cases = _cases(case, root)
        chosen = [_implementation(spec) for spec in dict.fromkeys(implementation or ["refimpl"])]
        accepted = _conventions(convention, root)
        stack = _stack(stack, root)
        fits = len(cases) * len([*chosen, *([now] if now and now not in chosen else [])])
        results = list(_watched(run.check(cases, chosen, stack, now, accepted, jobs), fits))
    finally:
        for one in {id(one): one for one in (*chosen, *([now] if now else []))}.values():
            close(one)
    total = run.totals(results)
    terminal.show(page, results, total, strict=strict, cells=cells)
    _write_reports(json, junit, results, chosen, stack, live, strict)
    if svg is not None:
        terminal.picture(svg, results, total, strict=strict, cells=cells)
    raise typer.Exit(0 if total.passed(strict) else 1)


def _write_reports(
    json: Path | None,
    junit: Path | None,
    results: Sequence[Result],
    chosen: Sequence[Implementation],
    stack: str,
    live: bool,
    strict: bool,
) -> None:
    from compat import check as run
    from compat.report import json as as_json
    from compat.report import junit as as_junit

    if json is not None:
        used = [{"name": one.name, "version": one.version} for one in chosen]
        about = {"stack": stack, "live": live, "implementations": used}
        as_json.write(json, results, run.totals(results), about, strict=strict)
    if junit is not None:
        as_junit.write(junit, results)


def _watched(results: Iterable[Result], fits: int) -> Iterator[Result]:
    """The same results, with a bar on stderr while they come, if somebody is looking."""
    from rich.console import Console

    errors = Console(stderr=True)
    if not errors.is_terminal:
        yield from results
        return
    from rich.progress import track

    yield from track(results, "fitting", total=fits, console=errors, transient=True)


TRANSCRIPT_EXAMPLES = """\b
Examples:
  rcompat transcript session.txt --data HIVDeaths.csv
  rcompat transcript session.txt --data a.csv --data b.csv --json checked.json
  rcompat transcript session.txt --quiet            only the lines that do not simply agree
"""


@app.command(epilog=TRANSCRIPT_EXAMPLES)
def transcript(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What R printed.", exists=True, dir_okay=False)],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="CSV", help="A data file it reads. Repeatable.", exists=True, dir_okay=False),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="F", help="Write the report as JSON.", dir_okay=False)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Leave out the lines in which all agrees.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail as well where a number was not checked.")] = False,
) -> None:
    """Check every number of a printed R session: fit its models by refimpl, and say what explains the rest.

    Exit status 0 if all that was checked agrees, by itself or by a named convention; 1 otherwise.
    """
    from compat.report import terminal
    from compat.transcript import check_transcript
    from compat.transcript import report as written

    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as problem:
        raise typer.BadParameter(str(problem), param_hint="FILE") from None
    found = check_transcript(text, data or ())
    written.show(terminal.console(), found, strict=strict, quiet=quiet)
    if json is not None:
        about = {"transcript": file.name, "data": [one.name for one in data or ()]}
        written.write_json(json, found, about, strict=strict)
    raise typer.Exit(0 if found.passed(strict) else 1)


class What(StrEnum):
    """What can be listed."""

    CASES = "cases"
    QUANTITIES = "quantities"
    IMPLEMENTATIONS = "implementations"
    CONVENTIONS = "conventions"
    VERDICTS = "verdicts"
    STACKS = "stacks"


@app.command(name="list", epilog="\b\nExample:\n  rcompat list cases --case 'vcov-cluster-*'")
def list_(
    what: Annotated[What, typer.Argument(help="What to list.")] = What.CASES,
    case: Globs = None,
    fixtures: Fixtures = None,
) -> None:
    """List the cases, the quantities, the implementations found here, the conventions, verdicts, or frozen stacks."""
    from rich.markup import escape
    from rich.table import Table

    from compat.report import terminal

    headings, rows = _listing(what, case, fixtures)
    table = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(escape, row))
    terminal.console().print(table)


def _listing(what: What, case: list[str] | None, fixtures: Path | None) -> tuple[list[str], list[list[str]]]:
    if what is What.CASES:
        found = _cases(case, _root(fixtures))
        return ["case", "estimator", "description"], [[c.id, c.estimator, c.description] for c in found]
    if what is What.QUANTITIES:
        from compat.quantities import QUANTITIES

        headings = ["quantity", "labels", "kind", "definition", "in R", "estimators"]
        return headings, [
            [q.name, q.labels, q.kind, q.definition, q.in_r, " ".join(sorted(q.estimators))]
            for q in QUANTITIES.values()
        ]
    if what is What.IMPLEMENTATIONS:
        return ["implementation", "version", "estimators"], list(_found_implementations())
    if what is What.CONVENTIONS:
        from compat.conventions.explain import conventions

        headings = ["convention", "formula", "used by", "estimators"]
        return headings, [
            [one.name, one.text, one.used_by, " ".join(sorted(one.estimators))]
            for one in conventions(_cases(case, _root(fixtures)))
        ]
    if what is What.STACKS:
        from compat.expected import stacks

        root = _root(fixtures)
        return ["stack", "expected files"], [
            [name, str(len(list((root / "expected" / name).glob("*.json"))))] for name in stacks(root)
        ]
    from compat.compare import MEANING

    return ["verdict", "meaning"], [[verdict, meaning] for verdict, meaning in MEANING.items()]


def _found_implementations() -> Iterator[list[str]]:
    from compat.implementations import NotAvailable, UnknownImplementation, find, registered

    for name in registered():
        try:
            found = find(name)
        except (NotAvailable, UnknownImplementation) as absent:
            yield [name, "-", f"not available: {absent}"]
        else:
            yield [name, found.version, " ".join(sorted(found.capabilities))]


@app.command(epilog="\b\nExample:\n  rcompat freeze --check --case 'robcov-*'")
def freeze(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; say which files differ or are stale.")] = False,
    case: Globs = None,
    stack: Annotated[str | None, typer.Option("--stack", metavar="NAME", help="Name the stack otherwise.")] = None,
    fixtures: Fixtures = None,
) -> None:
    """Ask the R of this machine for every case and keep its answers as expected files.

    Exit status 0 if every file is (now) what R answers, 1 otherwise.
    """
    from compat import freeze as frozen
    from compat.implementations import NotAvailable

    root = _root(fixtures)
    cases = _cases(case, root)
    try:
        r = frozen.LocalR(name=stack)
    except NotAvailable as absent:
        typer.echo(f"NOT_RUN: {absent.reason}", err=True)
        raise typer.Exit(1) from None
    left = 0
    try:
        for became in frozen.freeze(cases, r, root, write=not check, whole=not case):
            left += not became.fine and (check or became.status in (frozen.Status.FAILED, frozen.Status.ORPHAN))
            if not became.fine:
                typer.echo(f"{became.case}: {became.status}{': ' if became.detail else ''}{became.detail}")
    finally:
        r.close()
    for name in frozen.write_schemas(root, write=not check):
        left += check
        typer.echo(f"{name}: {'differs' if check else 'written'}")
    typer.echo(f"{len(cases)} cases on {r.name}: {f'{left} to look at' if left else 'all as R answers'}")
    raise typer.Exit(1 if left else 0)


@app.command(epilog="\b\nExample:\n  rcompat certify --case 'lmer-sleepstudy-*'")
def certify(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; say which files would differ.")] = False,
    case: Globs = None,
    fixtures: Fixtures = None,
) -> None:
    """Prove where the optimum of mixed models' cases is, and keep the digits that are right as certified files.

    Needs the extra `certify`. Exit status 0 if every file is (now) what was proved, 1 otherwise.
    """
    try:
        from compat import certify as certified
    except ModuleNotFoundError as missing:
        typer.echo(f"NOT_RUN: {missing}; install rcompat[certify]", err=True)
        raise typer.Exit(1) from None
    root = _root(fixtures)
    left = 0
    for one in _cases(case, root):
        if one.estimator != "lmer" or one.expects_error is not None:
            continue
        became = certified.write(one, root, check=check)
        left += check and became in ("new", "differs")
        if became != "unchanged":
            typer.echo(f"{one.id}: {became}")
    raise typer.Exit(1 if left else 0)


LECTURE_EXAMPLES = """\b
Examples:
  rcompat lecture --out lecture                       lecture/lecture.html, tables and figures
  rcompat lecture --out lecture --data HIVDeaths.csv  with the panel from this file
"""


@app.command(epilog=LECTURE_EXAMPLES)
def lecture(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where to write; made if need be.", file_okay=False)
    ],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="CSV", help="The panel of HIV death rates.", exists=True, dir_okay=False),
    ] = None,
) -> None:
    """Run the lecture this began with: tables, figures, and a page that holds every number to what the slides print.

    Exit status 0 if every printed number is explained, 1 otherwise. Needs the extra 'report'; no R.
    """
    try:
        from compat.lecture.run import STEPS, make
    except ModuleNotFoundError as absent:
        typer.echo(f"rcompat lecture needs {absent.name}: pip install 'rcompat[report]'", err=True)
        raise typer.Exit(2) from None
    from compat.compare import BAD

    try:
        with _steps(len(STEPS)) as tell:
            made = make(out, data, tell)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--data") from None
    except OSError as error:
        typer.echo(f"cannot write: {error}", err=True)
        raise typer.Exit(2) from None
    found = ", ".join(f"{number} {verdict}" for verdict, number in made.verdicts.items())
    typer.echo(f"{made.page} and {len(made.files) - 1} files beside it; printed numbers: {found}")
    if made.missing:
        typer.echo(f"NOT_RUN: {made.missing}", err=True)
    raise typer.Exit(1 if BAD & set(made.verdicts) else 0)


@contextmanager
def _steps(total: int) -> Iterator[Callable[[str], None]]:
    """A way to tell what is being done: a bar on a terminal, a line a step elsewhere, both on stderr."""
    from rich.console import Console
    from rich.progress import Progress

    errors = Console(stderr=True)
    if not errors.is_terminal:
        count = itertools.count(1)
        yield lambda step: typer.echo(f"[{next(count)}/{total}] {step}", err=True)
        return
    with Progress(console=errors, transient=True) as bar:
        task = bar.add_task("", total=total)
        began = itertools.count()
        yield lambda step: bar.update(task, description=step, completed=next(began))


@app.command()
def doctor() -> None:
    """Tell which R, packages, BLAS and rpy2 are here, whether they work together, and what to do if not.

    Exit status 0 if a live check can run, 1 otherwise.
    """
    from compat.doctor import examine
    from compat.report import terminal

    findings = examine()
    terminal.show_findings(terminal.console(), findings)
    raise typer.Exit(1 if any(one.state in ("missing", "broken") for one in findings) else 0)


# -- what the commands share -----------------------------------------------------------------------------------------


def _root(fixtures: Path | None) -> Path:
    from compat.data import fixtures_root

    root = (fixtures or fixtures_root()).resolve()
    if not (root / "cases").is_dir():
        raise typer.BadParameter(f"{root} has no folder 'cases'", param_hint="--fixtures")
    return root


def _cases(globs: list[str] | None, root: Path) -> list[Case]:
    from compat.cases import CaseError, load_cases

    try:
        found = load_cases(globs or "*", root)
    except CaseError as error:
        raise typer.BadParameter(str(error), param_hint="--fixtures") from None
    if not found:
        raise typer.BadParameter(f"no case matches {' or '.join(globs or ['*'])}", param_hint="--case")
    return found


def _r_now(jobs: int) -> Implementation:
    """R, starting up while the cases are read and the rest is loaded."""
    from compat.adapters.r import implementation as r

    r.lanes = jobs
    r.prepare()
    return r


def _implementation(spec: str) -> Implementation:
    from compat.implementations import UnknownImplementation, find_or_explain

    try:
        return find_or_explain(spec)
    except UnknownImplementation as error:
        raise typer.BadParameter(str(error), param_hint="--implementation") from None


def _conventions(names: list[str] | None, root: Path) -> list[str]:
    if not names:
        return []
    from compat.conventions.explain import conventions

    known = {one.name for one in conventions(_cases(None, root))}
    if unknown := [name for name in names if name not in known]:
        text = f"no convention {unknown[0]!r}; `rcompat list conventions` names them"
        raise typer.BadParameter(text, param_hint="--convention")
    return names


def _stack(name: str | None, root: Path) -> str:
    from compat.expected import DEFAULT_STACK, stacks

    there = stacks(root)
    if name is not None and name not in there:
        raise typer.BadParameter(f"no stack {name!r}; there are {', '.join(there) or 'none'}", param_hint="--stack")
    return name or (there[0] if len(there) == 1 else DEFAULT_STACK)


if __name__ == "__main__":
    app()
