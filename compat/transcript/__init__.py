"""Somebody's printed R session as evidence: what agrees with the data, what does not, and what explains it.

    report = check_transcript(Path("session.txt").read_text(), [Path("HIVDeaths.csv")])
    report.passed(), report.counts, report.rows, report.contradictions

Commands are followed by a small interpreter (no eval), models are fitted by refimpl, printed blocks are read by
compat.published.
"""

from compat.transcript.check import Checked, CheckedStep, Remark, Report, check_transcript
from compat.transcript.identities import Finding
from compat.transcript.judge import Row

__all__ = ["Checked", "CheckedStep", "Finding", "Remark", "Report", "Row", "check_transcript"]
