# SPDX-License-Identifier: Apache-2.0
"""Places of a report are filled with text, and with nothing but text."""

from html.parser import HTMLParser

import pytest

from containers.evidence.page import LONGEST, SLOTS, fill

PAGE = (
    b'<!doctype html><html><body><h1>A report</h1><dl class="slots">'
    + b"".join(
        f'<div data-row="{name}" hidden><dt>{name.title()}</dt><dd data-slot="{name}"></dd></div>'.encode()
        for name in SLOTS
    )
    + b"</dl><p>data-slot=&quot;version&quot;&gt;&lt;/dd&gt; \xc3\xa9</p>"
    + b'<img alt="" src="data:image/jpeg;base64,AAAA"></body></html>'
)
HOSTILE = [
    "</dd><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<!-- <![CDATA[ ]]> -->",
    "\\1 \\g<0> \\2",
    "&lt;b&gt; &amp;",
    '<dd data-slot="author">me</dd>',
    "</DD></dl></body></html>",
    "{{ 7 * 7 }} ${x} `y`",
]


class Read(HTMLParser):
    """The tags of a page, the text of each place, and the rows that are shown."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.texts: dict[str, str] = {}
        self.shown: list[str] = []
        self._slot: str | None = None
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, tuple(name for name in found if name != "hidden")))
        self._slot = found.get("data-slot")
        if self._slot:
            self.texts[self._slot] = ""
        if (row := found.get("data-row")) and "hidden" not in found:
            self.shown.append(row)

    def handle_endtag(self, tag: str) -> None:
        self._slot = None if tag == "dd" else self._slot

    def handle_data(self, data: str) -> None:
        if self._slot:
            self.texts[self._slot] += data


def test_a_filled_place_shows_its_row_and_the_others_stay_hidden() -> None:
    read = Read(fill(PAGE, {"version": "3", "purpose": "counts cells"}))
    assert read.shown == ["version", "purpose"]
    assert (read.texts["version"], read.texts["purpose"], read.texts["author"]) == ("3", "counts cells", "")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", SLOTS)
def test_hostile_text_is_only_text(name: str, text: str) -> None:
    page = fill(PAGE, {name: text})
    read = Read(page)
    assert read.tags == Read(PAGE).tags
    assert read.texts[name] == text
    assert Read(fill(page, {"author": "somebody"})).tags == read.tags


def test_is_filled_anew_and_keeps_what_is_not_named() -> None:
    once = fill(PAGE, {"version": "3", "approval": "waits"})
    again = fill(once, {"approval": "approved by an approver"})
    assert Read(again).texts["version"] == "3"
    assert Read(again).texts["approval"] == "approved by an approver"
    assert fill(again, {"approval": "waits"}) == once
    assert fill(once, {"version": "", "approval": ""}) == PAGE


def test_unknown_names_and_pages_without_places_are_left_alone() -> None:
    assert fill(PAGE, {"colour": "red"}) == PAGE
    for page in (b"", b"<p>an older report</p>", b"\xff\xfe\x00 no text at all", b'<dd data-slot="version">'):
        assert fill(page, {"version": "3"}) == page


def test_what_hides_or_turns_text_is_left_out_and_long_texts_end() -> None:
    page = fill(PAGE, {"author": "a\u202eb\x00\n c", "purpose": "x" * (LONGEST + 5)})
    assert Read(page).texts["author"] == "a b c"
    assert len(Read(page).texts["purpose"]) == LONGEST


def test_a_large_page_of_pictures_takes_no_time_to_speak_of() -> None:
    page = PAGE + b'<img src="data:image/jpeg;base64,' + b"A" * 20_000_000 + b'">'
    assert Read(fill(page, {"version": "3"})[: len(PAGE)]).texts["version"] == "3"
