# SPDX-License-Identifier: Apache-2.0
"""Detectors of other sizes, levels and settings than those that the reference has."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from training_src.models.architectures import build_detector
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import Model, PipelineDescription, load_bundled
from training_src.models.detector import GroundTruth, Inputs
from training_src.models.errors import ConfigError
from training_src.models.ssd import SsdDetector
from training_src.text_format import Message, parse

SMALL = "ssd_mobilenet_v2_fpnlite_160x160"


def ssd_message(architecture: str = SMALL) -> tuple[Message, Message]:
    """The bundled config's `model`, and its `ssd`, to be changed."""
    text = load_bundled(architecture, num_classes=3).text()
    model = parse(text)["model"][0]
    assert isinstance(model, Message)
    ssd = model["ssd"][0]
    assert isinstance(ssd, Message)
    return model, ssd


def changed(ssd: Message, path: str, text: str) -> None:
    """Replace a message within another, both named by a path with dots."""
    *parents, name = path.split(".")
    for parent in parents:
        child = ssd[parent][0]
        assert isinstance(child, Message)
        ssd = child
    ssd[name] = parse(f"{name} {text}")[name]


def step(model: Message, size: tuple[int, int], traced: bool = False) -> dict[str, Any]:
    """A training step and an inference of a freshly drawn detector; traced: as a graph."""
    detector = build_detector(decode(Model, model, "model"))
    images = tf.constant(np.random.default_rng(0).integers(0, 255, (2, *size, 3)).astype(np.uint8))
    truth = GroundTruth(
        tf.constant([[[0.1, 0.1, 0.6, 0.5], [0.3, 0.4, 0.9, 0.9]]] * 2),
        tf.constant([[0, 2]] * 2),
        tf.constant([[1.0, 1.0], [1.0, 0.0]]),
    )

    def compute() -> dict[str, Any]:
        inputs = detector.preprocess(images)
        predictions = detector.predict(inputs, training=True)
        found = detector.postprocess(detector.predict(inputs, training=False), inputs.true_shapes)
        return {**detector.losses(predictions, truth), **predictions, "boxes": found.boxes, "images": inputs.images}

    run = tf.function(compute, autograph=False) if traced else compute
    result = {name: value.numpy() for name, value in run().items()}
    assert result["box_encodings"].shape == (2, len(result["anchors"]), 4)
    assert all(np.isfinite(result[f"Loss/{name}_loss"]) for name in ("classification", "localization"))
    return result


def test_only_the_label_maps_classes_are_detected(detector: SsdDetector, expected: dict[str, Any]) -> None:
    inputs = Inputs(tf.constant(expected["preprocessed_inputs"]), tf.constant(expected["true_image_shapes"]))
    predictions = detector.predict(inputs, training=False)
    every, some = (detector.postprocess(predictions, inputs.true_shapes, ids) for ids in ((), (2, 3)))
    assert set(every.classes.numpy().ravel()) == set(expected["detection_classes"].ravel()) == {0.0, 2.0}
    # Positions among the ids; the class that has left makes room for others.
    assert set(some.classes.numpy().ravel()) == {0.0, 1.0}
    for position, column in enumerate((2, 3)):
        chosen = some.classes.numpy() == position
        np.testing.assert_array_equal(some.multiclass_scores.numpy()[chosen][:, column], some.scores.numpy()[chosen])


def test_frozen_batch_norm_keeps_its_averages(description: PipelineDescription) -> None:
    ssd = description.config.model.ssd
    assert ssd is not None
    detector = build_detector(replace(description.config.model, ssd=replace(ssd, freeze_batchnorm=True)))
    averages = [variable for variable in detector.variables().values() if variable.name == "moving_variance"]
    images = np.random.default_rng(0).normal(size=(2, 192, 192, 3)).astype(np.float32)
    detector.networks[0](images, training=True)
    detector.freeze_batch_norm(False)
    detector.networks[0](images, training=True)
    assert all((variable.numpy() == 1).all() for variable in averages)


def test_each_layer_is_drawn_on_its_own(description: PipelineDescription) -> None:
    keras.utils.set_random_seed(3)
    detector = build_detector(description.config.model)
    kernels = [v.numpy() for v in detector.variables().values() if tuple(v.shape) == (3, 3, 128, 1)]
    assert len(kernels) > 4
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels)


@pytest.mark.parametrize(("levels", "maps"), [((3, 6), [20, 10, 5, 3]), ((4, 5), [10, 5]), ((3, 4), [10, 5])])
def test_a_pyramid_has_the_levels_that_it_is_asked_for(levels: tuple[int, int], maps: list[int]) -> None:
    model, ssd = ssd_message()
    text = f"{{ min_level: {levels[0]} max_level: {levels[1]} additional_layer_depth: 32 }}"
    changed(ssd, "feature_extractor.fpn", text)
    text = f"{{ min_level: {levels[0]} max_level: {levels[1]} anchor_scale: 4 aspect_ratios: [1, 2] }}"
    changed(ssd, "anchor_generator.multiscale_anchor_generator", text)
    result = step(model, (160, 160))
    # Below level 5 a MobileNet's pyramid stands on the backbone's coarsest maps all the same, as in the API.
    assert [result[f"feature_map_{index}"].shape[1] for index in range(len(maps))] == maps
    assert len(result["anchors"]) == sum(size**2 for size in maps) * 4


def test_a_detector_takes_what_keeping_the_aspect_ratio_gives() -> None:
    model, ssd = ssd_message()
    changed(ssd, "image_resizer", "{ keep_aspect_ratio_resizer { min_dimension: 96 max_dimension: 160 } }")
    ssd["feature_extractor"][0]["pad_to_multiple"] = [32]  # type: ignore[index]
    # A graph does not know to what size an image comes.
    result = step(model, (120, 170), traced=True)
    assert result["images"].shape == (2, 96, 136, 3)
    assert result["feature_map_0"].shape[1:3] == (12, 20)


def test_heads_of_other_kinds_join() -> None:
    model, ssd = ssd_message()
    predictor = ssd["box_predictor"][0]
    assert isinstance(predictor, Message)
    shared = predictor.pop("weight_shared_convolutional_box_predictor")[0]
    assert isinstance(shared, Message)
    own = Message({"conv_hyperparams": shared["conv_hyperparams"]})
    own |= parse("use_depthwise: true kernel_size: 3 max_depth: 32 num_layers_before_predictor: 1")
    own |= parse("box_encodings_clip_range { min: -1 max: 1 }")
    predictor["convolutional_box_predictor"] = [own]
    result = step(model, (160, 160))
    assert np.abs(result["box_encodings"]).max() <= 1


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        (
            "image_resizer",
            "{ fixed_shape_resizer { height: 200 width: 160 } }",
            "200x160 gives maps of 25, 13, 7 pixels",
        ),
        ("image_resizer", "{ fixed_shape_resizer { height: 32 width: 160 } }", "needs at least 33 pixels"),
        (
            "feature_extractor.fpn",
            "{ min_level: 3 max_level: 6 }",
            "fpn has levels 3 to 6, but the anchor generator 3 to 5",
        ),
        ("loss.hard_example_miner", "{ }", "hard_example_miner does not go with weighted_sigmoid_focal"),
        (
            "add_background_class",
            ": false encode_background_as_zeros: false",
            "encode_background_as_zeros must be true",
        ),
        (
            "anchor_generator",
            "{ ssd_anchor_generator { aspect_ratios: 1 } }",
            "for 6 maps, the feature extractor has 3",
        ),
        ("use_confidences_as_targets", ": true", "use_confidences_as_targets: true is not supported, only false is"),
    ],
)
def test_what_does_not_fit_together_is_named(path: str, text: str, message: str) -> None:
    model, ssd = ssd_message()
    changed(ssd, path, text)
    if path == "add_background_class":
        ssd.pop("encode_background_as_zeros", None)
    with pytest.raises(ConfigError, match=message):
        build_detector(decode(Model, model, "model"))


@pytest.mark.parametrize("architecture", [SMALL, "efficientdet_d0_512x512"])
@pytest.mark.parametrize(
    ("resizer", "name"),
    [
        ("keep_aspect_ratio_resizer { min_dimension: 160 max_dimension: 320 }", "keep_aspect_ratio_resizer"),
        ("identity_resizer {}", "identity_resizer"),
        ("conditional_shape_resizer { size_threshold: 300 }", "conditional_shape_resizer"),
        ("pad_to_multiple_resizer { multiple: 24 }", "pad_to_multiple_resizer"),
    ],
)
def test_a_pyramid_on_images_of_any_size_is_refused_when_it_is_built(
    architecture: str, resizer: str, name: str
) -> None:
    model, ssd = ssd_message(architecture)
    changed(ssd, "image_resizer", f"{{ {resizer} }}")
    with pytest.raises(ConfigError, match=f"image_resizer: {name} leaves images of different sizes.*pad_to_multiple"):
        build_detector(decode(Model, model, "model"))


def test_a_pyramid_on_images_of_any_size_is_built_where_they_are_padded() -> None:
    model, ssd = ssd_message()
    changed(ssd, "image_resizer", "{ keep_aspect_ratio_resizer { min_dimension: 80 max_dimension: 140 } }")
    extractor = ssd["feature_extractor"][0]
    assert isinstance(extractor, Message)
    extractor["pad_to_multiple"] = [32]
    assert step(model, (100, 130))["images"].shape == (2, 80, 104, 3)
