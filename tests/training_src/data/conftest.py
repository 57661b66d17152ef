# SPDX-License-Identifier: Apache-2.0
"""Small data sets on disk, in each supported layout, sound until a test breaks them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

WIDTH, HEIGHT = 64, 48
LABEL_MAP = "item { id: 1 name: 'vehicle' }\nitem { id: 2 name: 'pedestrian' }\nitem { id: 4 name: 'cyclist' }\n"
VOC = """<annotation><filename>{name}.jpg</filename><size><width>64</width><height>48</height><depth>3</depth></size>
<object><name>vehicle</name><difficult>1</difficult><truncated>0</truncated>
<bndbox><xmin>4</xmin><ymin>6</ymin><xmax>32</xmax><ymax>30</ymax></bndbox></object>
<object><name>cyclist</name><difficult>0</difficult><truncated>1</truncated>
<bndbox><xmin>40</xmin><ymin>10</ymin><xmax>64</xmax><ymax>48</ymax></bndbox></object></annotation>
"""


@pytest.fixture
def encoded_image() -> Callable[..., bytes]:
    """Makes an image file's bytes, different for each number."""

    def encode(number: int, suffix: str = ".jpg", size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        return bytes(cv2.imencode(suffix, pixels)[1])

    return encode


@pytest.fixture
def voc_folder(tmp_path: Path, encoded_image: Callable[..., bytes]) -> Path:
    """Six images in Pascal VOC: three train, one val, two test."""
    folder = tmp_path / "voc"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    names = [f"street_{number}" for number in range(6)]
    for number, name in enumerate(names):
        (folder / "JPEGImages" / f"{name}.jpg").write_bytes(encoded_image(number))
        (folder / "Annotations" / f"{name}.xml").write_text(VOC.format(name=name))
    for split, members in (("train", names[:3]), ("val", names[3:4]), ("test", names[4:])):
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{name}\n" for name in members))
    (folder / "label_map.pbtxt").write_text(LABEL_MAP)
    return folder


def builtin_content(count: int) -> dict[str, Any]:
    return {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": WIDTH, "height": HEIGHT} for n in range(count)],
        "annotations": [{"image_id": n, "bbox": [4, 6, 32, 30], "category_id": n % 2} for n in range(count)],
        "categories": [{"id": 0, "name": "vehicle"}, {"id": 1, "name": "pedestrian"}],
    }


@pytest.fixture
def builtin_folder(tmp_path: Path, encoded_image: Callable[..., bytes]) -> Path:
    """Nine images in SageMaker's built-in layout: folders train (five), val (two) and test (two)."""
    folder = tmp_path / "builtin"
    for offset, (split, count) in enumerate((("train", 5), ("val", 2), ("test", 2))):
        images = folder / split / "images"
        images.mkdir(parents=True)
        for number in range(count):
            (images / f"{number}.jpg").write_bytes(encoded_image(100 * offset + number))
        (folder / split / "annotations.json").write_text(json.dumps(builtin_content(count)))
    return folder


@pytest.fixture
def edit_builtin() -> Callable[..., None]:
    """Changes one entry of an annotations.json: `edit(file, "annotations", 0, bbox=[...])`."""

    def edit(file: Path, key: str, position: int, **changes: object) -> None:
        content = json.loads(file.read_text())
        content[key][position].update(changes)
        file.write_text(json.dumps(content))

    return edit
