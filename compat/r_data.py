"""Data sets that an R package ships and this project does not: exported from R once, then kept in a cache.

Which of them a case needs, and the checksum they must have, is in data; the export itself is r/export.R.
"""

from __future__ import annotations

import subprocess
from pathlib import Path


def exported(package: str, dataset: str, file: str, sha256: str) -> Path | str:
    """Return the CSV of a package's data set with this checksum, or the reason why there is none."""
    import pooch  # type: ignore[import-untyped]

    from compat.adapters.r import R_FOLDER, host_environment, r_home
    from compat.data import file_sha256
    from compat.implementations import NotAvailable

    path = Path(pooch.os_cache("rcompat")) / file
    if path.is_file() and file_sha256(path) == sha256:
        return path
    try:
        home = r_home()
    except NotAvailable as absent:
        return f"{file} comes with R's package {package}: {absent}"
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [str(home / "bin" / "Rscript"), "--vanilla", str(R_FOLDER / "export.R"), package, dataset, str(path)]
    try:
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=host_environment(home))
    except subprocess.CalledProcessError as error:
        return f"R could not export {dataset} of its package {package}: {error.stderr.strip().splitlines()[-1:]}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"R could not export {dataset} of its package {package}: {type(error).__name__}"
    return path
