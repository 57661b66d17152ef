# SPDX-License-Identifier: Apache-2.0
"""Detectors of two stages, or of the first alone, have a form for OpenVINO whatever their suppression and sizes."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inference_src.detections import Detections
from inference_src.model import read_description
from inference_src.runtimes import load_detector
from tests.golden.differences import MOST_MOVED
from training_src.data.label_map import LabelMap
from training_src.export.artifact import write_untrained
from training_src.models.architectures import build_detector
from training_src.models.checkpoints import checkpoint
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import PipelineConfig
from training_src.text_format import parse

CASE = "faster_rcnn_resnet50_v1"
PYRAMID = "faster_rcnn_resnet50_v1_fpn"
SECOND = r"(second_stage_post_processing \{\s*batch_non_max_suppression \{)"
CHANGES = {
    "as it is": (r"model \{", "model {"),
    "one stage": (r"faster_rcnn \{", "faster_rcnn { number_of_stages: 1"),
    "soft": (SECOND, r"\1 soft_nms_sigma: 0.5"),
    "agnostic": (SECOND, r"\1 use_class_agnostic_nms: true"),
    "sizes that depend on the image": (r"pad_to_max_dimension: true", ""),
}


@pytest.mark.verify
@pytest.mark.parametrize(
    ("case", "what"),
    [
        *((CASE, what) for what in CHANGES if what != "as it is"),
        (PYRAMID, "as it is"),
        (PYRAMID, "sizes that depend on the image"),
    ],
)
def test_both_runtimes_find_the_same(
    case: str, what: str, golden: Path, golden_checkpoint: Callable[[str], str], tmp_path: Path
) -> None:
    text, count = re.subn(*CHANGES[what], (golden / case / "pipeline.config").read_text(), count=1)
    assert count == 1
    detector = build_detector(decode(PipelineConfig, parse(text)).model)
    checkpoint.restore(detector.variables(), golden_checkpoint(case), "full")
    write_untrained(
        tmp_path, detector, LabelMap({number: str(number) for number in range(1, detector.num_classes + 1)}), case, text
    )

    runtimes = read_description(tmp_path).runtimes
    assert (runtimes["openvino"].suppression is not None) is (what in ("soft", "agnostic"))
    tensorflow, openvino = (
        load_detector(name, tmp_path / runtimes[name].path, "f32", 1, runtimes[name].suppression)
        for name in ("tensorflow", "openvino")
    )
    with np.load(golden / case / "expected.npz") as expected:
        image = expected["image_0"]
    for picture in (image, np.ascontiguousarray(image[:100, :70])):
        ours, theirs = openvino.detect(picture, further=True), tensorflow.detect(picture, further=True)
        assert ours.count == theirs.count > 20
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4)
        for name in ("boxes", "scores", "classes", "anchor_indices", "multiclass_scores"):
            # Of a pyramid's thousands of proposals some are as likely as the next but for rounding.
            bound = MOST_MOVED if name == "anchor_indices" and case == PYRAMID else 1e-4
            one, other = (getattr(found, name)[_order(found, case)] for found in (ours, theirs))
            np.testing.assert_allclose(one, other, atol=bound, err_msg=name)


def _order(found: Detections, case: str) -> NDArray[np.intp]:
    """That of the anchors: of two detections with one score but for rounding, either comes first."""
    assert found.anchor_indices is not None
    return np.arange(found.count) if case == PYRAMID else np.lexsort((found.classes, found.anchor_indices))
