# SPDX-License-Identifier: Apache-2.0
"""For how long, with which batch and at which rate each bundled architecture is trained: one table for all of them.

`make reference` writes the numbers of `SCHEDULES` into the files of `configs/`, which stay whole configs that people
read, copy and change. They are for going on from weights that are there. `ZOO` holds those with which the detection
zoo's models were trained on COCO; they are taken where training starts from a checkpoint of the zoo:
https://github.com/tensorflow/models/tree/master/research/object_detection/configs/tf2
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

FINE_TUNING_STEPS = 5000
FINE_TUNING_BATCH = 16
_EFFICIENTDET_SIDES = (512, 640, 768, 896, 1024, 1280, 1408, 1536)


@dataclass(frozen=True)
class Schedule:
    """A training's length, batch and cosine decay, whose `total_steps` are the training's.

    Attributes:
        learning_rate_base: For a batch of `batch_size`.
        warmup_learning_rate: From where the rate rises to its base within `warmup_steps`.
        batch_norm_decay: Of every batch norm's moving averages, which a short training must reach; None leaves the
            config's.
    """

    num_steps: int
    batch_size: int
    learning_rate_base: float
    warmup_learning_rate: float
    warmup_steps: int
    batch_norm_decay: float | None = None


_FPNLITE = Schedule(50_000, 128, 0.08, 0.026666, 1000, 0.997)
_EFFICIENTDET = Schedule(300_000, 128, 0.08, 0.001, 2500)
_AT_640 = Schedule(25_000, 64, 0.04, 0.013333, 2000)
_AT_1024 = Schedule(100_000, 64, 0.04, 0.013333, 2000)
_ON_GPUS = Schedule(200_000, 16, 0.01, 0.0, 5000)

ZOO: Mapping[str, Schedule] = {
    "ssd_mobilenet_v1_fpn_640x640": _AT_640,
    "ssd_mobilenet_v2_320x320": Schedule(50_000, 512, 0.08, 0.013333, 2000, 0.97),
    "ssd_mobilenet_v2_fpnlite_320x320": _FPNLITE,
    "ssd_mobilenet_v2_fpnlite_640x640": _FPNLITE,
    "ssd_resnet50_v1_fpn_640x640": _AT_640,
    "ssd_resnet50_v1_fpn_1024x1024": _AT_1024,
    "ssd_resnet101_v1_fpn_640x640": _AT_640,
    "ssd_resnet101_v1_fpn_1024x1024": _AT_1024,
    "ssd_resnet152_v1_fpn_640x640": _AT_640,
    "ssd_resnet152_v1_fpn_1024x1024": _AT_1024,
    **{f"efficientdet_d{number}_{side}x{side}": _EFFICIENTDET for number, side in enumerate(_EFFICIENTDET_SIDES)},
    "faster_rcnn_resnet50_v1_640x640": _AT_640,
    "faster_rcnn_resnet50_v1_1024x1024": _AT_1024,
    "faster_rcnn_resnet50_v1_800x1333": _ON_GPUS,
    "faster_rcnn_resnet101_v1_640x640": _AT_640,
    "faster_rcnn_resnet101_v1_1024x1024": _AT_1024,
    "faster_rcnn_resnet101_v1_800x1333": _ON_GPUS,
    "faster_rcnn_resnet152_v1_640x640": _AT_640,
    "faster_rcnn_resnet152_v1_1024x1024": _AT_1024,
    "faster_rcnn_resnet152_v1_800x1333": _ON_GPUS,
    "faster_rcnn_inception_resnet_v2_640x640": _AT_640,
    "faster_rcnn_inception_resnet_v2_1024x1024": _AT_1024,
    "mask_rcnn_inception_resnet_v2_1024x1024": Schedule(200_000, 16, 0.008, 0.0, 5000),
}


def _in_proportion(zoo: Schedule) -> Schedule:
    """The zoo's rate for the batch that one GPU holds, for a fine-tuning's length; not measured.

    The rate follows the batch: https://arxiv.org/abs/1706.02677.
    """
    rate = float(f"{zoo.learning_rate_base * FINE_TUNING_BATCH / zoo.batch_size:.4g}")
    return Schedule(FINE_TUNING_STEPS, FINE_TUNING_BATCH, rate, rate / 10, FINE_TUNING_STEPS // 10)


# Measured from the weights that the training image carries: docs/measurements.md has what they reach.
_MOBILENET_V2 = Schedule(1000, 8, 0.1, 0.01, 100, 0.9)

SCHEDULES: Mapping[str, Schedule] = {
    **{architecture: _in_proportion(zoo) for architecture, zoo in ZOO.items()},
    "ssd_mobilenet_v2_fpnlite_160x160": Schedule(200, 8, 0.1, 0.01, 20, 0.9),
    "ssd_mobilenet_v2_320x320": _MOBILENET_V2,
    "ssd_mobilenet_v2_fpnlite_320x320": _MOBILENET_V2,
    "ssd_mobilenet_v2_fpnlite_640x640": _MOBILENET_V2,
}


def with_schedule(text: str, schedule: Schedule) -> str:
    """A config's text with the numbers of a schedule in its `train_config`, and its decay in its batch norms.

    Raises:
        ValueError: If a field is not there exactly once.
    """
    numbers = {**vars(schedule), "total_steps": schedule.num_steps}
    decay = numbers.pop("batch_norm_decay")
    before, mark, train_config = text.partition("\ntrain_config {")
    if decay is not None:
        before = re.sub(r"(\bbatch_norm \{ decay: )[\d.]+", rf"\g<1>{decay}", before)
    for name, value in numbers.items():
        train_config, replaced = re.subn(rf"\b{name}: [\w.+-]+", f"{name}: {value}", train_config)
        if replaced != 1:
            raise ValueError(f"train_config has {name} {replaced} times; there must be one")
    return before + mark + train_config
