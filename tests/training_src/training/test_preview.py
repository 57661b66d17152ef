# SPDX-License-Identifier: Apache-2.0
"""The contact sheet of augmented samples."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.picture_files import with_orientation
from training_src.errors import BadInputError
from training_src.training.preview import CELL, GAP, VARIANTS, preview


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five photographs in the built-in layout, each with one bright object."""
    images = tmp_path / "set" / "images"
    images.mkdir(parents=True)
    content: dict[str, list[dict[str, object]]] = {"images": [], "annotations": []}
    for number in range(5):
        pixels = np.full((90, 120, 3), 40, np.uint8)
        pixels[20:50, 30:70] = 230
        cv2.imwrite(str(images / f"{number}.jpg"), pixels)
        content["images"].append({"id": number, "file_name": f"{number}.jpg", "height": 90, "width": 120})
        content["annotations"].append({"image_id": number, "bbox": [30, 20, 70, 50], "category_id": 0})
    (tmp_path / "set" / "annotations.json").write_text(json.dumps(content))
    return tmp_path / "set"


def test_a_row_an_image_and_variants_that_differ(folder: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    assert preview(folder, sheet, count=3) == 3
    pixels = cv2.imread(str(sheet))
    assert pixels is not None
    assert pixels.shape[:2] == (3 * (CELL + GAP) + GAP, (VARIANTS + 1) * (CELL + GAP) + GAP)
    cells = [pixels[GAP : GAP + CELL, GAP + at * (CELL + GAP) :][:, :CELL] for at in range(VARIANTS + 1)]
    assert len({cell.tobytes() for cell in cells}) > 3
    # The object and its frame, in the palette's first colour (#2f7ed8), are in the original.
    assert (cells[0] == (0xD8, 0x7E, 0x2F)).all(axis=2).sum() > 100
    assert (cells[0] > 200).all(axis=2).sum() > 3000


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_pictures_are_upright_with_boxes_on_their_objects(folder: Path, tmp_path: Path, orientation: int) -> None:
    for file in (folder / "images").iterdir():
        file.write_bytes(with_orientation(file.read_bytes(), orientation))
    (folder / "data_policy.yaml").write_text("orientation_boxes: stored\n")
    preview(folder, tmp_path / "sheet.png", count=1)
    pixels = cv2.imread(str(tmp_path / "sheet.png"))
    assert pixels is not None
    cell = pixels[GAP : GAP + CELL, GAP : GAP + CELL]
    (top, left, bottom, right), shown = (
        (rows.min(), columns.min(), rows.max(), columns.max())
        for rows, columns in (
            np.nonzero((cell == (0xD8, 0x7E, 0x2F)).all(axis=2)),
            np.nonzero((cell > 200).all(axis=2)),
        )
    )
    # The label's chip, in the same colour, stands above the frame.
    np.testing.assert_allclose((left, bottom, right), (shown[1], shown[2], shown[3]), atol=6)
    assert top <= shown[0]
    assert (bottom - top > right - left) == (orientation != 3)


def test_the_seed_alone_decides(folder: Path, tmp_path: Path) -> None:
    sheets = [tmp_path / f"{number}.png" for number in range(3)]
    for sheet, seed in zip(sheets, (1, 1, 2), strict=True):
        preview(folder, sheet, count=2, seed=seed)
    first, same, other = (sheet.read_bytes() for sheet in sheets)
    assert first == same
    assert first != other


def test_what_cannot_be_previewed_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="none"):
        preview(tmp_path / "none", tmp_path / "a.png")
    with pytest.raises(BadInputError, match=r"ends in \.png or \.jpg"):
        preview(folder, tmp_path / "a.gif")
    with pytest.raises(BadInputError, match="neither a file nor a bundled"):
        preview(folder, tmp_path / "a.png", "nothing")
    assert not list(tmp_path.glob("a.*"))
