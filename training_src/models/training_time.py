# SPDX-License-Identifier: Apache-2.0
"""How long a training step takes, reckoned from what was measured on one machine. An estimate, and told as one."""

from training_src.models.training_memory import Footprint

# Two cores of an AMD EPYC with AVX2, 30 November 2026, other work beside it: float32 operations a second of whole
# training steps at batches of 2 to 32. Between repetitions and batches they differed by up to twice either way.
# Depthwise convolutions and sigmoids wait for memory, dense convolutions compute.
REFERENCE_CORES = 2
REFERENCE = "two cores of an AMD EPYC"
RATES = {"mobilenet": 80e9, "efficientnet": 45e9, "resnet": 190e9}
# The backward pass takes the gradients by the inputs and by the weights: twice the forward pass again.
_PASSES = 3
# Decoding, augmentation, matching and losses.
_SECONDS_BESIDE = 0.006


def seconds_an_image(footprint: Footprint, feature_extractor: str) -> float:
    """Of training, on the reference machine.

    Args:
        footprint: Of the detector.
        feature_extractor: Its type in the config, such as `ssd_mobilenet_v2_fpn_keras`.
    """
    rate = next(rate for family, rate in RATES.items() if family in feature_extractor)
    return _SECONDS_BESIDE + _PASSES * footprint.forward_flops / rate
