"""What R there is here, what of it works, and what to do where it does not.

Everything is gathered without loading R into this process: R is asked through its own front end, rpy2 in a child.
Printing is the command line's business.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from compat.adapters.r import INSTALL, R_FOLDER, host_command, host_environment, r_home
from compat.implementations import NotAvailable
from compat.worker import Worker, WorkerError

State = Literal["ok", "warning", "missing", "broken", "information"]

TRIO = ("rpy2", "rpy2-rinterface", "rpy2-robjects")
OLD_R_PINS = ("rpy2==3.6.6", "rpy2-rinterface==3.6.5", "rpy2-robjects==3.6.6")
ABI = "RPY2_CFFI_MODE=ABI"  # builds without a compiler and without R's headers


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report: what was looked at, how it is, what was seen, and what to do about it."""

    item: str
    state: State
    seen: str
    advice: str = ""


def examine() -> list[Finding]:
    """Return all findings: R and its packages, its libraries, rpy2, and who would host R here."""
    try:
        home = r_home()
    except NotAvailable as absent:
        return [Finding("R", "missing", "not found", absent.reason), *_rpy2_installed(None)]
    findings = [Finding("R home", "ok", str(home)), _libr(home)]
    answer, error = _ask("rscript", home)
    if answer is None:
        advice = INSTALL if "jsonlite" in error else f"try `{home / 'bin' / 'Rscript'} --version`"
        return [*findings, Finding("R", "broken", error, advice), *_rpy2_installed(None)]
    stack = answer["provenance"]
    findings += [
        _r_version(answer["versions"]["R"], stack["r_version"]),
        *_packages(stack["packages"]),
        Finding("BLAS", "information", stack["blas"] or "R does not say"),
        Finding("LAPACK", "information", stack["lapack"]),
        Finding("platform", "information", stack["platform"]),
    ]
    return [*findings, *_rpy2_installed(answer["versions"]["R"]), _host(home, answer["versions"]["R"])]


# ---- R ----------------------------------------------------------------------------------------------------------


def required_packages() -> dict[str, str]:
    """Return what DESCRIPTION asks for: package -> oldest version, R itself under "R"."""
    text = (R_FOLDER / "DESCRIPTION").read_text(encoding="utf-8")
    return dict(re.findall(r"^\s+([A-Za-z][\w.]*) \(>= ([\d.-]+)\)", text, re.MULTILINE))


def version_key(version: str) -> tuple[int, ...]:
    """Return an R version as numbers that compare as R compares them: 1.1-31 is 1.1.31."""
    return tuple(int(part) for part in re.split(r"[.-]", version) if part.isdigit())


def _r_version(version: str, text: str) -> Finding:
    least = required_packages()["R"]
    if version_key(version) < version_key(least):
        return Finding("R", "warning", text, f"R {least} or later is what this is tested with: {INSTALL}")
    return Finding("R", "ok", text)


def _packages(installed: Mapping[str, str | None]) -> list[Finding]:
    findings = []
    for name, least in required_packages().items():
        if name == "R":
            continue
        version = installed.get(name)
        if version is None:
            script = R_FOLDER / "install-debian.sh"
            get = f'on Debian or Ubuntu run `sh {script}`, elsewhere install.packages("{name}") in R'
            findings.append(Finding(f"R package {name}", "missing", "not installed", get))
        elif version_key(version) < version_key(least):
            get = f'{least} or later is wanted: install.packages("{name}") in R'
            findings.append(Finding(f"R package {name}", "warning", version, get))
        else:
            findings.append(Finding(f"R package {name}", "ok", version))
    return findings


def _libr(home: Path) -> Finding:
    for name in ("libR.so", "libR.dylib"):
        if (home / "lib" / name).exists():
            return Finding("libR", "ok", str(home / "lib" / name))
    advice = "rpy2 needs an R that was built with --enable-R-shlib, as Debian's is; Rscript hosts R without it"
    return Finding("libR", "warning", f"no shared libR in {home / 'lib'}", advice)


def _ask(host: Literal["rpy2", "rscript"], home: Path) -> tuple[dict[str, Any] | None, str]:
    """Ask a host what there is; the answer, or None and why there was none."""
    try:
        with Worker(host_command(host, home), timeout=60.0, env=host_environment(home)) as worker:
            answer = worker.ask({"id": "versions", "estimator": "versions"})
    except WorkerError as error:
        return None, str(error)
    return (None, answer["error"]["message"]) if "error" in answer else (answer, "")


# ---- rpy2 -------------------------------------------------------------------------------------------------------


def rpy2_versions() -> dict[str, str | None]:
    """Return the installed version of each of rpy2's three distributions, None where it is absent."""

    def version(name: str) -> str | None:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    return {name: version(name) for name in TRIO}


def rpy2_advice(r_version: str | None) -> str:
    """Return the sentence that says which rpy2 belongs to an R of this version, None where there is none yet."""
    if r_version is not None and version_key(r_version) >= (4, 6):
        return f'R {r_version} needs rpy2 3.6.7 or later: `{ABI} pip install "rpy2>=3.6.7"`'
    pins = " ".join(OLD_R_PINS)
    if r_version is not None and version_key(r_version) >= (4, 5):
        return f"R {r_version} works with these or with later ones: `{ABI} pip install {pins}`"
    which = f"R {r_version}" if r_version else "an R older than 4.5"
    return f"{which} needs these three versions together: `{ABI} pip install {pins}`"


def _rpy2_installed(r_version: str | None) -> list[Finding]:
    seen = ", ".join(f"{name} {version}" for name, version in rpy2_versions().items() if version)
    if not seen:
        advice = f"Rscript hosts R without it; {rpy2_advice(r_version)}"
        if r_version is not None and shutil.which("make") is None:
            advice += " (install make first: the build asks `R CMD config`, which runs it)"
        return [Finding("rpy2", "information", "not installed", advice)]
    return [Finding("rpy2", "information", seen)]


def rpy2_mode(home: Path) -> str:
    """Return how rpy2 calls R here, API or ABI, asked in a child; an empty text where it cannot say."""
    code = "import rpy2.rinterface_lib.openrlib as o; print(o.cffi_mode.name)"
    environment = os.environ | host_environment(home)
    try:
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return _last_word(run.stdout.splitlines())


def _last_word(lines: Sequence[str]) -> str:
    return lines[-1].strip() if lines else ""


def can_load_r(home: Path) -> tuple[bool, str]:
    """Whether the installed rpy2 can load the R in `home`, tried in a child; and what it said where not."""
    if not any(rpy2_versions().values()):
        return False, "rpy2 is not installed"
    answer, error = _ask("rpy2", home)
    return answer is not None, error


def _host(home: Path, r_version: str) -> Finding:
    loads, said = can_load_r(home)
    if loads:
        return Finding("R is hosted by", "ok", f"rpy2, mode {rpy2_mode(home)}")
    if not any(rpy2_versions().values()):
        return Finding("R is hosted by", "ok", "Rscript")
    advice = f"Rscript hosts R instead; {rpy2_advice(r_version)}"
    return Finding("R is hosted by", "warning", f"Rscript: rpy2 cannot load this R ({said})", advice)
