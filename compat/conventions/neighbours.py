"""Neighbours: the same model by another choice that software and people make. Data, and how the options change.

A neighbour is fitted anew; what needs no new fit is in closed_forms.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Neighbour:
    """Another fit of the same formula and data: what it is called, how it differs, who takes it."""

    name: str
    text: str
    used_by: str
    estimator: str
    options: Options


def _lmer(options: Options) -> Iterator[Neighbour]:
    if options.get("REML", True):
        yield Neighbour(
            "ML for REML", "REML = FALSE", "anova of lmer fits, MixedModels.jl", "lmer", {**options, "REML": False}
        )
    else:
        yield Neighbour("REML for ML", "REML = TRUE", "lmer's default", "lmer", {**options, "REML": True})


def _ols(options: Options) -> Iterator[Neighbour]:
    yield Neighbour("robust for classical", "robcov(fit)", "rms", "robcov", options)


def _robcov(options: Options) -> Iterator[Neighbour]:
    plain = {name: value for name, value in options.items() if name not in ("cluster", "method")}
    yield Neighbour("classical for robust", "the fit before robcov", "rms's print of it", "ols", plain)
    if options.get("cluster") is not None:
        free = {name: value for name, value in options.items() if name != "cluster"}
        yield Neighbour("no clusters", "robcov(fit)", "rms", "robcov", free)
    if options.get("method", "huber") == "huber":
        yield Neighbour("Efron for Huber", 'method = "efron"', "rms", "robcov", {**options, "method": "efron"})


HC_TYPES = ("HC3", "HC1", "HC0", "HC2", "HC4")
CR_TYPES = ("CR1S", "CR1", "CR0", "CR2", "CR3")


def _coeftest(options: Options) -> Iterator[Neighbour]:
    wanted = options.get("covariance") or {"kind": "classical"}
    if wanted["kind"] == "hc":
        for kind in HC_TYPES:
            if kind != wanted["type"]:
                changed = {**options, "covariance": {**wanted, "type": kind}}
                yield Neighbour(f"{kind} for {wanted['type']}", f'type = "{kind}"', HC_USERS[kind], "coeftest", changed)
    elif wanted["kind"] == "cluster":
        for kind in CR_TYPES:
            if kind != wanted["type"]:
                changed = {**options, "covariance": {**wanted, "type": kind}}
                yield Neighbour(f"{kind} for {wanted['type']}", f'type "{kind}"', CR_USERS[kind], "coeftest", changed)
    if wanted["kind"] != "classical":
        changed = {**options, "covariance": {"kind": "classical"}}
        yield Neighbour("classical for robust", "vcov(fit)", "summary(lm)", "coeftest", changed)


HC_USERS = {
    "HC3": "vcovHC's default", "HC1": "Stata's robust", "HC0": "White (1980)", "HC2": "estimatr", "HC4": "sandwich",
    "HC4m": "sandwich", "HC5": "sandwich",
}  # fmt: skip
CR_USERS = {
    "CR1S": "Stata's cluster, vcovCL's default", "CR1": "vcovCL, type HC0", "CR0": "rms's robcov",
    "CR2": "clubSandwich, estimatr", "CR3": "clubSandwich", "CR1p": "clubSandwich",
}  # fmt: skip


def _plm(options: Options) -> Iterator[Neighbour]:
    if options.get("model", "within") == "random":
        for method in ("swar", "walhus", "amemiya", "nerlove"):
            if method != (options.get("random_method") or "swar"):
                changed = {**options, "random_method": method}
                yield Neighbour(
                    f"{method} variances", f'random.method = "{method}"', "plm's other method", "plm", changed
                )


_OF: Mapping[str, Callable[[Options], Iterator[Neighbour]]] = {
    "lmer": _lmer, "ols": _ols, "robcov": _robcov, "coeftest": _coeftest, "plm": _plm,
}  # fmt: skip


def neighbours(estimator: str, options: Options) -> tuple[Neighbour, ...]:
    """The neighbours of a model, the likeliest first."""
    return tuple(_OF[estimator](options)) if estimator in _OF else ()
