# SPDX-License-Identifier: Apache-2.0
"""Whatever is written in one layout and read is the same after it was written and read in any other."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training_src.data.convert import convert
from training_src.data.dataset import Box
from training_src.data.formats import read_dataset
from training_src.data.writers.image import Image

FORMATS = ("coco", "sagemaker_builtin", "ground_truth", "pascal_voc", "bbox_label_tool", "yolo", "tfrecord")
KEEP_CROWD = {"coco", "sagemaker_builtin", "tfrecord"}
KEEP_DIFFICULT = {"coco", "sagemaker_builtin", "pascal_voc", "tfrecord"}
KEEP_AREA = {"coco", "tfrecord"}
NAMES = ("vehicle", "pedestrian", "traffic light", "Fahrrad & Rad", "自行车", "no", "7")

Make = Callable[..., Image]
Read = Callable[..., list[Image]]
Write = Callable[[Path, Sequence[Image]], None]

quick = settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])


SPLITS: dict[tuple[str | None, ...], st.SearchStrategy[str | None]] = {
    given: st.sampled_from(given) for given in ((None,), ("train", "validation", "test"), ("train", "test"))
}
# Strategies are made once: that takes longer than to draw from them.
GIVEN = st.sampled_from(list(SPLITS))
HOW_MANY_IMAGES, HOW_MANY_BOXES = st.integers(1, 5), st.integers(0, 4)
SIZES = st.tuples(st.integers(8, 90), st.integers(8, 90))
STEMS = st.sampled_from(["frame", "été", "IMG", "a.b"])
SUFFIXES = st.sampled_from([".jpg", ".png", ".JPG", ".jpeg"])
CLASSES = st.sampled_from(NAMES)
FLAGS = st.booleans()
AREA_SHARES = st.sampled_from([None, 0.5, 0.75])


@cache
def edges(length: int) -> st.SearchStrategy[list[float]]:
    """Two places along a side of an image, apart from each other."""
    places = st.integers(0, 4 * length).map(lambda quarters: quarters / 4) | st.floats(0, length)
    return st.tuples(places, places).map(sorted).filter(lambda pair: pair[1] - pair[0] > 0.1)


def drawn_boxes(draw: st.DrawFn, width: int, height: int) -> tuple[Box, ...]:
    found = []
    for _ in range(draw(HOW_MANY_BOXES)):
        (xmin, xmax), (ymin, ymax) = draw(edges(width)), draw(edges(height))
        flags = {"difficult": draw(FLAGS), "crowd": draw(FLAGS)}
        share = draw(AREA_SHARES)
        area = None if share is None else share * (xmax - xmin) * (ymax - ymin)
        found.append(Box(xmin, ymin, xmax, ymax, 0, draw(CLASSES), "", **flags, area=area))
    return tuple(found)


@st.composite
def data_sets(draw: st.DrawFn, make: Make) -> list[Image]:
    """One to five images, in splits or not, with at least one box."""
    splits = SPLITS[draw(GIVEN)]
    images = []
    for number in range(draw(HOW_MANY_IMAGES)):
        size = draw(SIZES)
        name = f"{draw(STEMS)}_{number}{draw(SUFFIXES)}"
        image = make(name, number=number, split=draw(splits), size=size)
        images.append(replace(image, labelled=replace(image.labelled, boxes=drawn_boxes(draw, *size))))
    first = images[0].labelled
    if not any(image.labelled.boxes for image in images):
        images[0] = replace(images[0], labelled=replace(first, boxes=(Box(1, 2, 7, 8, 0, "vehicle", ""),)))
    return images


@pytest.mark.parametrize(("source", "target"), list(product(FORMATS, FORMATS)))
def test_every_pair_of_layouts_keeps_boxes_classes_and_bytes(
    source: str, target: str, writers: Mapping[str, Write], make_image: Make, read_images: Read
) -> None:
    @quick
    @given(images=data_sets(make_image))
    def check(images: list[Image]) -> None:
        with tempfile.TemporaryDirectory() as place:
            first, second = Path(place, "first"), Path(place, "second")
            writers[source](first, images)
            once = read_images(first)
            assert read_dataset(first).format == source
            writers[target](second, [_renamed(image) for image in once])
            twice = read_images(second)
            assert read_dataset(second).format == target

            _assert_same(once, images, {source})
            _assert_same(twice, images, {source, target})

    check()


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", ["coco", "tfrecord"])
def test_conversion_there_and_back_keeps_boxes_classes_and_bytes(
    source: str, target: str, writers: Mapping[str, Write], make_image: Make, read_images: Read
) -> None:
    @quick
    @given(images=data_sets(make_image))
    def check(images: list[Image]) -> None:
        with tempfile.TemporaryDirectory() as place:
            first, second, third = (Path(place, name) for name in ("first", "second", "third"))
            writers[source](first, images)
            done = convert(first, second, to=target)
            convert(second, third, to="tfrecord" if target == "coco" else "coco")

            assert (done.format, done.images) == (source, len(images))
            _assert_same(read_images(second), images, {source})
            _assert_same(read_images(third), images, {source})
            maps = [read_dataset(folder).label_map for folder in (first, second, third)]
            assert maps[0] == maps[1] == maps[2]

    check()


@pytest.mark.parametrize("source", FORMATS)
def test_class_ids_do_not_depend_on_the_order_of_the_input(
    source: str, writers: Mapping[str, Write], make_image: Make, tmp_path: Path
) -> None:
    images = [make_image(f"{n}.jpg", (name, 1, 2, 30, 40), number=n) for n, name in enumerate(NAMES)]
    writers[source](tmp_path / "one", images)
    writers[source](tmp_path / "other", images[::-1])

    assert read_dataset(tmp_path / "one").label_map == read_dataset(tmp_path / "other").label_map


@pytest.mark.parametrize("source", FORMATS)
def test_entries_come_again_in_the_same_order(
    source: str, writers: Mapping[str, Write], make_image: Make, tmp_path: Path
) -> None:
    images = [make_image(f"{n}.jpg", ("vehicle", 1, 2, 30, 40), number=n) for n in (3, 1, 2, 0)]
    writers[source](tmp_path, images)
    dataset = read_dataset(tmp_path)

    assert list(dataset.entries()) == list(dataset.entries())
    assert len({entry.source_id for entry in dataset.entries()}) == 4  # type: ignore[union-attr]


@pytest.mark.parametrize("source", FORMATS)
def test_layout_is_forced_by_its_name(
    source: str, writers: Mapping[str, Write], make_image: Make, tmp_path: Path
) -> None:
    for other in FORMATS:
        writers[other](tmp_path, [make_image("a.jpg", ("vehicle", 1, 2, 30, 40))])

    dataset = read_dataset(tmp_path, format=source)

    assert dataset.format == source
    assert list(dataset.label_map.names.values()) == ["vehicle"]


def _renamed(image: Image) -> Image:
    """The image under a name without folders, as all writers can write it."""
    name = image.labelled.source_id.rsplit("/", 1)[-1]
    return replace(image, labelled=replace(image.labelled, source_id=name))


def _assert_same(found: Sequence[Image], expected: Sequence[Image], through: set[str]) -> None:
    assert sorted(image.encoded for image in found) == sorted(image.encoded for image in expected)
    by_bytes = {image.encoded: image.labelled for image in found}
    for image in expected:
        labelled = by_bytes[image.encoded]
        assert labelled.given_split == image.labelled.given_split
        assert len(labelled.boxes) == len(image.labelled.boxes)
        for box, original in zip(labelled.boxes, image.labelled.boxes, strict=True):
            edges = (box.xmin, box.ymin, box.xmax, box.ymax)
            assert edges == pytest.approx((original.xmin, original.ymin, original.xmax, original.ymax), abs=1e-4)
            assert box.name == original.name
            assert box.crowd == (original.crowd if through <= KEEP_CROWD else False)
            assert box.difficult == (original.difficult if through <= KEEP_DIFFICULT else False)
            kept = original.area if through <= KEEP_AREA else None
            assert box.area == (None if kept is None else pytest.approx(kept, rel=1e-6))
