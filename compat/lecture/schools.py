"""Pupils in classes in schools in districts: made by R's generator, fitted at three and four levels through `hlm`.

What the lecture names and does not show: models of more than two levels and a cross-level interaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

import refimpl as ri
from refimpl.rrandom import RRandom

SEED = 8012019
SHAPE = (10, 6, 4, 12)  # districts, schools in each, classes in each, pupils in each

TRUE_FIXED: Mapping[str, float] = {"(Intercept)": 50.0, "ses": 2.0, "size": -1.0, "ses:size": 0.5}
TRUE_SD: Mapping[str, float] = {
    "class.(Intercept)": 1.0, "class.ses": 0.8, "school.(Intercept)": 2.0, "district.(Intercept)": 1.5, "Residual": 3.0,
}  # fmt: skip


def pupils() -> pd.DataFrame:
    """One row a pupil: math, ses, size (of the class, standardised), class, school, district (labels unique).

    Drawn in this order from set.seed(8012019): size of the classes, ses, then the effects of districts, schools and
    classes, the classes' effects on the slope of ses, and the pupils' own.
    """
    D, S, C, P = SHAPE
    counts = [D, D * S, D * S * C, D * S * C * P]
    draw = RRandom(SEED).rnorm
    size, ses = draw(counts[2]), draw(counts[3])
    district, school, of_class, slope, own = (draw(n) for n in (*counts[:3], counts[2], counts[3]))
    member = [np.repeat(np.arange(n), counts[3] // n) for n in counts[:3]]
    z, sd, fixed = size[member[2]], TRUE_SD, TRUE_FIXED
    level = fixed["(Intercept)"] + fixed["size"] * z + sd["district.(Intercept)"] * district[member[0]]
    level = level + sd["school.(Intercept)"] * school[member[1]] + sd["class.(Intercept)"] * of_class[member[2]]
    steepness = fixed["ses"] + fixed["ses:size"] * z + sd["class.ses"] * slope[member[2]]
    labels = {
        name: pd.Categorical(np.array([f"{name[0]}{k:03d}" for k in range(1, n + 1)])[codes])
        for name, codes, n in zip(("district", "school", "class"), member, counts[:3], strict=True)
    }
    math = level + steepness * ses + sd["Residual"] * own
    return pd.DataFrame(
        {"math": math, "ses": ses, "size": z, **{n: labels[n] for n in ("class", "school", "district")}}
    )


def hierarchies() -> dict[str, ri.Hierarchy]:
    """The models: three levels, four, and four with a slope that varies and depends on the size of the class."""
    level2 = {"group": "class", "(Intercept)": "size"}
    crossed = {**level2, "ses": "size"}
    school, district = {"group": "school", "(Intercept)": "1"}, {"group": "district", "(Intercept)": "1"}
    return {
        "three levels": ri.hlm("math ~ ses", level2, level3=school),
        "four levels": ri.hlm("math ~ ses", level2, level3=school, level4=district),
        "cross-level interaction": ri.hlm("math ~ ses", crossed, level3=school, level4=district),
    }


@dataclass(frozen=True)
class Schools:
    """The fits (REML), what they found beside what was put in, and the tests of each model against the next."""

    models: dict[str, ri.Hierarchy]
    fits: dict[str, ri.MixedFit]

    def table(self) -> pd.DataFrame:
        """True value, estimates (and standard errors of fixed effects) by parameter; NaN where a model has none."""
        truth = {**TRUE_FIXED, **{f"sd {name}": value for name, value in TRUE_SD.items()}}
        out = pd.DataFrame({"true": pd.Series(truth)})
        for name, fit in self.fits.items():
            sd = pd.concat([fit.sd, pd.Series({"Residual": fit.sigma})])
            out[name] = pd.concat([fit.coef, sd.rename(lambda label: f"sd {label}")])
            out[f"{name}, std. error"] = fit.std_error
        out.index.name = "parameter"
        return out

    def shown(self) -> pd.DataFrame:
        """The table as text, standard errors in brackets behind their estimates."""
        table = self.table()
        out = pd.DataFrame({"parameter": table.index, "true": [f"{value:g}" for value in table["true"]]})
        out["true"] = out["true"].str.replace("-", "\N{MINUS SIGN}")
        for name in self.fits:
            both = zip(table[name], table[f"{name}, std. error"], strict=True)
            texts = ["" if np.isnan(a) else f"{a:.3f}" + ("" if np.isnan(e) else f" ({e:.3f})") for a, e in both]
            out[name] = [text.replace("-", "\N{MINUS SIGN}") for text in texts]
        return out

    def tests(self) -> pd.DataFrame:
        """Likelihood-ratio tests of the models, each against the one before (refitted by ML, as R does)."""
        table = ri.anova(*self.fits.values())
        table.index = pd.Index([list(self.fits)[int(label) - 1] for label in table.index], name="model")
        return table


def fit_schools(data: pd.DataFrame | None = None) -> Schools:
    """Fit every model to the pupils."""
    frame = pupils() if data is None else data
    models = hierarchies()
    return Schools(models, {name: model.fit(frame) for name, model in models.items()})
