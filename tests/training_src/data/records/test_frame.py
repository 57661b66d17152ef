# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from training_src.data.checks.image import CheckedImage
from training_src.data.dataset import Box, Encoded, LabelledImage
from training_src.data.records.example import encode
from training_src.data.records.frame import columns_of, frame
from training_src.data.writers.image import Image
from training_src.data.writers.tfrecord import to_example

edges = st.floats(0, 700, allow_nan=False)
boxes = st.builds(
    Box,
    edges,
    edges,
    edges,
    edges,
    st.integers(1, 100_000),
    st.text(max_size=300),
    st.just("object 0"),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.none() | st.floats(0, 1, width=32),
)
images = st.builds(
    LabelledImage,
    st.text(max_size=200),
    st.just("a.jpg"),
    st.just("a.xml"),
    st.just(Encoded("a.jpg")),
    st.lists(boxes, max_size=30).map(tuple),
    st.integers(1, 70_000),
    st.integers(1, 70_000),
    group=st.text(max_size=5),
)


@given(images, st.sampled_from([0, 1, 127, 128, 5000, 3_000_000]))
def test_frame_and_image_are_the_example(image: LabelledImage, length: int) -> None:
    encoded = bytes(length)

    head, tail = frame(CheckedImage(image, "png", "00"), length, columns_of(image.boxes, image.width, image.height))
    written = to_example(Image(image, encoded, "png", image.width, image.height))

    assert head + encoded + tail == encode(replace(written, sha256=""))
