# SPDX-License-Identifier: Apache-2.0
"""How much memory preparing takes: bounded, however many images and annotations there are."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
SIDE = 32


@pytest.mark.verify
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the kernel does not tell shares of memory")
def test_memory_does_not_follow_the_number_of_images_and_annotations(
    tmp_path: Path, record: Callable[[str, str], None]
) -> None:
    small = _peak(tmp_path, images=2_000, boxes=25)
    many = _peak(tmp_path, images=20_000, boxes=25)
    dense = _peak(tmp_path, images=20_000, boxes=50)

    record("peak memory, all processes, of preparing 2,000 images with 50,000 boxes", f"{small:.0f} MB")
    record("peak memory, all processes, of preparing 20,000 images with 500,000 boxes", f"{many:.0f} MB")
    record("peak memory, all processes, of preparing 20,000 images with 1,000,000 boxes", f"{dense:.0f} MB")
    assert dense < 1_000
    # From some hundred thousand rows on they lie on disk: twice as many need hardly more.
    assert dense - many < 100


def _peak(place: Path, *, images: int, boxes: int) -> float:
    """Megabytes of all processes together, at most; pages that several share count once."""
    folder = place / f"{images}-{boxes}"
    _draw(folder, images, boxes)
    command = [
        sys.executable,
        "-m",
        "training_src",
        "check",
        str(folder),
        "--output",
        str(place / f"{folder.name}-out"),
    ]
    with (place / "printed").open("w+") as printed:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=printed, stderr=subprocess.STDOUT)
        most = 0
        while process.poll() is None:
            most = max(most, sum(map(_share, [process.pid, *_children(process.pid)])))
            time.sleep(0.1)
        printed.seek(0)
        assert process.returncode == 0, printed.read()
    return most / 1024


def _children(process: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []


def _share(process: int) -> int:
    """A process's proportional share of memory, in kB; 0 where it has just ended."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{process}/smaps_rollup").read_text().split("\nPss:")[1].split()[0])
    return 0


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
