# SPDX-License-Identifier: Apache-2.0
"""`mapgate invoke --model`: a real server of a model that lies here, and no cloud."""

from __future__ import annotations

import json
import resource
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from tests.conftest import CHECKOUT, MadeOnce, Record
from tests.picture_files import with_orientation

Mapgate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def model(made_once: MadeOnce) -> Path:
    """A folder as model.tar.gz is laid out, whose model finds the same three things in every picture."""

    def make(folder: Path) -> None:
        picture = ops.parameter([1, -1, -1, 3], np.uint8, "input_tensor")
        # Nothing may be constant, or it is no output of what was asked.
        nothing = ops.multiply(
            ops.reduce_min(ops.convert(picture, "f32"), [0, 1, 2, 3], keep_dims=False), np.float32(0)
        )
        values = {
            "detection_boxes": [[[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1], [0.2, 0.2, 0.3, 0.3]]],
            "detection_scores": [[0.9, 0.6, 0.2]],
            "detection_classes": [[2, 1, 1]],
            "num_detections": [3],
        }
        outputs = []
        for name, value in values.items():
            output = ops.add(ops.constant(np.array(value, np.float32)), nothing)
            output.output(0).set_names({name})
            outputs.append(ops.result(output))
        ov.save_model(ov.Model(outputs, [picture]), folder / "model.xml", compress_to_fp16=False)
        described = {
            "schema_version": 1,
            "architecture": "constant",
            "input": {"height": 32, "width": 32},
            "classes": [{"id": 1, "name": "car"}, {"id": 2, "name": "person"}],
            "runtimes": {"openvino": {"path": "model.xml", "precisions": ["f32"]}},
        }
        (folder / "model.json").write_text(json.dumps(described))

    return made_once("constant-model", make)


@pytest.fixture
def archive(model: Path, tmp_path: Path) -> Path:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(model, ".")
    return tmp_path / "model.tar.gz"


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "street.jpg"), np.full((60, 80, 3), 90, np.uint8))
    return tmp_path / "street.jpg"


def test_an_archive_answers_without_any_cloud(mapgate: Mapgate, archive: Path, photograph: Path) -> None:
    drawn = photograph.with_name("drawn.png")
    done = mapgate("invoke", photograph, "--model", archive, "--output", drawn)

    assert done.returncode == 0, done.stderr
    rows = [line.replace("│", " ").split() for line in done.stdout.splitlines() if "car" in line or "person" in line]
    assert rows == [
        ["person", "0.900", "0.200", "0.100", "0.600", "0.500"],
        ["car", "0.600", "0.000", "0.000", "1.000", "1.000"],
    ]
    picture = cv2.imread(str(drawn))
    assert picture is not None and (picture != 90).any()
    assert done.stderr == ""


def test_a_phone_s_picture_is_drawn_upright(typed: Mapgate, model: Path, photograph: Path) -> None:
    photograph.write_bytes(with_orientation(photograph.read_bytes(), 6))
    drawn = photograph.with_name("drawn.png")
    done = typed("invoke", photograph, "--model", model, "--output", drawn, "--least-score", "0.7")

    assert done.returncode == 0, done.stderr
    picture = cv2.imread(str(drawn))
    assert picture is not None
    height, width = picture.shape[:2]
    assert height / width == pytest.approx(80 / 60, rel=0.01)
    # The only box, in fractions of the upright picture: xmin 0.2, ymin 0.1, xmax 0.6, ymax 0.5.
    rows, columns = np.nonzero((picture != 90).any(axis=2))
    assert (columns.min() / width, columns.max() / width) == pytest.approx((0.2, 0.6), abs=0.02)
    assert rows.max() / height == pytest.approx(0.5, abs=0.02)


def test_a_folder_does_as_its_archive_and_scripts_get_json(typed: Mapgate, model: Path, photograph: Path) -> None:
    done = typed("invoke", photograph, "--model", model, "--least-score", "0.1", "--json")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(each["label"], round(each["score"], 3)) for each in told] == [("person", 0.9), ("car", 0.6), ("car", 0.2)]
    assert told[0]["box"] == pytest.approx([0.2, 0.1, 0.6, 0.5])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere.jpg", "--model", "open-images"], "nowhere.jpg: cannot be read (No such file or directory)"),
        (["README.md", "--model", "open-images"], "README.md: not an image that can be read; send a JPEG or PNG file"),
        (["docs", "--model", "open-images"], "docs: cannot be read (Is a directory)"),
        (["{image}", "--model", "nothing"], "--model nothing: neither open-images nor a model.tar.gz or its folder"),
        (["{image}", "--model", "docs"], "docs: there is no model.json in it"),
        (["{image}", "--model", "README.md"], "README.md: cannot be read as a .tar.gz"),
        (["{image}", "--model", "open-images", "--endpoint", "e"], "leave --endpoint out"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(typed: Mapgate, photograph: Path, words: list[str], told: str) -> None:
    done = typed("invoke", *(word.format(image=photograph) for word in words))

    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_whoever_names_a_cloud_means_no_model_of_this_machine(typed: Mapgate, photograph: Path, model: Path) -> None:
    done = typed("--environment", "prod", "--region", "us-east-1", "invoke", photograph, "--model", model)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "mapgate: --model serves on this machine and asks no cloud: leave --environment, --region out\n"
    )


@pytest.mark.verify
def test_a_street_gets_its_boxes_on_a_machine_that_has_nothing_but_npm(mapgate: Mapgate, record: Record) -> None:
    """With an empty home: the package from npm, its conversion, the export, the server."""
    frame = CHECKOUT / "tests" / "data" / "urban_frames" / "frame_031.jpg"
    seconds = [_seconds_of_children()]
    for _ in range(2):
        done = mapgate("invoke", frame, "--model", "open-images", "--json")
        if "npm cannot bring" in done.stderr:
            pytest.skip(done.stderr)
        assert done.returncode == 0, done.stderr
        seconds.append(_seconds_of_children())

    assert {"Car", "Person"} & {each["label"] for each in json.loads(done.stdout)}
    first, second = seconds[1] - seconds[0], seconds[2] - seconds[1]
    record("boxes on a photograph by `mapgate invoke --model open-images`, the first time", f"{first:.0f} s of CPU")
    record("the same once it is exported", f"{second:.1f} s of CPU")
    assert second < first / 2


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
