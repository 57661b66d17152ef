# SPDX-License-Identifier: Apache-2.0
"""`pipeline.config` as typed fields: nothing is silently ignored."""

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import (
    CONFIGS,
    PipelineConfig,
    PipelineDescription,
    bundled_architectures,
    load,
    load_bundled,
    with_num_steps,
)
from training_src.models.errors import ConfigError, TextFormatError
from training_src.models.text_format import parse

ZOO = (CONFIGS / "ssd_mobilenet_v2_fpnlite_320x320.config").read_text()


def test_fields_and_defaults_equal_the_reference(case: Path, description: PipelineDescription) -> None:
    reference = json.loads((case / "config_defaults.json").read_text())
    compared = dict(_leaves(description.config, reference))
    assert len(compared) > 80
    assert {path: ours for path, (ours, theirs) in compared.items() if ours != theirs} == {}


def _leaves(config: Any, reference: Any, path: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    if is_dataclass(config):
        for item in fields(config):
            value, place = getattr(config, item.name), f"{path}.{item.name}"
            if value is not None:
                yield from _leaves(value, reference[item.name], place)
    elif isinstance(config, tuple):
        for index, value in enumerate(config):
            yield from _leaves(value, reference[index], f"{path}[{index}]")
    else:
        yield path, (config, reference)


@pytest.mark.parametrize("architecture", bundled_architectures())
def test_bundled_configs_take_the_label_maps_greatest_id(architecture: str) -> None:
    description = load_bundled(architecture, num_classes=4)
    assert description.config.model.ssd.num_classes == 4
    size = int(architecture.rsplit("x", 1)[1])
    resizer = description.config.model.ssd.image_resizer.fixed_shape_resizer
    assert (resizer.height, resizer.width) == (size, size)


def test_the_zoo_configs_keep_the_zoos_settings() -> None:
    config = load_bundled("ssd_mobilenet_v2_fpnlite_640x640", num_classes=90).config
    assert config.train_config.batch_size == 128
    assert config.train_config.num_steps == 50_000
    assert config.model.ssd.feature_extractor.conv_hyperparams.batch_norm.decay == 0.997


def test_unknown_architecture_names_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match="architecture 'yolo' is not known: choose ssd_mobilenet_v2_fpnlite_160x160, "
    ):
        load_bundled("yolo", num_classes=3)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("num_classes: 90", "num_classes: 90 nonsense: 7", "model.ssd.nonsense: 7 is not supported"),
        ("depth_multiplier: 1.0", "pad_to_multiple: 32", "pad_to_multiple: 32 is not supported, only 1 is"),
        ("ssd_mobilenet_v2_fpn_keras", "ssd_nasnet", "feature_extractor.type: 'ssd_nasnet' is not supported"),
        ("score_converter: SIGMOID", "score_converter: SOFTMAX", "score_converter: SOFTMAX is not supported"),
        ("fixed_shape_resizer {", "keep_aspect_ratio_resizer { min_dimension:", "keep_aspect_ratio_resizer"),
        ("random_horizontal_flip {}", "random_jitter_boxes {}", r"data_augmentation_options\[0\].random_jitter_boxes"),
        (
            "momentum_optimizer_value: 0.9",
            "momentum_optimizer_value: fast",
            "momentum_optimizer_value: fast is no float",
        ),
        ("use_moving_average: false", "", "optimizer: use_moving_average is not set"),
        ("encode_background_as_zeros: true", "", "encode_background_as_zeros is not set, and its default"),
        ("weighted_smooth_l1 {}", "weighted_l2 {}", r"localization_loss.weighted_l2: \{  \} is not supported"),
        (
            "max_number_of_boxes: 100",
            "freeze_variables: 'conv'",
            "train_config.freeze_variables: 'conv' is not supported",
        ),
    ],
)
def test_what_is_not_supported_is_named_with_its_value(old: str, new: str, complaint: str) -> None:
    assert old in ZOO
    text = ZOO.replace(old, new).replace("min_dimension: height", "min_dimension")
    with pytest.raises(ConfigError, match=complaint) as error:
        decode(PipelineConfig, parse(text))
    assert "\n" not in str(error.value)


def test_fields_without_effect_here_are_accepted() -> None:
    text = ZOO.replace("batch_size: 128", "batch_size: 128 startup_delay_steps: 5 replicas_to_aggregate: 8")
    assert decode(PipelineConfig, parse(text)).train_config.batch_size == 128


def test_too_few_classes_for_the_label_map_is_an_error(case: Path) -> None:
    with pytest.raises(ConfigError, match="num_classes is 3, but the label map's greatest id is 4; set num_classes: 4"):
        load(case / "pipeline.config", num_classes=4)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("efficientdet_d1", "model.ssd.add_background_class: false"),
        ("faster_rcnn_resnet50_v1", "model.faster_rcnn: "),
        ("ssd_mobilenet_v2_hard_mining", "model.ssd.feature_extractor.type: 'ssd_mobilenet_v2'"),
    ],
)
def test_other_families_are_refused_in_a_sentence(golden: Path, name: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(golden / name / "pipeline.config", num_classes=2)
    assert complaint in str(error.value)
    assert len(str(error.value)) < 300


def test_other_number_of_steps_scales_the_schedule() -> None:
    zoo = load_bundled("ssd_mobilenet_v2_fpnlite_320x320", num_classes=3)
    scaled = with_num_steps(zoo, 500)
    cosine = scaled.config.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    assert cosine is not None
    assert (scaled.config.train_config.num_steps, cosine.total_steps, cosine.warmup_steps) == (500, 500, 10)
    assert decode(PipelineConfig, parse(scaled.text())) == scaled.config
    assert scaled.digest() != zoo.digest()


def test_a_schedule_without_a_number_of_steps_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.config"
    path.write_text(ZOO.replace("num_steps: 50000", ""))
    scaled = with_num_steps(load(path, 90), 500).config.train_config
    cosine = scaled.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    assert cosine is not None
    assert (scaled.num_steps, cosine.total_steps) == (500, 50_000)


def test_digest_ignores_layout_and_comments(case: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.config"
    other.write_text("# mine\n" + (case / "pipeline.config").read_text().replace("\n", "\n  "))
    assert load(other, 3).digest() == load(case / "pipeline.config", 3).digest()


def test_a_file_that_is_no_protobuf_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.config"
    path.write_text('{"model": {}}')
    with pytest.raises(TextFormatError, match=r"pipeline\.config, line 1"):
        load(path, 3)
