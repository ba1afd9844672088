"""What refimpl raises. Every error carries a `kind`, one word that R's own refusals are classified by too.

No estimator answers with a silent NaN: where R stops, one of these is raised.
"""

from __future__ import annotations


class RefimplError(ValueError):
    """Base of all errors here; `kind` names the sort of failure in one kebab-case word."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class FormulaError(RefimplError):
    """A formula that is not R's, or not allowed; `text` and `position` (0-based) say where."""

    def __init__(self, kind: str, message: str, text: str = "", position: int | None = None) -> None:
        if position is not None:
            before = text[:position]
            line = before.count("\n") + 1
            column = position - (before.rfind("\n") + 1) + 1
            shown = text.splitlines()[line - 1] if text.splitlines() else ""
            message = f"{message} (line {line}, column {column})\n  {shown}\n  {' ' * (column - 1)}^"
        super().__init__(kind, message)
        self.text = text
        self.position = position


class DataError(RefimplError):
    """Data that R would refuse too: which column, how many rows."""


class RankDeficient(RefimplError):
    """Dependent columns, raised only where R stops as well."""

    def __init__(self, message: str) -> None:
        super().__init__("rank-deficient", message)


class NotConverged(RefimplError):
    """An optimum that was not reached to the promised accuracy."""

    def __init__(self, message: str) -> None:
        super().__init__("not-converged", message)
