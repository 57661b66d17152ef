# SPDX-License-Identifier: Apache-2.0
"""`image_resizer.proto`: the size of the network's input."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from training_src.models.config.decoding import only

ResizeMethod = Literal["BILINEAR", "NEAREST_NEIGHBOR", "BICUBIC", "AREA"]


@dataclass(frozen=True, kw_only=True)
class KeepAspectRatioResizer:
    min_dimension: int = 600
    max_dimension: int = 1024
    resize_method: ResizeMethod = "BILINEAR"
    pad_to_max_dimension: bool = False
    convert_to_grayscale: bool = only(False)
    per_channel_pad_value: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FixedShapeResizer:
    height: int = 300
    width: int = 300
    resize_method: ResizeMethod = "BILINEAR"
    convert_to_grayscale: bool = only(False)


@dataclass(frozen=True, kw_only=True)
class IdentityResizer:
    pass


@dataclass(frozen=True, kw_only=True)
class ConditionalShapeResizer:
    condition: Literal["GREATER", "SMALLER"] = "GREATER"
    size_threshold: int = 300
    resize_method: ResizeMethod = "BILINEAR"
    convert_to_grayscale: bool = only(False)


@dataclass(frozen=True, kw_only=True)
class PadToMultipleResizer:
    multiple: int = 1
    convert_to_grayscale: bool = only(False)


@dataclass(frozen=True, kw_only=True)
class ImageResizer:
    ONE_OF: ClassVar = True
    keep_aspect_ratio_resizer: KeepAspectRatioResizer | None = None
    fixed_shape_resizer: FixedShapeResizer | None = None
    identity_resizer: IdentityResizer | None = None
    conditional_shape_resizer: ConditionalShapeResizer | None = None
    pad_to_multiple_resizer: PadToMultipleResizer | None = None


def resized_shape(resizer: ImageResizer) -> tuple[int, int] | None:
    """Height and width of what images become, padding included; None where they depend on the image."""
    if resizer.fixed_shape_resizer:
        return resizer.fixed_shape_resizer.height, resizer.fixed_shape_resizer.width
    keep = resizer.keep_aspect_ratio_resizer
    return (keep.max_dimension, keep.max_dimension) if keep and keep.pad_to_max_dimension else None
