# SPDX-License-Identifier: Apache-2.0
"""SageMaker's older built-in layout, a JSON file an image, with what should not stand in such a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from training_src.data.dataset import Fault, LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.writers.image import Image
from training_src.errors import DataError

Make = Callable[..., Image]
Write = Callable[[Path, Sequence[Image]], None]


@pytest.fixture
def folder(tmp_path: Path, make_image: Make, writers: Mapping[str, Write]) -> Path:
    """Two images of a class each, of which a test edits the first."""
    images = [make_image(f"{name}.jpg", (name, 1, 2, 30, 40), number=n) for n, name in enumerate(("ape", "bee"))]
    writers["mxnet_builtin"](tmp_path, images)
    return tmp_path


def edit(folder: Path, **changes: Any) -> None:
    file = folder / "images_annotation/ape.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def names_of(folder: Path) -> list[list[str]]:
    found = [entry for entry in read_dataset(folder).entries() if isinstance(entry, LabelledImage)]
    return [[box.name for box in image.boxes] for image in found]


@pytest.mark.parametrize(
    "categories", [None, True, 7, "cat", {"class_id": 0}, [], [None], [{}], [{"class_id": True, "name": "x"}]]
)
def test_classes_that_are_no_list_name_nothing(folder: Path, categories: Any) -> None:
    edit(folder, categories=categories)

    assert names_of(folder) == [["ape"], ["bee"]]  # which the other file names


@pytest.mark.parametrize("number", [-1, 1 << 40, 0.5, "0"])
def test_numbers_that_no_class_has_name_nothing(folder: Path, number: Any) -> None:
    edit(folder, categories=[{"class_id": number, "name": "x"}])

    assert names_of(folder) == [["ape"], ["bee"]]


@pytest.mark.parametrize("key", ["file", "image_size", "annotations", "categories"])
@pytest.mark.parametrize("value", [None, True, 7, "x", {}, [], [None], [[]], [{"class_id": {}, "width": []}]])
def test_whatever_a_field_holds_ends_with_images_or_faults(folder: Path, key: str, value: Any) -> None:
    edit(folder, **{key: value})

    entries = list(read_dataset(folder).entries())

    assert sum(isinstance(entry, LabelledImage) for entry in entries) >= 1
    assert all(entry.message.endswith(".") for entry in entries if isinstance(entry, Fault))


def test_files_that_number_classes_differently_are_an_error(folder: Path) -> None:
    edit(folder, categories=[{"class_id": 0, "name": "bee"}, {"class_id": 1, "name": "ape"}])

    with pytest.raises(DataError, match=r'bee\.json calls class 0 "ape", another file calls it "bee"'):
        read_dataset(folder)
