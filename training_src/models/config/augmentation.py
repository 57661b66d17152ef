# SPDX-License-Identifier: Apache-2.0
"""`preprocessor.proto`: the `data_augmentation_options`.

Options about keypoints are accepted, since there are no keypoints that they could permute.
"""

from dataclasses import dataclass, fields
from typing import ClassVar, Literal

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
class SsdRandomCropFixedAspectRatioOperation:
    """The proto gives these numbers no defaults of their own; unset ones are 0, as the API reads them."""

    OPTION: ClassVar = "ssd_random_crop_fixed_aspect_ratio"
    min_object_covered: float = 0.0
    min_area: float = 0.0
    max_area: float = 0.0
    overlap_thresh: float = 0.0
    clip_boxes: bool = True
    random_coef: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_area <= self.max_area or not 0 < self.max_area <= 1:
            raise ConfigError(
                f"{self.OPTION}: min_area is {self.min_area:g} and max_area {self.max_area:g}; "
                "they are shares of the image, in this order"
            )


@dataclass(frozen=True, kw_only=True)
class SsdRandomCropOperation(SsdRandomCropFixedAspectRatioOperation):
    OPTION: ClassVar = "ssd_random_crop"
    min_aspect_ratio: float = 0.0
    max_aspect_ratio: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.min_aspect_ratio <= self.max_aspect_ratio:
            raise ConfigError(
                f"{self.OPTION}: min_aspect_ratio is {self.min_aspect_ratio:g} and max_aspect_ratio "
                f"{self.max_aspect_ratio:g}; both must be above 0, in this order"
            )
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class SsdRandomCropPadOperation(SsdRandomCropOperation):
    OPTION: ClassVar = "ssd_random_crop_pad"
    min_padded_size_ratio: tuple[float, ...] = ()
    max_padded_size_ratio: tuple[float, ...] = ()
    pad_color_r: float = 0.0
    pad_color_g: float = 0.0
    pad_color_b: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_count(self.OPTION, "min_padded_size_ratio", self.min_padded_size_ratio, 2)
        _check_count(self.OPTION, "max_padded_size_ratio", self.max_padded_size_ratio, 2)


@dataclass(frozen=True, kw_only=True)
class RandomCropImage(SsdRandomCropOperation):
    OPTION: ClassVar = "random_crop_image"
    min_object_covered: float = 1.0
    min_aspect_ratio: float = 0.75
    max_aspect_ratio: float = 1.33
    min_area: float = 0.1
    max_area: float = 1.0
    overlap_thresh: float = 0.3


@dataclass(frozen=True, kw_only=True)
class RandomCropPadImage(RandomCropImage):
    """Ratios are (height, width); none means (1, 1) and (2, 2)."""

    OPTION: ClassVar = "random_crop_pad_image"
    min_padded_size_ratio: tuple[float, ...] = ()
    max_padded_size_ratio: tuple[float, ...] = ()
    pad_color: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_count(self.OPTION, "min_padded_size_ratio", self.min_padded_size_ratio, 2)
        _check_count(self.OPTION, "max_padded_size_ratio", self.max_padded_size_ratio, 2)
        _check_count(self.OPTION, "pad_color", self.pad_color, 3)


@dataclass(frozen=True, kw_only=True)
class RandomPadImage:
    """Sizes that are not set are None: at least the image's own, at most twice that. Without a colour, its mean."""

    min_image_height: float | None = None
    min_image_width: float | None = None
    max_image_height: float | None = None
    max_image_width: float | None = None
    pad_color: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for edge in ("min", "max"):
            sizes = (getattr(self, f"{edge}_image_height"), getattr(self, f"{edge}_image_width"))
            if (sizes[0] is None) != (sizes[1] is None):
                raise ConfigError(
                    f"random_pad_image: {edge}_image_height and {edge}_image_width must be both set, or neither"
                )
        _check_count("random_pad_image", "pad_color", self.pad_color, 3)


@dataclass(frozen=True, kw_only=True)
class RandomAbsolutePadImage:
    max_height_padding: int = 1
    max_width_padding: int = 1
    pad_color: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_count("random_absolute_pad_image", "pad_color", self.pad_color, 3)


@dataclass(frozen=True, kw_only=True)
class RandomCropToAspectRatio:
    aspect_ratio: float = 1.0
    overlap_thresh: float = 0.3
    clip_boxes: bool = True


@dataclass(frozen=True, kw_only=True)
class SsdRandomCrop:
    operations: tuple[SsdRandomCropOperation, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SsdRandomCropPad:
    operations: tuple[SsdRandomCropPadOperation, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SsdRandomCropFixedAspectRatio:
    operations: tuple[SsdRandomCropFixedAspectRatioOperation, ...] = ()
    aspect_ratio: float = 1.0


@dataclass(frozen=True, kw_only=True)
class SsdRandomCropPadFixedAspectRatio:
    operations: tuple[SsdRandomCropOperation, ...] = ()
    aspect_ratio: float = 1.0
    min_padded_size_ratio: tuple[float, ...] = ()
    max_padded_size_ratio: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        name = "ssd_random_crop_pad_fixed_aspect_ratio"
        _check_count(name, "min_padded_size_ratio", self.min_padded_size_ratio, 2)
        _check_count(name, "max_padded_size_ratio", self.max_padded_size_ratio, 2)


@dataclass(frozen=True, kw_only=True)
class RandomSquareCropByScale:
    max_border: int = 128
    scale_min: float = 0.6
    scale_max: float = 1.3
    num_scales: int = 8


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


def _check_count(option: str, name: str, values: tuple[float, ...], count: int) -> None:
    if values and len(values) != count:
        raise ConfigError(f"{option}: {name} has {len(values)} values, {count} are needed, or none")
