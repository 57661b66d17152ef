# SPDX-License-Identifier: Apache-2.0
"""What training takes: the recorded numbers are what is counted, and not less than what was measured."""

import json

import pytest

from tests.documentation.footprints import CLASSES, counted
from training_src.models.architectures import build_detector
from training_src.models.box_shapes import BoxShapes
from training_src.models.config.pipeline import bundled_architectures, load_bundled
from training_src.models.fitted_input import decided_by_data, recorded_footprint
from training_src.models.footprint import footprint
from training_src.models.training_memory import FOOTPRINTS, bundled_footprint
from training_src.models.training_time import seconds_an_image

MIB = 1 << 20
# MiB an image: what peak memory grew by between two batches, of training steps in a process of their own on two cores.
MEASURED = {
    "ssd_mobilenet_v2_fpnlite_160x160": 41,
    "ssd_mobilenet_v2_fpnlite_320x320": 137,
    "ssd_mobilenet_v2_320x320": 133,
    "ssd_mobilenet_v2_fpnlite_640x640": 546,
    "efficientdet_d0_512x512": 546,
    "ssd_resnet50_v1_fpn_640x640": 818,
    "faster_rcnn_resnet50_v1_640x640": 828,
}


# GiB at batch 4, of whole training jobs with TensorFlow, export and all: docs/measurements.md and docs/verification.md.
PEAKS = {
    "ssd_mobilenet_v2_fpnlite_640x640": (3.6, 3.6),
    "ssd_resnet50_v1_fpn_640x640": (5.5, 5.8),
    "efficientdet_d1_640x640": (6.8, 6.8),
    "faster_rcnn_resnet50_v1_640x640": (5.3, 6.1),
    "faster_rcnn_resnet152_v1_640x640": (9.9, 10.1),
}


def test_every_bundled_architecture_is_recorded() -> None:
    assert sorted(json.loads(FOOTPRINTS.read_text())) == bundled_architectures()


@pytest.mark.parametrize("architecture", ["ssd_mobilenet_v2_fpnlite_160x160", "ssd_mobilenet_v2_320x320"])
def test_what_is_recorded_is_what_is_counted(architecture: str) -> None:
    assert json.loads(FOOTPRINTS.read_text())[architecture] == counted(architecture), "run `make footprints`"


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["efficientdet_d0_512x512", "faster_rcnn_resnet50_v1_800x1333"])
def test_what_is_recorded_of_larger_ones_is_what_is_counted(architecture: str) -> None:
    assert json.loads(FOOTPRINTS.read_text())[architecture] == counted(architecture), "run `make footprints`"


@pytest.mark.parametrize("architecture", MEASURED)
def test_no_training_takes_more_than_is_recorded_nor_half_as_much(architecture: str) -> None:
    recorded = bundled_footprint(architecture).bytes_an_image / MIB
    assert 0.5 * recorded < MEASURED[architecture] <= recorded


@pytest.mark.parametrize("architecture", PEAKS)
def test_whole_jobs_took_what_is_reckoned(architecture: str) -> None:
    footprint = bundled_footprint(architecture)
    least, most = footprint.least_bytes_of(4, on_gpu=False), footprint.bytes_of(4, on_gpu=False)
    assert least < min(PEAKS[architecture]) * 1024 * MIB
    assert max(PEAKS[architecture]) * 1024 * MIB < most


@pytest.mark.parametrize("architecture", bundled_architectures())
def test_a_larger_image_takes_longer(architecture: str) -> None:
    extractor = load_bundled(architecture, 3).config.model.family.feature_extractor.type
    footprint = bundled_footprint(architecture)
    assert 0.006 < seconds_an_image(footprint, extractor) < 600


def test_what_is_reckoned_for_another_size_is_what_is_counted() -> None:
    architecture = "ssd_mobilenet_v2_fpnlite_160x160"
    shapes = BoxShapes({"tiny": {(-20, -20): 100}}, 300)
    larger = decided_by_data(load_bundled(architecture, CLASSES), shapes).description
    found, reckoned = footprint(build_detector(larger.config.model), larger.config.model), recorded_footprint(larger)
    assert found.forward_flops > 1.9 * bundled_footprint(architecture).forward_flops
    assert reckoned.bytes_an_image == pytest.approx(found.bytes_an_image, rel=0.02)
    assert reckoned.forward_flops == pytest.approx(found.forward_flops, rel=0.02)
    assert reckoned.parameters == found.parameters
