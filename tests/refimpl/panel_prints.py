"""The panel summaries whose print by R is frozen: cases of the fixtures that print something of their own.

To freeze them again (R and plm installed):
    python -m tests.refimpl.panel_prints | Rscript --vanilla compat/r/plm_printing.R FOLDER
with fixtures/expected/r-4.2.2-debian12/printing-plm as FOLDER.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from compat.cases import Case, load_cases
from compat.data import fixtures_root
from compat.expected import DEFAULT_STACK
from compat.worker import encode_request
from refimpl.printing.options import DEFAULT, Options
from tests.refimpl.printing_cases import as_line

FOLDER = fixtures_root() / "expected" / DEFAULT_STACK / "printing-plm"
OPTIONS = {
    "plm-grunfeld-random-amemiya": Options(digits=4, width=60),
    "plm-grunfeld-within": Options(digits=10),
    "plm-grunfeld-gaps-random-swar": Options(digits=5, width=50, signif_stars=False),
    "plm-grunfeld-random-twoways-swar": Options(scipen=-4),
    "plm-produc-within": Options(digits=5, scipen=6),
}

# R's numbers are wrong here, or its r_squared is rounding noise.
NOT_PRINTED = (
    "plm-grunfeld-gaps-random-twoways",
    "plm-grunfeld-gaps-random-twoways-amemiya",
    "plm-grunfeld-twice-within-twoways",
)


def prints() -> dict[str, tuple[Case, Options]]:
    """The case of every print and R's options, by the print's id."""
    chosen = list(load_cases(["plm-grunfeld*", "plm-produc*", "plm-cigar*", "plm-empl-uk*", "plm-awkward*"]))
    usual = [c for c in chosen if c.expects_error is None and "late" not in c.id and c.id not in NOT_PRINTED]
    found = {case.id: (case, DEFAULT) for case in usual}
    return found | {f"{name}-options": (found[name][0], options) for name, options in OPTIONS.items()}


def request(name: str, case: Case, options: Options) -> dict[str, Any]:
    """What R is sent."""
    return encode_request(case) | {"id": name, "print": asdict(options)}


if __name__ == "__main__":
    for name, (case, options) in prints().items():
        print(as_line(request(name, case, options)))
