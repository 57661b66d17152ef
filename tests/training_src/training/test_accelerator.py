# SPDX-License-Identifier: Apache-2.0
"""A GPU or a driver that is too old is told before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from training_src.errors import TrainingError
from training_src.training import accelerator
from training_src.training.accelerator import refusal

# As get_device_details answers, and as /proc/driver/nvidia/version reads, on the machines of these instance types.
V100 = {"device_name": "Tesla V100-SXM2-16GB", "compute_capability": (7, 0)}
T4 = {"device_name": "Tesla T4", "compute_capability": (7, 5)}
A10G = {"device_name": "NVIDIA A10G", "compute_capability": (8, 6)}
OLD_DRIVER = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.256.02  Thu May  2 14:37:44 UTC 2024\nGCC\n"
JUST_NEW_ENOUGH = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  525.60.13  Wed Nov 30 06:39:21 UTC 2022\n"
OPEN_DRIVER = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (root@host)\n"


@pytest.mark.parametrize(
    ("details", "driver", "sentence"),
    [
        (
            [V100],
            OPEN_DRIVER,
            "The Tesla V100-SXM2-16GB of this machine has compute capability 7.0, and Tensor",
        ),
        ([A10G, V100], JUST_NEW_ENOUGH, "The Tesla V100-SXM2-16GB of this machine"),
        (
            [],
            OLD_DRIVER,
            "This machine's NVIDIA driver is 470.256.2, and TensorFlow's CUDA 12 needs 525.60.13",
        ),
        ([A10G], OLD_DRIVER, "This machine's NVIDIA driver is 470.256.2"),
        ([], OPEN_DRIVER, "TensorFlow sees none; use the training image built with ACCELERATOR=gpu."),
        ([], "", "TensorFlow sees none"),
    ],
)
def test_says_what_cannot_compute(details: list[dict[str, Any]], driver: str, sentence: str) -> None:
    assert sentence in refusal(details, driver)


@pytest.mark.parametrize("driver", [OPEN_DRIVER, JUST_NEW_ENOUGH, ""])
@pytest.mark.parametrize("details", [[T4], [A10G, T4], [{"device_name": "of which nothing is known"}]])
def test_takes_what_can(details: list[dict[str, Any]], driver: str) -> None:
    assert refusal(details, driver) == ""


def test_asks_tensorflow_and_the_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "version").write_text(OPEN_DRIVER)
    monkeypatch.setattr(accelerator, "DRIVER_VERSION", tmp_path / "version")
    monkeypatch.setattr(Path, "glob", lambda *_: iter([Path("/dev/nvidia0")]))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"a {kind}"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", {"a GPU": V100}.get)
    with pytest.raises(TrainingError, match=r"compute capability 7\.0"):
        accelerator.check_accelerator()
