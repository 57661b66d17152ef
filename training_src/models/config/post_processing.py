# SPDX-License-Identifier: Apache-2.0
"""`post_processing.proto`."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from training_src.models.config.decoding import only


@dataclass(frozen=True, kw_only=True)
class BatchNonMaxSuppression:
    ACCEPTED: ClassVar = frozenset({"use_static_shapes", "use_hard_nms", "use_cpu_nms"})
    score_threshold: float = 0.0
    iou_threshold: float = 0.6
    max_detections_per_class: int = 100
    max_total_detections: int = 100
    use_class_agnostic_nms: bool = False
    max_classes_per_detection: int = only(1)
    soft_nms_sigma: float = 0.0
    use_partitioned_nms: bool = only(False)
    use_combined_nms: bool = only(False)
    change_coordinate_frame: bool = True


@dataclass(frozen=True, kw_only=True)
class PostProcessing:
    batch_non_max_suppression: BatchNonMaxSuppression = field(default_factory=BatchNonMaxSuppression)
    score_converter: Literal["IDENTITY", "SIGMOID", "SOFTMAX"] = "IDENTITY"
    logit_scale: float = 1.0
