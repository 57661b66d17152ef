# SPDX-License-Identifier: Apache-2.0
"""A config and a checkpoint become what the OD API's exporter writes."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf  # type: ignore[import-untyped]

from training_src.data.label_map import LabelMap, write_label_map
from training_src.export.command import run

CASE = Path(__file__).parents[4] / "shared" / "golden" / "ssd_mobilenet_v2_hard_mining"


@pytest.mark.skipif(not CASE.is_dir(), reason=f"the reference arrays are not at {CASE}")
def test_the_exported_model_detects_what_the_reference_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make = runpy.run_path(str(CASE.parent / "make_checkpoint.py"))["main"]
    make([str(CASE / "variables.json"), str(tmp_path / "ckpt-0"), "--quiet"])
    write_label_map(LabelMap({1: "cat", 2: "dog"}), tmp_path / "label_map.pbtxt")
    arguments = ["--pipeline-config", str(CASE / "pipeline.config"), "--checkpoint", str(tmp_path / "ckpt-0")]
    arguments += ["--output", str(tmp_path / "out"), "--label-map", str(tmp_path / "label_map.pbtxt")]
    assert run(arguments) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "label_map.pbtxt",
        "pipeline.config",
        "saved_model",
    ]
    serve = tf.saved_model.load(str(tmp_path / "out" / "saved_model")).signatures["serving_default"]
    with np.load(CASE / "expected.npz") as expected:
        for image in (0, 1):
            answer = serve(input_tensor=tf.constant(expected[f"image_{image}"][None]))
            count = int(answer["num_detections"][0])
            assert count == expected["num_detections"][image]
            np.testing.assert_allclose(answer["detection_boxes"][0], expected["detection_boxes"][image], atol=1e-4)
            np.testing.assert_array_equal(
                answer["detection_classes"][0, :count], expected["detection_classes"][image, :count] + 1
            )
            np.testing.assert_array_equal(
                answer["detection_anchor_indices"][0], expected["detection_anchor_indices"][image]
            )
    capsys.readouterr()
    assert run(arguments) == 2
    assert "something is there already; give another folder" in capsys.readouterr().err
