# SPDX-License-Identifier: Apache-2.0
"""The training's input (read, decode, augment, resize, batch) at 640x640 against bare decoding of the same bytes."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import numpy as np
import tensorflow as tf

from containers.contract.tfrecord import write_record
from tests.benchmarks.ratio import Row, ratio
from training_src.data.records.example import DetectionExample, encode
from training_src.models.config.augmentation import PreprocessingStep
from training_src.models.config.decoding import decode
from training_src.models.config.image_resizer import FixedShapeResizer, ImageResizer
from training_src.models.config.pipeline import load_bundled
from training_src.text_format import parse
from training_src.training.input_pipeline import PARALLEL_CALLS, training_batches
from training_src.training.records import Records

IMAGES, BATCH = 256, 8
SIDE = 640
# What the model zoo's detectors are trained with, and a heavier set.
SETS = {
    "flip and crop": ("random_horizontal_flip {}", "random_crop_image { min_object_covered: 0.0 min_area: 0.75 }"),
    "flip, scale, crop and pad": (
        "random_horizontal_flip {}",
        "random_scale_crop_and_pad_to_square { output_size: 640 scale_min: 0.5 scale_max: 2.0 }",
    ),
    "flip, SSD's crop and colours": ("random_horizontal_flip {}", "ssd_random_crop {}", "random_distort_color {}"),
    "no augmentation": (),
}


def run() -> list[Row]:
    """A ratio for each set of options."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        encoded = _write(Path(folder))
        records = Records(Path(folder), cache_bytes=0)
        plain = load_bundled("ssd_mobilenet_v2_fpnlite_640x640", 3).config.train_config
        resizer = ImageResizer(fixed_shape_resizer=FixedShapeResizer(height=SIDE, width=SIDE))
        for name, texts in SETS.items():
            options = tuple(decode(PreprocessingStep, parse(text)) for text in texts)
            config = replace(plain, batch_size=BATCH, data_augmentation_options=options)
            batches = iter(training_batches(records, config, resizer, 1, 0))
            found = ratio(lambda batches=batches: _take(batches), lambda: _decode(encoded), rounds=5)  # type: ignore[misc]
            what = f"training's input at {SIDE}x{SIDE}: {name}"
            rows.append(Row(what, "tf.io.decode_jpeg (INTEGER_ACCURATE) alone", found, "times as fast"))
            del batches
    return rows


def _write(folder: Path) -> list[bytes]:
    """JPEGs of about 100 kB with eight boxes each."""
    rng = np.random.default_rng(1)
    encoded = []
    with (folder / "train-00000-of-00001.tfrecord").open("wb") as stream:
        for number in range(IMAGES):
            coarse = rng.integers(0, 256, (40, 40, 3), np.uint8)
            image = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
            image = cv2.add(image, rng.integers(0, 24, image.shape, np.uint8))
            jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
            corners = rng.uniform(0, 0.7, (8, 2))
            boxes = np.concatenate([corners, corners + rng.uniform(0.05, 0.3, (8, 2))], axis=1).astype(np.float32)
            flags = np.zeros(8, np.int64)
            name = f"{number}.jpg"
            example = DetectionExample(
                name, name, jpeg, "jpeg", SIDE, SIDE, boxes, np.ones(8, np.int64), ("x",) * 8, flags, flags, flags
            )
            write_record(stream, encode(example))
            encoded.append(jpeg)
    return encoded


def _take(batches: object) -> None:
    for _ in range(IMAGES // BATCH):
        next(batches)  # type: ignore[call-overload]


def _decode(encoded: list[bytes]) -> None:
    """As many at once as the pipeline decodes; nothing is done with the pixels."""
    images = tf.data.Dataset.from_tensor_slices(encoded).map(
        lambda one: tf.shape(tf.io.decode_jpeg(one, 3, dct_method="INTEGER_ACCURATE")),
        num_parallel_calls=PARALLEL_CALLS,
    )
    for _ in images:
        pass
