# SPDX-License-Identifier: Apache-2.0
"""How much memory preparing takes: bounded, however many images and annotations there are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from training_src.data.processes import cores

REPOSITORY = Path(__file__).resolve().parents[3]
SIDE = 32
# Prints the greatest resident sizes of this process and of the largest of its children, in kB.
MEASURED = """
import resource, sys
from training_src.prepare import run_check
code = run_check(sys.argv[1:])
print(*(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
sys.exit(code)
"""


@pytest.mark.verify
def test_memory_does_not_follow_the_number_of_images_and_annotations(
    tmp_path: Path, record: Callable[[str, str], None]
) -> None:
    small = _peak(tmp_path, images=2_000, boxes=25)
    many = _peak(tmp_path, images=20_000, boxes=25)
    dense = _peak(tmp_path, images=20_000, boxes=75)

    record("peak memory, all processes, of preparing 2,000 images with 50,000 boxes", f"{small:.0f} MB")
    record("peak memory, all processes, of preparing 20,000 images with 500,000 boxes", f"{many:.0f} MB")
    record("peak memory, all processes, of preparing 20,000 images with 1,500,000 boxes", f"{dense:.0f} MB")
    assert dense < 1_000
    # From some hundred thousand rows on they lie on disk: three times as many need hardly more.
    assert dense - many < 100


def _peak(place: Path, *, images: int, boxes: int) -> float:
    """Megabytes of all processes together, at most."""
    folder = place / f"{images}-{boxes}"
    _draw(folder, images, boxes)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(folder), "--output", str(folder.with_name(f"{folder.name}-out"))],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    own, largest_child = map(int, done.stdout.split()[-2:])
    return (own + cores() * largest_child) / 1024


def _draw(folder: Path, images: int, boxes: int) -> None:
    """Tiny pictures of noise in COCO's layout, no two alike."""
    (folder / "images").mkdir(parents=True)
    random = np.random.default_rng(0)
    listed: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for number in range(images):
        pixels = random.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
        (folder / "images" / f"{number:06d}.jpg").write_bytes(bytes(cv2.imencode(".jpg", pixels)[1]))
        listed.append({"id": number, "file_name": f"{number:06d}.jpg", "width": SIDE, "height": SIDE})
        for box in range(boxes):
            edges = [box % 12, box // 12, 8, 8]
            annotations.append({"id": len(annotations), "image_id": number, "bbox": edges, "area": 64, "iscrowd": 0,
                                "category_id": 1 + box % 3})  # fmt: skip
    categories = [{"id": number, "name": f"kind {number}"} for number in (1, 2, 3)]
    (folder / "annotations").mkdir()
    content = {"images": listed, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances_all.json").write_text(json.dumps(content))
