# SPDX-License-Identifier: Apache-2.0
"""`anchor_generator.proto` and the generators' own."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class GridAnchorGenerator:
    height: int = 256
    width: int = 256
    height_stride: int = 16
    width_stride: int = 16
    height_offset: int = 0
    width_offset: int = 0
    scales: tuple[float, ...] = ()
    aspect_ratios: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SsdAnchorGenerator:
    num_layers: int = 6
    min_scale: float = 0.2
    max_scale: float = 0.95
    scales: tuple[float, ...] = ()
    aspect_ratios: tuple[float, ...] = ()
    interpolated_scale_aspect_ratio: float = 1.0
    reduce_boxes_in_lowest_layer: bool = True
    base_anchor_height: float = 1.0
    base_anchor_width: float = 1.0
    height_stride: tuple[int, ...] = ()
    width_stride: tuple[int, ...] = ()
    height_offset: tuple[int, ...] = ()
    width_offset: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MultiscaleAnchorGenerator:
    min_level: int = 3
    max_level: int = 7
    anchor_scale: float = 4.0
    aspect_ratios: tuple[float, ...] = ()
    scales_per_octave: int = 2
    normalize_coordinates: bool = True


@dataclass(frozen=True, kw_only=True)
class AnchorGenerator:
    ONE_OF: ClassVar = True
    grid_anchor_generator: GridAnchorGenerator | None = None
    ssd_anchor_generator: SsdAnchorGenerator | None = None
    multiscale_anchor_generator: MultiscaleAnchorGenerator | None = None
