# SPDX-License-Identifier: Apache-2.0
"""The table of architectures: complete and true."""

from collections.abc import Callable

import keras
import pytest

from training_src.models.architectures import build_detector
from training_src.models.config.pipeline import bundled_architectures, load_bundled
from training_src.models.errors import ConfigError
from training_src.models.info import parameters
from training_src.models.zoo import ZOO, zoo_model

# One of each family; what else the reference has is built for its numbers.
CHEAP = (
    "ssd_mobilenet_v2_fpnlite_160x160",
    "ssd_mobilenet_v2_320x320",
    "efficientdet_d0_512x512",
    "faster_rcnn_resnet50_v1_640x640",
)


def test_every_entry_has_a_config_and_every_config_an_entry() -> None:
    assert sorted(model.name for model in ZOO) == bundled_architectures()


def test_archives_have_the_zoos_names() -> None:
    archives = {model.name: model.archive for model in ZOO}
    assert archives["efficientdet_d1_640x640"] == "20200711/efficientdet_d1_coco17_tpu-32.tar.gz"
    assert archives["faster_rcnn_resnet50_v1_800x1333"] == (
        "20200711/faster_rcnn_resnet50_v1_800x1333_coco17_gpu-8.tar.gz"
    )
    assert archives["faster_rcnn_inception_resnet_v2_640x640"] == (
        "20200711/faster_rcnn_inception_resnet_v2_640x640_coco17_tpu-8.tar.gz"
    )
    assert archives["mask_rcnn_inception_resnet_v2_1024x1024"] == (
        "20200711/mask_rcnn_inception_resnet_v2_1024x1024_coco17_gpu-8.tar.gz"
    )
    assert [name for name, archive in archives.items() if archive is None] == ["ssd_mobilenet_v2_fpnlite_160x160"]


@pytest.mark.parametrize("architecture", CHEAP)
def test_parameters_are_those_of_the_detector_that_is_built(architecture: str) -> None:
    _assert_parameters(architecture)


@pytest.mark.verify
@pytest.mark.parametrize("architecture", sorted({model.name for model in ZOO} - set(CHEAP)))
def test_every_architecture_builds(architecture: str, record: Callable[[str, str], None]) -> None:
    _assert_parameters(architecture)
    record(
        f"{architecture}: parameters of the detector built from its config", f"{zoo_model(architecture).parameters:,}"
    )


def _assert_parameters(architecture: str) -> None:
    detector = build_detector(load_bundled(architecture, num_classes=90).config.model)
    assert parameters(detector) == zoo_model(architecture).parameters
    keras.backend.clear_session()


def test_input_sizes_are_the_configs() -> None:
    assert zoo_model("ssd_mobilenet_v2_320x320").input_size == "300x300"
    assert zoo_model("faster_rcnn_resnet101_v1_800x1333").input_size == "800x1333"


def test_a_model_is_found_by_its_archives_name() -> None:
    assert zoo_model("efficientdet_d6_coco17_tpu-32").coco_map == 50.5
    with pytest.raises(ConfigError, match="architecture 'centernet_hg104_512x512' is not known"):
        zoo_model("centernet_hg104_512x512")
