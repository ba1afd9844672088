"""The first half of the lecture: robust covariances, the clones, and the cautions."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from compat.lecture.content import Block, Chapter, Checks, Code, Formula, Picture, Slip, Table, Text
from compat.lecture.models import COPIES, Clones
from refimpl import figures


def chapters(clones: Clones, checks: Mapping[str, Checks], coverage: pd.DataFrame) -> list[Chapter]:
    """Formulas, illustration, clones, rescue, cautions, in the order of the slides."""
    return [
        estimators(clones),
        illustration(clones, checks),
        robust(clones, checks),
        attack(clones, checks),
        rescue(clones, checks),
        cautions(coverage),
    ]


def estimators(clones: Clones) -> Chapter:
    """The formulas, and where the slides have an inverse, a sign and a product wrong."""
    title = "“Robust” variance-covariance estimators"
    return Chapter("estimators", title, "robust", [*_sandwich(clones), *_likelihood(clones), *_clusters(clones)])


def _sandwich(clones: Clones) -> list[Block]:
    return [
        Text(
            "Where the errors do not all have one variance, the covariance of least squares is a sandwich: two "
            "slices of bread around the meat Q."
        ),
        Formula(
            r"\mathrm{Var}(\hat{\beta}) = (\mathbf{X}'\mathbf{X})^{-1}\, \mathbf{Q}\, (\mathbf{X}'\mathbf{X})^{-1}, "
            r"\quad \mathbf{Q} = \mathbf{X}'\mathbf{W}\mathbf{X} = \sum_{i=1}^{N} \sigma_i^2\, "
            r"\mathbf{X}_i \mathbf{X}_i', \quad \mathbf{W} = \sigma^2 \mathbf{\Omega}",
            "The general sandwich.",
        ),
        Slip(
            "The slide's meat is X′W⁻¹X with W = σ²Ω; it is X′WX.",
            "Its own next line, the sum of σᵢ² Xᵢ Xᵢ′, is X′WX: a large error variance must weigh more, not less.",
        ),
        Text(
            "White's insight: the squared residual stands in for each variance. Every single one is a poor guess, "
            "their weighted sum a consistent one."
        ),
        Formula(
            r"\widehat{\mathrm{Var}}(\hat{\beta})_{\mathrm{Robust}} = (\mathbf{X}'\mathbf{X})^{-1} "
            r"\left[ \sum_{i=1}^{N} \hat{u}_i^2\, \mathbf{X}_i \mathbf{X}_i' \right] (\mathbf{X}'\mathbf{X})^{-1}",
            "White's estimator, HC0; rms's robcov without clusters.",
        ),
        Slip(
            "The slide wraps the sum once more, X′(…)⁻¹X.",
            "The sum is K × K already and X′ is K × N: the product does not exist. Without the extra X′, inverse and "
            f"X the formula gives the slope's {clones.slope_errors['HC0, one of each']:.4f} that robcov prints below.",
        ),
    ]


def _likelihood(clones: Clones) -> list[Block]:
    return [
        Text(
            "The same from the likelihood, for any model fitted by it: the information is the bread, the scores' "
            "products are the meat."
        ),
        Formula(
            r"\mathrm{Var}(\hat{\theta})_{\mathrm{Robust}} = [\mathbf{I}(\theta)]^{-1} \left( \sum_{i=1}^{N} "
            r"\frac{\partial \ln L_i}{\partial \hat{\theta}} \frac{\partial \ln L_i}{\partial \hat{\theta}'} \right) "
            r"[\mathbf{I}(\theta)]^{-1}",
            "Huber's sandwich; `refimpl.ml_sandwich`.",
        ),
        Text(
            "For the illustration's normal likelihood it gives the slope a standard error of "
            f"{clones.likelihood_error:.10f}, and White's formula {clones.slope_errors['HC0, one of each']:.10f}: one "
            "estimator, not two."
        ),
        Slip(
            "“We assumed E[∂lnL/∂θ · ∂lnL/∂θ′] = E[∂²lnL/∂θ²]” lacks a minus.",
            "The left side is a square and the second derivative at a maximum is negative. The slide's next line, "
            "with [−E(∂²lnL/∂θ²)]⁻¹, has the sign right.",
        ),
    ]


def _clusters(clones: Clones) -> list[Block]:
    error = clones.slope_errors
    return [
        Text("With clusters the residuals are added up within each before they are squared:"),
        Formula(
            r"\widehat{\mathrm{Var}}(\hat{\beta})_{\mathrm{Clustered}} = (\mathbf{X}'\mathbf{X})^{-1} "
            r"\left[ \sum_{i=1}^{N} \left( \sum_{j=1}^{n_i} \hat{u}_{ij} \mathbf{X}_{ij} \right) "
            r"\left( \sum_{j=1}^{n_i} \hat{u}_{ij} \mathbf{X}_{ij} \right)' \right] (\mathbf{X}'\mathbf{X})^{-1}",
            "Liang and Zeger's estimator, CR0.",
        ),
        Slip(
            "The slide sums ûᵢⱼ² Xᵢⱼ Xᵢⱼ′ within clusters, which is White's estimator again, whatever the clusters.",
            f"On the {COPIES} copies that formula gives the slope {error['HC0']:.4f}; the slides print 0.1352, which "
            f"is the estimator above ({error['CR0']:.4f}). What clustering adds are the products of different rows of "
            "a cluster.",
        ),
    ]


def illustration(clones: Clones, checks: Mapping[str, Checks]) -> Chapter:
    """A hundred draws, least squares."""
    program = (
        "rrandom.set_seed(7222009)                       # R: set.seed(7222009)\n"
        "x = rrandom.rnorm(100)                          #    x <- rnorm(100)\n"
        "y = 1 + 1 * x + rrandom.rnorm(100) * abs(x)     #    y <- 1+1*x+rnorm(100)*abs(x)\n"
        'fit = refimpl.ols("y ~ x", {"x": x, "y": y})    #    fit <- ols(y~x,x=TRUE,y=TRUE)'
    )
    return Chapter(
        "illustration",
        "An illustration: “regular” OLS",
        "robust",
        [
            Text(
                "A hundred observations whose error grows with |x|, from R's own random numbers: the stream is "
                "reproduced to the last bit, so nothing is read from a file."
            ),
            Code(program),
            checks["ols"],
            Code(str(clones.one.summary()), "As rms prints it"),
        ],
    )


def robust(clones: Clones, checks: Mapping[str, Checks]) -> Chapter:
    """robcov."""
    usual, sandwich = clones.one.std_error, clones.robust.std_error
    return Chapter(
        "robust",
        "Further illustration: “robust” V̂",
        "robust",
        [
            Code("refimpl.robcov(fit)                             # R: robcov(fit)"),
            checks["robcov"],
            Code(str(clones.robust.summary()), "As rms prints it"),
            Slip(
                "“Robust s.e. are bigger”: the slope's is, the intercept's is not.",
                f"Slope {usual['x']:.4f} to {sandwich['x']:.4f}, intercept {usual['Intercept']:.4f} to "
                f"{sandwich['Intercept']:.4f}, on the slides too. Here the large errors are at large |x|, which is "
                "what moves a slope; a robust standard error may go either way.",
            ),
        ],
    )


def attack(clones: Clones, checks: Mapping[str, Checks]) -> Chapter:
    """Sixteen copies of each observation, taken for new ones."""
    shrunk = float(clones.one.std_error["x"] / clones.many.std_error["bigX"])
    return Chapter(
        "clones",
        "Attack of the clones",
        "robust",
        [
            Text(
                "Every observation is repeated sixteen times and the copies are taken for new ones. The coefficients "
                f"stay, the standard errors shrink by {shrunk:.4f}, which is √16 but for the degrees of freedom "
                f"(√(1598/98) = {math.sqrt(1598 / 98):.4f})."
            ),
            checks["clones"],
            Code(str(clones.many.summary()), "As rms prints it"),
        ],
    )


def rescue(clones: Clones, checks: Mapping[str, Checks]) -> Chapter:
    """Clusters of copies, the picture, and every estimator beside it."""
    error = clones.slope_errors
    table = pd.DataFrame(
        {"std_error": error, "over_the_original": {k: v / error["HC0, one of each"] for k, v in error.items()}}
    )
    table.index.name = "estimator"
    apart = abs(error["CR0"] / error["HC0, one of each"] - 1)
    same = f"to within {apart:.0e}" if apart else "to the last bit"
    picture = figures.clones(clones.one, clones.many, clones.clustered)
    return Chapter(
        "rescue",
        "Peter and Hal to the rescue",
        "robust",
        [
            Text("Huber and White, with clusters: the sixteen copies of an observation are one cluster."),
            Code('refimpl.robcov(big, cluster="bigID")            # R: robcov(bigOLS, bigdata$bigID)'),
            checks["clones-robcov"],
            Code(str(clones.clustered.summary()), "As rms prints it"),
            Picture(
                "clones",
                picture,
                "Illustrated. The usual bands of the copies are four times too narrow; clustered, the copies say "
                "what the hundred originals said under White's estimator.",
                "Scatter of 100 points with a rising regression line and three pairs of 95 % confidence bands; the "
                "pair of 1600 usual observations hugs the line, the other two are four times as wide.",
            ),
            Table(
                "clones-slope-errors",
                table,
                "The slope's standard error by estimator, of the copies unless said otherwise, and its ratio to "
                f"White's of the originals. CR0, which robcov computes, repeats that {same}; the small-sample factors "
                "of the others count clusters.",
                decimals=6,
            ),
        ],
    )


def cautions(coverage: pd.DataFrame) -> Chapter:
    """Coverage with few clusters."""
    least = coverage["clusters"].min()
    few = coverage[coverage["clusters"] == least].set_index(["estimator", "df"])["coverage"]
    return Chapter(
        "cautions",
        "“Robust” variance estimators: cautions",
        "robust",
        [
            Text(
                "They are only consistent: with few clusters the residuals are too small and too few to tell the "
                "errors' variance. So seen in 2000 samples for each number of clusters of 4 to 16 rows, half of x's "
                "variance and three tenths of the error's shared within clusters."
            ),
            Picture(
                "coverage",
                figures.coverage(coverage),
                "How many of the 95 % intervals hold the true slope. Bars are 95 % limits of the simulation itself.",
                f"Two panels of coverage against 5, 10, 20 and 40 clusters. With {least} clusters CR0 on n - k "
                f"degrees of freedom covers {100 * few['CR0', 'n - k']:.0f} %, CR2 with Satterthwaite's "
                f"{100 * few['CR2', 'Satterthwaite']:.0f} %; HC0, which ignores clusters, stays near 80 % at any "
                "number.",
            ),
            Text(
                f"CR0 with t on n − k degrees of freedom is what robcov prints: with {least} clusters its intervals "
                f"hold the slope {100 * few['CR0', 'n - k']:.1f} % of the time. Stata's factor and G − 1 degrees of "
                f"freedom (CR1S) give {100 * few['CR1S', 'G - 1']:.1f} %. CR2 with Satterthwaite's degrees of "
                f"freedom, the test that clubSandwich does by default, gives {100 * few['CR2', 'Satterthwaite']:.1f} "
                "%. HC0 ignores the clusters, and more of them do not help it."
            ),
            Table(
                "coverage",
                coverage,
                "Coverage in per cent ± its Monte Carlo standard error, by number of clusters; the file has also the "
                "mean standard error over the true spread.",
                index=False,
                shown=_by_clusters(coverage),
            ),
        ],
    )


def _by_clusters(coverage: pd.DataFrame) -> pd.DataFrame:
    """Coverage ± its error in per cent: a row for each interval in the order of the simulation, a column for each G."""
    both = zip(coverage["coverage"], coverage["mc_error"], strict=True)
    texts = coverage.assign(text=[f"{100 * share:.1f} ± {100 * error:.1f}" for share, error in both])
    intervals = list(dict.fromkeys(zip(coverage["estimator"], coverage["df"], strict=True)))
    wide = texts.pivot(index=["estimator", "df"], columns="clusters", values="text").loc[intervals]
    wide.columns = [f"G = {G}" for G in wide.columns]
    return wide.reset_index().replace({"df": {"n - k": "n − k", "G - 1": "G − 1"}})
