# SPDX-License-Identifier: Apache-2.0
"""`image_resizer.proto`: the size of the network's input."""

from dataclasses import dataclass
from typing import Literal

from training_src.models.config.decoding import only


@dataclass(frozen=True, kw_only=True)
class FixedShapeResizer:
    height: int = 300
    width: int = 300
    resize_method: Literal["BILINEAR"] = "BILINEAR"
    convert_to_grayscale: bool = only(False)


@dataclass(frozen=True, kw_only=True)
class ImageResizer:
    fixed_shape_resizer: FixedShapeResizer
