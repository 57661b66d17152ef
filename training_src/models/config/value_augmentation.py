# SPDX-License-Identifier: Apache-2.0
"""`preprocessor.proto`: the `data_augmentation_options` after which pixels are not of 0..255 any more."""

from dataclasses import dataclass

from training_src.models.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class NormalizeImage:
    original_minval: float = 0.0
    original_maxval: float = 0.0
    target_minval: float = 0.0
    target_maxval: float = 1.0

    def __post_init__(self) -> None:
        if self.original_minval == self.original_maxval:
            raise ConfigError(
                f"normalize_image: original_minval and original_maxval are both {self.original_minval:g}; "
                "give the least and the greatest value that a pixel has"
            )


@dataclass(frozen=True, kw_only=True)
class SubtractChannelMean:
    means: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.means) != 3:
            raise ConfigError(f"subtract_channel_mean: means has {len(self.means)} values, an image has 3 channels")
