# SPDX-License-Identifier: Apache-2.0
"""`preprocessor.proto`: the `data_augmentation_options` that crop and pad."""

from dataclasses import dataclass
from typing import ClassVar

from training_src.models.errors import ConfigError


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


def _check_count(option: str, name: str, values: tuple[float, ...], count: int) -> None:
    if values and len(values) != count:
        raise ConfigError(f"{option}: {name} has {len(values)} values, {count} are needed, or none")
