# SPDX-License-Identifier: Apache-2.0
"""The TensorFlow 2 detection zoo's models that can be built here, with the figures of its page.

https://github.com/tensorflow/models/blob/master/research/object_detection/g3doc/tf2_detection_zoo.md; speeds are
milliseconds an image on the zoo's own machine. EfficientDets have fewer parameters than in their paper: the API takes
the backbone's last stage only as far as its first block, and the rest of it computes nothing.
"""

from dataclasses import dataclass

from training_src.models.config.pipeline import canonical_name, load_bundled
from training_src.models.errors import ConfigError

DATE = "20200711"


@dataclass(frozen=True)
class ZooModel:
    """A model of the zoo.

    Attributes:
        name: As `--architecture` takes it.
        parameters: Those that training changes, for 90 classes, as `info` counts them.
        coco_map: Mean average precision of boxes on COCO 2017's validation split, in percent; None where the zoo has
            no such model.
        speed_ms: As the zoo gives it.
        archive: Where it lies on the zoo's server: date and name; None where it has none.
        progressive_resizing: The part of a training from scratch that learns as well from smaller images, as measured.
        follows_data: Whether the data's boxes decide the input's size and the anchors, where the user gives no config.
    """

    name: str
    parameters: int
    coco_map: float | None = None
    speed_ms: int | None = None
    archive: str | None = None
    progressive_resizing: float = 0.0
    follows_data: bool = False

    @property
    def input_size(self) -> str:
        """Height and width, or least and greatest side, as the config has them."""
        resizer = load_bundled(self.name, num_classes=90).config.model.family.image_resizer
        if resizer.fixed_shape_resizer:
            return f"{resizer.fixed_shape_resizer.height}x{resizer.fixed_shape_resizer.width}"
        kept = resizer.keep_aspect_ratio_resizer
        assert kept is not None  # the zoo's have one of the two
        return f"{kept.min_dimension}x{kept.max_dimension}"


def _zoo(
    name: str,
    parameters: int,
    coco_map: float,
    speed_ms: int,
    suffix: str = "coco17_tpu-8",
    *,
    follows_data: bool = False,
) -> ZooModel:
    # The archives of EfficientDet do not tell their size.
    stem = name.rsplit("_", 1)[0] if name.startswith("efficientdet") else name
    return ZooModel(name, parameters, coco_map, speed_ms, f"{DATE}/{stem}_{suffix}.tar.gz", follows_data=follows_data)


ZOO = (
    ZooModel("ssd_mobilenet_v2_fpnlite_160x160", 2_372_090, progressive_resizing=0.3, follows_data=True),
    _zoo("ssd_mobilenet_v1_fpn_640x640", 12_080_762, 29.1, 48),
    _zoo("ssd_mobilenet_v2_320x320", 6_066_431, 20.2, 19, follows_data=True),
    _zoo("ssd_mobilenet_v2_fpnlite_320x320", 2_626_746, 22.2, 22, follows_data=True),
    _zoo("ssd_mobilenet_v2_fpnlite_640x640", 2_626_746, 28.2, 39),
    _zoo("ssd_resnet50_v1_fpn_640x640", 32_840_570, 34.3, 46),
    _zoo("ssd_resnet50_v1_fpn_1024x1024", 32_840_570, 38.3, 87),
    _zoo("ssd_resnet101_v1_fpn_640x640", 51_832_698, 35.6, 57),
    _zoo("ssd_resnet101_v1_fpn_1024x1024", 51_832_698, 39.5, 104),
    _zoo("ssd_resnet152_v1_fpn_640x640", 67_476_346, 35.4, 80),
    _zoo("ssd_resnet152_v1_fpn_1024x1024", 67_476_346, 39.6, 111),
    _zoo("efficientdet_d0_512x512", 3_880_067, 33.6, 39, "coco17_tpu-32"),
    _zoo("efficientdet_d1_640x640", 5_062_298, 38.4, 54, "coco17_tpu-32"),
    _zoo("efficientdet_d2_768x768", 6_208_119, 41.8, 67, "coco17_tpu-32"),
    _zoo("efficientdet_d3_896x896", 9_787_336, 45.4, 95, "coco17_tpu-32"),
    _zoo("efficientdet_d4_1024x1024", 17_674_475, 48.5, 133, "coco17_tpu-32"),
    _zoo("efficientdet_d5_1280x1280", 25_700_675, 49.7, 222, "coco17_tpu-32"),
    _zoo("efficientdet_d6_1408x1408", 41_819_142, 50.5, 268, "coco17_tpu-32"),
    _zoo("efficientdet_d7_1536x1536", 41_819_142, 51.2, 325, "coco17_tpu-32"),
    _zoo("faster_rcnn_resnet50_v1_640x640", 28_458_727, 29.3, 53),
    _zoo("faster_rcnn_resnet50_v1_1024x1024", 28_458_727, 31.0, 65),
    _zoo("faster_rcnn_resnet50_v1_800x1333", 29_188_171, 31.6, 65, "coco17_gpu-8"),
    _zoo("faster_rcnn_resnet101_v1_640x640", 47_450_855, 31.8, 55),
    _zoo("faster_rcnn_resnet101_v1_1024x1024", 47_450_855, 37.1, 72),
    _zoo("faster_rcnn_resnet101_v1_800x1333", 48_180_299, 36.6, 77, "coco17_gpu-8"),
    _zoo("faster_rcnn_resnet152_v1_640x640", 63_094_503, 32.4, 64),
    _zoo("faster_rcnn_resnet152_v1_1024x1024", 63_094_503, 37.6, 85),
    _zoo("faster_rcnn_resnet152_v1_800x1333", 63_823_947, 37.4, 101, "coco17_gpu-8"),
    _zoo("faster_rcnn_inception_resnet_v2_640x640", 59_473_159, 37.7, 206),
    _zoo("faster_rcnn_inception_resnet_v2_1024x1024", 59_473_159, 38.7, 236),
    _zoo("mask_rcnn_inception_resnet_v2_1024x1024", 60_020_331, 39.0, 301, "coco17_gpu-8"),
)


def zoo_model(architecture: str) -> ZooModel:
    """The model of any of the names that `canonical_name` knows.

    Raises:
        ConfigError: If there is no such architecture.
    """
    name = canonical_name(architecture)
    for model in ZOO:
        if model.name == name:
            return model
    raise ConfigError(f"architecture {name!r} has a config but no entry in the table of the zoo")
