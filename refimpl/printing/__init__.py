"""Text exactly as R prints it: numbers, p-values, coefficient tables, calls, and summaries of fits made of them.

Expected text comes from R 4.2.2 and rms 6.5-0. Widths are R's default of 80 unless told otherwise. No estimates are
computed in this room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from refimpl.printing import linear, mixed
from refimpl.printing.calls import deparse_lines
from refimpl.printing.coefficients import Columns, print_coefmat
from refimpl.printing.frames import anova_table, print_anova, print_frame
from refimpl.printing.linear import LinearSummary
from refimpl.printing.mixed import MixedSummary
from refimpl.printing.numbers import format_c, format_number, format_numbers, format_pval, round_half, signif, zapsmall
from refimpl.printing.options import Options
from refimpl.printing.panel import PanelSummary, panel_summary
from refimpl.printing.tables import print_matrix, print_named

if TYPE_CHECKING:
    from refimpl.linear import LinearFit
    from refimpl.mixed.results import MixedFit

__all__ = [
    "Columns",
    "LinearSummary",
    "MixedSummary",
    "Options",
    "PanelSummary",
    "anova_table",
    "deparse_lines",
    "format_c",
    "format_number",
    "format_numbers",
    "format_pval",
    "panel_summary",
    "print_anova",
    "print_coefmat",
    "print_frame",
    "print_matrix",
    "print_named",
    "round_half",
    "signif",
    "summary",
    "zapsmall",
]


@overload
def summary(fit: LinearFit, call: str | None = None) -> LinearSummary: ...
@overload
def summary(fit: MixedFit, call: str | None = None) -> MixedSummary: ...
def summary(fit: LinearFit | MixedFit, call: str | None = None) -> LinearSummary | MixedSummary:
    """The summary of a fit, whose str() is what R prints. `call` is the R call as it was typed: a linear model's is
    shown, a mixed model's says what its data, weights and offset are called.
    """
    from refimpl.mixed.results import MixedFit

    return mixed.summary(fit, call) if isinstance(fit, MixedFit) else linear.summary(fit, call)
