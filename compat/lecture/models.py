"""The lecture's data and models, fitted once each: the clones from a seed, the panel of death rates from its file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

import refimpl as ri
from refimpl.linalg import Array
from refimpl.panel import PanelFit, plm
from refimpl.rrandom import RRandom

SEED = 7222009
COPIES = 16
PREDICTORS = (
    "GDPLagK", "GDPGrowthLag", "OPENLag", "POLITYLag", "POLITYSQLag", "CivilWarDummy", "InterstateWarLag",
    "BatDeaths1000Lag",
)  # fmt: skip
FIXED = "LnDeathPM ~ " + " + ".join(PREDICTORS)


class Clones:
    """A hundred draws of y = 1 + x + e |x|, sixteen copies of each, and the four fits of the slides."""

    @cached_property
    def data(self) -> pd.DataFrame:
        """set.seed(7222009); x <- rnorm(100); y <- 1 + 1*x + rnorm(100)*abs(x)."""
        random = RRandom(SEED)
        x = random.rnorm(100)
        return pd.DataFrame({"id": np.arange(1, 101), "x": x, "y": 1 + 1 * x + random.rnorm(100) * np.abs(x)})

    @cached_property
    def copies(self) -> pd.DataFrame:
        """rep(id, 16), rep(y, 16), rep(x, 16) under the slides' names."""
        big = pd.concat([self.data] * COPIES, ignore_index=True)
        return big.rename(columns={"id": "bigID", "x": "bigX", "y": "bigY"})

    @cached_property
    def one(self) -> ri.LinearFit:
        """ols(y ~ x)."""
        return ri.ols("y ~ x", self.data)

    @cached_property
    def robust(self) -> ri.LinearFit:
        """robcov(fit)."""
        return ri.robcov(self.one)

    @cached_property
    def many(self) -> ri.LinearFit:
        """ols(bigY ~ bigX)."""
        return ri.ols("bigY ~ bigX", self.copies)

    @cached_property
    def clustered(self) -> ri.LinearFit:
        """robcov(bigOLS, bigdata$bigID)."""
        return ri.robcov(self.many, "bigID")

    @cached_property
    def slope_errors(self) -> dict[str, float]:
        """Standard errors of the slope by every estimator at hand, of the copies unless they say one."""
        wide, groups = self.many, self.copies["bigID"]
        out = {
            "usual, one of each": float(self.one.std_error["x"]),
            "HC0, one of each": float(self.robust.std_error["x"]),
        }
        out["usual"] = float(wide.std_error["bigX"])
        out["HC0"] = _error(ri.vcov_hc(wide, "HC0"))
        for name in ("CR0", "CR1", "CR1S", "CR2", "CR3"):
            out[name] = _error(ri.vcov_cluster(wide, groups, name))
        return out

    @cached_property
    def likelihood_error(self) -> float:
        """Standard error of the slope from I^-1 (sum of s s') I^-1 of the normal likelihood, at its maximum."""
        fit = self.one.solution
        variance = fit.rss / fit.nobs
        return _error(ri.ml_sandwich(fit.X.T @ fit.X / variance, fit.scores / variance))


def _error(vcov: pd.DataFrame) -> float:
    return float(np.sqrt(vcov.to_numpy()[-1, -1]))


@dataclass(frozen=True)
class Panel:
    """The panel and its fits; `data` has one row a country and year with a death rate and was read from `file`."""

    data: pd.DataFrame
    file: Path

    @cached_property
    def lm(self) -> ri.LinearFit:
        """Pooled least squares."""
        return ri.lm(FIXED, self.data)

    @cached_property
    def within(self) -> PanelFit:
        """Fixed effects of countries."""
        return plm(FIXED, self.data, index=("ISO3", "year"), model="within", effect="individual")

    @cached_property
    def intercepts(self) -> ri.MixedFit:
        """Random intercepts of countries, by ML."""
        return ri.lmer(f"{FIXED} + (1 | ISO3)", self.data, REML=False)

    @cached_property
    def hierarchy(self) -> ri.Hierarchy:
        """The random-slope model written as the slides' equations (1) to (3)."""
        return ri.hlm(FIXED, {"group": "ISO3", "(Intercept)": "1", "GDPLagK": "1"})

    @cached_property
    def slopes(self) -> ri.MixedFit:
        """Random intercepts and slopes of GDP, by ML."""
        return ri.lmer(f"{FIXED} + (GDPLagK | ISO3)", self.data, REML=False)

    @cached_property
    def slopes_reml(self) -> ri.MixedFit:
        """The same by REML."""
        return ri.lmer(f"{FIXED} + (GDPLagK | ISO3)", self.data, REML=True)

    @cached_property
    def with_polity(self) -> pd.DataFrame:
        """The data with each country's mean POLITY score, less the mean of countries: a variable of level two."""
        mean = self.data.groupby("ISO3")["POLITYLag"].transform("mean")
        centre = self.data.groupby("ISO3")["POLITYLag"].mean().mean()
        return self.data.assign(PolityMean=mean - centre)

    @cached_property
    def crossed_hierarchy(self) -> ri.Hierarchy:
        """Intercept and slope of GDP both depend on the country's mean POLITY score."""
        return ri.hlm(FIXED, {"group": "ISO3", "(Intercept)": "PolityMean", "GDPLagK": "PolityMean"})

    @cached_property
    def crossed(self) -> ri.MixedFit:
        """That model by REML."""
        return self.crossed_hierarchy.fit(self.with_polity)

    @cached_property
    def country_slopes(self) -> Array:
        """Slopes of GDP of all countries, of the REML fit, whose mean the slides print."""
        return self.slopes_reml.coef_by_group["ISO3"]["GDPLagK"].to_numpy()

    @cached_property
    def reml_in_units(self) -> pd.DataFrame:
        """The test of GDP's coefficient by ML and by REML, with GDP in thousands of dollars and in dollars."""
        dollars = self.data.assign(GDPLagK=self.data["GDPLagK"] * 1000)
        without = FIXED.replace("GDPLagK + ", "")
        complete = self.data[["GDPLagK"]].notna().all(axis=1)
        rows = {}
        for unit, frame in (("thousands of dollars", self.data[complete]), ("dollars", dollars[complete])):
            fits = [ri.lmer(f"{f} + (1 | ISO3)", frame, REML=True) for f in (without, FIXED)]
            values = {}
            for name, refit in (("ML", True), ("REML", False)):
                values[name] = float(ri.anova(*fits, refit=refit)["chisq"].iloc[-1])
            rows[unit] = values
        out = pd.DataFrame.from_dict(rows, orient="index")
        out.index.name = "GDP in"
        return out
