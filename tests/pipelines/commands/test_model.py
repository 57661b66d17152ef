# SPDX-License-Identifier: Apache-2.0
"""`mapgate model` and `mapgate architectures` as a person types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
Result = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def case(golden: Path) -> Path:
    """A reference case's folder."""
    return golden / "ssd_mobilenet_v2_fpnlite"


@pytest.fixture(scope="module")
def given(case: Path, golden_checkpoint: Callable[[str], str]) -> tuple[str, ...]:
    """The options that name the case's config and checkpoint."""
    return ("--pipeline-config", str(case / "pipeline.config"), "--checkpoint", golden_checkpoint(case.name))


def test_outputs_are_the_references(case: Path, given: tuple[str, ...], tmp_path: Path) -> None:
    # The reference's file holds the images and their boxes too.
    images, output = str(case / "expected.npz"), tmp_path / "outputs.npz"
    options = ("--images", images, "--output", str(output), "--training", "--groundtruth", images)
    done = _mapgate("model", "outputs", *given, *options)

    assert done.returncode == 0, done.stderr
    with np.load(output) as got, np.load(images) as expected:
        assert {"detection_boxes", "train_total_loss", "frozen_total_loss"} <= set(got.files)
        for name in ("box_encodings", "frozen_total_loss", "train_total_loss"):
            np.testing.assert_allclose(got[name], expected[name], rtol=2e-3, atol=2e-3)


@pytest.mark.verify
def test_a_saved_model_is_written(given: tuple[str, ...], tmp_path: Path) -> None:
    options = ("--output", str(tmp_path / "exported"), "--input-type", "encoded_image_string_tensor")
    done = _mapgate("model", "export", *given, *options)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "exported" / "saved_model" / "saved_model.pb").stat().st_size > 0
    assert "model" in (tmp_path / "exported" / "pipeline.config").read_text()


def test_an_export_over_something_is_refused(case: Path, given: tuple[str, ...]) -> None:
    done = _mapgate("model", "export", *given, "--output", str(case), "--input-type", "tf_example")

    assert (done.returncode, done.stdout) == (2, "")
    assert "something is there already; give another folder" in done.stderr


def test_info_tells_what_a_config_builds(case: Path) -> None:
    done = _mapgate("model", "info", "--pipeline-config", str(case / "pipeline.config"), "--json")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["num_classes"] == 3
    assert told["flops"] > 1e8
    assert sum(level["anchors"] for level in told["levels"]) > 1000


def test_architectures_are_listed_without_tensorflow() -> None:
    listed = _mapgate("architectures")
    one = _mapgate("architectures", "efficientdet_d6_coco17_tpu-32", "--json")
    unknown = _mapgate("architectures", "yolo")

    assert (listed.returncode, one.returncode, unknown.returncode) == (0, 0, 2)
    row = next(line for line in listed.stdout.splitlines() if line.startswith("ssd_resnet50_v1_fpn_640x640"))
    assert row.split() == ["ssd_resnet50_v1_fpn_640x640", "640x640", "32.84", "M", "34.3", "46"]
    assert [each["name"] for each in json.loads(one.stdout)] == ["efficientdet_d6_1408x1408"]
    assert "architecture 'yolo' is not known" in unknown.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("info",), "name either --pipeline-config or --architecture"),
        (("info", "--pipeline-config", "a", "--architecture", "b"), "name either --pipeline-config or --architecture"),
        (("info", "--pipeline-config", "a", "--num-classes", "3"), "--num-classes goes with --architecture"),
        (
            ("outputs", "--pipeline-config=a", "--checkpoint=b", "--images=c", "--output=d", "--training"),
            "--training and --groundtruth go together",
        ),
    ],
)
def test_options_that_contradict_each_other_are_one_sentence(arguments: tuple[str, ...], told: str) -> None:
    done = _mapgate("model", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_broken_config_ends_with_2_and_its_sentence(case: Path, tmp_path: Path) -> None:
    (tmp_path / "pipeline.config").write_text(
        (case / "pipeline.config").read_text().replace("ssd_mobilenet_v2_fpn_keras", "ssd_nasnet")
    )
    done = _mapgate("model", "info", "--pipeline-config", str(tmp_path / "pipeline.config"))

    assert (done.returncode, done.stdout) == (2, "")
    assert "model.ssd.feature_extractor.type: 'ssd_nasnet' is not supported" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "example"),
    [
        (("model", "info"), "mapgate model info --architecture efficientdet_d1_640x640"),
        (("model", "outputs"), "mapgate model outputs --pipeline-config ./pipeline.config"),
        (("model", "export"), "mapgate model export --pipeline-config ./pipeline.config"),
        (("architectures",), "mapgate architectures --json"),
    ],
)
def test_help_shows_an_example(command: tuple[str, ...], example: str) -> None:
    done = _mapgate(*command, "--help")

    assert done.returncode == 0
    assert example in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    "typed",
    ["run ./images --architecture ssd_mob", "model info --architecture ssd_mob", "zoo fetch ssd_mob"],
)
def test_tab_completes_architectures(typed: str) -> None:
    # As the function that --install-completion leaves in a shell asks.
    asked = {
        "_MAPGATE_COMPLETE": "complete_bash",
        "COMP_WORDS": f"mapgate {typed}",
        "COMP_CWORD": str(len(typed.split())),
    }
    done = _mapgate(**asked)

    assert done.stdout.split() == [
        "ssd_mobilenet_v2_320x320",
        *(f"ssd_mobilenet_v2_fpnlite_{size}x{size}" for size in (160, 320, 640)),
    ]


def _mapgate(*arguments: str, **environment: str) -> Result:
    return subprocess.run(
        [sys.executable, "-c", "from pipelines.cli import main; main()", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
