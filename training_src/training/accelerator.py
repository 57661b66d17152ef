# SPDX-License-Identifier: Apache-2.0
"""Whether TensorFlow can compute on the GPUs that the machine has, said before anything is read."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from training_src.errors import TrainingError

# The locked wheels bring cuDNN 9.28 for CUDA 12, and since 9.11 cuDNN leaves out what is older than Turing:
# https://docs.nvidia.com/deeplearning/cudnn/backend/latest/reference/support-matrix.html
LEAST_CAPABILITY = (7, 5)
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
CUDA = "CUDA 12"
LEAST_DRIVER = (525, 60, 13)
DRIVER_VERSION = Path("/proc/driver/nvidia/version")


def check_accelerator() -> None:
    """Look at the machine's GPUs.

    Raises:
        TrainingError: One is there that TensorFlow cannot compute on.
    """
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return
    devices = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(device) for device in devices]
    told = DRIVER_VERSION.read_text() if DRIVER_VERSION.exists() else ""
    if sentence := refusal(details, told):
        raise TrainingError(sentence)


def refusal(details: Sequence[Mapping[str, Any]], driver: str) -> str:
    """Return why a machine with a GPU cannot train, or nothing.

    Args:
        details: Of each GPU that TensorFlow sees, as `tf.config.experimental.get_device_details` answers.
        driver: What the NVIDIA driver says of itself; empty where it says nothing.
    """
    version = _version(driver)
    if version and version < LEAST_DRIVER:
        return (
            f"This machine's NVIDIA driver is {_dotted(version)}, and TensorFlow's {CUDA} needs "
            f"{_dotted(LEAST_DRIVER)}: train on a newer instance type, such as ml.g5.xlarge."
        )
    if not details:
        return "This machine has a GPU, but TensorFlow sees none; use the training image built with ACCELERATOR=gpu."
    for gpu in details:
        capability = tuple(gpu.get("compute_capability", LEAST_CAPABILITY))
        if capability < LEAST_CAPABILITY:
            return (
                f"The {gpu.get('device_name', 'GPU')} of this machine has compute capability {_dotted(capability)}, "
                f"and TensorFlow's cuDNN needs {_dotted(LEAST_CAPABILITY)}: train on ml.g4dn, ml.g5, ml.g6 or newer."
            )
    return ""


def _version(driver: str) -> tuple[int, ...]:
    """`NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 ...` has the version so."""
    found = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", driver)
    return tuple(map(int, found[1].split("."))) if found else ()


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))
