# SPDX-License-Identifier: Apache-2.0
"""When two names of classes are one name, and when they only look like it.

One text can be written in several ways of Unicode: `é` as one character or as `e` with an accent (NFC and NFD,
https://www.unicode.org/reports/tr15/), a blank before, behind or twice. Such names are the same. Others differ and look
alike: a Cyrillic letter in a Latin word, a ligature, or in two models a capital letter. Nobody sees which is which, so
that two classes of such names are a mistake and not a choice.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

# Of the letters that Unicode's table of confusables maps to Latin ones (https://www.unicode.org/reports/tr39/) those
# of Cyrillic and Greek that keyboards write and that print as the Latin letter does.
_LATIN = {
    "\u0410": "A", "\u0412": "B", "\u0415": "E", "\u0405": "S", "\u0406": "I", "\u0408": "J", "\u041a": "K",
    "\u041c": "M", "\u041d": "H", "\u041e": "O", "\u0420": "P", "\u0421": "C", "\u0422": "T", "\u0423": "Y",
    "\u0425": "X", "\u0430": "a", "\u0435": "e", "\u0455": "s", "\u0456": "i", "\u0458": "j", "\u043e": "o",
    "\u0440": "p", "\u0441": "c", "\u0443": "y", "\u0445": "x", "\u04bb": "h", "\u0501": "d", "\u04cf": "l",
    "\u0391": "A", "\u0392": "B", "\u0395": "E", "\u0396": "Z", "\u0397": "H", "\u0399": "I", "\u039a": "K",
    "\u039c": "M", "\u039d": "N", "\u039f": "O", "\u03a1": "P", "\u03a4": "T", "\u03a5": "Y", "\u03a7": "X",
    "\u03b1": "a", "\u03bd": "v", "\u03bf": "o", "\u03c1": "p",
}  # fmt: skip
_TABLE = str.maketrans(_LATIN)


def one_spelling(name: str) -> str:
    """A name as it is compared: composed (NFC), without blanks around it, and with single ones in it."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def look_alikes(names: Iterable[str]) -> tuple[str, str] | None:
    """Two of a model's names that differ in nothing that a reader sees; None where there are none.

    Capital letters count: a detector of letters has the classes `a` and `A`.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(_skeleton(name), name)
        if other != name:
            return other, name
    return None


def look_alike(one: str, other: str) -> bool:
    """Whether a name of one model and a different one of another are easily taken for each other."""
    if one_spelling(one) == one_spelling(other):
        return False
    return _skeleton(one).casefold() == _skeleton(other).casefold() or one.casefold() == other.casefold()


def _skeleton(name: str) -> str:
    """What a reader sees of a name: compatible characters (NFKC) as the plain ones, and letters as Latin ones."""
    return one_spelling(unicodedata.normalize("NFKC", one_spelling(name)).translate(_TABLE))
