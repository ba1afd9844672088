"""R's model language: text -> terms -> frame -> matrix, with R's names, rows and columns, and no eval anywhere.

    f = parse("log(y) ~ a * x + offset(w)")     # Formula; str(f) is R's text
    frame = model_frame(f, data)                # variables evaluated, rows with missing values dropped and counted
    mm = model_matrix(frame)                    # mm.X, mm.names, mm.assign as R's model.matrix
    mm.for_newdata(newdata)                     # the same columns, for predictions
    mixed = mixed_frame(parse("y ~ x + (x | g)"), data)   # lme4: mixed.fixed, mixed.random.Z, .theta_lower,
    .lambda_pattern()
    first, second = parts_frame(parse("y ~ x | z"), data)     # plm: one frame a part, the same rows
    model_frame(parse("y ~ lag(x)", PANEL_FUNCTIONS), data, functions=panel_functions(rows))  # plm's lag() and others

A formula is untrusted text: only allowed functions run, only columns of the data are symbols, and sizes are capped.
plm's functions of a panel are allowed only by a caller that has the panel's index.
"""

from .bars import Bar, MixedFrame, RandomEffects, RandomTerm, has_bars, mixed_frame, split_bars
from .deparse import deparse, quote_name
from .frame import ModelFrame, model_frame
from .grammar import PANEL_FUNCTIONS, parse
from .matrix import ModelMatrix, model_matrix
from .parts import parts_frame, split_parts
from .series import PanelRows, panel_functions, time_numbers
from .syntax import Formula
from .terms import Terms, terms

__all__ = [
    "PANEL_FUNCTIONS",
    "Bar",
    "Formula",
    "MixedFrame",
    "ModelFrame",
    "ModelMatrix",
    "PanelRows",
    "RandomEffects",
    "RandomTerm",
    "Terms",
    "deparse",
    "has_bars",
    "mixed_frame",
    "model_frame",
    "model_matrix",
    "panel_functions",
    "parse",
    "parts_frame",
    "quote_name",
    "split_bars",
    "split_parts",
    "terms",
    "time_numbers",
]
