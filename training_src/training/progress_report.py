# SPDX-License-Identifier: Apache-2.0
"""What a training says while it runs: lines that SageMaker's metric definitions read, and TensorBoard's events.

https://docs.aws.amazon.com/sagemaker/latest/dg/define-train-metrics.html
"""

from collections.abc import Mapping, Sequence

import numpy as np
import simplejpeg
import tensorflow as tf
from numpy.typing import NDArray
from tensorboard.plugins.image.metadata import create_summary_metadata

from training_src.training.event_folders import EventFolders

# Images a second: what a line tells in three places is more than nothing.
SLOWEST = 0.001


class ProgressReport:
    """Prints to standard output and writes TensorBoard's event file.

    Args:
        folders: Where event files go; none: nothing is printed or written, as on instances but the chief.
        num_steps: Of the whole training.
    """

    def __init__(self, folders: Sequence[EventFolders], num_steps: int) -> None:
        places = {place for folder in folders for place in folder}
        writers = {place: tf.summary.create_file_writer(str(place)) for place in places}
        self._writers = {
            "train": [writers[folder.training] for folder in folders],
            "validation": [writers[folder.validation] for folder in folders],
        }
        self._num_steps = num_steps

    def training(self, step: int, values: Mapping[str, float], eta_seconds: float | None) -> None:
        """Losses, learning rate and speed of the last steps, and the time that is left, unless nobody knows it."""
        speed = values["images_per_second"]
        told = f"{speed:.1f}" if speed >= 1 else f"{max(speed, SLOWEST):.3f}"
        left = "" if eta_seconds is None else f" eta_seconds={eta_seconds:.0f}"
        self._print(
            f"step={step}/{self._num_steps} loss={values['loss']:.4f} "
            f"classification_loss={values['classification_loss']:.4f} "
            f"localization_loss={values['localization_loss']:.4f} learning_rate={values['learning_rate']:.5f} "
            f"images_per_second={told}{left}"
        )
        self._scalars("train", step, values)

    def validation(self, step: int, values: Mapping[str, float], pictures: Sequence[NDArray[np.uint8]] = ()) -> None:
        """mAP and losses on the validation split, and what was found in some images."""
        loss = f" loss={values['loss']:.4f}" if "loss" in values else ""
        self._print(f"validation step={step} mAP={values['mAP']:.4f} mAP_50={values['mAP_50']:.4f}{loss}")
        self._scalars("validation", step, values)
        writers = self._writers["validation"]
        encoded = [_as_jpeg(picture) for picture in pictures] if writers else []
        shown_as = create_summary_metadata(None, None)
        for writer in writers:
            with writer.as_default(step=step):
                for index, picture in enumerate(encoded):
                    tf.summary.write(f"validation/{index}", picture, metadata=shown_as)
            writer.flush()

    def _print(self, line: str) -> None:
        if self._writers["train"]:
            print(line, flush=True)

    def _scalars(self, group: str, step: int, values: Mapping[str, float]) -> None:
        for writer in self._writers[group]:
            with writer.as_default(step=step):
                for name, value in values.items():
                    if name != "step":
                        tf.summary.scalar(f"{group}/{name}", value)
            writer.flush()


def _as_jpeg(picture: NDArray[np.uint8]) -> list[bytes]:
    """What TensorBoard shows as one image. `tf.summary.image` would make a PNG of each photograph, and a pause."""
    height, width = picture.shape[:2]
    return [str(width).encode(), str(height).encode(), simplejpeg.encode_jpeg(picture, quality=90)]
