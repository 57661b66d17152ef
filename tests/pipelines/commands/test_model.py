# SPDX-License-Identifier: Apache-2.0
"""`mapgate model` as a person types it."""

from __future__ import annotations

import json
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
GOLDEN = CHECKOUT.parent / "shared" / "golden"
CASE = GOLDEN / "ssd_mobilenet_v2_fpnlite"
Mapgate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pipeline.config, checkpoint `ckpt-0`, and images and boxes in `images.npz`."""
    if not CASE.is_dir():
        pytest.skip(f"the reference arrays are not at {GOLDEN}")
    folder = tmp_path_factory.mktemp("case")
    runpy.run_path(str(GOLDEN / "make_checkpoint.py"))["main"](
        [str(CASE / "variables.json"), str(folder / "ckpt-0"), "--quiet"]
    )
    (folder / "pipeline.config").write_bytes((CASE / "pipeline.config").read_bytes())
    with np.load(CASE / "expected.npz") as arrays:
        given = {name: arrays[name] for name in arrays.files if name.startswith(("image_", "groundtruth_"))}
    np.savez(folder / "images.npz", **given)
    return folder


def test_outputs_are_the_references(mapgate: Mapgate, case: Path, tmp_path: Path) -> None:
    output, images = tmp_path / "outputs.npz", case / "images.npz"
    further = ["--images", images, "--output", output, "--training", "--groundtruth", images]
    done = mapgate("model", "outputs", *_of(case), *further)

    assert done.returncode == 0, done.stderr
    with np.load(output) as got, np.load(CASE / "expected.npz") as expected:
        assert {"detection_boxes", "train_total_loss", "frozen_total_loss"} <= set(got.files)
        for name in ("box_encodings", "frozen_total_loss", "train_total_loss"):
            np.testing.assert_allclose(got[name], expected[name], rtol=2e-3, atol=2e-3)


@pytest.mark.verify
def test_a_saved_model_is_written(mapgate: Mapgate, case: Path, tmp_path: Path) -> None:
    further = ["--output", tmp_path / "exported", "--input-type", "encoded_image_string_tensor"]
    done = mapgate("model", "export", *_of(case), *further)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "exported" / "saved_model" / "saved_model.pb").stat().st_size > 0
    assert "model" in (tmp_path / "exported" / "pipeline.config").read_text()


def test_an_export_over_something_is_refused(mapgate: Mapgate, case: Path) -> None:
    done = mapgate("model", "export", *_of(case), "--output", case, "--input-type", "tf_example")

    assert (done.returncode, done.stdout) == (2, "")
    assert "something is there already; give another folder" in done.stderr


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


def _of(case: Path) -> list[object]:
    return ["--pipeline-config", case / "pipeline.config", "--checkpoint", case / "ckpt-0"]
