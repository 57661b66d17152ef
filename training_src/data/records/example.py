# SPDX-License-Identifier: Apache-2.0
"""A labelled image as the TF Object Detection API's tf.Example.

Source: https://github.com/tensorflow/models/tree/master/research/object_detection, `TfExampleFields` in
`core/standard_fields.py`, and `data_decoders/tf_example_decoder.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from containers.contract.orientation import UPRIGHT, turn_boxes, upright_size
from containers.contract.picture_header import BrokenHeaderError, read_header
from containers.contract.tf_example import Feature, Floats, Integers, decode_example
from containers.contract.tfrecord import read_records, shards
from training_src.data.dataset import LabelledImage
from training_src.data.records.protobuf import encode_features, example_message
from training_src.errors import DataError

# Ours, and what exports of Waymo's frames call the drive that a frame is from.
_GROUPS = ("image/group", "image/context_name", "image/context/name", "context_name", "context/name")

# Ours: a feature for each attribute of an image, such as `image/slice/camera`.
_ATTRIBUTE = "image/slice/"


@dataclass(frozen=True)
class DetectionExample:
    """An encoded image and its boxes.

    Where EXIF turns the image, whoever decodes it turns it (`data.images.decode_upright`), and size and boxes are of
    the upright image.

    Attributes:
        source_id: Unique in the data set.
        filename: Of the image, for people.
        encoded: The image file's bytes.
        format: "jpeg" or "png".
        width, height: Pixels.
        boxes: float32 [N, 4]: ymin, xmin, ymax, xmax, as shares of height and width.
        labels: int64 [N], label-map ids.
        names: N class names.
        difficult, truncated, crowd: int64 [N], 0 or 1.
        confidence: float32 [N] from 0 to 1, not-a-number where nobody said; None where nobody said for any box.
        group: Key of the images that must stay in one split; empty: none is stated.
        sha256: Of `encoded`, hexadecimal; empty: it is not stated.
        areas: float32 [N], square pixels that decide whether a box is small, medium or large (COCO's `area`),
            not-a-number where nobody said; None where nobody said for any box.
        group_hash: Of the key of what was not torn apart when the data set was prepared (`statistics.short_hash`), as
            `dataset.json` lists it; empty: it is not stated.
        attributes: What else is known of the image: `{"camera": "front"}`.
    """

    source_id: str
    filename: str
    encoded: bytes
    format: str
    width: int
    height: int
    boxes: Floats
    labels: Integers
    names: tuple[str, ...]
    difficult: Integers
    truncated: Integers
    crowd: Integers
    confidence: Floats | None = None
    group: str = ""
    sha256: str = ""
    areas: Floats | None = None
    group_hash: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    def stated_areas(self) -> Floats:
        """float32 [N]: `areas`, not-a-number where nobody said."""
        return np.full(len(self.boxes), np.nan, np.float32) if self.areas is None else self.areas


def example_of(
    labelled: LabelledImage, image_format: str, encoded: bytes = b"", sha256: str = "", group_hash: str = ""
) -> DetectionExample:
    """The example of a labelled image whose size is known, its boxes as shares of that size."""
    boxes, width, height = labelled.boxes, labelled.width, labelled.height
    edges = np.array([(box.ymin, box.xmin, box.ymax, box.xmax) for box in boxes], np.float64).reshape(-1, 4)
    areas = [box.area for box in boxes]
    scored = any(box.confidence is not None for box in boxes)
    scores = [np.nan if box.confidence is None else box.confidence for box in boxes]
    return DetectionExample(
        source_id=labelled.source_id,
        filename=labelled.source_id,
        encoded=encoded,
        format=image_format,
        width=width,
        height=height,
        boxes=(edges / [height, width, height, width]).astype(np.float32),
        labels=np.array([box.label for box in boxes], np.int64),
        names=tuple(box.name for box in boxes),
        difficult=np.array([box.difficult for box in boxes], np.int64),
        truncated=np.array([box.truncated for box in boxes], np.int64),
        crowd=np.array([box.crowd for box in boxes], np.int64),
        confidence=np.array(scores, np.float32) if scored else None,
        group=labelled.group,
        sha256=sha256,
        areas=np.array([np.nan if area is None else area for area in areas], np.float32) if any(areas) else None,
        group_hash=group_hash,
        attributes=labelled.attributes,
    )


def encode(example: DetectionExample) -> bytes:
    """The serialised tf.Example."""
    return join_image(example.encoded, encode_annotation(example))


def join_image(encoded: bytes, annotation: bytes) -> bytes:
    """The serialised tf.Example of an image's bytes and what `encode_annotation` gave."""
    # Features stand in the order of their names, and this is the first.
    return example_message(encode_features({"image/encoded": [encoded]}) + annotation)


def encode_annotation(example: DetectionExample) -> bytes:
    """All of an example but the image's bytes: so much can be kept of millions of images until they are written."""
    ymin, xmin, ymax, xmax = (np.ascontiguousarray(example.boxes[:, column]) for column in range(4))
    stated: dict[str, Feature] = {}
    if example.confidence is not None:
        stated["image/object/confidence"] = example.confidence
    if example.areas is not None:
        stated["image/object/area"] = example.areas
    if example.group:
        stated["image/group"] = [example.group.encode()]
    if example.group_hash:
        stated["image/group/sha256"] = [example.group_hash.encode()]
    for name, value in example.attributes.items():
        stated[f"{_ATTRIBUTE}{name}"] = [value.encode()]
    if example.sha256:
        stated["image/key/sha256"] = [example.sha256.encode()]
    return encode_features(
        {
            **stated,
            "image/filename": [example.filename.encode()],
            "image/format": [example.format.encode()],
            "image/height": np.array([example.height], np.int64),
            "image/object/bbox/xmax": xmax,
            "image/object/bbox/xmin": xmin,
            "image/object/bbox/ymax": ymax,
            "image/object/bbox/ymin": ymin,
            "image/object/class/label": example.labels,
            "image/object/class/text": [name.encode() for name in example.names],
            "image/object/difficult": example.difficult,
            "image/object/is_crowd": example.crowd,
            "image/object/truncated": example.truncated,
            "image/source_id": [example.source_id.encode()],
            "image/width": np.array([example.width], np.int64),
        }
    )


def decode(data: bytes) -> DetectionExample:
    """Read a serialised tf.Example, its size and boxes upright; what it does not state is empty or 0.

    PrepareDataset writes upright images, so only what others wrote is turned. Its boxes mean the stored pixels:
    TensorFlow's decoders know no orientation.

    Raises:
        ValueError: See `decode_stored`.
    """
    example = decode_stored(data)
    try:
        header = read_header(example.encoded)
    except BrokenHeaderError:
        return example  # whoever decodes it says so
    if header.orientation == UPRIGHT:
        return example
    height, width = upright_size(header.height, header.width, header.orientation)
    return replace(example, boxes=turn_boxes(example.boxes, header.orientation), height=height, width=width)


def decode_stored(data: bytes) -> DetectionExample:
    """Read a serialised tf.Example as it is written: its size and boxes are of the stored pixels.

    Raises:
        ValueError: No Example, or one whose lists of an object's properties differ in length.
    """
    features = decode_example(data)
    edges = [_floats(features, f"image/object/bbox/{edge}") for edge in ("ymin", "xmin", "ymax", "xmax")]
    count = len(edges[0])
    labels = _integers(features, "image/object/class/label")
    confidence = _floats(features, "image/object/confidence")
    areas = _floats(features, "image/object/area")
    areas[~((areas > 0) & (areas < np.inf))] = np.nan
    lengths = {len(edge) for edge in edges} | ({len(labels)} if len(labels) else set())
    if lengths != {count}:
        raise ValueError(f"its lists of box edges and labels have different lengths: {sorted(lengths)}")
    return DetectionExample(
        source_id=_text(features, "image/source_id") or str(_number(features, "image/source_id") or ""),
        filename=_text(features, "image/filename"),
        encoded=_bytes(features, "image/encoded")[0] if _bytes(features, "image/encoded") else b"",
        format=_text(features, "image/format"),
        width=_number(features, "image/width"),
        height=_number(features, "image/height"),
        boxes=np.stack(edges, axis=1),
        labels=labels,
        names=tuple(name.decode() for name in _bytes(features, "image/object/class/text")),
        difficult=_flags(features, "image/object/difficult", count),
        truncated=_flags(features, "image/object/truncated", count),
        crowd=_flags(features, "image/object/is_crowd", count),
        confidence=confidence if len(confidence) == count and count else None,
        group=next((group for key in _GROUPS if (group := _text(features, key))), ""),
        sha256=_text(features, "image/key/sha256"),
        areas=areas if len(areas) == count and count else None,
        group_hash=_text(features, "image/group/sha256"),
        attributes={
            name.removeprefix(_ATTRIBUTE): _text(features, name) for name in features if name.startswith(_ATTRIBUTE)
        },
    )


def read_examples(folder: Path) -> Iterator[DetectionExample]:
    """Every example of a prepared split: shards by name, records in their order.

    Raises:
        DataError: The folder holds no shard, or a record cannot be read.
    """
    for shard in shards(folder):
        for number, (_, data) in enumerate(read_records(shard)):
            try:
                yield decode(data)
            except ValueError as error:
                raise DataError(
                    f"{shard.name}: record {number} is no tf.Example of a labelled image: {error}."
                ) from None


def _bytes(features: Mapping[str, Feature], name: str) -> list[bytes]:
    value = features.get(name, [])
    return [] if isinstance(value, np.ndarray) else list(value)


def _text(features: Mapping[str, Feature], name: str) -> str:
    values = _bytes(features, name)
    return values[0].decode() if values else ""


def _floats(features: Mapping[str, Feature], name: str) -> Floats:
    value = features.get(name)
    return value.astype(np.float32) if isinstance(value, np.ndarray) else np.zeros(0, np.float32)


def _integers(features: Mapping[str, Feature], name: str) -> Integers:
    value = features.get(name)
    return value.astype(np.int64) if isinstance(value, np.ndarray) else np.zeros(0, np.int64)


def _number(features: Mapping[str, Feature], name: str) -> int:
    values = _integers(features, name)
    return int(values[0]) if len(values) else 0


def _flags(features: Mapping[str, Feature], name: str, count: int) -> Integers:
    values = _integers(features, name)
    return values if len(values) == count else np.zeros(count, np.int64)
