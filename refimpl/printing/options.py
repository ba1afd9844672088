"""R's options that its printing looks at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """R's options(digits, scipen, width, show.signif.stars), with its defaults (?options)."""

    digits: int = 7
    scipen: int = 0
    width: int = 80
    signif_stars: bool = True


DEFAULT = Options()
