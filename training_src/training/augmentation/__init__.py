# SPDX-License-Identifier: Apache-2.0
"""`data_augmentation_options`, each with the OD API's meaning, as pure functions of seed and position.

Boxes are ymin, xmin, ymax, xmax as shares of their image; images are uint8, RGB, and float32 where an option leaves
0..255. What moves pixels is kept as a window on the decoded image and is applied once, at the size that the network
wants: that is several times as fast as one copy an option. Bilinear resampling keeps edges where the boxes say, to half
a pixel.
"""

from training_src.training.augmentation.sequence import Labelled, Resized, augmentation, leaves_bytes, moves_pixels

__all__ = ["Labelled", "Resized", "augmentation", "leaves_bytes", "moves_pixels"]
