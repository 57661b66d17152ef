# SPDX-License-Identifier: Apache-2.0
"""Pascal VOC as people and tools lay it out, beside VOC's own folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from training_src.data.dataset import Fault, LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.writers.image import Image
from training_src.errors import DataError

Make = Callable[..., Image]

XML = (
    "<annotation><filename>{named}</filename><size><width>64</width><height>48</height><depth>3</depth></size>"
    "<object><name>{label}</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>"
    "</annotation>"
)


@pytest.fixture
def put(tmp_path: Path, make_image: Make) -> Callable[..., None]:
    """Write an image and its XML, each at its place; the XML names the image by `named`, or by its own name."""

    def write(image: str, xml: str, named: str | None = None, label: str = "car") -> None:
        for place in (image, xml):
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / image).write_bytes(make_image(Path(image).name, number=hash(image) % 97).encoded)
        (tmp_path / xml).write_text(XML.format(named=Path(image).name if named is None else named, label=label))

    return write


def read(folder: Path) -> tuple[dict[str, str | None], list[str]]:
    """Splits by image, and the faults."""
    dataset = read_dataset(folder)
    assert dataset.format == "pascal_voc"
    found = list(dataset.entries())
    images = {entry.image: entry.given_split for entry in found if isinstance(entry, LabelledImage)}
    assert all(len(entry.boxes) == 1 for entry in found if isinstance(entry, LabelledImage))
    return images, [entry.message for entry in found if isinstance(entry, Fault)]


@pytest.mark.parametrize(
    ("image", "xml", "split"),
    [
        ("images/a.jpg", "annotations/a.xml", None),
        ("images/a.jpg", "annots/a.xml", None),
        ("images/a.jpg", "Annotations/a.xml", None),  # Label Studio
        ("images/a.jpg", "images/a.xml", None),
        ("data/a.jpg", "labels/a.xml", None),  # FiftyOne
        ("images/train/a.jpg", "images/train/a.xml", "train"),  # the API's tutorial
        ("images/train/a.jpg", "annotations/train/a.xml", "train"),
        ("train/images/a.jpg", "train/annotations/a.xml", "train"),
        ("JPEGImages/street/a.jpg", "Annotations/street/a.xml", None),
        ("images/annotations/a.jpg", "images/annotations/a.xml", None),
    ],
)
def test_usual_places_are_found(
    tmp_path: Path, put: Callable[..., None], image: str, xml: str, split: str | None
) -> None:
    put(image, xml)

    assert read(tmp_path) == ({image: split}, [])


def test_images_in_folders_are_all_read(tmp_path: Path, put: Callable[..., None]) -> None:
    for name in ("a", "one/a", "two/a", "one/deep/b"):
        put(f"JPEGImages/{name}.jpg", f"Annotations/{name}.xml")

    images, faults = read(tmp_path)

    assert sorted(images) == [f"JPEGImages/{name}.jpg" for name in ("a", "one/a", "one/deep/b", "two/a")]
    assert not faults


def test_list_of_everything_is_no_split(tmp_path: Path, put: Callable[..., None]) -> None:
    for name in ("a", "one/b"):
        put(f"JPEGImages/{name}.jpg", f"Annotations/{name}.xml")
    put("JPEGImages/c.jpg", "Annotations/c.xml")
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    (tmp_path / "ImageSets/Main/default.txt").write_text("a\none/b\n")

    assert read(tmp_path) == ({"JPEGImages/a.jpg": None, "JPEGImages/one/b.jpg": None}, [])
    assert read_dataset(tmp_path).notices == ("1 annotated image is in no list of ImageSets/Main and left out.",)


@pytest.mark.parametrize(
    "line", ["a b", "a b.jpg", "a b.xml", "JPEGImages/a b.jpg", "./a b", "a b  1", "images\\a b.png"]
)
def test_lists_may_write_names_with_suffix_folder_and_mark(tmp_path: Path, put: Callable[..., None], line: str) -> None:
    put("JPEGImages/a b.jpg", "Annotations/a b.xml")
    put("JPEGImages/c.jpg", "Annotations/c.xml")
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    (tmp_path / "ImageSets/Main/train.txt").write_text(f"{line}\n")
    (tmp_path / "ImageSets/Main/val.txt").write_text("c\n")

    assert read(tmp_path) == ({"JPEGImages/a b.jpg": "train", "JPEGImages/c.jpg": "validation"}, [])


def test_list_names_an_image_in_a_folder_by_its_name_alone(tmp_path: Path, put: Callable[..., None]) -> None:
    put("JPEGImages/one/a.jpg", "Annotations/one/a.xml")
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    (tmp_path / "ImageSets/Main/test.txt").write_text("a\n")

    assert read(tmp_path) == ({"JPEGImages/one/a.jpg": "test"}, [])


def test_annotation_that_names_another_image_that_is_there_is_an_error(
    tmp_path: Path, put: Callable[..., None]
) -> None:
    put("JPEGImages/1.jpg", "Annotations/1.xml", named="2.jpg")
    put("JPEGImages/2.jpg", "Annotations/2.xml", named="3.jpg")
    put("JPEGImages/3.jpg", "Annotations/3.xml", named="3.jpg")

    images, faults = read(tmp_path)

    assert set(images) == {"JPEGImages/3.jpg"}
    assert faults[0] == (
        'Annotations/1.xml says <filename>2.jpg</filename>, but "1.jpg" has its own name, and both are there: files '
        "were renamed after they were labelled. Give annotation and image one name, or correct <filename>."
    )
    assert len(faults) == 2


def test_one_file_name_in_every_annotation_says_nothing(tmp_path: Path, put: Callable[..., None]) -> None:
    for name in ("1", "2", "3"):
        put(f"JPEGImages/{name}.jpg", f"Annotations/{name}.xml", named="2.jpg")

    assert read(tmp_path) == ({f"JPEGImages/{name}.jpg": None for name in ("1", "2", "3")}, [])


def test_annotation_of_another_name_than_its_image_is_read(tmp_path: Path, put: Callable[..., None]) -> None:
    put("JPEGImages/a.jpg", "Annotations/0001.xml", named="a.jpg")

    assert read(tmp_path) == ({"JPEGImages/a.jpg": None}, [])


@pytest.mark.parametrize("encoding", ["gbk", "GB2312", "big5", "shift_jis", "euc-kr", "windows-1252", "utf-16"])
def test_encodings_that_an_annotation_declares_are_read(
    tmp_path: Path, put: Callable[..., None], encoding: str
) -> None:
    label = {"big5": "車", "shift_jis": "車", "euc-kr": "차", "windows-1252": "Straße"}.get(encoding, "车")
    put("JPEGImages/a.jpg", "Annotations/a.xml", label=label)
    file = tmp_path / "Annotations/a.xml"
    file.write_bytes(f'<?xml version="1.0" encoding="{encoding}"?>\n{file.read_text()}'.encode(encoding))

    assert read_dataset(tmp_path).label_map.names == {1: label}


def test_encoding_that_an_annotation_has_not_is_named(tmp_path: Path, put: Callable[..., None]) -> None:
    put("JPEGImages/a.jpg", "Annotations/a.xml")
    put("JPEGImages/b.jpg", "Annotations/b.xml")
    text = (tmp_path / "Annotations/a.xml").read_text()
    (tmp_path / "Annotations/a.xml").write_bytes(b'<?xml version="1.0" encoding="gbk"?>' + text.encode() + b"\xff\xff")

    assert read(tmp_path)[1] == [
        f"Annotations/a.xml says that it is gbk, and is not (byte {len(text) + 36}); save it as UTF-8."
    ]


@pytest.mark.parametrize(
    ("degrees", "edges"),
    [("90.0", (10, 20, 30, 24)), ("-90", (10, 20, 30, 24)), ("180", (18, 12, 22, 32)), ("0.0", (18, 12, 22, 32))],
)
def test_box_that_cvat_turned_becomes_what_encloses_it(
    tmp_path: Path, put: Callable[..., None], degrees: str, edges: tuple[float, ...]
) -> None:
    put("JPEGImages/a.jpg", "Annotations/a.xml")
    turned = (
        "<bndbox><xmin>18</xmin><ymin>12</ymin><xmax>22</xmax><ymax>32</ymax></bndbox>"
        f"<attributes><attribute><name>rotation</name><value>{degrees}</value></attribute></attributes></object>"
    )
    file = tmp_path / "Annotations/a.xml"
    file.write_text(file.read_text().partition("<bndbox>")[0] + turned + "</annotation>")

    (image,) = (entry for entry in read_dataset(tmp_path).entries() if isinstance(entry, LabelledImage))
    (box,) = image.boxes

    assert (box.xmin, box.ymin, box.xmax, box.ymax) == pytest.approx(edges)


@pytest.mark.parametrize(
    "file",
    ["annotations/label_map.pbtxt", "training/labelmap.pbtxt", "data/object-label-map.pbtxt", "LabelMap.pbtxt"],
)
def test_label_map_is_found_where_tutorials_put_it(tmp_path: Path, put: Callable[..., None], file: str) -> None:
    put("images/train/a.jpg", "images/train/a.xml")
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("item { id: 1 name: 'zebra' } item { id: 2 name: 'car' }")

    assert read_dataset(tmp_path).label_map.names == {1: "zebra", 2: "car"}


def test_label_maps_that_contradict_each_other_are_an_error(tmp_path: Path, put: Callable[..., None]) -> None:
    put("images/a.jpg", "images/a.xml")
    (tmp_path / "label_map.pbtxt").write_text("item { id: 1 name: 'zebra' } item { id: 2 name: 'car' }")
    (tmp_path / "mscoco_label_map.pbtxt").write_text("item { id: 3 name: 'car' }")

    with pytest.raises(DataError, match=r"label_map\.pbtxt and mscoco_label_map\.pbtxt, which number the classes"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("encoding", ["punycode", "idna", "unicode_escape", "utf-7", "raw_unicode_escape"])
def test_encodings_that_no_document_has_are_named(tmp_path: Path, put: Callable[..., None], encoding: str) -> None:
    put("images/a.jpg", "annotations/a.xml")
    put("images/b.jpg", "annotations/b.xml")
    (tmp_path / "annotations/a.xml").write_text(f'<?xml version="1.0" encoding="{encoding}"?><annotation/>')

    assert f'unknown encoding "{encoding}"; save as UTF-8' in read(tmp_path)[1][0]


@pytest.mark.parametrize(
    "shape",
    [
        "<polygon><x1>1</x1><y1>2</y1></polygon>",
        "<robndbox><cx>30</cx><cy>20</cy><w>20</w><angle>0.5</angle></robndbox>",
    ],
)
def test_object_without_a_box_says_what_to_export(voc_folder: Path, shape: str) -> None:
    (voc_folder / "Annotations/street_0.xml").write_text(
        f"<annotation><filename>street_0.jpg</filename><object><name>cat</name>{shape}</object></annotation>"
    )

    (message,) = (entry.message for entry in read_dataset(voc_folder).entries() if isinstance(entry, Fault))

    assert message == (
        'Annotations/street_0.xml has object 0 ("cat"), which has no bndbox; export boxes, not outlines or turned ones.'
    )
