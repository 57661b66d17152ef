# SPDX-License-Identifier: Apache-2.0
"""CSV tables as xml_to_csv.py, Roboflow and VoTT write them, and the JSON files of SageMaker's older built-in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training_src.data.dataset import Fault, LabelledImage
from training_src.data.formats import read_dataset

EncodedImage = Callable[..., bytes]

TUTORIAL = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
VOTT = '"image","xmin","ymin","xmax","ymax","label"\n'


@pytest.fixture
def put(tmp_path: Path, encoded_image: EncodedImage) -> Callable[..., None]:
    """Writes images of 64 x 48 pixels, and texts."""

    def write(**files: str | None) -> None:
        for number, (name, text) in enumerate(files.items()):
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encoded_image(number) if text is None else text.encode())

    return write


def read(folder: Path) -> tuple[str, dict[str, tuple[str | None, list[tuple[str, float, float]]]], list[str]]:
    """The layout; splits and boxes (class, xmin, ymax) by image; and the faults."""
    dataset = read_dataset(folder)
    found = list(dataset.entries())
    images = {
        entry.image: (entry.given_split, [(box.name, box.xmin, box.ymax) for box in entry.boxes])
        for entry in found
        if isinstance(entry, LabelledImage)
    }
    return dataset.format, images, [entry.message for entry in found if isinstance(entry, Fault)]


@pytest.mark.parametrize(
    ("table", "image", "split"),
    [
        ("labels.csv", "a.jpg", None),
        ("labels.csv", "images/a.jpg", None),
        ("data/train_labels.csv", "images/train/a.jpg", "train"),
        ("data/test_labels.csv", "images/test/a.jpg", "test"),
        ("images/train_labels.csv", "images/train/a.jpg", "train"),
        ("train/_annotations.csv", "train/a.jpg", "train"),  # Roboflow
        ("valid/_annotations.csv", "valid/a.jpg", "validation"),
        ("annotations/train.csv", "train/a.jpg", "train"),
    ],
)
def test_table_finds_its_images(
    tmp_path: Path, put: Callable[..., None], table: str, image: str, split: str | None
) -> None:
    put(**{image: None, table: f"{TUTORIAL}a.jpg,64,48,car,1,2,30,40\na.jpg,64,48,van,5,6,20,21\n"})

    assert read(tmp_path) == ("csv", {image: (split, [("car", 1, 40), ("van", 5, 21)])}, [])


@pytest.mark.parametrize(
    "text",
    [
        f'{VOTT}"a.jpg",1.0,2.0,30.0,40.0,"car"\n',
        "image_path,label,x1,y1,x2,y2\n/home/somebody/set/a.jpg,car,1,2,30,40\n",
        "\ufefffilename,class,xmin,ymin,xmax,ymax,split\r\na.jpg,car,1,2,30,40,train\r\n",
        'class,ymax,xmax,ymin,xmin,filename\n"car",40,30,2,1,a.jpg\n',
    ],
)
def test_columns_may_have_other_names_and_places(tmp_path: Path, put: Callable[..., None], text: str) -> None:
    put(**{"images/a.jpg": None, "boxes.csv": text})

    layout, images, faults = read(tmp_path)

    assert (layout, faults) == ("csv", [])
    assert images["images/a.jpg"][1] == [("car", 1, 40)]


def test_split_may_be_a_column(tmp_path: Path, put: Callable[..., None]) -> None:
    text = "filename,class,xmin,ymin,xmax,ymax,split\na.jpg,car,1,2,30,40,train\nb.jpg,car,1,2,30,40,val\n"
    put(**{"images/a.jpg": None, "images/b.jpg": None, "boxes.csv": text})

    assert {image: split for image, (split, _) in read(tmp_path)[1].items()} == {
        "images/a.jpg": "train",
        "images/b.jpg": "validation",
    }


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("b.jpg,64,48,car,1,2,30,40", 'boxes.csv: line 3 names the file "b.jpg", which is not in'),
        ("a.jpg,64,48,,1,2,30,40", 'boxes.csv: line 3 has the class name ""'),
        ("a.jpg,64,48,car,1,2,x,40", "boxes.csv: line 3 has a bbox that is not four numbers"),
        ("a.jpg,64,48", "boxes.csv: line 3 has 3 values where the first line names more columns"),
        (",64,48,car,1,2,30,40", 'boxes.csv: line 3 has the file name ""'),
        ("../a.jpg,64,48,car,1,2,30,40", "boxes.csv: line 3 lies outside"),
    ],
)
def test_faulty_line_is_named(tmp_path: Path, put: Callable[..., None], line: str, sentence: str) -> None:
    put(**{"images/a.jpg": None, "boxes.csv": f"{TUTORIAL}a.jpg,64,48,car,1,2,30,40\n{line}\n"})

    layout, images, messages = read(tmp_path)

    assert (layout, len(messages)) == ("csv", 1)
    assert images["images/a.jpg"][1][:1] == [("car", 1, 40)]
    assert sentence in messages[0]


def test_other_tables_are_no_boxes(tmp_path: Path, put: Callable[..., None]) -> None:
    put(**{"images/a.jpg": None, "boxes.csv": f"{TUTORIAL}a.jpg,64,48,car,1,2,30,40\n", "prices.csv": "item,price\n"})
    put(**{"hostile.csv": f"filename,{'x' * 200_000}\n", "nul.csv": "filename,\0\n"})

    assert read(tmp_path)[1:] == ({"images/a.jpg": (None, [("car", 1, 40)])}, [])


def document(image: str = "a.jpg", **changes: Any) -> str:
    content = {
        "file": image,
        "image_size": [{"width": 64, "height": 48, "depth": 3}],
        "annotations": [{"class_id": 1, "left": 1, "top": 2, "width": 29, "height": 38}],
        "categories": [{"class_id": 0, "name": "dog"}, {"class_id": 1, "name": "cat"}],
    }
    return json.dumps({**content, **changes})


@pytest.mark.parametrize("address", ["a.jpg", "train/a.jpg", "somewhere/else/a.jpg"])
def test_sagemakers_older_built_in_is_read(tmp_path: Path, put: Callable[..., None], address: str) -> None:
    files = {"train/a.jpg": None, "validation/b.jpg": None}
    put(**files, **{"train_annotation/a.json": document(address), "validation_annotation/b.json": document("b.jpg")})

    assert read(tmp_path) == (
        "mxnet_builtin",
        {"train/a.jpg": ("train", [("cat", 1, 40)]), "validation/b.jpg": ("validation", [("cat", 1, 40)])},
        [],
    )
    assert read_dataset(tmp_path).label_map.names == {1: "dog", 2: "cat"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", 'is no JSON object with "annotations"'),
        (document("c.jpg"), 'names the file "c.jpg", which is not in train/'),
        (document(annotations=[{"class_id": 7, "left": 1, "top": 2, "width": 3, "height": 4}]), "unknown class 7"),
        (document(annotations=[{"class_id": 1, "left": 1}]), "bbox that is not four numbers"),
    ],
)
def test_faulty_json_is_named(tmp_path: Path, put: Callable[..., None], text: str, sentence: str) -> None:
    put(
        **{
            "train/a.jpg": None,
            "train/b.jpg": None,
            "train_annotation/a.json": document(),
            "train_annotation/b.json": text,
        }
    )

    assert [message for message in read(tmp_path)[2] if sentence in message]


def test_row_with_an_image_alone_is_a_background(tmp_path: Path, put: Callable[..., None]) -> None:
    files = {"images/a.jpg": None, "images/b.jpg": None}
    put(**files, **{"boxes.csv": f"{TUTORIAL}a.jpg,64,48,car,1,2,30,40\nb.jpg,64,48,,,,,\n"})

    _, images, messages = read(tmp_path)

    assert images == {"images/a.jpg": (None, [("car", 1, 40)]), "images/b.jpg": (None, [])}
    assert not messages
