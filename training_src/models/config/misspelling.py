# SPDX-License-Identifier: Apache-2.0
"""What a name that is not known was meant to be: the same words, but for letters. Numbers are never mistaken."""

import difflib
import re
from collections.abc import Collection

# How much alike a misspelt word and the right one are.
ALIKE = 0.7
# The same of whole names where one has words more.
ALIKE_WITH_MORE_WORDS = 0.8


def meant(given: str, known: Collection[str]) -> str | None:
    """The one name that has the same words, if for letters left out or mistaken; None where there is none."""
    if same := written_otherwise(given, known):
        return same
    words = _words(given)
    for name in known:
        own = _words(name)
        if len(own) == len(words) and all(map(_alike, words, own)):
            return name
    return None


def written_otherwise(given: str, known: Collection[str]) -> str | None:
    """The one name that differs in capitals and underscores alone."""
    return {"".join(_words(name)): name for name in known}.get("".join(_words(given)))


def with_more_words(given: str, known: Collection[str]) -> str | None:
    """The closest name that has a word more or less, which is no number."""
    words = set(_words(given))
    for name in difflib.get_close_matches(given, known, n=3, cutoff=ALIKE_WITH_MORE_WORDS):
        own = set(_words(name))
        if (words < own or own < words) and not any(word.isdigit() for word in words ^ own):
            return name
    return None


def _words(name: str) -> list[str]:
    """Its words and numbers, without the ending that TensorFlow 2's names have."""
    return [word for word in re.findall(r"[a-z]+|\d+", name.lower()) if word != "keras"]


def _alike(word: str, own: str) -> bool:
    if word == own or word.isdigit() or own.isdigit():
        return word == own
    return difflib.SequenceMatcher(None, word, own).ratio() >= ALIKE
