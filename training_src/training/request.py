# SPDX-License-Identifier: Apache-2.0
"""What a training job asks for, in whichever of four ways people have learnt to ask.

1. Our own pipeline: channels train, validation and metadata as PrepareDataset wrote them, hyperparameter architecture.
2. Images built around the OD API's `model_main_tf2.py`: hyperparameters pipeline_config_path, model_dir,
   num_train_steps, sample_1_of_n_eval_examples; channels train and val.
3. The same with the hyperparameter num_steps; channels train, validation, config, label, checkpoint.
4. SageMaker's built-in Object Detection - TensorFlow: hyperparameters epochs, batch_size, learning_rate, ...; channels
   training, validation, model.

In the last three the channels may hold a data set in any layout that PrepareDataset reads; it is checked, split where
no validation is given, and written as shards first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from containers.contract.archive import extract
from containers.contract.files import json_object
from containers.contract.job import PLATFORM_ROOT, TrainingJob
from training_src.data.label_map import LabelMap, read_label_map
from training_src.data.seen_groups import SeenGroups, of_dataset
from training_src.errors import ConfigurationError, DataError
from training_src.models.box_shapes import BoxShapes
from training_src.models.config.pipeline import bundled_architectures, canonical_name
from training_src.models.errors import ConfigError
from training_src.training.event_folders import model_dir, outside
from training_src.training.given_files import (
    CHECKPOINT_CHANNELS,
    config_file,
    config_in_channel,
    fetch_source,
    label_map_file,
)
from training_src.training.hyperparameters import OF_THE_SDK, WITHOUT_EFFECT, BuiltIn, ForeignNames, OwnNames, Settings
from training_src.training.written_settings import plain

TRAIN_CHANNELS = ("train", "training")
VALIDATION_CHANNELS = ("validation", "val", "eval", "test")
# How many sentences of each kind about the data are printed.
SHOWN = 20
DEFAULT_ARCHITECTURE = "ssd_mobilenet_v2_fpnlite_320x320"


@dataclass(frozen=True)
class Request:
    """A training, whoever asked for it.

    Attributes:
        train, validation: Folders of `*.tfrecord` shards.
        label_map: Of the data set.
        dataset_sha256: Content hash of the prepared data set.
        shapes: Of the boxes to train on; None where a data set of an older version does not tell them.
        config: The user's pipeline.config; None: the architecture's.
        architecture: A bundled one's name; "" where there is a config.
        checkpoint: Folder or file of the checkpoint to start from; None: as the config says.
        checkpoint_uri: Where it lies in S3; "" where nobody told.
        data_bucket: The environment's bucket; "" where nobody told.
        num_steps: 0: the config's.
        epochs: Instead of steps; 0: none are given.
        every: Only one of so many validation images counts.
        quantize: Whether an int8 form is asked for.
        built_in: The built-in algorithm's hyperparameters that change the config.
        notes: One line for each thing that was overridden or left out.
        seen: The groups of images in both splits.
        root: The job's directory, which a place of the container in the config means.
    """

    train: Path
    validation: Path
    label_map: LabelMap
    dataset_sha256: str
    shapes: BoxShapes | None = None
    config: Path | None = None
    architecture: str = ""
    checkpoint: Path | None = None
    checkpoint_uri: str = ""
    data_bucket: str = ""
    num_steps: int = 0
    epochs: int = 0
    every: int = 1
    quantize: bool = False
    built_in: BuiltIn = field(default_factory=BuiltIn)
    notes: Sequence[str] = ()
    seen: SeenGroups = field(default_factory=SeenGroups)
    root: Path = Path(PLATFORM_ROOT)


def read_request(job: TrainingJob, work: Path) -> Request:
    """Find out what a job asks for.

    Args:
        job: Its hyperparameters and channels.
        work: An empty folder for shards, where the channels hold something else.

    Raises:
        ConfigurationError: If a hyperparameter is unknown or wrong, or there is not exactly one config.
        DataError: If a channel is missing, or its data set is faulty.
    """
    return _foreign(job, work) if _is_foreign(job) else _own(job)


def config_of(job: TrainingJob) -> tuple[Path, int, int] | None:
    """The user's pipeline.config and the greatest id of its classes, as far as no data have to be read for them.

    Returns:
        The file, the label map's greatest id and how many classes it names, which are 1 and 0 where it is not the
        pipeline's own; None where there is no such config.

    Raises:
        ConfigError: If there is no architecture of the name that is given in place of a config.
        ConfigurationError: If a hyperparameter is unknown or wrong, or there is not exactly one config.
        DataError: If the pipeline's label map is damaged.
    """
    if _is_foreign(job):
        asked = ForeignNames.of(_foreign_hyperparameters(job))
        fetch_source(job, asked.pipeline_config_path)
        config, label_map = config_file(job, asked.pipeline_config_path), None
    else:
        _refuse_unknown(job.hyperparameters, OwnNames.names() | Settings.names())
        config, metadata = config_in_channel(job), job.channel("metadata")
        label_map = read_label_map(metadata / "label_map.pbtxt") if config and metadata else None
    architecture = OwnNames.of(job.hyperparameters).architecture
    if not config and architecture and not _bundled_in(architecture):
        canonical_name(architecture)  # says which there are
    if not config:
        return None
    return (config, label_map.greatest_id, len(label_map.names)) if label_map else (config, 1, 0)


def _is_foreign(job: TrainingJob) -> bool:
    """Whether it is none of the pipeline's; then all channels that are named have something in them.

    Raises:
        DataError: One has not, or there are no images to train on.
    """
    if "metadata" in job.channels:
        return False
    _refuse_empty(job)
    if not _train_channel(job):
        known = ", ".join(sorted(job.channels)) or "none"
        raise DataError(
            f"The job has no channel {' or '.join(TRAIN_CHANNELS)} (it has: {known}); give it the images to train on."
        )
    return True


def _refuse_empty(job: TrainingJob) -> None:
    """A channel that is named has something in it, and be it `none`: SageMaker fails a job whose prefix is empty."""
    for name, folder in sorted(job.channels.items()):
        if not (folder.is_dir() and any(folder.iterdir())):
            raise DataError(
                f'The channel "{name}" is named in inputdataconfig.json, and {folder} is missing or empty; put its '
                "files there, or leave the channel out."
            )


def _own(job: TrainingJob) -> Request:
    _refuse_unknown(job.hyperparameters, OwnNames.names() | Settings.names())
    asked = OwnNames.of(job.hyperparameters)
    metadata = _channel(job, "metadata")
    sha256, shapes = _facts(metadata)
    return Request(
        train=_channel(job, "train"),
        validation=_channel(job, "validation"),
        label_map=read_label_map(metadata / "label_map.pbtxt"),
        dataset_sha256=sha256,
        shapes=shapes,
        config=config_in_channel(job),
        architecture=asked.architecture,
        checkpoint=job.channel("checkpoint"),
        checkpoint_uri=asked.initial_checkpoint_uri,
        data_bucket=asked.data_bucket,
        num_steps=asked.num_train_steps,
        quantize=Settings.of(job.hyperparameters).quantize,
        seen=of_dataset(metadata / "dataset.json"),
        root=job.root,
    )


def _foreign_hyperparameters(job: TrainingJob) -> dict[str, str]:
    """Those that count, without what the SDK adds."""
    given = {name: plain(value) for name, value in job.hyperparameters.items() if not name.startswith(OF_THE_SDK)}
    _refuse_unknown(given, ForeignNames.names() | BuiltIn.names() | Settings.names() | set(WITHOUT_EFFECT))
    return given


def _foreign(job: TrainingJob, work: Path) -> Request:
    given = _foreign_hyperparameters(job)
    asked = ForeignNames.of(given)
    notes = [f"{name} is without effect: {why}" for name, why in _without_effect(job).items() if given.get(name)]
    notes += fetch_source(job, asked.pipeline_config_path)
    config = config_file(job, asked.pipeline_config_path)
    architecture = _bundled_in(asked.architecture) or asked.architecture
    checkpoint = next((folder for name in CHECKPOINT_CHANNELS if (folder := job.channel(name))), None)
    if config is None and not architecture:
        architecture = _architecture_of(checkpoint, work / "told") or DEFAULT_ARCHITECTURE
        notes.append(f"neither a pipeline.config nor the hyperparameter architecture is given: {architecture} is taken")
    label_map, sha256, shapes, seen = _prepare(job, label_map_file(job, config), config, work)
    return Request(
        train=work / "train",
        validation=work / "validation",
        label_map=label_map,
        dataset_sha256=sha256,
        shapes=shapes,
        config=config,
        architecture=architecture,
        checkpoint=checkpoint,
        checkpoint_uri=asked.initial_checkpoint_uri,
        data_bucket=asked.data_bucket,
        num_steps=asked.num_train_steps or asked.num_steps,
        epochs=asked.epochs,
        every=max(1, asked.sample_1_of_n_eval_examples),
        quantize=Settings.of(given).quantize,
        built_in=BuiltIn.of(given),
        notes=tuple(notes),
        seen=seen,
        root=job.root,
    )


def _without_effect(job: TrainingJob) -> dict[str, str]:
    told = dict(WITHOUT_EFFECT)
    if outside(model_dir(job)):
        told["model_dir"] += f"; TensorBoard's events are in {model_dir(job)}, too"
    return told


def _architecture_of(checkpoint: Path | None, unpacked: Path) -> str:
    """The bundled architecture of an archive, by what it tells or is called; "" where it does neither.

    A model.tar.gz of ours tells, and incremental training keeps it.
    """
    from training_src.models.checkpoints.files import archive_of  # brings TensorFlow

    archive = archive_of(checkpoint) if checkpoint else None
    if archive is None:
        return ""
    extract(archive, unpacked, lambda member: str(member) == "model.json")
    told = json_object(unpacked / "model.json").get("architecture")
    return told if isinstance(told, str) and told in bundled_architectures() else _bundled_in(archive.name)


def _bundled_in(name: str) -> str:
    """The bundled architecture that is meant by a name of the built-in algorithm's list or of the zoo; "" for others.

    `tensorflow-od1-ssd-resnet50-v1-fpn-640x640-coco17-tpu-8`, from
    https://docs.aws.amazon.com/sagemaker/latest/dg/object-detection-tensorflow-Models.html
    """
    stem = re.sub(r"^(train-)?(tensorflow-od1-)?", "", name.removesuffix(".tar.gz")).replace("-", "_")
    try:
        return canonical_name(re.sub(r"_coco17_[tg]pu_\d+$", "", stem))
    except ConfigError:
        return ""


def _prepare(
    job: TrainingJob, label_map: Path | None, config: Path | None, work: Path
) -> tuple[LabelMap, str, BoxShapes | None, SeenGroups]:
    """Check what the channels hold, write it as shards; returns classes, content hash, boxes' shapes and groups."""
    # Our own pipeline's jobs need none of this, and the modules take a while to import.
    from training_src.data.checks.policy import CHECKS, read_policy_of
    from training_src.data.examination import examine
    from training_src.data.machines import link_together
    from training_src.data.splits import SPLITS
    from training_src.data.statistics import groups
    from training_src.data.writers.shards import write_shards

    folder, held_out = _train_channel(job), _validation_channel(job)
    assert folder is not None  # asked before
    policy = read_policy_of(folder)
    # There are two splits here, not three: a third one may be empty.
    checks = {**policy.checks, "split": replace(CHECKS["split"], handling="off")}
    policy = replace(policy, checks=checks, test_needed=False)
    if held_out:
        link_together([folder], work / "given" / "train")
        link_together([held_out], work / "given" / "test")
        folder = work / "given"
        # Said to be there, so that none of the training images is set aside to validate on.
        policy = replace(policy, splits=frozenset(SPLITS))
    else:
        print("notice: What would be the test split validates, too: a training job alone has no test.", flush=True)
    with examine(folder, config=config, label_map=label_map, policy=policy, records=True, work=work) as examined:
        for severity in ("notice", "warning"):
            for sentence in examined.findings.sentences(severity, SHOWN):
                print(f"{severity}: {sentence}", flush=True)
        if examined.findings.number("error"):
            raise DataError(*examined.findings.sentences("error", SHOWN))
        outputs = {name: work / name for name in SPLITS}
        for output in outputs.values():
            output.mkdir()
        write_shards(examined.index, outputs)
        of = {name: frozenset(groups(examined.index, number)) for number, name in enumerate(SPLITS)}
        shapes = BoxShapes.read(examined.description["splits"]["train"])
        label_map_of_all, sha256 = examined.label_map, str(examined.description["sha256"])
    # What the user gave to validate on does so, and all that was given to train on trains; where nothing was given to
    # validate on, nothing needs to be kept for a test either.
    source, target = outputs["test"], outputs["validation"]
    seen = SeenGroups(of["train"], of["validation"] | of["test"])
    if held_out:
        source, target = outputs["validation"], outputs["train"]
        seen = SeenGroups(of["train"] | of["validation"], of["test"])
    for shard in source.glob("*.tfrecord"):
        shard.rename(target / shard.name)
    source.rmdir()
    if held_out:
        outputs["test"].rename(outputs["validation"])
    return label_map_of_all, sha256, shapes, seen


def _train_channel(job: TrainingJob) -> Path | None:
    return next((folder for name in TRAIN_CHANNELS if (folder := job.channel(name))), None)


def _validation_channel(job: TrainingJob) -> Path | None:
    return next((folder for name in VALIDATION_CHANNELS if (folder := job.channel(name))), None)


def _channel(job: TrainingJob, name: str) -> Path:
    folder = job.channel(name)
    if folder is None:
        raise DataError(f'The channel "{name}" is missing; it is an output of PrepareDataset.')
    return folder


def _facts(metadata: Path) -> tuple[str, BoxShapes | None]:
    """The content hash, and the shapes of the boxes to train on, which data sets of older versions do not tell."""
    try:
        content = json.loads((metadata / "dataset.json").read_text(encoding="utf-8"))
        return str(content["sha256"]), BoxShapes.read(content.get("splits", {}).get("train", {}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{metadata / 'dataset.json'} does not tell the data set's facts ({error!r}).") from None


def _refuse_unknown(hyperparameters: Mapping[str, str], known: frozenset[str] | set[str]) -> None:
    unknown = sorted(set(hyperparameters) - known)
    if unknown:
        raise ConfigurationError(
            f'The hyperparameter "{unknown[0]}" is not known; the known ones are {", ".join(sorted(known))}.'
        )
