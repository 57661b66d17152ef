# SPDX-License-Identifier: Apache-2.0
"""TrainDetector: from prepared shards and a pipeline.config to the contents of model.tar.gz."""

import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

# TensorFlow speaks to the job's log in C++, before any setting of Python's can reach it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # type: ignore[import-untyped]
import tensorflow as tf  # type: ignore[import-untyped]

from training_src.data.label_map import LabelMap, read_label_map
from training_src.errors import ConfigurationError, DataError, TrainingError
from training_src.export.artifact import Provenance, write_artifact
from training_src.job import TrainingJob, run
from training_src.models import checkpoint
from training_src.models.config.pipeline import PipelineDescription, load, load_bundled, with_num_steps
from training_src.models.detector import Detector, build_detector
from training_src.training.checkpoints import CheckpointStore, fingerprint
from training_src.training.loop import Plan, train
from training_src.training.progress_report import ProgressReport
from training_src.training.records import Records
from training_src.training.validation import Validation

# The zoo's files name a checkpoint to be replaced.
PLACEHOLDER = "PATH_TO_BE_CONFIGURED"
KNOWN_HYPERPARAMETERS = frozenset(
    {"architecture", "num_train_steps", "seed", "validation_interval", "checkpoint_interval"}
)


def main() -> int:
    """Run the training job of this process; returns its exit code."""
    return run(train_detector, TrainingJob)


def train_detector(job: TrainingJob) -> None:
    """Train, then export the best weights.

    Raises:
        ConfigurationError: A hyperparameter, the config or the checkpoint to start from is wrong.
        DataError: A channel is missing or damaged.
        TrainingError: A loss is not finite, or a GPU is there that TensorFlow does not see.
    """
    stopping = _stop_on_sigterm()
    _check_accelerator()
    label_map = read_label_map(_channel(job, "metadata") / "label_map.pbtxt")
    dataset_sha256 = _dataset_sha256(_channel(job, "metadata"))
    description = _describe(job, label_map)
    plan = _plan(job.hyperparameters, description)
    initial = _initial_checkpoint(job, description)
    mark = fingerprint(description.digest(), _deciding(job.hyperparameters), dataset_sha256, _digest(initial))
    records, validation_records = Records(_channel(job, "train")), Records(_channel(job, "validation"))

    keras.utils.set_random_seed(plan.seed)
    detector = build_detector(description.config.model)
    store = CheckpointStore(job.checkpoint_dir / mark)
    _print_header(description, detector, label_map, records, validation_records, plan, mark)
    if initial:
        kind = description.config.train_config.fine_tune_checkpoint_type
        print(checkpoint.restore(detector.variables(), initial, kind).table(), flush=True)

    report = ProgressReport(job.root / "output" / "tensorboard", plan.config.num_steps)
    validation = Validation(detector, validation_records, label_map.names)
    progress = train(detector, plan, records, validation, store, report, stopping)
    provenance = Provenance(
        architecture=job.hyperparameters.get("architecture") or description.source,
        pipeline_config=description.text(),
        dataset_sha256=dataset_sha256,
        steps=progress.step,
        seed=plan.seed,
        fingerprint=mark,
        best_step=progress.best_step,
        history=progress.history,
    )
    write_artifact(job.model_dir, detector, label_map, provenance)
    print(f"exported      the weights of step {progress.best_step}, the best on the validation split", flush=True)


def _describe(job: TrainingJob, label_map: LabelMap) -> PipelineDescription:
    """The user's pipeline.config if there is one, else the architecture's, for the steps that were asked for."""
    folder = job.channel("config")
    if folder is not None:
        files = sorted(folder.glob("*.config"))
        if len(files) != 1:
            raise ConfigurationError(f"{folder} holds {len(files)} *.config files; give exactly one pipeline.config.")
        description = load(files[0], label_map.greatest_id)
    else:
        architecture = job.hyperparameters.get("architecture")
        if not architecture:
            raise ConfigurationError(
                "Neither the hyperparameter architecture nor the channel config says what to train."
            )
        description = load_bundled(architecture, label_map.greatest_id)
    num_steps = _whole_number(job.hyperparameters, "num_train_steps", 0) or description.config.train_config.num_steps
    if num_steps < 1:
        raise ConfigurationError(
            f"{description.source}: train_config.num_steps is not set; set it, or num_train_steps."
        )
    configured = description.config.train_config.num_steps
    if configured not in (0, num_steps):
        print(f"schedule      of {configured} steps, scaled to the {num_steps} that were asked for", flush=True)
    return with_num_steps(description, num_steps)


def _plan(hyperparameters: Mapping[str, str], description: PipelineDescription) -> Plan:
    unknown = sorted(set(hyperparameters) - KNOWN_HYPERPARAMETERS)
    if unknown:
        known = ", ".join(sorted(KNOWN_HYPERPARAMETERS))
        raise ConfigurationError(f'The hyperparameter "{unknown[0]}" is not known; there are {known}.')
    config = description.config.train_config
    return Plan(
        config=config,
        seed=_whole_number(hyperparameters, "seed", 17),
        log_interval=max(1, config.num_steps // 50),
        validation_interval=_whole_number(hyperparameters, "validation_interval", 0) or max(1, config.num_steps // 10),
        checkpoint_interval=_whole_number(hyperparameters, "checkpoint_interval", 0)
        or min(max(1, config.num_steps // 10), 500),
    )


def _deciding(hyperparameters: Mapping[str, str]) -> dict[str, str]:
    """Those on which the trained weights depend, defaults filled in."""
    steps = hyperparameters.get("num_train_steps", "0")
    return {"num_train_steps": steps, "seed": hyperparameters.get("seed", "17")}


def _initial_checkpoint(job: TrainingJob, description: PipelineDescription) -> str:
    """The prefix of the checkpoint to start from; empty where training starts from scratch."""
    folder = job.channel("checkpoint")
    if folder is not None:
        return checkpoint.find(folder)
    configured = description.config.train_config.fine_tune_checkpoint
    if not configured or PLACEHOLDER in configured:
        return ""
    if not Path(f"{configured}.index").exists():
        raise ConfigurationError(
            f"{description.source}: fine_tune_checkpoint {configured!r} is not there; "
            "give its folder as InitialCheckpointUri (the channel checkpoint), or remove the field."
        )
    return configured


def _digest(prefix: str) -> str:
    # The index holds a checksum of every tensor.
    return hashlib.sha256(Path(f"{prefix}.index").read_bytes()).hexdigest() if prefix else ""


def _dataset_sha256(metadata: Path) -> str:
    try:
        content = json.loads((metadata / "dataset.json").read_text(encoding="utf-8"))
        return str(content["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{metadata / 'dataset.json'} does not give the data set's sha256 ({error!r}).") from None


def _channel(job: TrainingJob, name: str) -> Path:
    folder = job.channel(name)
    if folder is None:
        raise DataError(f'The channel "{name}" is missing; it is an output of PrepareDataset.')
    return folder


def _whole_number(hyperparameters: Mapping[str, str], name: str, default: int) -> int:
    text = hyperparameters.get(name, "") or str(default)
    if not text.strip().isdecimal():
        raise ConfigurationError(f'The hyperparameter {name} is "{text}"; give a whole number of 0 or more.')
    return int(text)


def _stop_on_sigterm() -> Callable[[], bool]:
    """SageMaker sends SIGTERM two minutes before it takes a spot instance away."""
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    return asked.is_set


def _check_accelerator() -> None:
    if any(Path("/dev").glob("nvidia[0-9]*")) and not tf.config.list_physical_devices("GPU"):
        raise TrainingError(
            "This machine has a GPU, but TensorFlow sees none; use the training image built with ACCELERATOR=gpu."
        )


def _print_header(
    description: PipelineDescription,
    detector: Detector,
    label_map: LabelMap,
    records: Records,
    validation: Records,
    plan: Plan,
    mark: str,
) -> None:
    classes = ", ".join(f"{number} {name}" for number, name in label_map.names.items())
    augmentation = [
        next(name for name, value in vars(option).items() if value is not None)
        for option in plan.config.data_augmentation_options
    ]
    size = "x".join(map(str, detector.input_size)) if detector.input_size else "as the image's"
    parameters = sum(network.count_params() for network in detector.networks)
    print(
        f"model         {description.source}, input {size}, {parameters / 1e6:.2f} M parameters\n"
        f"classes       {classes}\n"
        f"data          {len(records)} images to train on, {len(validation)} to validate on\n"
        f"training      {plan.config.num_steps} steps of batch {plan.config.batch_size}, seed {plan.seed}, "
        f"{', '.join(augmentation) or 'no augmentation'}\n"
        f"fingerprint   {mark}",
        flush=True,
    )
