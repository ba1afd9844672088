"""R's model language: text -> terms -> frame -> matrix, with R's names, rows and columns, and no eval anywhere.

    f = parse("log(y) ~ a * x + offset(w)")     # Formula; str(f) is R's text
    frame = model_frame(f, data)                # variables evaluated, rows with missing values dropped and counted
    mm = model_matrix(frame)                    # mm.X, mm.names, mm.assign as R's model.matrix
    mm.for_newdata(newdata)                     # the same columns, for predictions

A formula is untrusted text: only allowed functions run, only columns of the data are symbols, and sizes are capped.
"""

from .deparse import deparse, quote_name
from .frame import ModelFrame, model_frame
from .grammar import parse
from .matrix import ModelMatrix, model_matrix
from .syntax import Formula
from .terms import Terms, terms

__all__ = [
    "Formula",
    "ModelFrame",
    "ModelMatrix",
    "Terms",
    "deparse",
    "model_frame",
    "model_matrix",
    "parse",
    "quote_name",
    "terms",
]
