# SPDX-License-Identifier: Apache-2.0
"""Files of TensorFlow 1, and the zoo's Mask R-CNN: what they are taken for, and that people are told."""

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from training_src.models.architectures import build_detector
from training_src.models.config.decoding import decode
from training_src.models.config.faster_rcnn import FasterRcnnFeatureExtractor
from training_src.models.config.legacy import TWINS, Mapped, mapping_table
from training_src.models.config.pipeline import CONFIGS, load, load_bundled
from training_src.models.config.ssd import FeatureExtractor
from training_src.text_format import parse

# As the samples of TensorFlow 1 are written: SSD MobileNet V2 for 300x300, trained quantized.
CONVOLUTION = """
  conv_hyperparams {
    activation: RELU_6,
    regularizer { l2_regularizer { weight: 0.00004 } }
    initializer { truncated_normal_initializer { stddev: 0.03 mean: 0.0 } }
    batch_norm { train: true, scale: true, center: true, decay: 0.9997, epsilon: 0.001, }
  }
"""
SSD = f"""
model {{ ssd {{
  num_classes: 90
  box_coder {{ faster_rcnn_box_coder {{ y_scale: 10.0 x_scale: 10.0 height_scale: 5.0 width_scale: 5.0 }} }}
  matcher {{ argmax_matcher {{
    matched_threshold: 0.5 unmatched_threshold: 0.5 ignore_thresholds: false
    negatives_lower_than_unmatched: true force_match_for_each_row: true
  }} }}
  similarity_calculator {{ iou_similarity {{}} }}
  anchor_generator {{ ssd_anchor_generator {{
    num_layers: 6 min_scale: 0.2 max_scale: 0.95
    aspect_ratios: 1.0 aspect_ratios: 2.0 aspect_ratios: 0.5 aspect_ratios: 3.0 aspect_ratios: 0.3333
  }} }}
  image_resizer {{ fixed_shape_resizer {{ height: 300 width: 300 }} }}
  box_predictor {{ convolutional_box_predictor {{
    min_depth: 0 max_depth: 0 num_layers_before_predictor: 0 use_dropout: false dropout_keep_probability: 0.8
    kernel_size: 3 box_code_size: 4 apply_sigmoid_to_scores: false {CONVOLUTION}
  }} }}
  feature_extractor {{ type: 'ssd_mobilenet_v2' min_depth: 16 depth_multiplier: 1.0 {CONVOLUTION} }}
  loss {{
    classification_loss {{ weighted_sigmoid {{ anchorwise_output: true }} }}
    localization_loss {{ weighted_smooth_l1 {{ anchorwise_output: true }} }}
    hard_example_miner {{
      num_hard_examples: 3000 iou_threshold: 0.99 loss_type: CLASSIFICATION
      max_negatives_per_positive: 3 min_negatives_per_image: 3
    }}
    classification_weight: 1.0 localization_weight: 1.0
  }}
  normalize_loss_by_num_matches: true
  post_processing {{
    batch_non_max_suppression {{
      score_threshold: 1e-8 iou_threshold: 0.6 max_detections_per_class: 100 max_total_detections: 100
    }}
    score_converter: SIGMOID
  }}
}} }}
train_config: {{
  batch_size: 24
  optimizer {{ rms_prop_optimizer: {{
    learning_rate: {{ exponential_decay_learning_rate {{
      initial_learning_rate: 0.004 decay_steps: 800720 decay_factor: 0.95
    }} }}
    momentum_optimizer_value: 0.9 decay: 0.9 epsilon: 1.0
  }} }}
  fine_tune_checkpoint: "PATH_TO_BE_CONFIGURED/model.ckpt"
  from_detection_checkpoint: true
  num_steps: 200000
  data_augmentation_options {{ random_horizontal_flip {{}} }}
  data_augmentation_options {{ ssd_random_crop {{}} }}
}}
train_input_reader: {{
  tf_record_input_reader {{ input_path: "PATH_TO_BE_CONFIGURED/mscoco_train.record-?????-of-00100" }}
  label_map_path: "PATH_TO_BE_CONFIGURED/mscoco_label_map.pbtxt"
}}
eval_config: {{ num_examples: 8000 max_evals: 10; metrics_set: "pascal_voc_detection_metrics" }}
eval_input_reader: {{
  tf_record_input_reader {{ input_path: "PATH_TO_BE_CONFIGURED/mscoco_val.record-?????-of-00010" }}
  label_map_path: "PATH_TO_BE_CONFIGURED/mscoco_label_map.pbtxt"
  shuffle: false num_readers: 1 num_epochs: 1
}}
graph_rewriter {{ quantization {{ delay: 48000 weight_bits: 8 activation_bits: 8 }} }}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pipeline.config"


def test_a_file_of_tensorflow_1_builds_and_says_what_was_mapped(file: Path) -> None:
    file.write_text(SSD)
    description = load(file, num_classes=1)
    config = description.config
    assert config.quantize
    assert config.train_config.fine_tune_checkpoint_type == "detection"
    assert config.model.ssd and config.model.ssd.loss.hard_example_miner
    assert config.model.ssd.loss.hard_example_miner.max_negatives_per_positive == 3
    assert {each.field: (each.given, each.taken) for each in description.mapped} == {
        "model.ssd.feature_extractor.type": ("ssd_mobilenet_v2", "ssd_mobilenet_v2_keras, its twin in TensorFlow 2"),
        "train_config.from_detection_checkpoint": ("true", "fine_tune_checkpoint_type: detection"),
        "eval_config.metrics_set": (
            "pascal_voc_detection_metrics",
            "COCO's box metrics, of which AP50 is Pascal VOC's",
        ),
        "graph_rewriter": ("quantization", "trained in float32, exported as int8 too (post-training quantization)"),
    }
    # Three anchors on the first map, six on the others: what the API makes of 300x300.
    detector = build_detector(config.model)
    predictions = detector.predict(detector.preprocess(tf.zeros((1, 300, 300, 3), tf.uint8)), training=False)
    assert predictions["box_encodings"].shape == (1, 1917, 4)


@pytest.mark.parametrize(("written", "frozen"), [("true", False), ("false", True)])
def test_batch_norm_of_the_first_files_is_frozen_as_they_say(file: Path, written: str, frozen: bool) -> None:
    file.write_text(SSD.replace("feature_extractor {", f"feature_extractor {{ batch_norm_trainable: {written}"))
    description = load(file, 90)
    assert description.config.model.ssd is not None
    assert description.config.model.ssd.freeze_batchnorm is frozen
    path = "model.ssd.feature_extractor.batch_norm_trainable"
    assert (Mapped(path, "false", "freeze_batchnorm: true") in description.mapped) is frozen


def test_what_was_mapped_is_a_table_in_columns(file: Path) -> None:
    file.write_text(SSD)
    head, *rows = mapping_table(load(file, num_classes=1).mapped).splitlines()
    assert head.split() == ["field", "in", "the", "file", "taken", "as"]
    assert len(rows) == 4
    for row in rows:
        assert row[: head.index("in the file")].strip() and row[head.index("in the file") - 1] == " "
        assert row[head.index("taken as") - 1] == " " and row[head.index("taken as")] != " "


def test_nothing_to_map_prints_nothing() -> None:
    assert load_bundled("ssd_mobilenet_v2_fpnlite_320x320", num_classes=3).mapped == ()
    assert mapping_table(()) == ""


def test_a_type_that_is_given_beside_the_old_field_counts(file: Path) -> None:
    file.write_text(
        SSD.replace("num_steps", 'fine_tune_checkpoint_type: "classification" use_bfloat16: true num_steps')
    )
    description = load(file, num_classes=1)
    assert description.config.train_config.fine_tune_checkpoint_type == "classification"
    told = {each.field: each.taken for each in description.mapped}
    assert told["train_config.from_detection_checkpoint"] == "fine_tune_checkpoint_type: classification"
    assert told["train_config.use_bfloat16"] == "float32: the field counts only on TPUs"


@pytest.mark.parametrize("kind", TWINS)
def test_every_twin_exists(kind: str) -> None:
    message = parse(f'type: "{TWINS[kind]}" conv_hyperparams {{}}')
    extractor: type[Any] = FasterRcnnFeatureExtractor if kind.startswith("faster") else FeatureExtractor
    assert decode(extractor, message).type == TWINS[kind]


def test_faster_rcnn_of_tensorflow_1_is_mapped_too(file: Path) -> None:
    text = (CONFIGS / "faster_rcnn_resnet50_v1_800x1333.config").read_text()
    file.write_text(text.replace('_resnet50_keras"', '_resnet50" first_stage_features_stride: 16'))
    description = load(file, num_classes=90)
    assert description.config.model.family.feature_extractor.type == "faster_rcnn_resnet50_keras"
    assert description.mapped == (
        Mapped(
            "model.faster_rcnn.feature_extractor.type",
            "faster_rcnn_resnet50",
            "faster_rcnn_resnet50_keras, its twin in TensorFlow 2",
        ),
    )


def test_mask_rcnn_of_the_zoo_says_that_masks_are_dropped(file: Path) -> None:
    text = (CONFIGS / "mask_rcnn_inception_resnet_v2_1024x1024.config").read_text()
    file.write_text(
        text
        + """
        train_input_reader: {
          label_map_path: "PATH_TO_BE_CONFIGURED/label_map.txt"
          tf_record_input_reader { input_path: "PATH_TO_BE_CONFIGURED/train2017-?????-of-00256.tfrecord" }
          load_instance_masks: true mask_type: PNG_MASKS
        }
        eval_config: {
          metrics_set: "coco_detection_metrics" metrics_set: "coco_mask_metrics"
          eval_instance_masks: true use_moving_averages: false batch_size: 1; include_metrics_per_category: true
        }
        eval_input_reader: { shuffle: false num_epochs: 1 load_instance_masks: true mask_type: PNG_MASKS }
        """
    )
    for description in (load(file, num_classes=90), load_bundled("mask_rcnn_inception_resnet_v2_1024x1024", 3)):
        assert description.mapped[0] == Mapped(
            "model.faster_rcnn.number_of_stages", "3", "2: boxes are trained, masks are dropped"
        )
    told = [each.given for each in load(file, num_classes=90).mapped]
    assert told == ["3", "coco_mask_metrics"]
