# SPDX-License-Identifier: Apache-2.0
"""Where the files lie that a job names or carries: its pipeline.config, its label map, its source_dir."""

import os
from collections.abc import Sequence
from pathlib import Path

from containers.contract.job import TrainingJob
from training_src.errors import ConfigurationError
from training_src.source_dir import CODE, SourceError, unpack_source
from training_src.training.written_settings import plain


def config_file(job: TrainingJob, wanted: str) -> Path | None:
    """The channel's config, else the one that the hyperparameter names, else one beside the data or the checkpoint."""
    channel = job.channel("config")
    if channel is not None:
        return _only_config(channel, channel.rglob("*.config"))
    if wanted:
        return _named(job, wanted)
    folders = [*_folders(job), job.root / CODE]
    beside = [file for folder in folders for file in sorted(folder.rglob("*.config"))]
    return _only_config(beside[0].parent, beside) if beside else None


def config_in_channel(job: TrainingJob) -> Path | None:
    channel = job.channel("config")
    return _only_config(channel, channel.glob("*.config")) if channel else None


def label_map_file(job: TrainingJob) -> Path | None:
    """The label map in a channel; None where the data set itself names its classes."""
    found = [file for folder in _folders(job, first=("label", "label_map")) for file in sorted(folder.rglob("*.pbtxt"))]
    named = [file for file in found if "label" in file.name] or found
    return named[0] if named else None


def fetch_source(job: TrainingJob, config: str) -> list[str]:
    """Fetch the estimator's source_dir; a line if it cannot be had, and the job has its config without it."""
    address, region = (
        plain(job.hyperparameters.get(name, "")) for name in ("sagemaker_submit_directory", "sagemaker_region")
    )
    if not address:
        return []
    try:
        unpack_source(job, address, os.environ.get("AWS_REGION") or region)
    except SourceError as error:
        if config and not job.channel("config") and _found(job, config) is None:
            raise
        return [f"sagemaker_submit_directory is without effect: {error}"]
    return []


def _named(job: TrainingJob, wanted: str) -> Path:
    """A file that is named by its place in the container, in the code beside it, or in some channel."""
    found = _found(job, wanted)
    if found is None:
        raise ConfigurationError(
            f'The hyperparameter pipeline_config_path is "{wanted}", which is neither there nor in a channel nor in a '
            "source_dir; put the file into a channel called config."
        )
    return found


def _found(job: TrainingJob, wanted: str) -> Path | None:
    for candidate in (job.place(wanted), job.root / CODE / wanted, *(folder / wanted for folder in _folders(job))):
        if candidate.is_file():
            return candidate
    found = (file for folder in _folders(job) for file in sorted(folder.rglob(Path(wanted).name)))
    return next(found, None)


def _only_config(place: Path, found: object) -> Path:
    files = sorted(found)  # type: ignore[call-overload]
    if len(files) != 1:
        raise ConfigurationError(f"{place} holds {len(files)} *.config files; give exactly one pipeline.config.")
    return Path(files[0])


def _folders(job: TrainingJob, first: Sequence[str] = ()) -> list[Path]:
    names = [*first, *(name for name in sorted(job.channels) if name not in first)]
    return [folder for name in names if (folder := job.channel(name))]
