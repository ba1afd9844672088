"""Speed and memory of refimpl beside R and the Python libraries; `python -m tests.benchmarks` runs them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.benchmarks.suite import Suite

SUITES = ("linear", "formula", "panel", "mixed", "mixed_lecture", "mixed_crossed")
"""Modules of this package that define SUITE; one more suite is one more module here."""


def load(name: str) -> Suite:
    """The suite of a module."""
    suite: Suite = import_module(f"tests.benchmarks.{name}").SUITE
    return suite
