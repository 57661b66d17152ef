# SPDX-License-Identifier: Apache-2.0
"""Preparing images, each decoded, against the TF Object Detection API's COCO converter with a full decode.

Rates are of each further image: the difference of the seconds that 6,000 and 2,000 images take, over the difference of
the images, so that what a run costs once (its processes, its report) is not in them. What a run costs once is in the
ratio of whole processes over 2,000 images, from their start to their end. Each side runs in a process of its own, in
turn, and right before its work as many bytes as it will write are written and deleted: a virtual machine gives freed
memory back to its host, and whoever comes first after a while pays a multiple for each page.
`python -m tests.benchmarks.data SIDE FOLDER` runs one side once over FOLDER/set and prints the seconds and the
processors' seconds of that, and of its work, without imports.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.benchmarks.ratio import Row

IMAGES, MANY, BOXES, SIZE = 2_000, 6_000, 8, 640
JOINED = 100_000
ROUNDS = 3


def run() -> list[Row]:
    """All ratios, the sides alternating."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _draw(folder / "many/set", MANY)
        _draw(folder / "few/set", IMAGES, folder / "many/set")
        seconds = _measure(folder)
        size = sum(file.stat().st_size for file in (folder / "few/set/images").iterdir()) // IMAGES
    tool = "create_coco_tf_record's logic (one process, full PIL decode)"
    cores = f"processors: {1e6 * seconds['cores prepare']:.0f} and {1e6 * seconds['cores tool']:.0f} us an image"
    whole = f"processors: {seconds['whole cores prepare']:.2f} and {seconds['whole cores tool']:.2f} s"
    return [
        Row(
            "Preparation, every image decoded",
            tool,
            seconds["tool"] / seconds["prepare"],
            f"times as fast (target 2.5); {cores}",
        ),
        Row(
            "PrepareDataset's whole process",
            f"{tool}, whole process",
            seconds["whole tool"] / seconds["whole prepare"],
            f"times as fast (target 2.5); {whole}",
        ),
        Row("Preparation", "a second", 1 / seconds["prepare"], f"images of {size >> 10} kB on {_cores()} cores"),
        Row("Preparation", "a second of one core", 1 / seconds["cores prepare"], f"images of {size >> 10} kB"),
        Row("Reading COCO's annotations", "a second of one core", 1 / seconds["cores read"], "images"),
        Row("Joining what several machines left", "a second of one core", JOINED / seconds["cores join"], "images"),
    ]


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _measure(folder: Path) -> dict[str, float]:
    """Medians of each side's seconds: of each further image, of a `whole` process, and of all `cores` for either."""
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for side in SIDES:
            whole, whole_cores, few, few_cores = _run(side, folder / "few")
            found.setdefault(f"whole {side}", []).append(whole)
            found.setdefault(f"whole cores {side}", []).append(whole_cores)
            if side == "join":
                found.setdefault("cores join", []).append(few_cores)
                continue
            _, _, many, many_cores = _run(side, folder / "many")
            found.setdefault(side, []).append((many - few) / (MANY - IMAGES))
            found.setdefault(f"cores {side}", []).append((many_cores - few_cores) / (MANY - IMAGES))
    return {name: statistics.median(values) for name, values in found.items()}


def _run(side: str, folder: Path) -> tuple[float, float, float, float]:
    """Seconds of a side's whole process and of all processors for it, and the same of its work."""
    before, began = os.times(), time.perf_counter()
    printed = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.data", side, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    ).stdout
    whole, after = time.perf_counter() - began, os.times()
    whole_cores = sum(after[2:4]) - sum(before[2:4])
    for made in folder.iterdir():
        if made.name != "set":
            shutil.rmtree(made) if made.is_dir() else made.unlink()
    fetching, fetching_cores, seconds, cores = map(float, printed.split()[-4:])
    return whole - fetching, whole_cores - fetching_cores, seconds, cores


def _draw(folder: Path, count: int, drawn: Path | None = None) -> None:
    """Pictures of about 96 kB that look like photographs to an encoder, and their COCO file.

    Args:
        folder: To make.
        count: Of images.
        drawn: Another such folder, with as many images or more: they are linked from there.
    """
    import numpy as np

    (folder / "images").mkdir(parents=True)
    names = [f"{number:06d}.jpg" for number in range(count)]
    if drawn is None:
        with ProcessPoolExecutor() as pool:
            list(pool.map(draw_picture, [folder / "images" / name for name in names], range(count), chunksize=50))
    else:
        for name in names:
            (folder / "images" / name).hardlink_to(drawn / "images" / name)
    random = np.random.default_rng(0)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for number, name in enumerate(names):
        images.append({"id": number, "file_name": name, "width": SIZE, "height": SIZE})
        for left, top, width, height in random.integers(20, 300, (BOXES, 4)).tolist():
            annotations.append(
                {"id": len(annotations), "image_id": number, "bbox": [left, top, width, height], "iscrowd": 0,
                 "area": width * height, "category_id": 1 + len(annotations) % 5}
            )  # fmt: skip
    categories = [{"id": number, "name": f"kind {number}"} for number in range(1, 6)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_all.json").write_text(json.dumps(content))


def draw_picture(file: Path, number: int) -> None:
    """One picture, always the same for a number."""
    import cv2
    import numpy as np

    random = np.random.default_rng(number)
    noise = random.integers(-9, 10, (SIZE, SIZE, 1), dtype=np.int16)
    coarse = cv2.resize(random.integers(0, 256, (40, 40, 3), dtype=np.uint8), (SIZE, SIZE)).astype(np.int16)
    pixels = np.clip(coarse + noise, 0, 255).astype(np.uint8)
    file.write_bytes(bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 82])[1]))


def _prepare(folder: Path) -> Callable[[], None]:
    """All that PrepareDataset does: check, split, shards, label map, dataset.json and report."""
    from training_src.data.checks.policy import DataPolicy
    from training_src.data.examination import examine
    from training_src.data.metadata import write_metadata
    from training_src.data.splits import SPLITS
    from training_src.data.writers.shards import write_shards

    def work() -> None:
        output = folder / "prepared"
        shutil.rmtree(output, ignore_errors=True)
        (output / "metadata").mkdir(parents=True)
        with examine(folder / "set", policy=DataPolicy(), records=True) as examined:
            assert not examined.findings.of("error")
            write_shards(examined.index, {split: output / split for split in SPLITS})
            write_metadata(output / "metadata", examined)

    return work


def _read(folder: Path) -> Callable[[], None]:
    """What one process of PrepareDataset does alone: it reads the annotations."""
    from training_src.data.dataset import LabelledImage
    from training_src.data.formats import read_dataset

    def work() -> None:
        assert all(isinstance(entry, LabelledImage) for entry in read_dataset(folder / "set").entries())

    return work


def _tool(folder: Path) -> Callable[[], None]:
    """What the OD API's `dataset_tools/create_coco_tf_record.py` does, an image after the other."""
    import PIL.Image
    import tensorflow as tf

    def floats(values: list[float]) -> tf.train.Feature:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def integers(values: list[int]) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def texts(values: list[bytes]) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    def work() -> None:
        content = json.loads((folder / "set/annotations/instances_all.json").read_text())
        names = {entry["id"]: entry["name"] for entry in content["categories"]}
        boxes: dict[int, list[dict[str, object]]] = {}
        for entry in content["annotations"]:
            boxes.setdefault(entry["image_id"], []).append(entry)
        with tf.io.TFRecordWriter(str(folder / "tool.record")) as writer:
            for image in content["images"]:
                encoded = (folder / "set/images" / image["file_name"]).read_bytes()
                PIL.Image.open(io.BytesIO(encoded)).load()
                width, height = image["width"], image["height"]
                own: list = boxes[image["id"]]  # type: ignore[type-arg]
                edges = [entry["bbox"] for entry in own]
                feature = {
                    "image/height": integers([height]),
                    "image/width": integers([width]),
                    "image/filename": texts([image["file_name"].encode()]),
                    "image/source_id": texts([str(image["id"]).encode()]),
                    "image/key/sha256": texts([hashlib.sha256(encoded).hexdigest().encode()]),
                    "image/encoded": texts([encoded]),
                    "image/format": texts([b"jpeg"]),
                    "image/object/bbox/xmin": floats([x / width for x, _, _, _ in edges]),
                    "image/object/bbox/xmax": floats([(x + w) / width for x, _, w, _ in edges]),
                    "image/object/bbox/ymin": floats([y / height for _, y, _, _ in edges]),
                    "image/object/bbox/ymax": floats([(y + h) / height for _, y, _, h in edges]),
                    "image/object/class/text": texts([names[entry["category_id"]].encode() for entry in own]),
                    "image/object/is_crowd": integers([entry["iscrowd"] for entry in own]),
                    "image/object/area": floats([entry["area"] for entry in own]),
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())

    return work


def _join(folder: Path) -> Callable[[], None]:
    """What the joining step does with the rows of many images: leaks, counts, dataset.json and report."""
    import random
    from contextlib import ExitStack, closing

    from training_src.data.checks.findings import Findings
    from training_src.data.dataset_checks import check_set
    from training_src.data.examination import Examined, examine
    from training_src.data.index import Index
    from training_src.data.metadata import write_metadata
    from training_src.data.statistics import tally

    drawn = random.Random(0)
    with examine(folder / "set", records=False) as examined:
        examined.index.save()
        shutil.copy(examined.index.file, folder / "part.sqlite")
        label_map, policy = examined.label_map, examined.policy
    with Index(folder / "part.sqlite") as index, closing(index.connection.cursor()) as cursor:
        index.connection.create_function("drawn", 0, lambda: drawn.getrandbits(64) - (1 << 63))
        names = [name for (_, name, *_) in index.rows("PRAGMA table_info(images)")]
        changed = {"number": "number + ?", "source_id": "? || source_id", "content": "hex(drawn())", "dhash": "drawn()"}
        columns = ", ".join(changed.get(name, name) for name in names)
        for copy in range(1, JOINED // IMAGES):
            cursor.execute(
                f"INSERT INTO images SELECT {columns} FROM images WHERE number < ?", (copy * IMAGES, copy, IMAGES)
            )
        index.save()

    def work() -> None:
        with ExitStack() as opened:
            place = Path(opened.enter_context(tempfile.TemporaryDirectory(dir=folder)))
            index, findings = opened.enter_context(Index(place / "index.sqlite")), Findings()
            index.merge(folder / "part.sqlite")
            counted = tally(index, label_map)
            check_set(index, counted, label_map, policy, findings, name="set", config=None)
            write_metadata(place, Examined("coco", label_map, policy, index, findings, counted, opened))

    return work


SIDES: dict[str, Callable[[Path], Callable[[], None]]] = {
    "prepare": _prepare,
    "tool": _tool,
    "read": _read,
    "join": _join,
}


def _fetch_memory(folder: Path) -> None:
    """Have the machine hold as much memory for files as the images take."""
    file = folder / "zeros"
    block = bytes(64 << 10)
    with file.open("wb", buffering=0) as stream:
        for _ in range(sum(image.stat().st_size for image in (folder / "set/images").iterdir()) // len(block)):
            stream.write(block)
    file.unlink()


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds of some work, and those of all processors together."""
    before, began = os.times(), time.perf_counter()
    work()
    seconds, after = time.perf_counter() - began, os.times()
    return seconds, sum(after[:4]) - sum(before[:4])


if __name__ == "__main__":
    _folder = Path(sys.argv[2])
    _work = SIDES[sys.argv[1]](_folder)
    print(*_timed(lambda: _fetch_memory(_folder)), *_timed(_work))
