# SPDX-License-Identifier: Apache-2.0
"""For how long, with which batch and at which rate each bundled architecture is trained: one table for all of them.

`make reference` writes its numbers into the files of `configs/`, which stay whole configs that people read, copy and
change. All numbers but those of the 160x160 detector, which is ours, are the detection zoo's:
https://github.com/tensorflow/models/tree/master/research/object_detection/configs/tf2
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """A training's length, batch and cosine decay, whose `total_steps` are the training's.

    Attributes:
        learning_rate_base: For a batch of `batch_size`.
        warmup_learning_rate: From where the rate rises to its base within `warmup_steps`.
    """

    num_steps: int
    batch_size: int
    learning_rate_base: float
    warmup_learning_rate: float
    warmup_steps: int


_FPNLITE = Schedule(50_000, 128, 0.08, 0.026666, 1000)
_EFFICIENTDET = Schedule(300_000, 128, 0.08, 0.001, 2500)
_AT_640 = Schedule(25_000, 64, 0.04, 0.013333, 2000)
_AT_1024 = Schedule(100_000, 64, 0.04, 0.013333, 2000)
_ON_GPUS = Schedule(200_000, 16, 0.01, 0.0, 5000)

SCHEDULES: Mapping[str, Schedule] = {
    "ssd_mobilenet_v2_fpnlite_160x160": Schedule(1000, 8, 0.1, 0.01, 50),
    "ssd_mobilenet_v2_320x320": Schedule(50_000, 512, 0.08, 0.013333, 2000),
    "ssd_mobilenet_v2_fpnlite_320x320": _FPNLITE,
    "ssd_mobilenet_v2_fpnlite_640x640": _FPNLITE,
    "ssd_resnet50_v1_fpn_640x640": _AT_640,
    "ssd_resnet50_v1_fpn_1024x1024": _AT_1024,
    "ssd_resnet101_v1_fpn_640x640": _AT_640,
    "ssd_resnet101_v1_fpn_1024x1024": _AT_1024,
    "ssd_resnet152_v1_fpn_640x640": _AT_640,
    "ssd_resnet152_v1_fpn_1024x1024": _AT_1024,
    "efficientdet_d0_512x512": _EFFICIENTDET,
    "efficientdet_d1_640x640": _EFFICIENTDET,
    "efficientdet_d2_768x768": _EFFICIENTDET,
    "efficientdet_d3_896x896": _EFFICIENTDET,
    "efficientdet_d4_1024x1024": _EFFICIENTDET,
    "efficientdet_d5_1280x1280": _EFFICIENTDET,
    "efficientdet_d6_1408x1408": _EFFICIENTDET,
    "efficientdet_d7_1536x1536": _EFFICIENTDET,
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


def with_schedule(text: str, schedule: Schedule) -> str:
    """A config's text with the numbers of a schedule in its `train_config`.

    Raises:
        ValueError: If a field is not there exactly once.
    """
    before, mark, train_config = text.partition("\ntrain_config {")
    for name, value in {**vars(schedule), "total_steps": schedule.num_steps}.items():
        train_config, replaced = re.subn(rf"\b{name}: [\w.+-]+", f"{name}: {value}", train_config)
        if replaced != 1:
            raise ValueError(f"train_config has {name} {replaced} times; there must be one")
    return before + mark + train_config
