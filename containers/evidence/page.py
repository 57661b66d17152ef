# SPDX-License-Identifier: Apache-2.0
"""What is known of a version only after its report was written, put into the report's places for it.

A place is an element without children, `<dd data-slot="version"></dd>`, in a row that is hidden while it is empty,
`<div data-row="version" hidden>`. A report may come from anywhere: whatever text is put in stays text, whatever else
the page holds stays as it is, and a page without places is returned unchanged.
"""

import re
from collections.abc import Mapping
from html import escape

SLOTS = ("version", "registered", "execution", "author", "purpose", "approval", "serving")
# More than this is no line of a page; a reason that somebody writes may be long.
LONGEST = 2000

# Text of the page itself has no raw `<`, `>` or `"`, so these match its own tags alone.
_PLACE = re.compile(rb'(<([a-z][a-z0-9]*) [^<>]*?\bdata-slot="([a-z]+)"[^<>]*>)([^<]*)(</\2>)')
_ROW = re.compile(rb'<[a-z][a-z0-9]* [^<>]*?\bdata-row="([a-z]+)"[^<>]*>')
_HIDDEN = re.compile(rb" hidden(?=[ >])")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")


def fill(html: bytes, slots: Mapping[str, str]) -> bytes:
    """A report with some of its places filled.

    Args:
        html: The report, as it was written or already filled.
        slots: Text by the names of `SLOTS`; other names, and those that the page has no place for, are passed over.
            An empty text empties the place. What is not named keeps what it has.

    Returns:
        The report, equal for equal arguments.
    """
    known = {name.encode(): _shown(text) for name, text in slots.items() if name in SLOTS}

    def place(found: re.Match[bytes]) -> bytes:
        text = known.get(found[3])
        return found[0] if text is None else found[1] + text + found[5]

    def row(found: re.Match[bytes]) -> bytes:
        text = known.get(found[1])
        if text is None:
            return found[0]
        shown = _HIDDEN.sub(b"", found[0])
        return shown if text else shown[:-1] + b" hidden>"

    return _ROW.sub(row, _PLACE.sub(place, html))


def _shown(text: str) -> bytes:
    """The text as one line of HTML, without what changes the direction or the look of what stands around it."""
    line = " ".join(_UNSEEN.sub(" ", text).split())
    if len(line) > LONGEST:
        line = line[: LONGEST - 2] + " …"
    return escape(line, quote=True).encode()
