# SPDX-License-Identifier: Apache-2.0
"""In which order `data_augmentation_options` can stand."""

from collections.abc import Sequence

from training_src.models.config.augmentation import PreprocessingStep
from training_src.models.errors import ConfigError

# After which pixels are no longer of 0..255, and what may follow: the rest would pad with a colour, or change one.
VALUES = frozenset({"normalize_image", "subtract_channel_mean"})
AFTER_VALUES = VALUES | {
    "random_horizontal_flip",
    "random_vertical_flip",
    "random_rotation90",
    "random_image_scale",
    "random_crop_image",
    "random_crop_to_aspect_ratio",
    "ssd_random_crop",
    "ssd_random_crop_fixed_aspect_ratio",
    "random_self_concat_image",
    "random_resize_method",
    "random_downscale_to_target_pixels",
    "random_jitter_boxes",
    "drop_label_probabilistically",
    "remap_labels",
}


def check_order(options: Sequence[PreprocessingStep]) -> None:
    """Refuse what counts on pixels of 0..255 where there are none.

    Raises:
        ConfigError: An option would work on other values than its numbers are for.
    """
    changed = ""
    for option in options:
        if changed and option.name not in AFTER_VALUES:
            raise ConfigError(
                f"train_config.data_augmentation_options: {option.name} stands behind {changed}, where pixels are "
                f"not of 0..255 any more; put {changed} last"
            )
        changed = option.name if option.name in VALUES else changed
