"""Text exactly as R prints it: numbers, p-values, coefficient tables, calls, and summaries of fits made of them.

Expected text comes from R 4.2.2 and rms 6.5-0. Widths are R's default of 80 unless told otherwise. No estimates are
computed in this room.
"""

from refimpl.printing.calls import deparse_lines
from refimpl.printing.coefficients import Columns, print_coefmat
from refimpl.printing.frames import anova_table, print_anova, print_frame
from refimpl.printing.linear import LinearSummary, summary
from refimpl.printing.numbers import format_c, format_number, format_numbers, format_pval, round_half, signif, zapsmall
from refimpl.printing.options import Options
from refimpl.printing.tables import print_matrix, print_named

__all__ = [
    "Columns",
    "LinearSummary",
    "Options",
    "anova_table",
    "deparse_lines",
    "format_c",
    "format_number",
    "format_numbers",
    "format_pval",
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
