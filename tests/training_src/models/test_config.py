# SPDX-License-Identifier: Apache-2.0
"""`pipeline.config` as typed fields: nothing is silently ignored."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training_src.errors import TextFormatError
from training_src.models import schedules
from training_src.models.config.decoding import decode, undeclared
from training_src.models.config.legacy import TWINS
from training_src.models.config.limits import check_limits
from training_src.models.config.pipeline import (
    CONFIGS,
    PipelineConfig,
    bundled_architectures,
    canonical_name,
    load,
    load_bundled,
    with_num_steps,
)
from training_src.models.config.training import recommended_warm_up
from training_src.models.errors import ConfigError
from training_src.text_format import Identifier, Message, Value, dump, parse
from training_src.training.config_warnings import config_warnings

# What lets a FPNLite be fine-tuned within hundreds of steps, and the zoo's in its place.
FOR_FINE_TUNING = {
    "variance_scaling_initializer { factor: 2.0 mode: FAN_IN }": "random_normal_initializer { mean: 0.0 stddev: 0.01 }",
    "class_prediction_bias_init: -3.0": "class_prediction_bias_init: -4.6",
    "alpha: 0.5": "alpha: 0.25",
}


def _zoos_own(architecture: str) -> str:
    text = (CONFIGS / f"{architecture}.config").read_text()
    for ours, zoos in FOR_FINE_TUNING.items() if "fpnlite" in architecture else ():
        assert ours in text
        text = text.replace(ours, zoos)
    return schedules.with_schedule(text, schedules.ZOO[architecture])


ZOO = _zoos_own("ssd_mobilenet_v2_fpnlite_320x320")
CASES = (
    "ssd_mobilenet_v2_fpnlite",
    "ssd_resnet50_v1_fpn",
    "efficientdet_d1",
    "faster_rcnn_resnet50_v1",
    "faster_rcnn_inception_resnet_v2",
    "ssd_mobilenet_v2_hard_mining",
    "ssd_mobilenet_v1",
    "ssd_mobilenet_v1_fpn",
    "faster_rcnn_inception_resnet_v2_stride_8",
)


@pytest.mark.parametrize("name", CASES)
def test_fields_and_defaults_equal_the_reference(golden: Path, name: str) -> None:
    reference = json.loads((golden / name / "config_defaults.json").read_text())
    text = (golden / name / "pipeline.config").read_text()
    config = decode(PipelineConfig, parse(text.replace(*TWIN).replace(*TWIN_OF_V1)))
    compared = dict(_leaves(config, reference))
    assert len(compared) > 70
    assert {path: ours for path, (ours, theirs) in compared.items() if ours != theirs} == {}


# The built-in algorithm's, which the API has fixed at these values.
OURS = {("nesterov", False), ("beta_1", 0.9), ("beta_2", 0.999)}
# The one field that a file of TensorFlow 1 cannot keep.
TWIN = ('"ssd_mobilenet_v2"', '"ssd_mobilenet_v2_keras"')
TWIN_OF_V1 = ('"ssd_mobilenet_v1"', '"ssd_mobilenet_v1_keras"')


def _leaves(config: Any, reference: Any, path: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    if is_dataclass(config):
        for item in fields(config):
            value, place = getattr(config, item.name), f"{path}.{item.name}"
            if value is not None and item.name in reference:
                yield from _leaves(value, reference[item.name], place)
            elif value is not None and not is_dataclass(value) and (item.name, value) not in OURS:
                yield place, (value, "nothing: the API has no such field")
    elif isinstance(config, tuple):
        yield f"{path}#", (len(config), len(reference))
        for index, value in enumerate(config):
            yield from _leaves(value, reference[index], f"{path}[{index}]")
    else:
        yield path, (config, TWINS.get(str(reference), reference))


@pytest.mark.parametrize("form", ["config", "config_defaults"])
@pytest.mark.parametrize("name", CASES)
def test_every_field_of_the_reference_is_declared_or_accepted(golden: Path, name: str, form: str) -> None:
    message = _message(json.loads((golden / name / f"{form}.json").read_text()))
    assert list(undeclared(PipelineConfig, message)) == []


def _message(reference: dict[str, Any]) -> Message:
    def value(plain: Any) -> Value:
        if isinstance(plain, dict):
            return _message(plain)
        return Identifier(str(plain).lower()) if isinstance(plain, bool) else plain

    lists = {name: plain if isinstance(plain, list) else [plain] for name, plain in reference.items()}
    return Message({name: [value(plain) for plain in plains] for name, plains in lists.items()})


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("ssd_mobilenet_v2_fpnlite", "ssd_mobilenet_v2_fpnlite_320x320"),
        ("ssd_resnet50_v1_fpn", "ssd_resnet50_v1_fpn_640x640"),
        ("efficientdet_d1", "efficientdet_d1_640x640"),
        ("faster_rcnn_resnet50_v1", "faster_rcnn_resnet50_v1_640x640"),
        ("faster_rcnn_inception_resnet_v2", "faster_rcnn_inception_resnet_v2_640x640"),
    ],
)
def test_bundled_configs_have_the_zoos_settings(golden: Path, name: str, architecture: str, tmp_path: Path) -> None:
    zoo = load(golden / name / "pipeline.config", num_classes=3).config
    (tmp_path / "ours.config").write_text(_zoos_own(architecture).replace("num_classes: 90", "num_classes: 3"))
    ours = load(tmp_path / "ours.config", num_classes=3).config
    # The reference cases are smaller; which checkpoint training starts from is the user's to say.
    family = replace(ours.model.family, image_resizer=zoo.model.family.image_resizer)
    assert family == zoo.model.family
    augmentation = zoo.train_config.data_augmentation_options if name == "efficientdet_d1" else None
    assert (
        replace(
            ours.train_config,
            fine_tune_checkpoint=zoo.train_config.fine_tune_checkpoint,
            fine_tune_checkpoint_type=zoo.train_config.fine_tune_checkpoint_type,
            data_augmentation_options=augmentation or ours.train_config.data_augmentation_options,
        )
        == zoo.train_config
    )


@pytest.mark.parametrize("architecture", bundled_architectures())
def test_bundled_configs_take_the_label_maps_greatest_id(architecture: str) -> None:
    family = load_bundled(architecture, num_classes=4).config.model.family
    assert family.num_classes == 4
    fixed, kept = family.image_resizer.fixed_shape_resizer, family.image_resizer.keep_aspect_ratio_resizer
    named = architecture.rsplit("_", 1)[1].split("x")
    if fixed:
        size = 300 if architecture == "ssd_mobilenet_v2_320x320" else int(named[0])
        assert (fixed.height, fixed.width) == (size, size)
    else:
        assert kept is not None
        assert [kept.min_dimension, kept.max_dimension] == [int(side) for side in named]


# What the zoo's own files say besides, which computes nothing here.
ZOO_TAIL = """
train_config: {
  fine_tune_checkpoint: "PATH_TO_BE_CONFIGURED/ckpt-0"
  fine_tune_checkpoint_version: V2
  fine_tune_checkpoint_type: "classification"
  sync_replicas: true
  startup_delay_steps: 0
  replicas_to_aggregate: 8
  use_bfloat16: true
}
train_input_reader: {
  label_map_path: "PATH_TO_BE_CONFIGURED/label_map.txt"
  tf_record_input_reader { input_path: "PATH_TO_BE_CONFIGURED/train2017-?????-of-00256.tfrecord" }
}
eval_config: { metrics_set: "coco_detection_metrics" use_moving_averages: false batch_size: 1; }
eval_input_reader: {
  label_map_path: "PATH_TO_BE_CONFIGURED/label_map.txt"
  shuffle: false
  num_epochs: 1
  tf_record_input_reader { input_path: "PATH_TO_BE_CONFIGURED/val2017-?????-of-00032.tfrecord" }
}
"""
SSD_TAIL = """
model { ssd {
  inplace_batchnorm_update: true
  matcher { argmax_matcher { use_matmul_gather: true } }
} }
"""


@pytest.mark.parametrize("architecture", bundled_architectures())
def test_the_zoos_own_files_parse(architecture: str, tmp_path: Path) -> None:
    text = (CONFIGS / f"{architecture}.config").read_text()
    path = tmp_path / "pipeline.config"
    path.write_text(text + ZOO_TAIL + (SSD_TAIL if "rcnn" not in architecture else ""))
    description = load(path, num_classes=90)
    assert description.config.model.family == load_bundled(architecture, num_classes=90).config.model.family
    assert description.config.train_config.fine_tune_checkpoint_type == "classification"
    assert "train_config.use_bfloat16" in {each.field for each in description.mapped}


def test_every_architecture_of_the_zoo_is_there() -> None:
    resnets = [f"resnet{depth}_v1" for depth in (50, 101, 152)]
    sizes = (512, 640, 768, 896, 1024, 1280, 1408, 1536)
    assert set(bundled_architectures()) == {
        "ssd_mobilenet_v1_fpn_640x640",
        "ssd_mobilenet_v2_320x320",
        *(f"ssd_mobilenet_v2_fpnlite_{size}x{size}" for size in (160, 320, 640)),
        *(f"ssd_{resnet}_fpn_{size}x{size}" for resnet in resnets for size in (640, 1024)),
        *(f"efficientdet_d{number}_{size}x{size}" for number, size in enumerate(sizes)),
        *(f"faster_rcnn_{resnet}_{size}" for resnet in resnets for size in ("640x640", "800x1333", "1024x1024")),
        *(f"faster_rcnn_inception_resnet_v2_{size}x{size}" for size in (640, 1024)),
        "mask_rcnn_inception_resnet_v2_1024x1024",
    }


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("ssd_mobilenet_v2_fpnlite_640x640_coco17_tpu-8", "ssd_mobilenet_v2_fpnlite_640x640"),
        ("faster_rcnn_resnet50_v1_800x1333_coco17_gpu-8", "faster_rcnn_resnet50_v1_800x1333"),
        ("efficientdet_d1_coco17_tpu-32", "efficientdet_d1_640x640"),
        ("ssd_efficientdet_d7_1536x1536_coco17_tpu-32", "efficientdet_d7_1536x1536"),
        ("efficientdet_d6_1280x1280", "efficientdet_d6_1408x1408"),
    ],
)
def test_all_of_the_zoos_names_are_taken(given: str, name: str) -> None:
    assert canonical_name(given) == name


def test_unknown_architecture_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="architecture 'yolo' is not known: choose efficientdet_d0_512x512, "):
        load_bundled("yolo", num_classes=3)
    with pytest.raises(ConfigError, match=r"did you mean ssd_mobilenet_v2_fpnlite_320x320\?"):
        load_bundled("ssd_mobilenetv2_fpnlite_320", num_classes=3)


@pytest.mark.parametrize("other", ["efficientdet_d8", "ssd_mobilenet_v3_320x320", "faster_rcnn_resnet18_v1_640x640"])
def test_another_network_is_never_what_was_meant(other: str) -> None:
    with pytest.raises(ConfigError, match=f"architecture '{other}' is not known: choose efficientdet_d0_512x512, "):
        load_bundled(other, num_classes=3)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("num_classes: 90", "num_classes: 90 nonsense: 7", "model.ssd.nonsense: 7 is not supported; remove the field"),
        ("num_classes: 90", "num_clases: 90", r"model.ssd.num_clases: 90 .*did you mean num_classes\?"),
        ("num_classes: 90", "", "model.ssd: num_classes is not set"),
        ("num_classes: 90", "num_classes: 90.5", "model.ssd.num_classes: 90.5 is no whole number"),
        ("num_classes: 90", "num_classes: '90'", "model.ssd.num_classes: '90' is no whole number"),
        (
            "num_classes: 90",
            "num_classes: 90 first_stage_max_proposals: 300",
            "it is a field of model.faster_rcnn, which this model is not, so remove it",
        ),
        ("ssd_mobilenet_v2_fpn_keras", "ssd_nasnet", "feature_extractor.type: 'ssd_nasnet' is not supported"),
        ("ssd_mobilenet_v2_fpn_keras", "ssd_mobilnet_v2_fpn_keras", "did you mean 'ssd_mobilenet_v2_fpn_keras'?"),
        ("ssd_mobilenet_v2_fpn_keras", "SSD_MobileNetV2_FPN", r"did you mean 'ssd_mobilenet_v2_fpn_keras'\?"),
        ("ssd_mobilenet_v2_fpn_keras", "ssd_mobilenet_v3_small", "supported; MobileNet V3 is not built here; use"),
        ("ssd_mobilenet_v2_fpn_keras", "ssd_mobilenet_v2_mnasfpn", "supported; MnasFPN is not built here; use"),
        ("ssd_mobilenet_v2_fpn_keras", "ssd_resnet51_v1_fpn_keras", "supported; there are 'ssd_mobilenet_v1_keras', "),
        (
            "ssd_mobilenet_v2_fpn_keras",
            "faster_rcnn_inception_resnet_v2_keras",
            "is not supported; it is one for model.faster_rcnn, and this is model.ssd",
        ),
        ("ssd_mobilenet_v2_fpn_keras", "center_net_x", "it is one for model.center_net, and this is model.ssd"),
        ("random_horizontal_flip {}", "random_adjust_gamma {}", r"is not supported; did you mean adjust_gamma\?"),
        (
            "random_horizontal_flip {}",
            "random_horizontal_flip {} random_vertical_flip {}",
            r"options\[0\]: random_horizontal_flip and random_vertical_flip stand in one; give each its own",
        ),
        ("activation: RELU_6", "activation: RELU6", r"activation: RELU6 is not supported, did you mean 'RELU_6'\?"),
        ("iou_similarity {}", "iou_similarity: 3", "iou_similarity: 3 stands where a message"),
        ("freeze_batchnorm: false", "freeze_batchnorm: maybe", "freeze_batchnorm: maybe is no bool"),
        ("random_horizontal_flip {}", "random_flip {}", r"data_augmentation_options\[0\].random_flip"),
        (
            "momentum_optimizer_value: 0.9",
            "momentum_optimizer_value: fast",
            "momentum_optimizer_value: fast is no number",
        ),
        ("model {", "modle {", "did you mean model"),
        (
            "momentum_optimizer {",
            "sgd_optimizer {",
            "there are rms_prop_optimizer, momentum_optimizer, adam_opt",
        ),
        ("activation: RELU_6", "activation: GELU", "GELU is not supported, only 'NONE', 'RELU', 'RELU_6', 'SWISH'"),
        ("num_classes: 90", "num_classes: 9e1", "90.0 is no whole number; write 90"),
        ("random_horizontal_flip {}", "gaussian_noise {}", r"gaussian_noise: .* is not supported; remove the field$"),
        ("train_config {", "train_config { fine_tune_checkpoints: 'a' ", r"did you mean fine_tune_checkpoint\?"),
        ("train_config {", "train_config { fine_tune_checkpoint_path: 'a' ", r"did you mean fine_tune_checkpoint\?"),
    ],
)
def test_what_is_not_supported_is_named_with_its_value(old: str, new: str, complaint: str) -> None:
    assert old in ZOO
    with pytest.raises(ConfigError, match=complaint) as error:
        decode(PipelineConfig, parse(ZOO.replace(old, new)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("architecture", "old", "new", "complaint"),
    [
        (
            "faster_rcnn_resnet50_v1_640x640",
            "num_classes: 90",
            "num_classes: 90 freeze_batchnorm: true",
            "model.faster_rcnn.freeze_batchnorm: true is not supported; it is a field of model.ssd, which this mod",
        ),
        (
            "faster_rcnn_resnet50_v1_640x640",
            "faster_rcnn_resnet50_keras",
            "faster_rcnn_nas",
            "model.faster_rcnn.feature_extractor.type: 'faster_rcnn_nas' is not supported",
        ),
        (
            "faster_rcnn_resnet50_v1_640x640",
            "op: FC",
            "op: CONV",
            r"mask_rcnn_box_predictor.fc_hyperparams.op: CONV is not supported, only 'FC'",
        ),
        (
            "efficientdet_d0_512x512",
            "ssd_efficientnet-b0_bifpn_keras",
            "faster_rcnn_resnet50_keras",
            "model.ssd.feature_extractor.type: 'faster_rcnn_resnet50_keras' is not supported",
        ),
        (
            "faster_rcnn_resnet50_v1_640x640",
            "mask_rcnn_box_predictor",
            "rfcn_box_predictor",
            "rfcn_box_predictor: { .* } is not supported; R-FCN is not built here; use another architecture",
        ),
        (
            "faster_rcnn_resnet50_v1_640x640",
            "batch_norm_trainable: true",
            "batch_norm_trainable: true first_stage_features_stride: 8",
            "first_stage_features_stride: 8 is not supported with faster_rcnn_resnet50_keras, only 16 is",
        ),
        ("efficientdet_d0_512x512", "SWISH", "GELU", "conv_hyperparams.activation: GELU is not supported"),
    ],
)
def test_other_architectures_fields_and_values_are_named(architecture: str, old: str, new: str, complaint: str) -> None:
    text = (CONFIGS / f"{architecture}.config").read_text()
    assert old in text
    with pytest.raises(ConfigError, match=complaint) as error:
        decode(PipelineConfig, parse(text.replace(old, new)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("architecture", "changes", "complaint"),
    [
        (
            "ssd_mobilenet_v2_fpnlite_320x320",
            (r"fixed_shape_resizer \{[^}]*\}", "identity_resizer { }"),
            "of different",
        ),
        ("ssd_mobilenet_v2_fpnlite_320x320", ("height: 320", "height: 330"), "each must be twice the next"),
        ("faster_rcnn_resnet50_v1_640x640", ("maxpool_stride: 2", ""), "crops need at least 1"),
    ],
)
def test_parts_that_contradict_each_other_are_told_when_the_file_is_read(
    tmp_path: Path, architecture: str, changes: tuple[str, str], complaint: str
) -> None:
    text, count = re.subn(*changes, (CONFIGS / f"{architecture}.config").read_text())
    assert count == 1
    (tmp_path / "pipeline.config").write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        load(tmp_path / "pipeline.config", 1)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_read_as_editors_save_it(tmp_path: Path, encoding: str) -> None:
    text = "# größer\n" + ZOO.replace("\n", "\r\n").replace("num_classes: 90", "num_classes: 9")
    (tmp_path / "pipeline.config").write_bytes(text.encode(encoding))
    assert load(tmp_path / "pipeline.config", 9).config.model.family.num_classes == 9


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("\n# größer".encode("latin-1"), r"pipeline\.config, line 2: this is no UTF-8 text; save it as UTF-8"),
        (b"# nothing\n", r"pipeline\.config: no field stands in it; give a pipeline\.config"),
    ],
)
def test_a_file_that_holds_no_config_is_a_sentence(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "pipeline.config").write_bytes(content)
    with pytest.raises((ConfigError, TextFormatError), match=complaint):
        load(tmp_path / "pipeline.config", 1)


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        ("ssd_mobilenet_v2_fpnlite_320x320", "post_processing"),
        ("ssd_mobilenet_v2_fpnlite_320x320", "conv_hyperparams"),
        ("ssd_mobilenet_v2_fpnlite_320x320", "l2_regularizer"),
        ("ssd_mobilenet_v2_320x320", "truncated_normal_initializer"),
        ("faster_rcnn_resnet50_v1_640x640", "second_stage_post_processing"),
        ("faster_rcnn_resnet50_v1_640x640", "fc_hyperparams"),
        ("faster_rcnn_resnet50_v1_640x640", "first_stage_box_predictor_conv_hyperparams"),
    ],
)
def test_blocks_that_the_api_does_not_need_may_be_missing(tmp_path: Path, architecture: str, name: str) -> None:
    message = parse((CONFIGS / f"{architecture}.config").read_text())
    assert _without(message, name)
    (tmp_path / "pipeline.config").write_text(dump(message))
    assert load(tmp_path / "pipeline.config", 90).config.model.family.num_classes == 90


def _without(message: Message, name: str) -> bool:
    """Whether a field was there, anywhere, and was taken away."""
    inner = [value for values in message.values() for value in values if isinstance(value, Message)]
    there = message.pop(name, None) is not None
    return any([there, *(_without(each, name) for each in inner)])


def test_a_file_cut_off_anywhere_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.config"
    told = set()
    for end in range(0, len(ZOO.rstrip()), 61):
        path.write_text(ZOO[:end])
        with pytest.raises((ConfigError, TextFormatError)) as error:
            load(path, num_classes=90)
        assert "\n" not in str(error.value)
        told.add(type(error.value))
    assert told == {ConfigError, TextFormatError}


@given(position=st.integers(0, len(ZOO) - 1), character=st.sampled_from("{}:\"'0-.x#\n\0é"))
@settings(max_examples=150)
def test_a_wrong_character_is_harmless_or_a_sentence(position: int, character: str) -> None:
    text = ZOO[:position] + character + ZOO[position + 1 :]
    try:
        check_limits(decode(PipelineConfig, parse(text)))
    except (ConfigError, TextFormatError) as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("num_classes: 90", "num_classes: 0", "model.ssd.num_classes: 0 is not possible; give one of at least 1"),
        ("height: 320", "height: -320", r"fixed_shape_resizer.height: -320 is not possible"),
        ("depth_multiplier: 1.0", "depth_multiplier: 0", "depth_multiplier: 0.0 is not possible; give one above 0"),
        ("iou_threshold: 0.6", "iou_threshold: 1.6", "iou_threshold: 1.6 is not possible; give one from 0 up to 1"),
        ("  matched_threshold: 0.5", "  matched_threshold: 7", "matched_threshold: 7.0 is not possible"),
        ("alpha: 0.25", "alpha: nan", "weighted_sigmoid_focal.alpha: nan is not possible; give one that is finite"),
        ("learning_rate_base: 0.08", "learning_rate_base: inf", "learning_rate_base: inf is not possible"),
        ("batch_size: 128", "batch_size: 0", "train_config.batch_size: 0 is not supported; give 1 or more"),
        ("scales_per_octave: 2", "scales_per_octave: 0", "scales_per_octave: 0 is not possible"),
        ("aspect_ratios: [", "aspect_ratios: [-1, ", "aspect_ratios: -1.0 is not possible; give one above 0"),
    ],
)
def test_numbers_with_which_nothing_can_be_computed(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in ZOO
    path = tmp_path / "pipeline.config"
    path.write_text(ZOO.replace(old, new))
    with pytest.raises(ConfigError, match=complaint):
        load(path, num_classes=0)


def test_two_architectures_in_one_file_are_an_error() -> None:
    other = (CONFIGS / "faster_rcnn_resnet50_v1_640x640.config").read_text()
    with pytest.raises(ConfigError, match="model: exactly one of ssd, faster_rcnn must be set, not 2"):
        decode(PipelineConfig, parse(ZOO + other))


def test_what_is_written_twice_is_joined_as_protobuf_does() -> None:
    text = ZOO + "model { ssd { num_classes: 7 } } train_config { batch_size: 3 }"
    config = decode(PipelineConfig, parse(text))
    assert config.model.family.num_classes == 7
    assert config.train_config.batch_size == 3
    assert config.train_config.num_steps == 50_000


def test_fields_without_effect_here_are_accepted() -> None:
    text = ZOO.replace("batch_size: 128", "batch_size: 128 startup_delay_steps: 5 replicas_to_aggregate: 8")
    assert decode(PipelineConfig, parse(text)).train_config.batch_size == 128


@pytest.mark.parametrize("named", [0, 4])
def test_too_few_classes_for_the_label_map_is_an_error(case: Path, named: int) -> None:
    with pytest.raises(ConfigError, match="num_classes is 3, but the label map's greatest id is 4; set num_classes: 4"):
        load(case / "pipeline.config", 4, named)


def test_a_config_that_counts_classes_whose_ids_have_gaps_gets_an_output_for_every_id(case: Path) -> None:
    """Waymo's ids are 1, 2, 4, and the configs of Udacity's notebooks say 3; the API learns nothing of the last one."""
    description = load(case / "pipeline.config", 4, named=3)
    assert description.config.model.family.num_classes == 4
    assert decode(PipelineConfig, parse(description.text())) == description.config
    (said,) = [each for each in description.mapped if each.field.endswith(".num_classes")]
    assert (said.given, said.taken) == ("3", "4, the greatest id of the label map's 3 classes")
    assert load(case / "pipeline.config", 3, named=3).config.model.family.num_classes == 3


def test_it_gets_them_where_the_model_is_written_in_parts(tmp_path: Path) -> None:
    (tmp_path / "pipeline.config").write_text(ZOO.replace("num_classes: 90", "num_classes: 3") + "model { }")
    assert load(tmp_path / "pipeline.config", 4, named=3).config.model.family.num_classes == 4


def test_other_number_of_steps_scales_the_schedule() -> None:
    zoo = load_bundled("ssd_mobilenet_v2_fpnlite_320x320", num_classes=3, zoos_schedule=True)
    scaled = with_num_steps(zoo, 500)
    cosine = scaled.config.train_config.optimizer.learning_rate.cosine_decay_learning_rate
    assert cosine is not None
    assert (scaled.config.train_config.num_steps, cosine.total_steps, cosine.warmup_steps) == (500, 500, 25)
    assert decode(PipelineConfig, parse(scaled.text())) == scaled.config
    assert scaled.digest() != zoo.digest()


@pytest.mark.parametrize("architecture", bundled_architectures())
def test_a_warm_up_stays_as_long_as_the_warnings_recommend(architecture: str) -> None:
    scaled = with_num_steps(load_bundled(architecture, num_classes=3), 2000).config.train_config
    cosine = scaled.optimizer.learning_rate.cosine_decay_learning_rate
    assert cosine is not None
    assert cosine.warmup_steps >= recommended_warm_up(2000) == 100
    assert not [line for line in config_warnings(scaled) if "warm" in line]


def test_a_schedule_without_a_number_of_steps_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.config"
    path.write_text(ZOO.replace("num_steps: 50000", ""))
    scaled = with_num_steps(load(path, 90), 500).config.train_config
    cosine = scaled.optimizer.learning_rate.cosine_decay_learning_rate
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


def _with_manual_steps(schedule: str, tmp_path: Path) -> Path:
    start = ZOO.index("cosine_decay_learning_rate {")
    end = ZOO.index("}", start) + 1
    path = tmp_path / "pipeline.config"
    path.write_text(ZOO[:start] + f"manual_step_learning_rate {{ {schedule} }}" + ZOO[end:])
    return path


def test_a_schedule_that_begins_at_step_0_begins_with_its_rate(tmp_path: Path) -> None:
    steps = "schedule { step: 0 learning_rate: 0.3 } schedule { step: 900 learning_rate: 0.03 }"
    description = load(_with_manual_steps(f"initial_learning_rate: 0.1 {steps} warmup: true", tmp_path), 90)
    manual = description.config.train_config.optimizer.learning_rate.manual_step_learning_rate
    assert manual is not None
    assert (manual.initial_learning_rate, manual.warmup) == (0.3, False)
    assert [(entry.step, entry.learning_rate) for entry in manual.schedule] == [(900, 0.03)]
    (said,) = description.mapped
    assert (said.field.split(".")[-1], said.given) == ("schedule", "step: 0")
    assert said.taken == "initial_learning_rate: 0.3, without a warm-up, which would end at step 0"


def test_a_schedule_of_step_0_alone_is_a_constant_rate(tmp_path: Path) -> None:
    description = load(_with_manual_steps("schedule { step: 0 learning_rate: 0.3 }", tmp_path), 90)
    rate = description.config.train_config.optimizer.learning_rate
    assert rate.manual_step_learning_rate is None and rate.constant_learning_rate is not None
    assert rate.constant_learning_rate.learning_rate == 0.3
    assert [said.taken for said in description.mapped] == ["constant_learning_rate: 0.3"]


def test_a_schedule_that_begins_later_stays_as_it_is(tmp_path: Path) -> None:
    description = load(_with_manual_steps("schedule { step: 9 learning_rate: 0.3 } warmup: true", tmp_path), 90)
    assert description.mapped == ()


def test_classes_are_remapped_to_one_that_there_is(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.config"
    flip = "data_augmentation_options { random_horizontal_flip {} }"
    assert flip in ZOO
    path.write_text(ZOO.replace(flip, "data_augmentation_options { remap_labels { new_label: 91 } }"))
    with pytest.raises(ConfigError, match=r"remap_labels\.new_label is 91, but num_classes 90; give an id"):
        load(path, num_classes=90)


def test_a_depth_that_is_multiplied_twice_is_said(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.config"
    changed = ZOO.replace("ssd_mobilenet_v2_fpn_keras", "ssd_mobilenet_v1_fpn")
    path.write_text(changed.replace("depth_multiplier: 1.0", "depth_multiplier: 0.75"))
    assert [(said.given, said.taken) for said in load(path, num_classes=90).mapped] == [
        ("ssd_mobilenet_v1_fpn", "ssd_mobilenet_v1_fpn_keras, its twin in TensorFlow 2"),
        ("0.75", "0.75 times 0.75, as the API of TensorFlow 2 multiplies it"),
    ]


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("from_detection_checkpoint: true", ""),
        ('fine_tune_checkpoint_type: "detection"', ""),
        ('fine_tune_checkpoint_type: "classification"', "classification"),
        ("", ""),
    ],
)
def test_all_variables_of_a_detection_checkpoint_are_all_that_fit(written: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.config"
    without = re.sub(r"fine_tune_checkpoint_type: \S+", "", ZOO)
    path.write_text(
        without.replace("train_config {", f"train_config {{ load_all_detection_checkpoint_vars: true {written}")
    )
    description = load(path, num_classes=90)
    assert description.config.train_config.fine_tune_checkpoint_type == kind
    assert "load_all_detection_checkpoint_vars" in [said.field.split(".")[-1] for said in description.mapped]
