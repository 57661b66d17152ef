# SPDX-License-Identifier: Apache-2.0
"""Annotations find their images although a system or a tool wrote the name in another way."""

from __future__ import annotations

import tracemalloc
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from training_src.data.dataset import Fault, LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.formats.data_folder import DataFolder, split_folders
from training_src.data.formats.tfrecord import shards_of
from training_src.data.writers.image import Image

Make = Callable[..., Image]
Write = Callable[[Path, Sequence[Image]], None]

LAYOUTS = ("coco", "sagemaker_builtin", "ground_truth", "pascal_voc", "yolo", "bbox_label_tool")
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café_über.jpg") for form in ("NFC", "NFD"))


def renamed(folder: Path, old: str, new: str) -> None:
    """Give the one image of a data set another name on disk."""
    (image,) = folder.rglob(old)
    image.rename(image.with_name(new))


def boxes_and_faults(folder: Path) -> tuple[int, list[str]]:
    found = list(read_dataset(folder).entries())
    return (
        sum(len(entry.boxes) for entry in found if isinstance(entry, LabelledImage)),
        [entry.message for entry in found if isinstance(entry, Fault) and entry.check != "unlisted"],
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("written", "on_disk"),
    [
        ("street.jpg", "street.JPG"),
        ("street.jpg", "street.JPeG"),
        ("street.jpg", "Street.jpg"),
        (COMPOSED, DECOMPOSED),
        (DECOMPOSED, COMPOSED),
    ],
)
def test_image_of_nearly_the_same_name_is_found(
    tmp_path: Path, make_image: Make, writers: Mapping[str, Write], layout: str, written: str, on_disk: str
) -> None:
    writers[layout](tmp_path, [make_image(written, ("car", 1, 2, 30, 40), number=1)])
    renamed(tmp_path, written, on_disk)

    assert boxes_and_faults(tmp_path) == (1, [])


def test_name_without_a_suffix_means_the_image_of_that_stem(
    tmp_path: Path, make_image: Make, writers: Mapping[str, Write]
) -> None:
    writers["coco"](tmp_path, [make_image("street.jpg", ("car", 1, 2, 30, 40), number=1)])
    (file,) = tmp_path.rglob("*.json")
    file.write_text(file.read_text().replace("street.jpg", "street"))

    assert boxes_and_faults(tmp_path) == (1, [])


def test_name_that_several_files_have_is_an_error(
    tmp_path: Path, make_image: Make, writers: Mapping[str, Write]
) -> None:
    writers["coco"](tmp_path, [make_image("street.jpg", ("car", 1, 2, 30, 40), number=1)])
    (image,) = tmp_path.rglob("street.jpg")
    image.with_name("Street.jpg").write_bytes(image.read_bytes())
    image.rename(image.with_name("STREET.JPG"))

    count, (message,) = boxes_and_faults(tmp_path)

    assert count == 0
    assert 'names the file "street.jpg", which may be "STREET.JPG" and "Street.jpg"; rename one' in message


@pytest.mark.parametrize("layout", [*LAYOUTS, "tfrecord"])
def test_what_macos_and_jupyter_leave_beside_files_is_none_of_the_data(
    tmp_path: Path, make_image: Make, writers: Mapping[str, Write], layout: str
) -> None:
    images = [make_image(f"{split}.jpg", ("car", 1, 2, 30, 40), number=at, split=split)
              for at, split in enumerate(("train", "test"))]  # fmt: skip
    writers[layout](tmp_path, images)
    before = boxes_and_faults(tmp_path)
    for file in [found for found in tmp_path.rglob("*") if found.is_file()]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")
        kept = file.parent / ".ipynb_checkpoints" / f"{file.stem}-checkpoint{file.suffix}"
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(file.read_bytes())
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")

    assert boxes_and_faults(tmp_path) == before == (2, [])


def test_folders_are_found_among_files_of_which_no_name_is_kept(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"{number:04d}.jpg").touch()
    (tmp_path / "Train").mkdir()
    inside = DataFolder(tmp_path)

    tracemalloc.start()
    try:
        found = inside.child(tmp_path, "train"), list(split_folders(tmp_path)), list(shards_of(tmp_path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert found == (tmp_path / "Train", [(tmp_path / "Train", "train")], [])
    assert peak < 200_000
