"""The doctor: what DESCRIPTION asks for, which rpy2 belongs to which R, and findings that say what to do."""

from __future__ import annotations

import subprocess
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

import pytest

from compat import doctor
from compat.adapters.r import R_FOLDER
from compat.doctor import Finding, examine, required_packages, rpy2_advice, version_key

from .r_hosts import start_host


def test_description_lists_every_package_with_its_oldest_version() -> None:
    found = required_packages()
    assert list(found) == ["R", "jsonlite", "lme4", "plm", "rms", "sandwich", "clubSandwich", "lmtest"]
    assert all(version_key(version) for version in found.values())


@pytest.mark.parametrize(
    ("older", "newer"), [("1.1-9", "1.1-31"), ("2.6-2", "2.10-0"), ("3.0", "3.0-2"), ("4.2.2", "4.10.0")]
)
def test_versions_compare_as_in_r(older: str, newer: str) -> None:
    assert version_key(older) < version_key(newer)


@pytest.mark.parametrize(
    ("r_version", "wanted"),
    [
        ("4.2.2", "rpy2==3.6.6 rpy2-rinterface==3.6.5 rpy2-robjects==3.6.6"),
        ("4.5.1", "rpy2==3.6.6 rpy2-rinterface==3.6.5 rpy2-robjects==3.6.6"),
        ("4.6.0", "rpy2>=3.6.7"),
        ("4.10.0", "rpy2>=3.6.7"),
        (None, "rpy2==3.6.6 rpy2-rinterface==3.6.5 rpy2-robjects==3.6.6"),
    ],
)
def test_each_r_has_its_rpy2(r_version: str | None, wanted: str) -> None:
    assert wanted in rpy2_advice(r_version)
    assert "RPY2_CFFI_MODE=ABI pip install" in rpy2_advice(r_version)


def test_the_pins_of_the_advice_are_those_of_the_extra() -> None:
    extra = {
        text.split(";")[0].strip() for text in requires("rcompat") or [] if 'extra == "r"' in text.replace("'", '"')
    }
    assert extra == set(doctor.OLD_R_PINS)


def test_without_r_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("R_HOME", raising=False)
    first, *others = examine()
    assert (first.item, first.state) == ("R", "missing")
    assert "install-debian.sh" in first.advice
    assert [finding.item for finding in others] == ["rpy2"]


def test_packages_that_are_missing_or_old_come_with_advice() -> None:
    installed = {name: version for name, version in required_packages().items() if name not in ("R", "plm")}
    found = {f.item: f for f in doctor._packages({**installed, "lme4": "1.1-5", "sandwich": "3.1-0"})}
    assert found["R package plm"].state == "missing"
    assert 'install.packages("plm")' in found["R package plm"].advice
    assert found["R package lme4"].state == "warning"
    assert {f.state for item, f in found.items() if item not in ("R package plm", "R package lme4")} == {"ok"}


@pytest.mark.live
def test_with_r_everything_is_found() -> None:
    with start_host("rscript"):
        found = {finding.item: finding for finding in examine()}
    assert found["R"].state == "ok"
    assert {f.state for item, f in found.items() if item.startswith("R package ")} == {"ok"}
    assert found["BLAS"].seen
    hosted = found["R is hosted by"]
    assert isinstance(hosted, Finding)
    assert hosted.seen.startswith("rpy2, mode A" if find_spec("rpy2") and hosted.state == "ok" else "Rscript")


@pytest.mark.live
def test_an_rpy2_that_cannot_load_this_r_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with start_host("rscript"):
        monkeypatch.setattr(doctor, "can_load_r", lambda home: (False, "symbol 'R_getVar' not found"))
        monkeypatch.setattr(doctor, "rpy2_versions", lambda: dict.fromkeys(doctor.TRIO, "3.6.9"))
        found = {finding.item: finding for finding in examine()}
    assert found["R is hosted by"].state == "warning"
    assert "R_getVar" in found["R is hosted by"].seen
    assert "pip install" in found["R is hosted by"].advice


def test_the_debian_script_reads_the_one_list() -> None:
    script = R_FOLDER / "install-debian.sh"
    subprocess.run(["sh", "-n", str(script)], check=True)
    text = script.read_text(encoding="utf-8")
    assert not [name for name in required_packages() if name != "R" and f"r-cran-{name.lower()}" in text]
