"""What a generalised inverse makes of dependent columns: the shortest coefficients, and a number where R has NA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from compat.adapters import design
from compat.cases import Case
from refimpl.distributions import t_quantile, two_sided_t


def minimum_norm(case: Case) -> Mapping[str, Any]:
    """The table of coefficients of lm by the pseudo-inverse of the weighted design, b = (W^1/2 X)^+ W^1/2 y."""
    d = design.linear(case)
    root = np.ones(len(d.y)) if d.weights is None else np.sqrt(d.weights.to_numpy())
    X, y = d.X.to_numpy() * root[:, None], d.y.to_numpy() * root
    inverse = np.linalg.pinv(X)
    coef = inverse @ y
    df = int((root > 0).sum()) - int(np.linalg.matrix_rank(X))
    V = inverse @ inverse.T * float(np.sum((y - X @ coef) ** 2)) / df
    error = np.sqrt(V.diagonal())
    half = t_quantile((1 + case.options["level"]) / 2, df) * error
    columns = {
        "coef": coef, "std_error": error, "statistic": coef / error, "p_value": two_sided_t(coef / error, df),
        "conf_low": coef - half, "conf_high": coef + half,
    }  # fmt: skip
    table = {name: pd.Series(values, index=d.names) for name, values in columns.items()}
    return table | {"vcov": pd.DataFrame(V, index=d.names, columns=d.names)}
