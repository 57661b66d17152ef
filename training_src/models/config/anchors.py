# SPDX-License-Identifier: Apache-2.0
"""`anchor_generator.proto` and the generators' own."""

from dataclasses import dataclass

from training_src.models.config.decoding import only


@dataclass(frozen=True, kw_only=True)
class MultiscaleAnchorGenerator:
    min_level: int = 3
    max_level: int = 7
    anchor_scale: float = 4.0
    aspect_ratios: tuple[float, ...] = ()
    scales_per_octave: int = 2
    normalize_coordinates: bool = only(True)


@dataclass(frozen=True, kw_only=True)
class AnchorGenerator:
    multiscale_anchor_generator: MultiscaleAnchorGenerator
