"""Starts the children that host R in tests; where one cannot be had, the test is skipped with the reason."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import pytest

from compat.adapters.r import host_command, host_environment, r_home
from compat.doctor import can_load_r, rpy2_advice
from compat.implementations import NotAvailable
from compat.worker import Worker

HAZARDS = Path(__file__).parent / "r" / "hazards.R"
HOSTS: tuple[Literal["rpy2", "rscript"], ...] = ("rpy2", "rscript")


def start_host(host: Literal["rpy2", "rscript"], *, hazards: bool = False, timeout: float = 120.0) -> Worker:
    try:
        home = r_home()
    except NotAvailable as absent:
        pytest.skip(absent.reason)
    if host == "rpy2":
        if find_spec("rpy2") is None:
            pytest.skip(f"rpy2 is not installed: {rpy2_advice(None)}")
        loads, said = can_load_r(home)
        if not loads:
            pytest.skip(f"rpy2 cannot load this R: {said}")
    extra = {"RCOMPAT_R_EXTRA": str(HAZARDS)} if hazards else {}
    return Worker(host_command(host, home), timeout, host_environment(home) | extra)


def request(estimator: str, identity: str = "one", **parts: Any) -> dict[str, Any]:
    return {"id": identity, "estimator": estimator, "options": {}, "data": {}, "want": [], **parts}
