# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of the OD API, read by key."""

import json
import shutil
import tarfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from training_src.models.architectures import build_detector
from training_src.models.checkpoints import checkpoint
from training_src.models.checkpoints.slim import slim_names
from training_src.models.config.pipeline import PipelineDescription, load
from training_src.models.errors import CheckpointError


@pytest.fixture(scope="module")
def built(description: PipelineDescription) -> dict[str, keras.Variable]:
    """The variables of a detector."""
    return dict(build_detector(description.config.model).variables())


@pytest.fixture
def variables(built: dict[str, keras.Variable]) -> dict[str, keras.Variable]:
    """The same, drawn anew."""
    random = np.random.default_rng(0)
    for variable in built.values():
        variable.assign(random.normal(size=variable.shape))
    return built


def test_every_key_of_the_reference_is_a_variable(case: Path, variables: dict[str, keras.Variable]) -> None:
    entries = json.loads((case / "variables.json").read_text())
    shapes = {entry["key"]: entry["shape"] for entry in entries if not entry["key"].startswith("save_counter")}
    assert {key: list(v.shape) for key, v in variables.items()} == shapes


@pytest.mark.parametrize(("kind", "count"), [("detection", 290), ("classification", 260), ("full", 384), ("", 290)])
def test_a_type_restores_what_it_says(
    variables: dict[str, keras.Variable], reference_checkpoint: str, kind: str, count: int
) -> None:
    drawn = {key: variable.numpy() for key, variable in variables.items()}
    restored = checkpoint.restore(variables, reference_checkpoint, kind)
    assert len(restored.restored) == count
    assert len(restored.left) == len(restored.unused) == 384 - count
    stored = checkpoint.read(reference_checkpoint)
    for key, variable in variables.items():
        np.testing.assert_array_equal(variable.numpy(), stored[key] if key in restored.restored else drawn[key])
    assert f"restored       {count} variables of " in restored.table()


def test_a_classification_checkpoint_is_rooted_at_the_backbone(
    variables: dict[str, keras.Variable], reference_checkpoint: str, tmp_path: Path
) -> None:
    backbone = "model/_feature_extractor/classification_backbone/"
    tensors = {
        "feature_extractor/" + key.removeprefix(backbone): tensor
        for key, tensor in checkpoint.read(reference_checkpoint).items()
        if key.startswith(backbone)
    }
    prefix = str(tmp_path / "mobilenet_v2.ckpt-1")
    checkpoint.write(prefix, tensors)
    for kind in ("classification", ""):
        assert len(checkpoint.restore(variables, prefix, kind).restored) == 260
    with pytest.raises(CheckpointError, match="none of its 260 tensors is a detection variable of this model"):
        checkpoint.restore(variables, prefix, "detection")


def test_another_class_count_is_named(case: Path, reference_checkpoint: str, tmp_path: Path) -> None:
    config = tmp_path / "pipeline.config"
    config.write_text((case / "pipeline.config").read_text().replace("num_classes: 3", "num_classes: 5"))
    variables = build_detector(load(config, 5).config.model).variables()
    with pytest.raises(
        CheckpointError,
        match=r"class_predictions_with_background.* has shape \[1, 1, 128, 24\], .* needs \[1, 1, 128, 36\]",
    ):
        checkpoint.restore(variables, reference_checkpoint, "full")
    assert len(checkpoint.restore(variables, reference_checkpoint, "detection").restored) == 290


@pytest.mark.parametrize(
    ("name", "detection", "classification", "with_heads"),
    [
        ("ssd_mobilenet_v2_fpnlite", 290, 260, 384 - 3),
        ("ssd_resnet50_v1_fpn", 291, 265, 463 - 2),
        ("efficientdet_d1", 731, 439, 875 - 3),
        ("faster_rcnn_resnet50_v1", 265, 265, 275 - 2),
        ("faster_rcnn_resnet50_v1_fpn", 301, 265, 327 - 2),
        ("faster_rcnn_inception_resnet_v2", 896, 896, 906 - 2),
        ("ssd_mobilenet_v2_hard_mining", 300, 260, 324 - 12),
        ("ssd_mobilenet_v1", 175, 135, 199 - 12),
        ("ssd_mobilenet_v1_fpn", 161, 135, 333 - 2),
    ],
)
def test_each_architecture_restores_what_a_type_names(
    golden: Path, tmp_path: Path, name: str, detection: int, classification: int, with_heads: int
) -> None:
    # Which variables are read follows from the keys alone, so small ones do.
    keys = [entry["key"] for entry in json.loads((golden / name / "variables.json").read_text())]
    keys.remove(f"save_counter{checkpoint.SUFFIX}")
    prefix = str(tmp_path / "ckpt-0")
    checkpoint.write(prefix, {key: np.full(2, index, np.float32) for index, key in enumerate(keys)})
    counts = {"detection": detection, "classification": classification, "detection_with_heads": with_heads}
    drawn = np.full(2, -1, np.float32)
    variables = {key: keras.Variable(drawn) for key in keys}
    for kind, count in counts.items():
        restored = checkpoint.restore(variables, prefix, kind)
        assert (kind, len(restored.restored)) == (kind, count)
        assert len(restored.left) == len(restored.unused) == len(keys) - count
        read = {key for index, key in enumerate(keys) if (variables[key].numpy() == index).all()}
        assert read == set(restored.restored)
        for key in read:
            variables[key].assign(drawn)


@pytest.mark.parametrize("name", ["faster_rcnn_resnet50_v1", "faster_rcnn_resnet50_v1_fpn", "efficientdet_d1"])
def test_a_classifiers_layers_are_numbered_through(golden: Path, tmp_path: Path, name: str) -> None:
    entries = json.loads((golden / name / "variables.json").read_text())
    keys = [entry["key"] for entry in entries if "/layer_with_weights-" in entry["key"]]
    keys = [key for key in keys if "_first_stage_box_predictor_first_conv" not in key]
    if name.endswith("_fpn"):
        keys = [key for key in keys if "_for_box_classifier" not in key]  # two dense layers of its own
    first = 1 + max(_number(key) for key in keys if "_for_box_classifier" not in key) if "faster" in name else 0

    def place(key: str) -> str:
        number = _number(key) + (first if "_for_box_classifier" in key else 0)
        return f"feature_extractor/layer_with_weights-{number}/{key.split('layer_with_weights-')[1].split('/', 1)[1]}"

    prefix = str(tmp_path / "resnet50.ckpt-1")
    checkpoint.write(prefix, {place(key): np.full(2, index, np.float32) for index, key in enumerate(keys)})
    variables = {key: keras.Variable(np.zeros(2, np.float32)) for key in keys}
    assert checkpoint.restore(variables, prefix, "").unused == []
    assert [int(variables[key].numpy()[0]) for key in keys] == list(range(len(keys)))


def _number(key: str) -> int:
    return int(key.split("layer_with_weights-")[1].split("/")[0])


def test_a_key_that_is_not_there_is_looked_up_in_the_object_graph(tmp_path: Path) -> None:
    class Model(tf.train.Checkpoint):  # type: ignore[misc]
        pass

    layer = tf.train.Checkpoint(kernel=tf.Variable([3.0, 4.0]))
    # Both names reach the layer; the shorter path became its key.
    prefix = tf.train.Checkpoint(backbone=layer, model=Model(_feature_extractor=Model(backbone=layer))).write(
        str(tmp_path / "ckpt")
    )
    key = f"model/_feature_extractor/backbone/kernel{checkpoint.SUFFIX}"
    assert key not in checkpoint.read(prefix)
    variables = {key: keras.Variable(np.zeros(2, np.float32))}
    restored = checkpoint.restore(variables, prefix, "detection")
    assert (restored.restored, restored.unused) == ([key], [])
    np.testing.assert_array_equal(variables[key].numpy(), [3.0, 4.0])


def test_other_classes_keep_the_towers_and_lose_the_class_head(tmp_path: Path) -> None:
    def weights(classes: int) -> dict[str, NDArray[np.float64]]:
        model = "model/_mask_rcnn_box_predictor"
        return {
            f"model/_feature_extractor_for_proposal_features/layer_with_weights-0/kernel{checkpoint.SUFFIX}": np.ones(
                3
            ),
            f"model/_first_stage_box_predictor/_class_predictor_layers/0/bias{checkpoint.SUFFIX}": np.ones(24),
            f"{model}/_box_prediction_head/_box_encoder_layers/1/bias{checkpoint.SUFFIX}": np.ones(4 * classes),
            f"{model}/_class_prediction_head/_class_predictor_layers/1/bias{checkpoint.SUFFIX}": np.ones(classes + 1),
        }

    prefix = str(tmp_path / "ckpt-0")
    checkpoint.write(prefix, weights(90))
    variables = {key: keras.Variable(0 * value) for key, value in weights(3).items()}
    restored = checkpoint.restore(variables, prefix, "detection_with_heads")
    assert [variable.numpy().sum() for variable in variables.values()] == [3, 24, 0, 0]
    assert list(restored.left.values()) == ["detection_with_heads does not ask for them", "of another class count"]
    assert "mask_rcnn_box_predictor: of another class count" in restored.table()
    with pytest.raises(CheckpointError, match=r"has shape \[360\], the model needs \[12\]"):
        checkpoint.restore(variables, prefix, "full")


SLIM = {
    "classification_backbone/layer_with_weights-0/kernel": "FeatureExtractor/MobilenetV2/Conv/weights",
    "classification_backbone/layer_with_weights-2/depthwise_kernel": (
        "FeatureExtractor/MobilenetV2/expanded_conv/depthwise/depthwise_weights"
    ),
    "classification_backbone/layer_with_weights-6/kernel": (
        "FeatureExtractor/MobilenetV2/expanded_conv_1/expand/weights"
    ),
    "classification_backbone/layer_with_weights-101/moving_variance": (
        "FeatureExtractor/MobilenetV2/expanded_conv_16/project/BatchNorm/moving_variance"
    ),
    "classification_backbone/layer_with_weights-103/gamma": "FeatureExtractor/MobilenetV2/Conv_1/BatchNorm/gamma",
    "feature_map_generator/convolutions/2/0/kernel": (
        "FeatureExtractor/MobilenetV2/layer_19_1_Conv2d_2_1x1_256/weights"
    ),
    "feature_map_generator/convolutions/5/4/beta": (
        "FeatureExtractor/MobilenetV2/layer_19_2_Conv2d_5_3x3_s2_128/BatchNorm/beta"
    ),
}


def test_a_slim_checkpoint_of_ssd_mobilenet_v2_is_read_by_name(golden: Path, tmp_path: Path) -> None:
    entries = json.loads((golden / "ssd_mobilenet_v2_hard_mining" / "variables.json").read_text())
    shapes = {entry["key"].removesuffix(checkpoint.SUFFIX): entry["shape"] for entry in entries if entry["shape"]}
    names = slim_names(shapes)
    assert {key: names[f"model/_feature_extractor/{key}"] for key in SLIM} == SLIM
    assert names["model/_box_predictor/_prediction_heads/box_encodings/3/_box_encoder_layers/0/bias"] == (
        "BoxPredictor_3/BoxEncodingPredictor/biases"
    )
    assert len(set(names.values())) == len(shapes) == 324
    prefix = str(tmp_path / "model.ckpt")
    checkpoint.write(prefix, {name: np.full(shapes[key], 0.5, np.float32) for key, name in names.items()})
    variables = {
        f"{key}{checkpoint.SUFFIX}": keras.Variable(np.zeros(shape, np.float32)) for key, shape in shapes.items()
    }
    for kind, count in (("classification", 260), ("detection", 300), ("full", 324)):
        restored = checkpoint.restore(variables, prefix, kind)
        assert (kind, len(restored.restored)) == (kind, count)
        for key in restored.restored:
            assert (variables[key].numpy() == 0.5).all()
            variables[key].assign(np.zeros(variables[key].shape))


SLIM_V1 = {
    "classification_backbone/layer_with_weights-0/kernel": "FeatureExtractor/MobilenetV1/Conv2d_0/weights",
    "classification_backbone/layer_with_weights-1/beta": "FeatureExtractor/MobilenetV1/Conv2d_0/BatchNorm/beta",
    "classification_backbone/layer_with_weights-2/depthwise_kernel": (
        "FeatureExtractor/MobilenetV1/Conv2d_1_depthwise/depthwise_weights"
    ),
    "classification_backbone/layer_with_weights-4/kernel": "FeatureExtractor/MobilenetV1/Conv2d_1_pointwise/weights",
    "classification_backbone/layer_with_weights-53/gamma": (
        "FeatureExtractor/MobilenetV1/Conv2d_13_pointwise/BatchNorm/gamma"
    ),
    "_feature_map_generator/convolutions/2/0/kernel": (
        "FeatureExtractor/MobilenetV1/Conv2d_13_pointwise_1_Conv2d_2_1x1_256/weights"
    ),
    "_feature_map_generator/convolutions/5/4/moving_mean": (
        "FeatureExtractor/MobilenetV1/Conv2d_13_pointwise_2_Conv2d_5_3x3_s2_128/BatchNorm/moving_mean"
    ),
}


def test_a_slim_checkpoint_of_ssd_mobilenet_v1_is_read_by_name(golden: Path, tmp_path: Path) -> None:
    """`ssd_mobilenet_v1_coco_2018_01_28`, from which most configs of TensorFlow 1 start."""
    entries = json.loads((golden / "ssd_mobilenet_v1" / "variables.json").read_text())
    shapes = {entry["key"].removesuffix(checkpoint.SUFFIX): entry["shape"] for entry in entries if entry["shape"]}
    names = slim_names(shapes)
    assert {key: names[f"model/_feature_extractor/{key}"] for key in SLIM_V1} == SLIM_V1
    assert len(set(names.values())) == len(shapes) == len(names)
    prefix = str(tmp_path / "model.ckpt")
    checkpoint.write(prefix, {name: np.full(shapes[key], 0.5, np.float32) for key, name in names.items()})
    variables = {
        f"{key}{checkpoint.SUFFIX}": keras.Variable(np.zeros(shape, np.float32)) for key, shape in shapes.items()
    }
    # 27 convolutions with their norms, eight behind them, and six maps with two heads.
    for kind, count in (("classification", 27 * 5), ("detection", 35 * 5), ("full", 35 * 5 + 6 * 2 * 2)):
        assert (kind, len(checkpoint.restore(variables, prefix, kind).restored)) == (kind, count)
    # The classifier's, whose variables have no extractor around them.
    bare = {name.removeprefix("FeatureExtractor/"): shapes[key] for key, name in names.items() if "backbone" in key}
    checkpoint.write(
        str(tmp_path / "mobilenet.ckpt"), {name: np.ones(shape, np.float32) for name, shape in bare.items()}
    )
    restored = checkpoint.restore(variables, str(tmp_path / "mobilenet.ckpt"), "classification")
    assert len(restored.restored) == 27 * 5


def test_other_slim_checkpoints_are_refused_in_a_sentence(variables: dict[str, keras.Variable], tmp_path: Path) -> None:
    prefix = str(tmp_path / "model.ckpt")
    checkpoint.write(prefix, {"FeatureExtractor/InceptionV2/Conv2d_1a_7x7/weights": np.zeros(3, np.float32)})
    sentence = r"of TensorFlow 1, of which only those of SSD MobileNet V1 and V2 can be read"
    with pytest.raises(CheckpointError, match=sentence):
        checkpoint.restore(variables, prefix, "detection")


def test_an_archive_of_the_zoo_is_a_checkpoint(tmp_path: Path) -> None:
    key = f"model/_feature_extractor/layer_with_weights-0/kernel{checkpoint.SUFFIX}"
    zoo = tmp_path / "ssd_x_coco17_tpu-8"
    for folder, name, value in (("checkpoint", "ckpt-0", 1.0), ("saved_model/variables", "variables", 2.0)):
        (zoo / folder).mkdir(parents=True)
        checkpoint.write(str(zoo / folder / name), {key: np.full(2, value, np.float32)})
    archive = tmp_path / "ssd_x.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(zoo, arcname=zoo.name)
    shutil.rmtree(zoo)
    for source in (archive, tmp_path):
        variables = {key: keras.Variable(np.zeros(2, np.float32))}
        assert checkpoint.restore(variables, source, "").restored == [key]
        assert variables[key].numpy()[0] == 1.0


def test_damaged_and_missing_checkpoints_are_sentences(
    variables: dict[str, keras.Variable], reference_checkpoint: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="not a readable TensorFlow checkpoint"):
        checkpoint.restore(variables, str(tmp_path / "nothing"), "full")
    data = Path(f"{reference_checkpoint}.data-00000-of-00001").read_bytes()
    (tmp_path / "cut.data-00000-of-00001").write_bytes(data[: len(data) // 2])
    (tmp_path / "cut.index").write_bytes(Path(f"{reference_checkpoint}.index").read_bytes())
    with pytest.raises(CheckpointError, match=r"cut: .*damaged"):
        checkpoint.restore(variables, str(tmp_path / "cut"), "full")
    index = (tmp_path / "cut.index").read_bytes()
    (tmp_path / "cut.index").write_bytes(index[: len(index) // 2])
    with pytest.raises(CheckpointError, match="cut: not a readable TensorFlow checkpoint"):
        checkpoint.restore(variables, str(tmp_path / "cut"), "full")
    (tmp_path / "alone.index").write_bytes(index)
    with pytest.raises(CheckpointError, match=r"alone: .*damaged .*No such file"):
        checkpoint.restore(variables, str(tmp_path / "alone"), "full")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        checkpoint.find(tmp_path / "empty")


def test_the_newest_checkpoint_of_a_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    for number in (9, 10):
        checkpoint.write(str(tmp_path / "zoo" / f"ckpt-{number}"), {"a": np.zeros(2, np.float32)})
    assert checkpoint.find(tmp_path) == str(tmp_path / "zoo" / "ckpt-10")
