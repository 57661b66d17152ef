# SPDX-License-Identifier: Apache-2.0
"""16-bit activations, float32 weights and losses: https://arxiv.org/abs/1710.03740.

On CPUs bfloat16 was measured to help the forward pass and not the training, so `auto` leaves it to GPUs whose tensor
cores want it; those take bfloat16 from compute capability 8.0 on, and float16 with a scaled loss before.
"""

import keras
import tensorflow as tf

FLOAT32 = "float32"
TENSOR_CORES = (7, 0)
BFLOAT16_CORES = (8, 0)
FLOAT16_LOSS_SCALE = 1024.0


def set_precision(setting: str) -> str:
    """Make the layers that are built from now on compute in what the setting asks for.

    Args:
        setting: `auto`, `on` or `off`.

    Returns:
        The name of Keras's policy.
    """
    policy = _policy(setting)
    keras.mixed_precision.set_global_policy(policy)
    return policy


def loss_scale(policy: str) -> float:
    """What the loss is multiplied by so that gradients do not vanish in float16."""
    return FLOAT16_LOSS_SCALE if policy == "mixed_float16" else 1.0


def _policy(setting: str) -> str:
    if setting == "off":
        return FLOAT32
    capabilities = [
        tf.config.experimental.get_device_details(device).get("compute_capability", (0, 0))
        for device in tf.config.list_physical_devices("GPU")
    ]
    lowest = min(capabilities, default=(0, 0))
    if setting == "auto" and lowest < TENSOR_CORES:
        return FLOAT32
    return "mixed_float16" if TENSOR_CORES <= lowest < BFLOAT16_CORES else "mixed_bfloat16"
