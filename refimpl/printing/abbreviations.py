"""Short forms of names as R's abbreviate() makes them, one by one and unique among each other.

Found by asking R 4.2.2 and from ?abbreviate: method "left.kept" with classes, the default.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

VOWELS = "aeiou"


def abbreviate(names: Sequence[str], length: int) -> list[str]:
    """Names of at least `length` characters where they have as many; what is not unique by then is given more."""
    short = {name: shorten(name, length) for name in names}
    unique = list(short)
    while clashing := _repeated([short[name] for name in unique], unique):
        length += 1
        short |= {name: shorten(name, length) for name in clashing}
    return [short[name] for name in names]


def _repeated(texts: Sequence[str], names: Sequence[str]) -> list[str]:
    """Names whose text another one before them has too."""
    return [name for i, name in enumerate(names) if texts.index(texts[i]) < i or texts.count(texts[i]) > 1]


def shorten(name: str, length: int) -> str:
    """One name: spaces go, then lower-case vowels, other lower-case letters, and all else, each from the end.

    Those at the end of a word go before those of the same kind inside one; a word keeps its first character.
    """
    text = name.strip(" ")
    if len(text) <= length:
        return text
    words = text.split()
    for drops in (_is_vowel, str.islower, _anything):
        for only_last in (True, False):
            words = _without(words, length, drops, only_last)
    return "".join(words)


def _without(words: list[str], length: int, drops: Callable[[str], bool], only_last: bool) -> list[str]:
    """The words without what may be dropped, from the end until they are short enough together."""
    surplus = sum(map(len, words)) - length
    out = []
    for word in reversed(words):
        kept = ""
        for i in range(len(word) - 1, -1, -1):
            if surplus > 0 and i > 0 and drops(word[i]) and not (only_last and kept):
                surplus -= 1
            else:
                kept = word[i] + kept
        out.append(kept)
    return out[::-1]


def _is_vowel(c: str) -> bool:
    """A lower-case vowel of English, with an accent or without, or an o with stroke."""
    return c == "ø" or unicodedata.normalize("NFD", c)[0] in VOWELS


def _anything(_: str) -> bool:
    return True
