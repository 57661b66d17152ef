# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_src.class_names import look_alikes, one_spelling
from training_src.data.label_map import (
    LONGEST_NAME,
    LabelMap,
    make_label_map,
    parse_label_map,
    read_label_map,
    write_label_map,
)
from training_src.errors import DataError

class_names = (
    st.text(min_size=1, max_size=LONGEST_NAME)
    .map(one_spelling)
    .filter(lambda name: name.isprintable() and 0 < len(name) <= LONGEST_NAME)
)
label_maps = st.dictionaries(st.integers(1, 2000), class_names, min_size=1).filter(
    lambda names: len(set(names.values())) == len(names) and look_alikes(names.values()) is None
)


@given(label_maps)
def test_label_map_survives_the_round_trip(tmp_path_factory: pytest.TempPathFactory, names: dict[int, str]) -> None:
    file = tmp_path_factory.mktemp("map") / "label_map.pbtxt"

    write_label_map(LabelMap(names), file)

    assert read_label_map(file).names == dict(sorted(names.items()))


def test_ids_may_have_gaps(tmp_path: Path) -> None:
    file = tmp_path / "label_map.pbtxt"
    file.write_text("item {\n  name: \"cyclist\" # Waymo\n  id: 4\n}\nitem: <id: 1, name: 'vehicle'>")

    label_map = read_label_map(file)

    assert label_map.ids == {"vehicle": 1, "cyclist": 4}
    assert label_map.greatest_id == 4


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "names no class"),
        ("item { id: 0 name: 'background' }", "names no class"),
        ("item { id: 0 name: 'cat' }", "has the id 0; ids start at 1"),
        ("item { id: 1 }", r"item 0 \(id 1\) has no name"),
        ("item { id: 1 name: '\x1f' }", r"item 0 \(id 1\) has no name of 1 to 200 printable characters"),
        ("item { id: 1 name: '" + 201 * "a" + "' }", r"item 0 \(id 1\) has no name of 1 to 200 printable characters"),
        ("item { id: 1 name: 'a' } item { id: 1 name: 'b' }", "stands twice"),
        ("item { id: 1 name: 'a' } item { id: 2 name: 'a' }", "stands twice"),
        ("vehicle\npedestrian\n", "is no label map"),
    ],
)
def test_faulty_label_map_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "label_map.pbtxt"
    file.write_text(text)

    with pytest.raises(DataError, match=sentence):
        read_label_map(file)


@pytest.mark.parametrize(
    "background", ["item { id: 0 name: 'background' }", "item { name: 'none' display_name: 'background' }"]
)
def test_the_background_may_stand_in_a_label_map_as_the_api_lets_it(background: str) -> None:
    text = background + " item { id: 1 name: 'cat' }"
    assert parse_label_map(text.encode(), "label_map.pbtxt").names == {1: "cat"}


def test_a_name_is_read_in_its_one_spelling() -> None:
    read = parse_label_map("item { id: 1 name: ' cafe\u0301  bar ' }".encode(), "label_map.pbtxt")
    assert read.names == {1: "caf\u00e9 bar"}
    assert make_label_map([{1: "cafe\u0301"}, {1: "caf\u00e9 "}], "cafes").names == {1: "caf\u00e9"}


@pytest.mark.parametrize("other", ["c\u0430r", "\uff43ar"])
def test_two_names_that_look_alike_are_refused_with_both(other: str) -> None:
    text = f"item {{ id: 1 name: 'car' }} item {{ id: 2 name: '{other}' }}"
    with pytest.raises(DataError) as of_file:
        parse_label_map(text.encode(), "streets")
    with pytest.raises(DataError) as of_lists:
        make_label_map([{1: "car"}, {2: other}], "streets")
    for told in (str(of_file.value), str(of_lists.value)):
        assert told.startswith(f'streets: the classes "car" and "{other}" look alike')
        assert ascii(other) in told


def test_two_ways_to_write_one_name_stand_twice() -> None:
    text = "item { id: 1 name: 'caf\u00e9' } item { id: 2 name: 'cafe\u0301' }"
    with pytest.raises(DataError, match="stands twice"):
        parse_label_map(text.encode(), "label_map.pbtxt")


def test_capital_letters_are_classes_of_their_own() -> None:
    assert make_label_map([{1: "a", 2: "A"}], "letters").names == {1: "a", 2: "A"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_label_map_is_read_as_editors_save_it(encoding: str) -> None:
    content = 'item {\r\n  id: 1\r\n  name: "größe"\r\n}\r\n'.encode(encoding)
    assert parse_label_map(content, "label_map.pbtxt").names == {1: "größe"}


def test_a_label_map_of_another_encoding_is_a_sentence() -> None:
    with pytest.raises(DataError, match=r"label_map\.pbtxt, line 1: this is no UTF-8 text; save it as UTF-8"):
        parse_label_map('item { id: 1 name: "größe" }'.encode("latin-1"), "label_map.pbtxt")
