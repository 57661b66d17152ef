# SPDX-License-Identifier: Apache-2.0
"""`mapgate model` as a person types it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
Mapgate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def case(golden: Path) -> Path:
    """A reference case's folder."""
    return golden / "ssd_mobilenet_v2_fpnlite"


@pytest.fixture(scope="module")
def given(case: Path, golden_checkpoint: Callable[[str], str]) -> tuple[object, ...]:
    """The options that name the case's config and checkpoint."""
    return ("--pipeline-config", case / "pipeline.config", "--checkpoint", golden_checkpoint(case.name))


def test_outputs_are_the_references(mapgate: Mapgate, case: Path, given: tuple[object, ...], tmp_path: Path) -> None:
    # The reference's file holds the images and their boxes too.
    images, output = case / "expected.npz", tmp_path / "outputs.npz"
    further = ("--images", images, "--output", output, "--training", "--groundtruth", images)
    done = mapgate("model", "outputs", *given, *further)

    assert done.returncode == 0, done.stderr
    with np.load(output) as got, np.load(images) as expected:
        assert {"detection_boxes", "train_total_loss", "frozen_total_loss"} <= set(got.files)
        for name in ("box_encodings", "frozen_total_loss", "train_total_loss"):
            np.testing.assert_allclose(got[name], expected[name], rtol=2e-3, atol=2e-3)


@pytest.mark.verify
def test_a_saved_model_is_written(mapgate: Mapgate, given: tuple[object, ...], tmp_path: Path) -> None:
    further = ("--output", tmp_path / "exported", "--input-type", "encoded_image_string_tensor")
    done = mapgate("model", "export", *given, *further)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "exported" / "saved_model" / "saved_model.pb").stat().st_size > 0
    assert "model" in (tmp_path / "exported" / "pipeline.config").read_text()


# Of a process that TensorFlow makes slow; that an option is handed on, and a refusal with it, `info` shows below.
@pytest.mark.verify
def test_an_export_over_something_is_refused(mapgate: Mapgate, case: Path, given: tuple[object, ...]) -> None:
    done = mapgate("model", "export", *given, "--output", case, "--input-type", "tf_example")

    assert (done.returncode, done.stdout) == (2, "")
    assert "something is there already; give another folder" in done.stderr


# As a process; `outputs` above is one too, and what it tells is tested beside the command.
@pytest.mark.verify
def test_info_tells_what_a_config_builds(mapgate: Mapgate, case: Path) -> None:
    done = mapgate("model", "info", "--pipeline-config", case / "pipeline.config", "--json")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["num_classes"] == 3
    assert told["flops"] > 1e8
    assert sum(level["anchors"] for level in told["levels"]) > 1000


def test_options_that_contradict_each_other_are_one_sentence(mapgate: Mapgate) -> None:
    done = mapgate("model", "info", "--pipeline-config", "a", "--num-classes", "3")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "--num-classes goes with --architecture: a says its own num_classes.\n"


def test_a_broken_config_ends_with_2_and_its_sentence(mapgate: Mapgate, case: Path, tmp_path: Path) -> None:
    (tmp_path / "pipeline.config").write_text(
        (case / "pipeline.config").read_text().replace("ssd_mobilenet_v2_fpn_keras", "ssd_nasnet")
    )
    done = mapgate("model", "info", "--pipeline-config", tmp_path / "pipeline.config")

    assert (done.returncode, done.stdout) == (2, "")
    assert "model.ssd.feature_extractor.type: 'ssd_nasnet' is not supported" in done.stderr
    assert "Traceback" not in done.stderr
