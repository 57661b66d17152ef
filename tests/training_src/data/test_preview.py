# SPDX-License-Identifier: Apache-2.0
"""The contact sheet of augmented samples."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from training_src.data.preview import CELL, GAP, VARIANTS, run_preview


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
    assert run_preview([str(folder), "--output", str(sheet), "--count", "3"]) == 0
    pixels = cv2.imread(str(sheet))
    assert pixels is not None
    assert pixels.shape[:2] == (3 * (CELL + GAP) + GAP, (VARIANTS + 1) * (CELL + GAP) + GAP)
    cells = [pixels[GAP : GAP + CELL, GAP + at * (CELL + GAP) :][:, :CELL] for at in range(VARIANTS + 1)]
    assert len({cell.tobytes() for cell in cells}) > 3
    # The object and its frame, in the palette's first colour (#2f7ed8), are in the original.
    assert (cells[0] == (0xD8, 0x7E, 0x2F)).all(axis=2).sum() > 100
    assert (cells[0] > 200).all(axis=2).sum() > 3000


def test_the_seed_alone_decides(folder: Path, tmp_path: Path) -> None:
    sheets = [tmp_path / f"{number}.png" for number in range(3)]
    for sheet, seed in zip(sheets, ("1", "1", "2"), strict=True):
        run_preview([str(folder), "--output", str(sheet), "--count", "2", "--seed", seed])
    first, same, other = (sheet.read_bytes() for sheet in sheets)
    assert first == same
    assert first != other


def test_what_cannot_be_previewed_is_a_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, words in (
        ([str(tmp_path / "none"), "--output", str(tmp_path / "a.png")], "none"),
        ([str(folder), "--output", str(tmp_path / "a.gif")], "ends in .png or .jpg"),
        ([str(folder), "--output", str(tmp_path / "a.png"), "--config", "nothing"], "neither a file nor a bundled"),
    ):
        assert run_preview(arguments) == 2
        assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("a.*"))


def test_the_command_needs_no_tensorflow(folder: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from training_src.__main__ import main; code = main(sys.argv[1:]); "
        "sys.exit(code or 'tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", script, "preview", str(folder), "--output", str(tmp_path / "sheet.jpg")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "5 images" in result.stdout
