"""Data frames and analysis-of-variance tables as R prints them (print.data.frame, print.anova)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from refimpl.formula.bars import without_double_bars
from refimpl.printing.calls import deparse_lines
from refimpl.printing.coefficients import Columns, print_coefmat
from refimpl.printing.numbers import Number, format_numbers
from refimpl.printing.options import DEFAULT, Options
from refimpl.printing.tables import print_matrix

if TYPE_CHECKING:
    from refimpl.linear import LinearFit
    from refimpl.mixed.results import MixedFit

TERMS = {"df": "Df", "sum_sq": "Sum Sq", "mean_sq": "Mean Sq", "f_statistic": "F value", "p_value": "Pr(>F)"}
NESTED = {
    "df_residual": "Res.Df",
    "rss": "RSS",
    "df": "Df",
    "sum_sq": "Sum of Sq",
    "f_statistic": "F",
    "p_value": "Pr(>F)",
}
MIXED_TERMS = {"npar": "npar", "sum_sq": "Sum Sq", "mean_sq": "Mean Sq", "f_statistic": "F value"}
LIKELIHOODS = {
    "npar": "npar",
    "aic": "AIC",
    "bic": "BIC",
    "loglik": "logLik",
    "deviance": "deviance",
    "chisq": "Chisq",
    "chi_df": "Df",
    "p_value": "Pr(>Chisq)",
}
LONGEST = 500  # characters of a line of a formula there


def print_frame(data: pd.DataFrame, options: Options = DEFAULT) -> list[str]:
    """The lines of R's print of a data frame: each column in its own layout, a missing text as <NA>, else NA."""
    names = [str(name) for name in data.columns]
    if not names:
        return [f"data frame with 0 columns and {len(data)} rows"]
    if not len(data):
        return [f"[1] {' '.join(names)}", "<0 rows> (or 0-length row.names)"]
    cells = [column_cells(data.iloc[:, i], options) for i in range(len(names))]
    return print_matrix([str(label) for label in data.index], names, cells, width=options.width)


def column_cells(column: pd.Series[Any], options: Options = DEFAULT) -> list[str]:
    """The cells of one column: numbers in one layout, truth values as TRUE and FALSE, all else as text."""
    missing = column.isna().tolist()
    if pd.api.types.is_bool_dtype(column.dtype):
        return ["NA" if gone else "TRUE" if x else "FALSE" for x, gone in zip(column, missing, strict=True)]
    if pd.api.types.is_integer_dtype(column.dtype):
        return ["NA" if gone else str(x) for x, gone in zip(column, missing, strict=True)]
    if pd.api.types.is_float_dtype(column.dtype):
        values = [None if gone else float(x) for x, gone in zip(column, missing, strict=True)]
        return format_numbers(values, options.digits, scipen=options.scipen)
    return ["<NA>" if gone else str(x) for x, gone in zip(column, missing, strict=True)]


# ---- analysis of variance ---------------------------------------------------------------------------------------


def print_anova(
    *fits: LinearFit | MixedFit, refit: bool = True, names: Sequence[str] | None = None, options: Options = DEFAULT
) -> str:
    """R's print of anova(...): the terms of one fit, linear models nested in each other (R 4.2.2), or mixed models
    against each other and linear ones (lme4 1.1-31), with `names` for what R calls the fits and "data" for the data.
    """
    from refimpl.comparison import anova
    from refimpl.linear import LinearFit

    linear = [fit for fit in fits if isinstance(fit, LinearFit)]
    table = anova(*fits, refit=refit, names=names)
    if len(linear) == len(fits):
        return _print_linear(linear, table, options)
    headers = MIXED_TERMS if len(fits) == 1 else LIKELIHOODS
    columns = {header: _column(table[name], set(range(len(table)))) for name, header in headers.items()}
    if len(fits) == 1:
        return "\n".join(["Analysis of Variance Table", *anova_table(list(table.index), columns, options)])
    formulas = dict(zip(names or map(str, range(1, len(fits) + 1)), fits, strict=True))
    models = [f"{label}: {line}" for label in table.index for line in _formula_lines(formulas[str(label)])]
    lines = anova_table([str(label) for label in table.index], columns, options)
    return "\n".join(["Data: data", "Models:", *models, *lines])


def _formula_lines(fit: LinearFit | MixedFit) -> list[str]:
    return deparse_lines(without_double_bars(fit.formula), LONGEST)


def _print_linear(fits: Sequence[LinearFit], table: pd.DataFrame, options: Options) -> str:
    if len(fits) == 1:
        heading, headers = ["", f"Response: {fits[0].frame.response_name}"], TERMS
        empty = {"f_statistic": {len(table) - 1}, "p_value": {len(table) - 1}}
    else:
        heading, headers = ["", *_models(fits)], NESTED
        rows = {i for i, df in enumerate(table["df"]) if i == 0 or df == 0}
        empty = dict.fromkeys(table.columns, rows)
    columns = {headers[name]: _column(table[name], empty.get(name, set())) for name in headers}
    lines = anova_table([str(label) for label in table.index], columns, options)
    return "\n".join(["Analysis of Variance Table", *heading, *lines])


def anova_table(row_names: list[str], table: dict[str, list[Number]], options: Options = DEFAULT) -> list[str]:
    """The table of R's print.anova: numbers of degrees of freedom, sums cleared of tiny ones, tests, p-values."""
    names = list(table)
    p_value = names[-1] if names[-1].startswith("Pr(") else None
    tests = tuple(name for name in names if name[1:] == " value" or name in ("F", "Cp", "Chisq"))
    zap = tuple(name for name in names if name not in tests and name != p_value and not name.endswith("Df"))
    return print_coefmat(row_names, table, None, Columns((), tests, p_value, zap), na="", options=options)


def _models(fits: Sequence[LinearFit]) -> list[str]:
    wide = len(str(len(fits)))
    texts = ["\n".join(deparse_lines(fit.formula)) for fit in fits]
    return "\n".join(f"Model {i:{wide}d}: {text}" for i, text in enumerate(texts, 1)).split("\n")


def _column(values: pd.Series[Any], empty: set[int]) -> list[Number]:
    """Numbers with R's NA in the rows where the table has no cell; what could not be computed stays NaN."""
    return [None if math.isnan(x) and i in empty else float(x) for i, x in enumerate(values)]
