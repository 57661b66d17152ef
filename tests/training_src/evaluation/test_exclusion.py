# SPDX-License-Identifier: Apache-2.0
"""Whoever has learnt from one image of a sequence has learnt from all of it."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xxhash

from containers.contract.tfrecord import write_record
from training_src.data.records.example import DetectionExample, encode
from training_src.data.seen_groups import SeenGroups
from training_src.evaluation.exclusion import (
    ImageGroup,
    drawn_groups,
    exclude,
    image_groups,
    overlap,
    sequences,
    without_own,
)
from training_src.evaluation.test_set import TestSet, read_test_set

NONE = np.zeros(0, np.int64)
EXAMPLE = DetectionExample(
    "a.jpg", "a.jpg", b"\xff\xd8 a", "jpeg", 4, 4, np.zeros((0, 4), np.float32), NONE, (), NONE, NONE, NONE
)


def key(text: str) -> str:
    """How `dataset.json` names a group by its key."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@pytest.fixture
def test_set(tmp_path: Path) -> TestSet:
    """Images of a stated drive, of one that their names suggest, and of none."""
    images = [
        replace(EXAMPLE, group="drive 7"),
        replace(EXAMPLE, source_id="drive_8/frame_0001.jpg", encoded=b"b"),
        replace(EXAMPLE, source_id="drive_8/frame_0002.jpg", encoded=b"c"),
        replace(EXAMPLE, source_id="street.jpg", encoded=b"d"),
    ]
    with (tmp_path / "test-00000-of-00001.tfrecord").open("wb") as stream:
        for one in images:
            write_record(stream, encode(one))
    return read_test_set(tmp_path)


def test_an_image_is_known_by_its_drive_and_by_its_bytes(test_set: TestSet) -> None:
    found = image_groups(test_set)
    assert [one.name for one in found] == ["drive 7", "drive_8", "drive_8", ""]
    assert found[0].hashes == {key("drive 7"), key(xxhash.xxh3_128_hexdigest(b"\xff\xd8 a"))}
    assert found[3].hashes == {key(xxhash.xxh3_128_hexdigest(b"d"))}


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_whole_drive_is_left_out_for_one_image_of_it(test_set: TestSet, split: str) -> None:
    seen = SeenGroups(**{split: frozenset([key("drive_8")])}, unknown=("weights",))
    found = exclude(image_groups(test_set), {"champion": seen, "challenger": SeenGroups(unknown=("weights", "more"))})
    assert found.kept.tolist() == [True, False, False, True]
    assert (found.left_out, found.groups, dict(found.by)) == (2, 1, {"champion": 2})
    assert found.unknown == ("weights", "more")


def test_the_same_bytes_under_another_name_are_left_out(test_set: TestSet) -> None:
    seen = {"challenger": SeenGroups(frozenset([key(xxhash.xxh3_128_hexdigest(b"d"))]))}
    assert exclude(image_groups(test_set), {"challenger": seen["challenger"]}).kept.tolist() == [
        True,
        True,
        True,
        False,
    ]


def test_nothing_is_left_out_for_what_was_only_tested_by(test_set: TestSet) -> None:
    groups = image_groups(test_set)
    tested = SeenGroups(test=frozenset([key("drive_8")]))
    assert exclude(groups, {"champion": tested}).kept.all()
    assert (overlap(groups, tested.test), overlap(groups, frozenset())) == (2, None)


def test_what_ancestors_have_seen_is_told_apart() -> None:
    seen = SeenGroups(frozenset("abc"), frozenset("d"), ("weights",))
    assert without_own(seen, SeenGroups(frozenset("a"), frozenset("d"))) == SeenGroups(frozenset("bc"))


def test_drives_are_drawn_as_a_whole_where_there_are_enough() -> None:
    names = ["a", "a", "b", "", "c", "", "b"]
    groups = [ImageGroup(name, frozenset()) for name in names]
    numbers = sequences(groups)
    assert len(set(numbers.tolist())) == 5
    assert numbers[0] == numbers[1] and numbers[2] == numbers[6]
    assert drawn_groups(numbers) is numbers
    assert drawn_groups(sequences([ImageGroup("", frozenset())] * 9)) is None
    assert drawn_groups(sequences([ImageGroup(name, frozenset()) for name in "aabbccdd"])) is None


def test_where_nobody_has_learnt_from_anything_all_images_are_kept(test_set: TestSet) -> None:
    found = exclude(image_groups(test_set), {})
    assert found.kept.tolist() == [True] * 4
    assert (found.left_out, found.groups, dict(found.by), found.unknown) == (0, 0, {}, ())


def test_images_without_a_sequence_count_as_groups_each_and_are_counted_once(test_set: TestSet) -> None:
    groups = image_groups(test_set)
    street, drive = SeenGroups(groups[3].hashes), SeenGroups(groups[0].hashes | groups[3].hashes)
    found = exclude(groups, {"champion": street, "best": drive})
    assert found.kept.tolist() == [False, True, True, False]
    assert (found.left_out, found.groups, dict(found.by)) == (2, 2, {"champion": 1, "best": 2})
