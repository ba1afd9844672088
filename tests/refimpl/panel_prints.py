"""The panel summaries whose print by R is frozen: cases of the fixtures that print something of their own.

To freeze them again (R and plm installed):
    python -m tests.refimpl.panel_prints | Rscript --vanilla compat/r/plm_printing.R FOLDER
with fixtures/expected/r-4.2.2-debian12/printing-plm as FOLDER.
"""

from __future__ import annotations

import json
from typing import Any

from compat.cases import Case, load_cases
from compat.data import fixtures_root
from compat.expected import DEFAULT_STACK
from compat.worker import encode_request

FOLDER = fixtures_root() / "expected" / DEFAULT_STACK / "printing-plm"
OPTIONS = {"plm-grunfeld-random-amemiya": (4, 60), "plm-grunfeld-within": (10, 80), "plm-grunfeld-gaps-random-swar": (5, 50)}

# R's standard errors are wrong here, or its r_squared is rounding noise.
NOT_PRINTED = ("plm-grunfeld-gaps-random-twoways", "plm-grunfeld-gaps-random-twoways-amemiya")


def prints() -> dict[str, tuple[Case, int, int]]:
    """Case, digits and width of every print, by its id."""
    chosen = [c for c in load_cases(["plm-grunfeld*", "plm-produc*", "plm-cigar*", "plm-empl-uk*", "plm-awkward*"])]
    usual = [c for c in chosen if c.expects_error is None and "late" not in c.id and c.id not in NOT_PRINTED]
    found = {case.id: (case, 7, 80) for case in usual}
    cases = {case.id: case for case in usual}
    return found | {f"{name}-options": (cases[name], *options) for name, options in OPTIONS.items()}


def requests() -> list[dict[str, Any]]:
    """What R is sent."""
    return [
        encode_request(case) | {"id": name, "print": {"digits": digits, "width": width}}
        for name, (case, digits, width) in prints().items()
    ]


if __name__ == "__main__":
    for request in requests():
        print(json.dumps(request, ensure_ascii=False))
