# SPDX-License-Identifier: Apache-2.0
"""What of a training job is refused before TensorFlow is there, which takes longer to import than a config to read."""

from dataclasses import replace

from containers.contract.job import TrainingJob, run
from training_src.models.config.pipeline import load
from training_src.training.hyperparameters import read_settings, unpacked
from training_src.training.request import config_of


def main() -> int:
    """Judge the training job of this process; returns 0 where nothing is wrong so far, else the job's exit code."""
    return run(judge, TrainingJob)


def judge(job: TrainingJob) -> None:
    """Read the hyperparameters and the user's pipeline.config.

    Raises:
        ConfigurationError: A hyperparameter or the config is wrong.
        DataError: The pipeline's label map is damaged.
    """
    job = replace(job, hyperparameters=unpacked(job.hyperparameters))
    read_settings(job.hyperparameters)
    if given := config_of(job):
        load(*given)
