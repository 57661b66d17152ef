# SPDX-License-Identifier: Apache-2.0
"""`eval.proto`: how the API would evaluate."""

from dataclasses import dataclass
from typing import ClassVar

from training_src.models.config.decoding import only


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """Evaluation reports COCO's metrics, per class too, on the whole split, whatever the config names."""

    # What speaks of pictures, of the evaluating process's life, of masks, and of how metrics are listed.
    ACCEPTED: ClassVar = frozenset(
        {
            "num_visualizations",
            "num_examples",
            "eval_interval_secs",
            "max_evals",
            "save_graph",
            "visualization_export_dir",
            "eval_master",
            "export_path",
            "eval_instance_masks",
            "max_num_boxes_to_visualize",
            "skip_scores",
            "skip_labels",
            "visualize_groundtruth_boxes",
            "groundtruth_box_visualization_color",
            "keep_image_id_for_visualization_export",
            "retain_original_images",
            "include_metrics_per_category",
            "all_metrics_per_category",
            "retain_original_image_additional_channels",
            "use_dummy_loss_in_eval",
            "keypoint_edge",
            "image_classes_field_map_empty_to_ones",
            "parameterized_metric",
            "min_score_threshold",
        }
    )
    batch_size: int = 1
    metrics_set: tuple[str, ...] = ()
    use_moving_averages: bool = False
    ignore_groundtruth: bool = only(False)
    super_categories: tuple[str, ...] = only(())
    recall_lower_bound: float = only(0.0)
    recall_upper_bound: float = only(1.0)
    force_no_resize: bool = only(False)
    skip_predictions_for_unlabeled_class: bool = only(False)
