# SPDX-License-Identifier: Apache-2.0
"""`preprocessor.proto`: the `data_augmentation_options`.

Options about keypoints are accepted, since there are no keypoints that they could permute.
"""

from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from training_src.models.config.crop_augmentation import (
    RandomAbsolutePadImage,
    RandomCropImage,
    RandomCropPadImage,
    RandomCropToAspectRatio,
    RandomPadImage,
    RandomScaleCropAndPadToSquare,
    RandomSquareCropByScale,
    SsdRandomCrop,
    SsdRandomCropFixedAspectRatio,
    SsdRandomCropPad,
    SsdRandomCropPadFixedAspectRatio,
)
from training_src.models.config.label_augmentation import DropLabelProbabilistically, RandomJitterBoxes, RemapLabels
from training_src.models.config.value_augmentation import NormalizeImage, SubtractChannelMean
from training_src.models.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class RandomHorizontalFlip:
    ACCEPTED: ClassVar = frozenset({"keypoint_flip_permutation"})
    probability: float = 0.5


RandomVerticalFlip = RandomHorizontalFlip  # has the same fields


@dataclass(frozen=True, kw_only=True)
class RandomRotation90:
    ACCEPTED: ClassVar = frozenset({"keypoint_rot_permutation"})
    probability: float = 0.5


@dataclass(frozen=True, kw_only=True)
class RandomImageScale:
    min_scale_ratio: float = 0.5
    max_scale_ratio: float = 2.0


@dataclass(frozen=True, kw_only=True)
class RandomAdjustBrightness:
    max_delta: float = 0.2


@dataclass(frozen=True, kw_only=True)
class RandomAdjustContrast:
    min_delta: float = 0.8
    max_delta: float = 1.25


RandomAdjustSaturation = RandomAdjustContrast  # has the same fields


@dataclass(frozen=True, kw_only=True)
class RandomAdjustHue:
    max_delta: float = 0.02


@dataclass(frozen=True, kw_only=True)
class RandomDistortColor:
    color_ordering: Literal[0, 1] = 0


@dataclass(frozen=True, kw_only=True)
class RandomRgbToGray:
    probability: float = 0.1


@dataclass(frozen=True, kw_only=True)
class RgbToGray:
    pass


@dataclass(frozen=True, kw_only=True)
class RandomBlackPatches:
    max_black_patches: int = 10
    probability: float = 0.5
    size_to_image_ratio: float = 0.1


@dataclass(frozen=True, kw_only=True)
class RandomPatchGaussian:
    random_coef: float = 0.0
    min_patch_size: int = 1
    max_patch_size: int = 250
    min_gaussian_stddev: float = 0.0
    max_gaussian_stddev: float = 1.0

    def __post_init__(self) -> None:
        if self.min_patch_size < 1:
            raise ConfigError(f"random_patch_gaussian: min_patch_size is {self.min_patch_size}, at least 1 is needed")


@dataclass(frozen=True, kw_only=True)
class RandomJpegQuality:
    random_coef: float = 0.0
    min_jpeg_quality: int = 0
    max_jpeg_quality: int = 100


@dataclass(frozen=True, kw_only=True)
class AutoAugmentImage:
    policy_name: Literal["v0", "v1", "v2", "v3"] = "v0"


@dataclass(frozen=True, kw_only=True)
class AdjustGamma:
    gamma: float = 1.0
    gain: float = 1.0


@dataclass(frozen=True, kw_only=True)
class RandomPixelValueScale:
    minval: float = 0.9
    maxval: float = 1.1


@dataclass(frozen=True, kw_only=True)
class RandomSelfConcatImage:
    concat_vertical_probability: float = 0.1
    concat_horizontal_probability: float = 0.1


@dataclass(frozen=True, kw_only=True)
class RandomResizeMethod:
    target_height: int
    target_width: int

    def __post_init__(self) -> None:
        if min(self.target_height, self.target_width) < 1:
            raise ConfigError(
                f"random_resize_method: target_height is {self.target_height} and target_width {self.target_width}; "
                "both must be at least 1"
            )


@dataclass(frozen=True, kw_only=True)
class RandomDownscaleToTargetPixels:
    random_coef: float = 0.0
    min_target_pixels: int = 300_000
    max_target_pixels: int = 500_000

    def __post_init__(self) -> None:
        if not 0 < self.min_target_pixels < self.max_target_pixels:
            raise ConfigError(
                f"random_downscale_to_target_pixels: min_target_pixels is {self.min_target_pixels} and "
                f"max_target_pixels {self.max_target_pixels}; the first must be above 0, and below the second"
            )


@dataclass(frozen=True, kw_only=True)
class PreprocessingStep:
    """One `data_augmentation_options`."""

    ONE_OF: ClassVar = True
    WAY_OUT_OF_SEVERAL: ClassVar = "give each its own data_augmentation_options { ... }"
    random_horizontal_flip: RandomHorizontalFlip | None = None
    random_vertical_flip: RandomVerticalFlip | None = None
    random_rotation90: RandomRotation90 | None = None
    random_image_scale: RandomImageScale | None = None
    random_crop_image: RandomCropImage | None = None
    random_pad_image: RandomPadImage | None = None
    random_absolute_pad_image: RandomAbsolutePadImage | None = None
    random_crop_pad_image: RandomCropPadImage | None = None
    random_crop_to_aspect_ratio: RandomCropToAspectRatio | None = None
    ssd_random_crop: SsdRandomCrop | None = None
    ssd_random_crop_pad: SsdRandomCropPad | None = None
    ssd_random_crop_fixed_aspect_ratio: SsdRandomCropFixedAspectRatio | None = None
    ssd_random_crop_pad_fixed_aspect_ratio: SsdRandomCropPadFixedAspectRatio | None = None
    random_square_crop_by_scale: RandomSquareCropByScale | None = None
    random_scale_crop_and_pad_to_square: RandomScaleCropAndPadToSquare | None = None
    random_adjust_brightness: RandomAdjustBrightness | None = None
    random_adjust_contrast: RandomAdjustContrast | None = None
    random_adjust_hue: RandomAdjustHue | None = None
    random_adjust_saturation: RandomAdjustSaturation | None = None
    random_distort_color: RandomDistortColor | None = None
    random_rgb_to_gray: RandomRgbToGray | None = None
    rgb_to_gray: RgbToGray | None = None
    random_black_patches: RandomBlackPatches | None = None
    random_patch_gaussian: RandomPatchGaussian | None = None
    random_jpeg_quality: RandomJpegQuality | None = None
    autoaugment_image: AutoAugmentImage | None = None
    adjust_gamma: AdjustGamma | None = None
    random_pixel_value_scale: RandomPixelValueScale | None = None
    random_self_concat_image: RandomSelfConcatImage | None = None
    random_resize_method: RandomResizeMethod | None = None
    random_downscale_to_target_pixels: RandomDownscaleToTargetPixels | None = None
    random_jitter_boxes: RandomJitterBoxes | None = None
    drop_label_probabilistically: DropLabelProbabilistically | None = None
    remap_labels: RemapLabels | None = None
    normalize_image: NormalizeImage | None = None
    subtract_channel_mean: SubtractChannelMean | None = None

    @property
    def name(self) -> str:
        """Of the option that is set."""
        return next(item.name for item in fields(self) if getattr(self, item.name) is not None)
