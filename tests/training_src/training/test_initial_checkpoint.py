# SPDX-License-Identifier: Apache-2.0
"""What a training starts from, whoever says so and whoever says nothing."""

import hashlib
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from training_src.data.label_map import LabelMap, write_label_map
from training_src.data.seen_groups import SeenGroups
from training_src.errors import ConfigurationError
from training_src.export.saved_model import save_model
from training_src.models.architectures import build_detector
from training_src.models.checkpoints import checkpoint
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import CONFIGS, PipelineConfig, PipelineDescription, load, load_bundled
from training_src.models.detector import Detector
from training_src.models.errors import CheckpointError
from training_src.text_format import parse
from training_src.training.hyperparameters import BuiltIn
from training_src.training.initial_checkpoint import (
    InitialCheckpoint,
    initial_checkpoint,
    restore,
    takes_zoos_schedule,
)
from training_src.training.request import Request

LABELS = LabelMap({1: "vehicle", 2: "pedestrian", 4: "cyclist"})


@pytest.fixture
def carried(tmp_path: Path) -> Path:
    """The folder of an image that carries weights of SSD MobileNet V2."""
    folder = tmp_path / "pretrained" / "ssd_mobilenet_v2_300x300_open_images"
    written(folder / "checkpoint", 1.0)
    text = (CONFIGS / "ssd_mobilenet_v2_320x320.config").read_text().replace("num_classes: 90", "num_classes: 23")
    (folder / "pipeline.config").write_text(text)
    return folder.parent


def written(folder: Path, value: float) -> str:
    """A checkpoint's prefix."""
    folder.mkdir(parents=True)
    checkpoint.write(str(folder / "ckpt-0"), {"model/x/.ATTRIBUTES/VARIABLE_VALUE": np.full(2, value, np.float32)})
    return str(folder / "ckpt-0")


def asked(**given: object) -> Request:
    return replace(Request(Path("train"), Path("validation"), LABELS, "0" * 64), **given)  # type: ignore[arg-type]


def with_checkpoint(tmp_path: Path, fields: str) -> tuple[Request, PipelineDescription]:
    """A user's own config with these fields in its `train_config`."""
    config = tmp_path / "own.config"
    text = (CONFIGS / "ssd_mobilenet_v2_320x320.config").read_text()
    config.write_text(text.replace("train_config {", f"train_config {{\n{fields}"))
    return asked(config=config), load(config, 4)


def chosen(
    tmp_path: Path, request: Request, description: PipelineDescription, carried: Path | None = None
) -> InitialCheckpoint | None:
    return initial_checkpoint(request, description, tmp_path / "work", carried or tmp_path / "nothing")


@pytest.mark.parametrize(
    ("architecture", "takes"),
    [
        ("ssd_mobilenet_v2_320x320", True),
        ("ssd_mobilenet_v2_fpnlite_320x320", True),
        ("ssd_mobilenet_v2_fpnlite_640x640", True),
        ("ssd_mobilenet_v2_fpnlite_160x160", True),
        ("ssd_resnet50_v1_fpn_640x640", False),
        ("efficientdet_d0_512x512", False),
        ("faster_rcnn_resnet50_v1_640x640", False),
    ],
)
def test_the_images_weights_start_a_bundled_config_of_their_backbone(
    tmp_path: Path, carried: Path, architecture: str, takes: bool
) -> None:
    found = chosen(tmp_path, asked(architecture=architecture), load_bundled(architecture, 4), carried)
    assert (found is not None) == takes
    if found:
        assert (found.origin, found.kind, found.source.name) == (
            "pretrained",
            "",
            "ssd_mobilenet_v2_300x300_open_images",
        )
        assert checkpoint.read(found.prefix)
    assert chosen(tmp_path, asked(architecture=architecture), load_bundled(architecture, 4)) is None


def test_the_images_weights_start_no_backbone_of_another_depth(tmp_path: Path, carried: Path) -> None:
    message = parse((CONFIGS / "ssd_mobilenet_v2_320x320.config").read_text().replace("plier: 1.0", "plier: 0.5"))
    half = PipelineDescription(decode(PipelineConfig, message), message, "ssd_mobilenet_v2_320x320")
    assert chosen(tmp_path, asked(architecture="ssd_mobilenet_v2_320x320"), half, carried) is None


@pytest.mark.parametrize("field", ["", 'fine_tune_checkpoint: "PATH_TO_BE_CONFIGURED"'])
def test_a_config_of_the_users_starts_from_scratch_where_it_names_no_checkpoint(
    tmp_path: Path, carried: Path, field: str
) -> None:
    assert chosen(tmp_path, *with_checkpoint(tmp_path, field), carried) is None


def test_a_channel_wins_over_the_config_and_the_images_weights(tmp_path: Path, carried: Path) -> None:
    written(tmp_path / "channel", 2.0)
    request, description = with_checkpoint(tmp_path, f'fine_tune_checkpoint: "{written(tmp_path / "own", 3.0)}"')
    configured = chosen(tmp_path, request, description, carried)
    assert configured is not None and configured.origin == "configured"
    for each in (request, asked(architecture="ssd_mobilenet_v2_320x320")):
        found = chosen(tmp_path, replace(each, checkpoint=tmp_path / "channel"), description, carried)
        assert found is not None and found.origin == "given"
        assert found.digest != configured.digest


def test_the_object_scratch_means_drawn_weights_for_all(tmp_path: Path, carried: Path) -> None:
    (tmp_path / "channel").mkdir()
    (tmp_path / "channel" / "scratch").write_text("scratch\n")
    request, description = with_checkpoint(tmp_path, f'fine_tune_checkpoint: "{written(tmp_path / "own", 3.0)}"')
    for each in (request, asked(architecture="ssd_mobilenet_v2_320x320")):
        assert chosen(tmp_path, replace(each, checkpoint=tmp_path / "channel"), description, carried) is None


def test_a_type_that_somebody_wrote_is_kept(tmp_path: Path, carried: Path) -> None:
    prefix = written(tmp_path / "own", 3.0)
    for fields, kind in (("", ""), ('fine_tune_checkpoint_type: "detection"', "detection")):
        found = chosen(tmp_path, *with_checkpoint(tmp_path, f'fine_tune_checkpoint: "{prefix}" {fields}'))
        assert found is not None and found.kind == kind
    # The built-in algorithm's hyperparameter has gone into the config that is trained.
    _, description = with_checkpoint(tmp_path, 'fine_tune_checkpoint_type: "full"')
    request = asked(architecture="ssd_mobilenet_v2_320x320", built_in=BuiltIn(reinitialize_top_layer="false"))
    found = chosen(tmp_path, request, description, carried)
    assert found is not None and found.kind == "full"


def test_a_configured_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    request, description = with_checkpoint(tmp_path, 'fine_tune_checkpoint: "zoo/checkpoint/ckpt-0"')
    with pytest.raises(ConfigurationError, match="'zoo/checkpoint/ckpt-0' is not there; give its folder as Initial"):
        chosen(tmp_path, request, description)
    (tmp_path / "code").mkdir()
    with pytest.raises(ConfigurationError, match="Of a source_dir only configs and checkpoints are taken"):
        chosen(tmp_path, replace(request, root=tmp_path), description)


def test_a_configured_checkpoint_may_lie_beside_its_config(tmp_path: Path) -> None:
    """As where an estimator's folder is a channel, whatever that is called."""
    request, description = with_checkpoint(tmp_path, 'fine_tune_checkpoint: "zoo/checkpoint/ckpt-0"')
    prefix = written(tmp_path / "zoo" / "checkpoint", 1.0)
    found = chosen(tmp_path, request, description)
    assert found is not None and (found.prefix, found.origin) == (prefix, "configured")


@pytest.fixture(scope="module")
def made(small_config: str, short_mobilenet: None) -> Callable[[int, int], Detector]:  # noqa: ARG001
    """A small detector with drawn weights: `made(classes, seed)`."""

    def make(classes: int, seed: int) -> Detector:
        keras.utils.set_random_seed(seed)
        config = parse(small_config.replace("num_classes: 4", f"num_classes: {classes}"))
        detector = build_detector(decode(PipelineConfig, config).model)
        random = np.random.default_rng(seed)
        for variable in detector.variables().values():
            if variable.name in ("beta", "moving_mean", "bias"):
                variable.assign(random.normal(0, 0.3, variable.shape))
        return detector

    return make


def packed(folder: Path, archive: Path, inside: str = "") -> Path:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=inside)
    return archive


@pytest.fixture(scope="module")
def trained(made: Callable[[int, int], Detector], small_config: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training's model.tar.gz holds, as far as another one can start from it."""
    folder = tmp_path_factory.mktemp("trained")
    save_model(made(4, 1), list(LABELS.names), folder / "1")
    write_label_map(LABELS, folder / "label_map.pbtxt")
    (folder / "pipeline.config").write_text(small_config)
    return folder


def given(source: Path, tmp_path: Path, small_config: str) -> InitialCheckpoint:
    config = tmp_path / "own.config"
    config.write_text(small_config)
    found = chosen(tmp_path, asked(config=config, checkpoint=source), load(config, 4))
    assert found is not None
    return found


def raw(outputs: Mapping[str, tf.Tensor]) -> dict[str, NDArray[np.float32]]:
    return {name: outputs[f"raw_detection_{name}"].numpy() for name in ("boxes", "scores")}


def test_an_archive_of_ours_gives_the_very_model_back(
    made: Callable[[int, int], Detector], trained: Path, small_config: str, tmp_path: Path
) -> None:
    packed(trained, tmp_path / "model" / "model.tar.gz")
    detector = made(4, 2)
    for source in (tmp_path / "model", trained):
        initial = given(source, tmp_path, small_config)
        restored = restore(detector, initial, LABELS)
        assert (restored.left, restored.unused, restored.drawn) == ({}, [], [])
        assert list(restored.kept) == ["vehicle", "pedestrian", "cyclist"]
        image = np.random.default_rng(3).integers(0, 256, (1, 48, 72, 3), dtype=np.uint8)
        expected = raw(tf.saved_model.load(str(trained / "1"))(tf.constant(image)))
        inputs = detector.preprocess(tf.constant(image))
        found = detector.postprocess(detector.predict(inputs, training=False), inputs.true_shapes, list(LABELS.names))
        np.testing.assert_allclose(found.raw_boxes, expected["boxes"], atol=1e-6)
        np.testing.assert_allclose(found.raw_scores, expected["scores"], atol=1e-6)
        for variable in detector.variables().values():
            variable.assign(variable * 0)


def test_it_is_told_what_a_training_started_from(
    trained: Path, small_config: str, carried: Path, tmp_path: Path
) -> None:
    outside = given(trained, tmp_path, small_config)
    assert outside.description()["kind"] == "checkpoint"
    assert outside.seen.unknown == (f"{trained.name} {outside.digest[:12]}",)

    (tmp_path / "model").mkdir()
    for part in ("1", "label_map.pbtxt", "pipeline.config"):
        (tmp_path / "model" / part).symlink_to(trained / part)
    parent = {
        "architecture": "small",
        "dataset": {"sha256": "d" * 64},
        "training": {"fingerprint": "f" * 16, "best_step": 7},
        "seen": {"groups": {"train": ["a"], "validation": ["b"]}, "unknown": ["zoo"]},
    }
    (tmp_path / "model" / "model.json").write_text(json.dumps(parent))
    with tarfile.open(_made(tmp_path / "channel") / "model.tar.gz", "w:gz", dereference=True) as tar:
        tar.add(tmp_path / "model", arcname="")
    address = "s3://house/models/pipelines-1/output/model.tar.gz"
    model = replace(given(tmp_path / "channel", tmp_path, small_config), address=address, bucket="house")
    assert model.seen == SeenGroups(frozenset("a"), frozenset("b"), ("zoo",))
    assert model.description() == {
        "kind": "model",
        "name": "model.tar.gz",
        "source": None,
        "index_sha256": outside.digest,
        "archive_sha256": hashlib.sha256((tmp_path / "channel" / "model.tar.gz").read_bytes()).hexdigest(),
        "address": address,
        "model": {
            "architecture": "small",
            "fingerprint": "f" * 16,
            "best_step": 7,
            "dataset": {"sha256": "d" * 64},
        },
    }

    package = {"package": "@mediapipe/objectron", "version": "0.4.1"}
    (carried / "ssd_mobilenet_v2_300x300_open_images" / "source.json").write_text(json.dumps(package))
    name = "ssd_mobilenet_v2_320x320"
    images = chosen(tmp_path, asked(architecture=name), load_bundled(name, 4), carried)
    assert images is not None
    assert images.description()["kind"] == "pretrained"
    assert images.description()["source"] == "@mediapipe/objectron 0.4.1"
    assert images.seen.unknown == (f"ssd_mobilenet_v2_300x300_open_images {images.digest[:12]}",)


SAYS_NOTHING = {"groups": {"train": [], "validation": []}, "unknown": []}
SAYS_MUCH = {"groups": {"train": ["a", "b", "c"], "validation": ["d"]}, "unknown": []}


def forged(tmp_path: Path, seen: object) -> Path:
    """The folder of a checkpoint beside which stands what its author likes."""
    prefix = Path(written(tmp_path / "forged", 1.0))
    (prefix.parent / "model.json").write_text(json.dumps({"architecture": "small", "seen": seen}))
    return prefix.parent


@pytest.mark.parametrize("seen", [SAYS_NOTHING, SAYS_MUCH])
@pytest.mark.parametrize(
    "address",
    [
        "s3://house/inputs/1234/model.tar.gz",
        "s3://house/datasets/models/model.tar.gz",
        "s3://other/models/model.tar.gz",
        "s3://house/models",
        "s3://house/modelsque/model.tar.gz",
        "https://s3.amazonaws.com/house/models/model.tar.gz",
        "",
    ],
)
def test_a_model_that_anybody_may_have_written_is_not_believed(address: str, seen: object, tmp_path: Path) -> None:
    request = asked(
        architecture="small", checkpoint=forged(tmp_path, seen), checkpoint_uri=address, data_bucket="house"
    )
    start = chosen(tmp_path, request, load_bundled("ssd_mobilenet_v2_320x320", 4))
    assert start is not None
    assert start.seen == SeenGroups(unknown=(f"{address or 'forged'} {start.digest[:12]}",))
    assert start.description()["address"] == (address or None)


@pytest.mark.parametrize("prefix", ["models/pipelines-1-TrainDetector-2/output", "released/0f3a"])
def test_a_model_is_believed_where_only_the_environment_writes(prefix: str, tmp_path: Path) -> None:
    address = f"s3://house/{prefix}/model.tar.gz"
    request = asked(
        architecture="small", checkpoint=forged(tmp_path, SAYS_MUCH), checkpoint_uri=address, data_bucket="house"
    )
    description = load_bundled("ssd_mobilenet_v2_320x320", 4)
    start = chosen(tmp_path, request, description)
    assert start is not None
    assert start.seen == SeenGroups(frozenset("abc"), frozenset("d"))
    untold = chosen(tmp_path, replace(request, data_bucket=""), description)
    assert untold is not None
    assert untold.seen.learnt_from == frozenset()


def test_what_a_config_names_is_not_believed_by_the_address_of_the_channel(tmp_path: Path) -> None:
    place = forged(tmp_path, SAYS_NOTHING) / "ckpt-0"
    request, description = with_checkpoint(tmp_path, f'fine_tune_checkpoint: "{place}"')
    own = replace(request, checkpoint_uri="s3://house/models/x/model.tar.gz", data_bucket="house")
    start = chosen(tmp_path, own, description)
    assert start is not None
    assert start.seen == SeenGroups(unknown=(f"ckpt-0 {start.digest[:12]}",))


def test_weights_of_an_equal_index_that_lie_elsewhere_are_another_start(tmp_path: Path) -> None:
    request = asked(architecture="small", checkpoint=forged(tmp_path, SAYS_MUCH), data_bucket="house")
    description = load_bundled("ssd_mobilenet_v2_320x320", 4)
    addresses = ("", "s3://house/models/model.tar.gz", "s3://house/inputs/model.tar.gz")
    starts = [chosen(tmp_path, replace(request, checkpoint_uri=address), description) for address in addresses]
    marks = [start.mark for start in starts if start]
    assert len(set(marks)) == 3
    # Trainings that nobody tells an address go on from their checkpoints of before.
    assert starts[0] is not None
    assert marks[0] == starts[0].digest


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_every_variable_of_a_saved_model_has_its_key_and_none_another(
    made: Callable[[int, int], Detector], trained: Path
) -> None:
    variables = made(4, 1).variables()
    stored = checkpoint.read(str(trained / "1" / "variables" / "variables"))
    assert set(stored) - set(variables) == {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    for key, variable in variables.items():
        np.testing.assert_array_equal(stored[key], variable.numpy(), err_msg=key)


def test_a_class_more_leaves_the_others_as_they_were(
    made: Callable[[int, int], Detector], trained: Path, small_config: str, tmp_path: Path
) -> None:
    labels = LabelMap({1: "Cyclist", 2: "van", 3: "vehicle", 5: "pedestrian"})
    detector = made(5, 2)
    drawn = {key: variable.numpy() for key, variable in detector.variables().items()}
    restored = restore(detector, given(trained, tmp_path, small_config), labels)
    assert restored.kept == {"Cyclist": "cyclist", "vehicle": "vehicle", "pedestrian": "pedestrian"}
    stored = checkpoint.read(str(trained / "1" / "variables" / "variables"))
    (bias,) = (key for key in drawn if "_class_predictor_layers" in key and "/bias/" in key)
    now, before = (each.reshape(-1, 6) for each in (detector.variables()[bias].numpy(), drawn[bias]))
    old = stored[bias].reshape(-1, 5)
    np.testing.assert_array_equal(now[:, [0, 1, 3, 5]], old[:, [0, 4, 1, 2]])
    np.testing.assert_array_equal(now[:, [2, 4]], before[:, [2, 4]])
    (box,) = (key for key in drawn if "_box_encoder_layers" in key and "/bias/" in key)
    np.testing.assert_array_equal(detector.variables()[box].numpy(), stored[box])


@pytest.mark.parametrize("with_config", [True, False])
def test_cocos_classes_are_known_by_name_in_a_checkpoint_of_the_zoo(
    made: Callable[[int, int], Detector], small_config: str, tmp_path: Path, with_config: bool
) -> None:
    zoo, coco = tmp_path / "ssd_x_coco17_tpu-8", made(90, 1)
    (zoo / "checkpoint").mkdir(parents=True)
    values = {key: variable.numpy() for key, variable in coco.variables().items()}
    checkpoint.write(str(zoo / "checkpoint" / "ckpt-0"), values)
    if with_config:
        (zoo / "pipeline.config").write_text(small_config.replace("num_classes: 4", "num_classes: 90"))
    packed(zoo, tmp_path / "channel" / "ssd_x.tar.gz", inside=zoo.name)
    detector, labels = made(3, 2), LabelMap({1: "Toothbrush", 2: "stop sign", 3: "platelet"})
    restored = restore(detector, given(tmp_path / "channel", tmp_path, small_config), labels)
    assert (restored.kept, restored.drawn) == (
        {"Toothbrush": "toothbrush", "stop sign": "stop sign"},
        ["platelet"],
    )
    (bias,) = (key for key in values if "_class_predictor_layers" in key and "/bias/" in key)
    now, old = detector.variables()[bias].numpy().reshape(-1, 4), values[bias].reshape(-1, 91)
    np.testing.assert_array_equal(now[:, :3], old[:, [0, 90, 13]])


@pytest.mark.parametrize(
    ("architecture", "classes", "taken"),
    [
        ("ssd_mobilenet_v2_320x320", 90, True),
        ("ssd_mobilenet_v2_fpnlite_160x160", 90, False),  # the zoo has no detector of that name
        ("ssd_mobilenet_v2_320x320", 23, False),
    ],
)
def test_the_zoos_schedule_goes_with_its_checkpoint_where_it_has_one_of_the_architecture(
    tmp_path: Path, architecture: str, classes: int, taken: bool
) -> None:
    prefix = written(tmp_path / "zoo" / "checkpoint", 1.0)
    text = (CONFIGS / "ssd_mobilenet_v2_320x320.config").read_text()
    (tmp_path / "zoo" / "pipeline.config").write_text(text.replace("num_classes: 90", f"num_classes: {classes}"))
    initial = InitialCheckpoint(prefix, "given", tmp_path / "zoo")
    bundled = load_bundled(architecture, 2)
    assert takes_zoos_schedule(bundled, initial) is taken
    assert not takes_zoos_schedule(bundled, None)
    assert not takes_zoos_schedule(replace(bundled, source="own.config"), initial)


def test_a_written_type_is_obeyed_and_fails_where_it_cannot_be(
    made: Callable[[int, int], Detector], trained: Path, small_config: str, tmp_path: Path
) -> None:
    initial = given(trained, tmp_path, small_config)
    assert restore(made(4, 2), replace(initial, kind="detection"), LABELS).kept == {}
    with pytest.raises(CheckpointError, match=r"has shape .*, the model needs .*class count"):
        restore(made(5, 2), replace(initial, kind="full"), LABELS)


def test_an_archive_without_any_checkpoint_is_named(tmp_path: Path, small_config: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "label_map.pbtxt").write_text("item { id: 1 name: 'x' }")
    packed(tmp_path / "empty", tmp_path / "channel" / "model.tar.gz")
    with pytest.raises(CheckpointError, match=r"channel/model.tar.gz: neither a checkpoint .* nor a SavedModel is in"):
        given(tmp_path / "channel", tmp_path, small_config)
