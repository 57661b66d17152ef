# SPDX-License-Identifier: Apache-2.0
"""`annotations.json` beside `images/` is COCO's or SageMaker's by what it says, and an error where nothing tells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from training_src.data.dataset import LabelledImage
from training_src.data.formats import box_convention, read_dataset
from training_src.data.formats.box_convention import convention_of
from training_src.data.formats.json_stream import elements
from training_src.errors import DataError

EncodedImage = Callable[..., bytes]

IDS = {"id": 1}


@pytest.fixture
def write(tmp_path: Path, encoded_image: EncodedImage) -> Callable[..., Path]:
    """Writes images of 64 x 48 pixels with a box each; what an annotation or the file has beside is given."""

    def write(*boxes: tuple[float, ...], first: int = 1, mark: dict[str, Any] | None = None, **more: Any) -> Path:
        content = {
            "images": [{"id": n, "file_name": f"{n}.jpg", "width": 64, "height": 48} for n in range(len(boxes))],
            "annotations": [
                {"image_id": n, "bbox": list(box), "category_id": first, **(mark or {})} for n, box in enumerate(boxes)
            ],
            **more,
        }
        (tmp_path / "images").mkdir()
        for number in range(len(boxes)):
            (tmp_path / f"images/{number}.jpg").write_bytes(encoded_image(number))
        (tmp_path / "annotations.json").write_text(json.dumps(content))
        return tmp_path

    return write


def read(folder: Path, layout: str | None = None) -> tuple[str, tuple[float, ...]]:
    dataset = read_dataset(folder, format=layout)
    image = next(entry for entry in dataset.entries() if isinstance(entry, LabelledImage))
    box = image.boxes[0]
    return dataset.format, (box.xmin, box.ymin, box.xmax, box.ymax)


CATEGORIES = [{"id": 1, "name": "car"}]


@pytest.mark.parametrize(
    ("boxes", "told"),
    [
        # 40 pixels wide from x = 40 does not fit into 64; up to x = 60 it does.
        ([(40, 2, 60, 20)], {"categories": CATEGORIES}),
        ([(40, 2, 60, 20)], {"categories": CATEGORIES, "mark": IDS}),
        ([(1, 2, 30, 40)] * 3 + [(40, 2, 60, 20)], {"categories": CATEGORIES}),
        ([(1, 2, 30, 40)], {}),
        ([(1, 2, 30, 40)], {"first": 0, "categories": [{"id": 0, "name": "car"}]}),
    ],
)
def test_corners_are_read_as_the_built_in_layout(
    write: Callable[..., Path], boxes: list[tuple[float, ...]], told: dict[str, Any]
) -> None:
    assert read(write(*boxes, **told)) == ("sagemaker_builtin", boxes[0])


@pytest.mark.parametrize(
    ("boxes", "told"),
    [
        # Turned inside out as corners.
        ([(40, 20, 20, 10)], {"categories": CATEGORIES}),
        ([(40, 20, 20, 10)], {}),
        ([(40, 20, 20, 10)], {"first": 0, "categories": [{"id": 0, "name": "car"}]}),
        ([(1, 2, 30, 40)], {"categories": CATEGORIES, "mark": IDS}),
        ([(1, 2, 30, 40)], {"categories": CATEGORIES, "mark": {"iscrowd": 0}}),
        ([(1, 2, 30, 40)], {"mark": {"segmentation": []}}),
        ([(1, 2, 30, 40)], {"mark": {"area": 1200}}),
    ],
)
def test_sizes_and_cocos_keys_are_read_as_coco(
    write: Callable[..., Path], boxes: list[tuple[float, ...]], told: dict[str, Any]
) -> None:
    x, y, width, height = boxes[0]

    assert read(write(*boxes, **told)) == ("coco", (x, y, x + width, y + height))


@pytest.mark.parametrize("boxes", [[(1, 2, 30, 40)], [(40, 2, 60, 20), (40, 20, 20, 10)]])
def test_what_can_be_read_both_ways_asks_for_the_format(
    write: Callable[..., Path], boxes: list[tuple[float, ...]]
) -> None:
    folder = write(*boxes, categories=CATEGORIES)

    with pytest.raises(DataError, match=r"annotations\.json: its boxes can be read as COCO's .* --format coco or"):
        read_dataset(folder)

    assert read(folder, "sagemaker_builtin") == ("sagemaker_builtin", boxes[0])
    assert read(folder, "coco")[0] == "coco"


@pytest.fixture
def read_elements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The list of every element that is read, where four boxes are looked at."""
    read: list[str] = []

    def counted(file: Path) -> Iterator[tuple[str, Any]]:
        for key, element in elements(file):
            read.append(key)
            yield key, element

    monkeypatch.setattr(box_convention, "_BOXES", 4)
    monkeypatch.setattr(box_convention, "elements", counted)
    return read


@pytest.mark.parametrize("mark", [{}, IDS])
def test_file_is_read_no_further_than_its_boxes_need(
    write: Callable[..., Path], read_elements: list[str], mark: dict[str, Any]
) -> None:
    folder = write(*[(40, 2, 60, 20)] * 6, mark=mark, categories=CATEGORIES)

    assert convention_of(folder / "annotations.json") == "sagemaker_builtin"
    assert read_elements == ["images"] * 6 + ["annotations"] * 4


def test_classes_are_waited_for_where_boxes_do_not_tell(write: Callable[..., Path], read_elements: list[str]) -> None:
    folder = write(*[(1, 2, 30, 40)] * 6, categories=CATEGORIES)

    assert convention_of(folder / "annotations.json") == "either"
    assert read_elements[-1] == "categories"


def test_sizes_that_come_behind_the_boxes_are_read_until_the_last_that_is_needed(
    write: Callable[..., Path], read_elements: list[str]
) -> None:
    folder = write(*[(1, 2, 30, 40)] * 3, (40, 2, 60, 20), *[(1, 2, 30, 40)] * 2, mark=IDS)
    file = folder / "annotations.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({"annotations": content["annotations"], "images": content["images"]}))

    assert convention_of(file) == "sagemaker_builtin"
    assert read_elements == ["annotations"] * 6 + ["images"] * 4


def coco_file(folder: Path, encoded_image: EncodedImage, annotations: list[dict[str, Any]], name: str) -> Path:
    (folder / "images").mkdir()
    (folder / "images/0.jpg").write_bytes(encoded_image(0))
    content = {
        "images": [{"id": 0, "file_name": "0.jpg", "width": 64, "height": 48}],
        "annotations": [{"id": n, "image_id": 0, "category_id": 1, **one} for n, one in enumerate(annotations)],
        "categories": CATEGORIES,
    }
    (folder / name).write_text(json.dumps(content))
    return folder


SQUARE = [[4, 6, 20, 6, 20, 20, 4, 20]]


@pytest.mark.parametrize("name", ["instances_train.json", "result.json"])
@pytest.mark.parametrize(
    "annotations",
    [
        [{"bbox": [4, 6, 20, 20], "area": 224}],
        [{"bbox": [4, 6, 20, 20], "segmentation": SQUARE}],
        [{"bbox": [4, 6, 20, 20], "segmentation": SQUARE, "area": 224.0}, {"bbox": [1, 1, 8, 8]}],
        [{"bbox": [40, 20, 60, 40]}] * 3 + [{"bbox": [4, 6, 20, 20]}],
    ],
)
def test_corners_in_a_coco_file_are_an_error(
    tmp_path: Path, encoded_image: EncodedImage, annotations: list[dict[str, Any]], name: str
) -> None:
    folder = coco_file(tmp_path, encoded_image, annotations, name)

    with pytest.raises(DataError, match=rf"{name}: its boxes are corners .* not COCO's \[x, y, width, height\]"):
        read_dataset(folder)


@pytest.mark.parametrize(
    "annotations",
    [
        [{"bbox": [4, 6, 20, 20], "area": 400}],
        [{"bbox": [4, 6, 20, 20], "area": 224}, *[{"bbox": [4, 6, 20, 20], "area": 400}] * 60],
        [{"bbox": [4, 6, 16, 14], "segmentation": SQUARE}],
        [{"bbox": [4, 6, 20, 20], "area": 123}],
        [{"bbox": [4, 6, 20, 20], "area": 0}],
        [{"bbox": [40, 20, 60, 40]}, {"bbox": [40, 20, 20, 10]}],
        [{"bbox": [4, 6, 20, 20], "segmentation": {"size": [1, 1], "counts": "01"}, "area": None}],
    ],
)
def test_sizes_in_a_coco_file_are_read(
    tmp_path: Path, encoded_image: EncodedImage, annotations: list[dict[str, Any]]
) -> None:
    folder = coco_file(tmp_path, encoded_image, annotations, "instances_train.json")

    assert read(folder)[0] == "coco"


@pytest.mark.parametrize(
    ("stated", "layout"),
    [({"area": 224}, "sagemaker_builtin"), ({"area": 400}, "coco")],
)
def test_areas_and_outlines_tell_where_boxes_fit_both_ways(
    write: Callable[..., Path], stated: dict[str, Any], layout: str
) -> None:
    folder = write((4, 6, 20, 20), mark=stated, categories=CATEGORIES)

    assert convention_of(folder / "annotations.json") == layout
