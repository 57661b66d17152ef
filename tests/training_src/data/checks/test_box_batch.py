# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training_src.data.checks.box_batch import BoxBatch
from training_src.data.checks.boxes import _BoxChecks, plainly_sound
from training_src.data.checks.policy import Policy
from training_src.data.dataset import Box, Encoded, Fault, LabelledImage
from training_src.data.index import objects_of
from training_src.data.packed_boxes import CROWD, DIFFICULT, PACKED, TRUNCATED, PackedBoxes
from training_src.data.records.frame import columns_of

NAMES = {1: "car", 2: "dog", 300: "\N{SNOWMAN} of snow"}
edges = st.one_of(
    st.integers(-5, 110).map(float),
    st.floats(-3, 103, allow_nan=False),
    st.sampled_from([0.0, -0.0, 100.0, float("inf"), float("nan")]),
)
rest = (
    st.sampled_from([np.nan, 0.25, 1.0]),
    st.integers(0, 10**6),
    st.sampled_from(sorted(NAMES)),
    st.integers(0, DIFFICULT + TRUNCATED + CROWD),
)
rows = st.tuples(edges, edges, edges, edges, *rest)
low, high = st.integers(0, 40).map(float), st.integers(50, 90).map(float)
sound_rows = st.tuples(low, low, high, high, *rest)
images = st.lists(
    st.builds(
        lambda found, width: LabelledImage(
            "a", "a.jpg", "a.json", Encoded("a.jpg"),
            PackedBoxes(np.array(found, PACKED).tobytes(), NAMES, "annotation"), width, 90,
        ),
        st.one_of(st.lists(rows, max_size=4), st.lists(sound_rows, max_size=6)),
        st.sampled_from([0, 91, 100]),
    ),
    max_size=8,
)  # fmt: skip


@given(images)
def test_boxes_are_judged_together_as_they_are_alone(found: list[LabelledImage]) -> None:
    batch = BoxBatch(found, Policy())

    for place, image in enumerate(found):
        faults: list[Fault] = []
        boxes = tuple(image.boxes)
        assert batch.sound(place) == (image.width > 0 and plainly_sound(boxes, image.width, 90, Policy()))
        if batch.sound(place):
            looked_at = _BoxChecks(replace(image, boxes=boxes), image.width, 90, Policy(), faults.append).run()
            assert (looked_at.boxes, faults) == (boxes, [])


@given(images)
def test_boxes_are_encoded_together_as_they_are_alone(found: list[LabelledImage]) -> None:
    batch = BoxBatch(found, Policy())

    for place, image in enumerate(found):
        if batch.sound(place):
            assert batch.objects(place) == objects_of(tuple(image.boxes))
            assert batch.columns(place) == columns_of(tuple(image.boxes), image.width, image.height)


@given(images)
def test_packed_boxes_are_boxes(found: list[LabelledImage]) -> None:
    for image in found:
        boxes = tuple(image.boxes)

        assert len(image.boxes) == len(boxes)
        assert repr(pickle.loads(pickle.dumps(image.boxes))) == repr(boxes)
        for at, box in enumerate(boxes):
            assert isinstance(box, Box)
            assert box.name == NAMES[box.label]
            assert repr(image.boxes[at]) == repr(box)
