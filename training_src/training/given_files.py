# SPDX-License-Identifier: Apache-2.0
"""Where the files lie that a job names or carries: its pipeline.config, its label map, its source_dir."""

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from containers.contract.job import PLATFORM_ROOT, TrainingJob
from training_src.errors import ConfigurationError
from training_src.left_beside import is_foreign
from training_src.models.config.pipeline import load
from training_src.source_dir import CODE, SourceError, unpack_source
from training_src.training.written_settings import plain

LABEL_CHANNELS = ("label", "label_map")
CHECKPOINT_CHANNELS = ("checkpoint", "model")


def config_file(job: TrainingJob, wanted: str) -> Path | None:
    """The channel's config, else the one that the hyperparameter names, else one beside the data or the checkpoint.

    Args:
        job: A foreign one.
        wanted: The hyperparameter `pipeline_config_path`; "" where it is not given.

    Raises:
        ConfigurationError: There is none where one is named or has a channel, or there are several.
    """
    channel = job.channel("config")
    if channel is not None:
        files = _files(channel, "*.config")
        named = [file for file in files if file.name == Path(wanted).name]
        return _only_config(job, named if len(named) == 1 else files)
    if wanted:
        return _named(job, wanted)
    beside = [file for folder in _folders_and_code(job) for file in _files(folder, "*.config")]
    return _only_config(job, beside) if beside else None


def config_in_channel(job: TrainingJob) -> Path | None:
    """That of a job of our own pipeline; None where the channel was not given.

    Raises:
        ConfigurationError: The channel holds none or several.
    """
    channel = job.channel("config")
    if channel is None:
        return None
    files = _files(channel, "*.config")
    if len(files) != 1:
        raise ConfigurationError(f"{channel} holds {len(files)} *.config files; give exactly one pipeline.config.")
    return files[0]


def label_map_file(job: TrainingJob, config: Path | None) -> Path | None:
    """The label map of the channel that is there for it, else of another one.

    Of several files the one that the config names is meant. What lies beside a checkpoint says that one's classes, and
    is taken where there is no other.

    Returns:
        None where the data set itself names its classes.

    Raises:
        ConfigError: The config is not understood.
    """
    told = load(config, 1).config.train_input_reader.label_map_path if config else ""

    def likelihood(file: Path) -> tuple[bool, bool, bool]:
        return bool(told) and file == job.place(told), file.name == Path(told).name, "label" in file.name

    others = [name for name in sorted(job.channels) if name not in (*LABEL_CHANNELS, *CHECKPOINT_CHANNELS)]
    for names in (LABEL_CHANNELS, others, CHECKPOINT_CHANNELS):
        folders = [folder for name in names if (folder := job.channel(name))]
        if found := [file for folder in folders for file in _files(folder, "*.pbtxt")]:
            return max(found, key=likelihood)
    return None


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
    """The file at the place that is named, else the one of its name in any folder of the job's.

    Raises:
        ConfigurationError: Different files have that name.
    """
    for candidate in (job.place(wanted), job.root / CODE / wanted, *(folder / wanted for folder in _folders(job))):
        if candidate.is_file():
            return candidate
    name = Path(wanted).name
    if name in ("", ".."):
        return None
    pattern = glob.escape(name)
    found = [file for folder in _folders_and_code(job) for file in _files(folder, pattern)]
    if len({file.read_bytes() for file in found}) > 1:
        raise ConfigurationError(
            f"Several files are called {name}, and different ones: {_listed(job, found)}; give the place of one, as "
            f"{PLATFORM_ROOT}/{found[0].relative_to(job.root)}, as the hyperparameter pipeline_config_path."
        )
    return found[0] if found else None


def _files(folder: Path, pattern: str) -> list[Path]:
    """A folder's files, however deep, by name, without what Jupyter and operating systems leave beside them."""
    return [
        file
        for file in sorted(folder.rglob(pattern))
        if file.is_file() and not any(map(is_foreign, file.relative_to(folder).parts))
    ]


def _only_config(job: TrainingJob, files: Sequence[Path]) -> Path:
    if not files:
        raise ConfigurationError("The channel config holds no *.config file; put the pipeline.config there.")
    if len(files) > 1:
        raise ConfigurationError(
            f"{len(files)} *.config files are there: {_listed(job, files)}; say by the hyperparameter "
            "pipeline_config_path which one is meant, or leave one."
        )
    return files[0]


def _listed(job: TrainingJob, files: Iterable[Path]) -> str:
    return ", ".join(str(file.relative_to(job.root)) for file in files)


def _folders(job: TrainingJob) -> list[Path]:
    return [folder for name in sorted(job.channels) if (folder := job.channel(name))]


def _folders_and_code(job: TrainingJob) -> list[Path]:
    return [job.root / CODE, *_folders(job)]
