# SPDX-License-Identifier: Apache-2.0
"""Pascal VOC and BBox-Label-Tool: what their files may hold, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from training_src.data.dataset import Fault, LabelledImage
from training_src.data.formats import read_dataset
from training_src.errors import DataError

BOMB = """<?xml version="1.0"?>
<!DOCTYPE annotation [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<annotation><filename>&b;</filename></annotation>"""
READS_A_FILE = (
    '<!DOCTYPE annotation [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation><filename>&a;</filename></annotation>'
)


def messages(folder: Path) -> list[str]:
    return [entry.message for entry in read_dataset(folder).entries() if isinstance(entry, Fault)]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (BOMB, "declares a document type (DOCTYPE); remove it"),
        (READS_A_FILE, "declares a document type (DOCTYPE); remove it"),
        ("<annotation>&undefined;</annotation>", "is no XML: undefined entity"),
        ("<annotation>" * 10_000, "is no XML: no element found"),
        ('<?xml version="1.0" encoding="nonsense"?><annotation/>', "is no XML: unknown encoding"),
        ("<annotation><size><width>x</width></size></annotation>", "names the image"),
    ],
)
def test_hostile_xml_is_refused(voc_folder: Path, content: str, sentence: str) -> None:
    file = voc_folder / "Annotations/street_0.xml"
    file.write_text(content)
    if "names the image" in sentence:
        (voc_folder / "JPEGImages/street_0.jpg").unlink()

    (message,) = messages(voc_folder)

    assert message.startswith("Annotations/street_0.xml ")
    assert sentence in message


@pytest.mark.parametrize("edge", ["", "left", "<deeper/>"])
def test_edge_that_is_no_number_is_named(voc_folder: Path, edge: str) -> None:
    file = voc_folder / "Annotations/street_0.xml"
    file.write_text(file.read_text().replace("<xmin>40</xmin>", f"<xmin>{edge}</xmin>"))

    (message,) = messages(voc_folder)

    assert 'has object 1 ("cyclist"), which has a bbox that is not four numbers' in message


def test_xml_in_other_encodings_is_read(voc_folder: Path) -> None:
    file = voc_folder / "Annotations/street_0.xml"
    (voc_folder / "label_map.pbtxt").unlink()
    text = '<?xml version="1.0" encoding="latin-1"?>' + file.read_text().replace("vehicle", "Straßenbahn")
    file.write_bytes(text.encode("latin-1"))

    assert "Straßenbahn" in read_dataset(voc_folder).label_map.names.values()


def test_list_that_names_what_is_not_there_is_named(voc_folder: Path) -> None:
    (voc_folder / "ImageSets/Main/val.txt").write_text("street_3\n../../../etc/passwd\n" + "x" * 5000)

    found = messages(voc_folder)

    assert found[0] == (
        'ImageSets/Main lists "../../../etc/passwd" for validation, but there is no '
        "Annotations/../../../etc/passwd.xml."
    )
    assert len(found) == 2 and len(found[1]) < 300


def test_image_listed_for_two_splits_is_named(voc_folder: Path) -> None:
    (voc_folder / "ImageSets/Main/val.txt").write_text("street_0\n")

    assert messages(voc_folder) == [
        'ImageSets/Main lists "street_0" for train and for validation; an image has one split.'
    ]


def test_all_files_broken_says_what_is_broken(voc_folder: Path) -> None:
    (voc_folder / "label_map.pbtxt").unlink()
    for file in (voc_folder / "Annotations").iterdir():
        file.write_text("{}")

    with pytest.raises(DataError, match=r"street_0\.xml is no XML"):
        read_dataset(voc_folder)


@pytest.fixture
def labelled(tmp_path: Path, encoded_image: Callable[..., bytes]) -> Callable[[str], Path]:
    """A BBox-Label-Tool folder whose second image has the given text."""

    def write(text: str) -> Path:
        for number, content in enumerate(["1\n4 6 32 30 traffic light\n", text]):
            (tmp_path / "Images/001").mkdir(parents=True, exist_ok=True)
            (tmp_path / "Labels/001").mkdir(parents=True, exist_ok=True)
            (tmp_path / f"Images/001/{number}.JPG").write_bytes(encoded_image(number))
            (tmp_path / f"Labels/001/{number}.txt").write_text(content)
        return tmp_path

    return write


def test_bbox_label_tool_names_may_hold_blanks_and_may_be_missing(labelled: Callable[[str], Path]) -> None:
    folder = labelled("2\n1 2 3 4\n5 6 7 8 dog\n")

    dataset = read_dataset(folder)
    images = [entry for entry in dataset.entries() if isinstance(entry, LabelledImage)]

    assert (dataset.format, list(dataset.label_map.names.values())) == (
        "bbox_label_tool",
        ["class_001", "dog", "traffic light"],
    )
    assert [image.source_id for image in images] == ["Images/001/0.JPG", "Images/001/1.JPG"]
    assert [(box.xmin, box.ymin, box.xmax, box.ymax) for box in images[1].boxes] == [(1, 2, 3, 4), (5, 6, 7, 8)]


def test_bbox_label_tool_image_without_boxes_is_background(labelled: Callable[[str], Path]) -> None:
    assert [len(entry.boxes) for entry in read_dataset(labelled("0\n")).entries()] == [1, 0]  # type: ignore[union-attr]


def test_bbox_label_tool_image_that_was_never_opened_is_left_out_and_told(labelled: Callable[[str], Path]) -> None:
    folder = labelled("0\n")
    (folder / "Labels/001/1.txt").unlink()

    dataset = read_dataset(folder)

    assert len(list(dataset.entries())) == 1
    assert dataset.notices == ("1 images were never opened in the tool: they have no text file and are left out.",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Labels/001/1.txt does not begin with the number of its boxes"),
        ("2\n1 2 3 4 dog\n", "announces 2 boxes and holds 1"),
        ("1\n1 2 3\n", 'has line 2 ("1 2 3"), which has a bbox that is not four numbers'),
        ("1\n1 2 3 x dog\n", "which has a bbox that is not four numbers"),
        ("9" * 5000, "announces"),
    ],
)
def test_bbox_label_tool_faulty_text_is_named(labelled: Callable[[str], Path], text: str, sentence: str) -> None:
    (message,) = messages(labelled(text))
    assert sentence in message


def test_text_that_is_no_utf8_is_named(labelled: Callable[[str], Path]) -> None:
    folder = labelled("")
    (folder / "Labels/001/1.txt").write_bytes(b"1\n1 2 3 4 \xff\xfe\n")

    assert messages(folder) == ["Labels/001/1.txt is no UTF-8 text (line 2); export it again."]


@pytest.mark.parametrize("texts", ["bbox", "labels", "Labels"])
def test_one_folder_of_texts_beside_split_folders_is_read(
    tmp_path: Path, encoded_image: Callable[..., bytes], texts: str
) -> None:
    for number, split in enumerate(("train", "validation")):
        for place in (tmp_path / split / "images", tmp_path / texts):
            place.mkdir(parents=True, exist_ok=True)
        (tmp_path / split / "images" / f"{split}.jpg").write_bytes(encoded_image(number))
        (tmp_path / texts / f"{split}.txt").write_text("1\n1 2 30 40 car\n")

    dataset = read_dataset(tmp_path)
    images = [entry for entry in dataset.entries() if isinstance(entry, LabelledImage)]

    assert (dataset.format, dataset.notices, messages(tmp_path)) == ("bbox_label_tool", (), [])
    assert {image.image: image.given_split for image in images} == {
        "train/images/train.jpg": "train",
        "validation/images/validation.jpg": "validation",
    }


@pytest.mark.parametrize("within", ["", "train/", "validation/"])
def test_texts_in_a_splits_folder_are_of_its_images(
    tmp_path: Path, encoded_image: Callable[..., bytes], within: str
) -> None:
    for number, split in enumerate(("train", "validation")):
        (tmp_path / split / "images").mkdir(parents=True)
        (tmp_path / split / "images/a.jpg").write_bytes(encoded_image(number))
    (tmp_path / "bbox" / within).mkdir(parents=True)
    (tmp_path / "bbox" / within / "a.txt").write_text("1\n1 2 30 40 car\n")

    found = list(read_dataset(tmp_path).entries())

    if within:
        (image,) = (entry for entry in found if isinstance(entry, LabelledImage))
        assert (image.image, image.given_split) == (f"{within}images/a.jpg", within.strip("/"))
    else:
        assert messages(tmp_path) == [
            "bbox/a.txt may be of train/images/a.jpg and validation/images/a.jpg; put it into a folder that is named "
            "like the split."
        ]


def test_texts_that_are_the_tools_are_read_beside_others(tmp_path: Path, encoded_image: Callable[..., bytes]) -> None:
    for place in ("train/images", "labels", "bbox"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "train/images/a.jpg").write_bytes(encoded_image(0))
    (tmp_path / "labels/a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "bbox/a.txt").write_text("1\n1 2 30 40 car\n")

    dataset = read_dataset(tmp_path)

    assert (dataset.format, dataset.label_map.names) == ("bbox_label_tool", {1: "car"})
