# SPDX-License-Identifier: Apache-2.0
"""A config and a checkpoint become what the OD API's exporter writes."""

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from training_src.data.label_map import LabelMap, write_label_map
from training_src.errors import BadInputError
from training_src.export.checkpoint_artifact import export_artifact
from training_src.export.exporter import export
from training_src.export.openvino_core import core
from training_src.models.architectures import build_detector
from training_src.models.checkpoints import checkpoint
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import CONFIGS, PipelineConfig
from training_src.text_format import parse

IMAGE = np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8)
PNG = cv2.imencode(".png", IMAGE[..., ::-1])[1].tobytes()
EXAMPLE = tf.train.Example(
    features=tf.train.Features(feature={"image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[PNG]))})
).SerializeToString()
OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
FURTHER_OUTPUTS = (
    "detection_anchor_indices",
    "detection_multiclass_scores",
    "raw_detection_boxes",
    "raw_detection_scores",
)
INPUTS = {
    "image_tensor": IMAGE[None],
    "float_image_tensor": IMAGE[None].astype(np.float32),
    "encoded_image_string_tensor": np.array([PNG], object),
    "tf_example": np.array([EXAMPLE], object),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small detector's config and checkpoint."""
    folder = tmp_path_factory.mktemp("small")
    text = (CONFIGS / "ssd_mobilenet_v2_fpnlite_160x160.config").read_text()
    text = text.replace("num_classes: 90", "num_classes: 2").replace("depth_multiplier: 1.0", "depth_multiplier: 0.1")
    text = text.replace("min_level: 3", "min_level: 5")
    (folder / "pipeline.config").write_text(text + "\ngraph_rewriter { quantization { } }\n")
    keras.utils.set_random_seed(1)
    detector = build_detector(decode(PipelineConfig, parse(text)).model)
    checkpoint.write(str(folder / "ckpt-7"), {key: value.numpy() for key, value in detector.variables().items()})
    return folder


@pytest.mark.parametrize(
    ("name", "rounded"),
    [
        ("ssd_mobilenet_v2_hard_mining", 0.05),
        pytest.param("faster_rcnn_resnet50_v1", 0.05, marks=pytest.mark.verify),
        pytest.param("efficientdet_d1", 0.25, marks=pytest.mark.verify),
    ],
)
def test_the_exported_model_detects_what_the_reference_does(
    name: str,
    rounded: float,
    golden: Path,
    golden_checkpoint: Callable[[str], str],
    tmp_path: Path,
    validation_folder: Path,
) -> None:
    case = golden / name
    export(case / "pipeline.config", golden_checkpoint(name), tmp_path / "out", calibration=validation_folder)
    detect = tf.saved_model.load(str(tmp_path / "out" / "saved_model"))
    openvino, int8 = (
        core().compile_model(tmp_path / "out" / form / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        for form in ("openvino", "openvino-int8")
    )
    with np.load(case / "expected.npz") as expected:
        for image in (0, 1):
            pixels = expected[f"image_{image}"][None]
            answer = {key: value[0].numpy() for key, value in detect(pixels).items()}
            assert_as_expected(answer, expected, image, (*OUTPUTS, *FURTHER_OUTPUTS))
            results = openvino(pixels)
            fast = {key: results[key][0] for key in (*OUTPUTS, *FURTHER_OUTPUTS[:2])}
            assert_as_expected(fast, expected, image, tuple(fast))
            scores = expected["detection_scores"][image]
            np.testing.assert_allclose(int8(pixels)["detection_scores"][0], scores, atol=rounded)


def assert_as_expected(
    answer: dict[str, NDArray[np.float32]], expected: Mapping[str, NDArray[Any]], image: int, keys: Sequence[str]
) -> None:
    count = int(answer["num_detections"])
    assert count == expected["num_detections"][image]
    for key in keys:
        if key in expected and key not in ("detection_classes", "num_detections"):
            np.testing.assert_allclose(answer[key], expected[key][image], atol=2e-4, err_msg=key)
    classes = expected["detection_classes"][image, :count] + 1
    np.testing.assert_array_equal(answer["detection_classes"][:count], classes)


@pytest.fixture(scope="module")
def exported(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is written for the second class only, and beside it what is said."""
    folder = tmp_path_factory.mktemp("exported")
    write_label_map(LabelMap({2: "dog"}), folder / "label_map.pbtxt")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        export(small / "pipeline.config", str(small), folder / "out", folder / "label_map.pbtxt")
    (folder / "said.txt").write_text(said.getvalue())
    return folder / "out"


def test_the_folder_is_laid_out_as_the_apis(exported: Path) -> None:
    assert sorted(str(path.relative_to(exported)) for path in exported.glob("*/*")) == [
        "checkpoint/checkpoint",
        "checkpoint/ckpt-0.data-00000-of-00001",
        "checkpoint/ckpt-0.index",
        "saved_model/assets",
        "saved_model/fingerprint.pb",
        "saved_model/saved_model.pb",
        "saved_model/variables",
    ]
    assert (exported / "pipeline.config").is_file()
    assert (exported / "label_map.pbtxt").is_file()
    assert not list(exported.parent.glob("*.partial"))
    said = (exported.parent / "said.txt").read_text()
    assert "int8          not written, only float32: give --calibration" in said
    assert "quantization" in said


def test_only_the_label_maps_classes_are_detected(answer: dict[str, NDArray[np.float32]]) -> None:
    assert set(answer) == {*OUTPUTS, *FURTHER_OUTPUTS}
    assert set(answer["detection_classes"].ravel().tolist()) <= {0.0, 2.0}


def test_what_is_there_is_not_overwritten(small: Path, exported: Path) -> None:
    with pytest.raises(BadInputError, match="something is there already; give another folder"):
        export(small / "pipeline.config", str(small), exported)


def test_the_exported_checkpoint_is_the_given_one(small: Path, exported: Path) -> None:
    given, written = (checkpoint.read(checkpoint.find(path)) for path in (small, exported / "checkpoint"))
    assert set(written) - set(given) == {"_CHECKPOINTABLE_OBJECT_GRAPH", f"save_counter{checkpoint.SUFFIX}"}
    for key, value in given.items():
        np.testing.assert_array_equal(written[key], value)
    # And TensorFlow finds its way by the objects' names, as the API's own code does.
    kernel = next(key for key in given if key.endswith(f"/bias{checkpoint.SUFFIX}")).removesuffix(checkpoint.SUFFIX)
    *parents, name = kernel.split("/")
    found = tf.Variable(np.zeros_like(given[kernel + checkpoint.SUFFIX]))
    tree: Any = tf.train.Checkpoint(**{name: found})
    for parent in reversed(parents):
        tree = tf.train.Checkpoint(**{parent: tree})
    tree.restore(tf.train.latest_checkpoint(str(exported / "checkpoint"))).expect_partial()
    np.testing.assert_array_equal(found.numpy(), given[kernel + checkpoint.SUFFIX])


@pytest.fixture(scope="module")
def answer(exported: Path) -> dict[str, NDArray[np.float32]]:
    """Of the exported model, called as it was loaded."""
    loaded = tf.saved_model.load(str(exported / "saved_model"))
    return {name: value.numpy() for name, value in loaded(tf.constant(IMAGE[None])).items()}


# An example's image is decoded as an image that comes by itself; an image of floats is that of integers, cast.
@pytest.mark.parametrize(
    "kind",
    [
        "tf_example",
        pytest.param("encoded_image_string_tensor", marks=pytest.mark.verify),
        pytest.param("float_image_tensor", marks=pytest.mark.verify),
    ],
)
def test_every_input_type_finds_the_same(
    small: Path, answer: dict[str, NDArray[np.float32]], tmp_path: Path, kind: str
) -> None:
    export(small / "pipeline.config", str(small), tmp_path / "out", input_type=kind)
    loaded = tf.saved_model.load(str(tmp_path / "out" / "saved_model"))
    found = loaded.signatures["serving_default"](input_tensor=tf.constant(INPUTS[kind]))
    np.testing.assert_allclose(found["raw_detection_scores"], answer["raw_detection_scores"], atol=1e-6)


def test_a_file_that_ends_before_suppression_is_announced(
    small: Path, validation_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (small / "pipeline.config").read_text()
    changed = text.replace("batch_non_max_suppression {", "batch_non_max_suppression { use_class_agnostic_nms: true")
    (tmp_path / "pipeline.config").write_text(changed)
    export(tmp_path / "pipeline.config", str(small), tmp_path / "out", calibration=validation_folder)
    assert "openvino      ends at boxes and scores" in capsys.readouterr().out
    outputs = core().read_model(tmp_path / "out" / "openvino" / "model.xml").outputs
    assert {output.any_name for output in outputs} == {"boxes", "scores", "window", "all_scores"}


def test_a_failed_export_leaves_nothing_that_looks_finished(small: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match="there is no labelled image in it"):
        export(small / "pipeline.config", str(small), tmp_path / "out", calibration=tmp_path / "empty")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def served(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same checkpoint, laid out as the zoo's with its label map, as what a server takes."""
    zoo = tmp_path_factory.mktemp("zoo") / "small_detector"
    (zoo / "checkpoint").mkdir(parents=True)
    for file in small.glob("ckpt-7.*"):
        shutil.copyfile(file, zoo / "checkpoint" / file.name)
    shutil.copyfile(small / "pipeline.config", zoo / "pipeline.config")
    write_label_map(LabelMap({2: "dog"}), zoo / "label_map.pbtxt")
    export_artifact(str(zoo), zoo.parent / "served")
    return zoo.parent / "served"


def test_a_checkpoint_with_its_config_and_labels_becomes_what_a_server_takes(served: Path) -> None:
    told = json.loads((served / "model.json").read_text())

    assert told["architecture"] == "small_detector"
    assert told["classes"] == [{"id": 2, "name": "dog"}]
    assert (told["dataset"], told["training"]) == (None, None)
    assert all((served / form["path"]).exists() for form in told["runtimes"].values())
    assert set(told["runtimes"]) == {"tensorflow", "openvino"}
    assert (served / "label_map.pbtxt").is_file() and (served / "pipeline.config").is_file()
    assert not list(served.parent.glob("*.partial"))


def test_its_fast_form_finds_what_the_apis_form_does(served: Path, answer: dict[str, NDArray[np.float32]]) -> None:
    fast = core().compile_model(
        served / "runtimes" / "openvino" / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    found = fast(IMAGE[None])
    assert found["num_detections"] == answer["num_detections"] > 0
    # Untrained heads give many boxes nearly equal scores, so that these tell more than the order of the boxes.
    for key in ("detection_scores", "detection_classes"):
        np.testing.assert_allclose(found[key], answer[key], atol=2e-4, err_msg=key)


@pytest.mark.parametrize(
    ("missing", "option"), [("pipeline.config", "pipeline-config"), ("label_map.pbtxt", "label-map")]
)
def test_what_lies_not_beside_a_checkpoint_is_asked_for(tmp_path: Path, missing: str, option: str) -> None:
    for name in {"pipeline.config", "label_map.pbtxt"} - {missing}:
        (tmp_path / name).write_text("")
    with pytest.raises(BadInputError, match=f"there is no {missing.replace('.', '[.]')} beside it; give --{option}"):
        export_artifact(str(tmp_path), tmp_path / "out")
