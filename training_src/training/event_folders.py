# SPDX-License-Identifier: Apache-2.0
"""Where TensorBoard's events and pictures are written: where ours are, and where a job's own settings look for them."""

import os
from pathlib import Path
from typing import NamedTuple

from containers.contract.job import PLATFORM_ROOT, TrainingJob
from training_src.training.written_settings import plain


class EventFolders(NamedTuple):
    """Attributes: training, validation: where the events of each go, which may be one folder."""

    training: Path
    validation: Path


def event_folders(job: TrainingJob) -> list[EventFolders]:
    """The folders, made where they are missing; a line is printed for one that cannot be.

    `output/tensorboard` is SageMaker's default. Others are the `LocalPath` of the job's TensorBoardOutputConfig (an
    estimator's `container_local_output_path`), and `model_dir` where it lies outside `/opt/ml`, as the API's script
    writes its events there. In these they lie as the script has them: in `train` and in `eval`, which notebooks name.
    """
    ours = job.root / "output" / "tensorboard"
    folders = [ours]
    told = job.tensorboard_path
    # What lies in the model's folder would become a part of the model.
    if told and not told.is_relative_to(job.root / "model"):
        folders.append(told)
    if outside(named := model_dir(job)):
        folders.append(job.place(named))
    return [
        EventFolders(folder, folder) if folder == ours else EventFolders(folder / "train", folder / "eval")
        for folder in dict.fromkeys(folders)
        if _can_be_written(folder)
    ]


def model_dir(job: TrainingJob) -> str:
    """The hyperparameter of that name; "" where there is none."""
    return plain(job.hyperparameters.get("model_dir", ""))


def outside(place: str) -> bool:
    """Whether it is a place of the container that the platform does not look after; an address of S3 is none."""
    return place.startswith("/") and not Path(os.path.normpath(place)).is_relative_to(PLATFORM_ROOT)


def _can_be_written(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".mapgate"
        probe.touch()
        probe.unlink()
    except OSError as error:
        print(f"attention     {folder} cannot be written, so TensorBoard's events are not there: {error.strerror}")
        return False
    return True
