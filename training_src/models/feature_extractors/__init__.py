# SPDX-License-Identifier: Apache-2.0
"""From an image to feature maps: backbones, and the pyramids on top of them."""
