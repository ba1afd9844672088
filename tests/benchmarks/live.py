"""`python -m tests.benchmarks.live`: what `rcompat check --live` takes over one Rscript that fits the same models.

The Rscript is worker.R, fed every request at once and asked for the same quantities; nobody waits for an answer, reads
one or judges it. Both are whole processes, start-up included, in turn, and the median of the ratios is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from compat.adapters.r import host_command, host_environment, r_home, text_for_r
from compat.cases import DataUnavailable, load_cases
from compat.quantities import of_estimator
from compat.worker import encode_request

LIMIT = 1.3


def requests() -> str:
    """Every case as a line; those whose data is not here are left out, as check leaves them out."""
    lines = []
    for case in load_cases():
        try:
            lines.append(json.dumps(encode_request(case, list(of_estimator(case.estimator)), text_for_r)))
        except DataUnavailable:
            continue
    return "\n".join(lines) + "\n"


def seconds(command: list[str], environment: dict[str, str], said: str = "") -> float:
    """How long a process takes; raises where it fails."""
    start = time.perf_counter()
    subprocess.run(command, env={**os.environ, **environment}, input=said, text=True, capture_output=True, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Time both in turn and print the ratio."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.live", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3, metavar="N", help="pairs that the median is of")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many R check may use")
    parser.add_argument("--strict", action="store_true", help=f"exit 1 where the ratio is above {LIMIT:g}")
    given = parser.parse_args()
    home, lines = r_home(), requests()
    check = [sys.executable, "-c", "from compat.cli import app; app()", "check", "--live", "--jobs", str(given.jobs)]
    ratios = []
    for _ in range(given.repetitions):
        script = seconds(host_command("rscript", home), host_environment(home), lines)
        live = seconds(check, {})
        ratios.append(live / script)
        print(f"one Rscript {script:.1f} s, check --live {live:.1f} s: {ratios[-1]:.2f}", flush=True)
    middle = statistics.median(ratios)
    print(f"check --live takes {middle:.2f} times one Rscript; at most {LIMIT:g} is wanted")
    raise SystemExit(given.strict and middle > LIMIT)


if __name__ == "__main__":
    main()
