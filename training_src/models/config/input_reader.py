# SPDX-License-Identifier: Apache-2.0
"""`input_reader.proto`: where the API would read examples from, and how."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from training_src.models.config.decoding import only


@dataclass(frozen=True, kw_only=True)
class TfRecordInputReader:
    input_path: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class InputReader:
    """Paths count where no channel gives the data; order and speed are our own pipeline's."""

    # What speaks of buffers and order, of masks, and of names that our label maps do not need.
    ACCEPTED: ClassVar = frozenset(
        {
            "name",
            "shuffle",
            "shuffle_buffer_size",
            "filenames_shuffle_buffer_size",
            "num_epochs",
            "num_readers",
            "num_parallel_batches",
            "num_prefetch_batches",
            "queue_capacity",
            "min_after_dequeue",
            "read_block_length",
            "prefetch_size",
            "num_parallel_map_calls",
            "drop_remainder",
            "max_number_of_boxes",
            "load_instance_masks",
            "mask_type",
            "use_display_name",
            "include_source_id",
            "keypoint_type_weight",
            "frame_index",
        }
    )
    label_map_path: str = ""
    tf_record_input_reader: TfRecordInputReader = TfRecordInputReader()
    sample_1_of_n_examples: int = 1
    sample_from_datasets_weights: tuple[float, ...] = only(())
    input_type: Literal["TF_EXAMPLE"] = "TF_EXAMPLE"
    num_additional_channels: int = only(0)
    num_keypoints: int = only(0)
    load_multiclass_scores: bool = only(False)
    load_context_features: bool = only(False)
    load_context_image_ids: bool = only(False)
    load_dense_pose: bool = only(False)
    load_track_id: bool = only(False)
    load_keypoint_depth_features: bool = only(False)
    use_keypoint_label_map: bool = only(False)
    expand_labels_hierarchy: bool = only(False)
