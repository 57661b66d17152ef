# SPDX-License-Identifier: Apache-2.0
"""Numbers with which nothing can be computed: no classes, a kernel of no pixels, an overlap of 160 %."""

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from training_src.models.config.decoding import shown
from training_src.models.errors import ConfigError


class Limits(NamedTuple):
    """A range; `above` is outside it, the others inside."""

    least: float = -math.inf
    greatest: float = math.inf
    above: float = -math.inf

    def hold(self, value: float) -> bool:
        return self.least <= value <= self.greatest and value > self.above and math.isfinite(value)

    def __str__(self) -> str:
        if self.greatest < math.inf:
            begin = f"from {self.least:g}" if self.least > -math.inf else f"above {self.above:g}"
            return f"{begin} up to {self.greatest:g}"
        if self.least > -math.inf:
            return f"of at least {self.least:g}"
        return f"above {self.above:g}" if self.above > -math.inf else "that is finite"


COUNT = Limits(least=1)
NOT_NEGATIVE = Limits(least=0)
POSITIVE = Limits(above=0)
SHARE = Limits(least=0, greatest=1)

# By a field's name, which means the same in every message that has it; every other number must be finite.
LIMITS = {
    **dict.fromkeys(
        (
            "num_classes",
            "height",
            "width",
            "min_dimension",
            "max_dimension",
            "multiple",
            "pad_to_multiple",
            "kernel_size",
            "depth",
            "num_layers",
            "num_iterations",
            "num_filters",
            "scales_per_octave",
            "height_stride",
            "width_stride",
            "first_stage_atrous_rate",
            "first_stage_box_predictor_kernel_size",
            "first_stage_box_predictor_depth",
            "first_stage_minibatch_size",
            "first_stage_max_proposals",
            "second_stage_batch_size",
            "max_detections_per_class",
            "max_total_detections",
            "max_number_of_boxes",
            "new_label",
            "original_labels",
            "label",
            "decay_steps",
            "total_steps",
        ),
        COUNT,
    ),
    **dict.fromkeys(
        (
            "num_layers_before_predictor",
            "min_depth",
            "max_depth",
            "stddev",
            "soft_nms_sigma",
            "num_steps",
            "warmup_steps",
            "hold_base_rate_steps",
            "burnin_steps",
            "gradient_clipping_by_norm",
            "gamma",
            "ratio",
        ),
        NOT_NEGATIVE,
    ),
    **dict.fromkeys(
        (
            "depth_multiplier",
            "anchor_scale",
            "aspect_ratios",
            "scales",
            "min_scale",
            "base_anchor_height",
            "base_anchor_width",
            "y_scale",
            "x_scale",
            "height_scale",
            "width_scale",
            "logit_scale",
            "delta",
        ),
        POSITIVE,
    ),
    **dict.fromkeys(
        (
            "iou_threshold",
            "matched_threshold",
            "unmatched_threshold",
            "first_stage_nms_iou_threshold",
            "first_stage_positive_balance_fraction",
            "second_stage_balance_fraction",
            "decay",
            "moving_average_decay",
            "momentum_optimizer_value",
        ),
        SHARE,
    ),
    "dropout_keep_probability": Limits(above=0, greatest=1),
}


def check_limits(config: Any, path: str = "") -> None:
    """Look at every number of a decoded config.

    Raises:
        ConfigError: One is outside its limits, or is no finite number; the message names field, value and limits.
    """
    for place, name, value in _numbers(config, path):
        limits = LIMITS.get(name, Limits())
        if not limits.hold(value):
            raise ConfigError(f"{place}: {shown(value)} is not possible; give one {limits}")


def _numbers(config: Any, path: str) -> Iterator[tuple[str, str, float]]:
    for item in fields(config):
        place = f"{path}.{item.name}" if path else item.name
        values = getattr(config, item.name)
        for value in values if isinstance(values, tuple) else (values,):
            if is_dataclass(value):
                yield from _numbers(value, place)
            elif isinstance(value, int | float) and not isinstance(value, bool):
                yield place, item.name, value
