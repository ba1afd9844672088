"""`python -m tests.benchmarks`: run suites, print their tables, write them as markdown where asked."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from tests.benchmarks import SUITES, load
from tests.benchmarks.runner import Options, run
from tests.benchmarks.table import markdown, print_table, shortfalls


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "suites",
        nargs="*",
        metavar="SUITE",
        help=f"all, or some of: {', '.join(SUITES)}; a name brings those that begin with it",
    )
    parser.add_argument("--sizes", type=float, nargs="+", metavar="N", help="rows, in place of the suite's own sizes")
    parser.add_argument("--repetitions", type=int, metavar="N", help="runs that a median is of (default: by size)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="contenders beside refimpl (default: all)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables as markdown")
    parser.add_argument("--strict", action="store_true", help="exit 1 where refimpl is behind or needs too much memory")
    parser.add_argument("--timeout", type=float, default=1200.0, metavar="S", help="seconds that one answer may take")
    return parser.parse_args()


def main() -> int:
    """Run what the command line asks for; 1 where --strict finds something short."""
    given = arguments()
    asked = given.suites or list(SUITES)
    if unknown := sorted(set(asked) - set(SUITES)):
        print(f"no such suite: {', '.join(unknown)}", file=sys.stderr)
        return 2
    names = [name for name in SUITES if any(name == one or name.startswith(f"{one}_") for one in asked)]
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    sizes = tuple(int(n) for n in given.sizes) if given.sizes else None
    options = Options(sizes, given.repetitions, given.only, given.timeout)
    results = [run(load(name), options, console) for name in names]
    short = []
    for result in results:
        print_table(result, console)
        short += shortfalls(result)
    for line in short or ["refimpl is ahead of all it is held against, within its memory"]:
        console.print(line)
    if given.markdown is not None:
        given.markdown.write_text("\n".join(markdown(result) for result in results), encoding="utf-8")
    return 1 if short and given.strict else 0


if __name__ == "__main__":
    sys.exit(main())
