# SPDX-License-Identifier: Apache-2.0
"""`preprocessor.proto`: the `data_augmentation_options`."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class RandomHorizontalFlip:
    probability: float = 0.5


@dataclass(frozen=True, kw_only=True)
class RandomCropImage:
    min_object_covered: float = 1.0
    min_aspect_ratio: float = 0.75
    max_aspect_ratio: float = 1.33
    min_area: float = 0.1
    max_area: float = 1.0
    overlap_thresh: float = 0.3
    clip_boxes: bool = True
    random_coef: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RandomScaleCropAndPadToSquare:
    output_size: int = 512
    scale_min: float = 0.1
    scale_max: float = 2.0


@dataclass(frozen=True, kw_only=True)
class RandomAdjustBrightness:
    max_delta: float = 0.2


@dataclass(frozen=True, kw_only=True)
class RandomAdjustContrast:
    min_delta: float = 0.8
    max_delta: float = 1.25


@dataclass(frozen=True, kw_only=True)
class RandomAdjustHue:
    max_delta: float = 0.02


@dataclass(frozen=True, kw_only=True)
class RandomAdjustSaturation:
    min_delta: float = 0.8
    max_delta: float = 1.25


@dataclass(frozen=True, kw_only=True)
class PreprocessingStep:
    """One `data_augmentation_options`."""

    ONE_OF: ClassVar = True
    random_horizontal_flip: RandomHorizontalFlip | None = None
    random_crop_image: RandomCropImage | None = None
    random_scale_crop_and_pad_to_square: RandomScaleCropAndPadToSquare | None = None
    random_adjust_brightness: RandomAdjustBrightness | None = None
    random_adjust_contrast: RandomAdjustContrast | None = None
    random_adjust_hue: RandomAdjustHue | None = None
    random_adjust_saturation: RandomAdjustSaturation | None = None
