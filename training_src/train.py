# SPDX-License-Identifier: Apache-2.0
"""TrainDetector: from labelled images and a pipeline.config to the contents of model.tar.gz."""

import signal
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import tensorflow as tf

from containers.contract.job import TrainingJob, run
from training_src.data.label_map import LabelMap
from training_src.errors import ConfigurationError
from training_src.export.artifact import Provenance, write_artifact
from training_src.models.architectures import build_detector
from training_src.models.batch_norm_statistics import folded_batch_norms, measure_statistics
from training_src.models.checkpoints.checkpoint import Restored
from training_src.models.config.pipeline import PipelineDescription, load, load_bundled
from training_src.models.detector import Detector
from training_src.models.training_memory import Asked, asked_batch
from training_src.training.accelerator import check_accelerator
from training_src.training.announcement import print_anchors, print_header, print_remarks
from training_src.training.batch_size import chosen_batch, device_memory, footprint_of
from training_src.training.checkpoints import CheckpointStore, TrainingProgress, fingerprint
from training_src.training.config_overrides import at_size, overridden
from training_src.training.distribution import Cluster, strategy_for
from training_src.training.event_folders import event_folders
from training_src.training.following_data import following_data
from training_src.training.hyperparameters import OF_THE_SDK, WITHOUT_EFFECT, Settings, read_settings, unpacked
from training_src.training.initial_checkpoint import (
    InitialCheckpoint,
    initial_checkpoint,
    restore,
    takes_zoos_schedule,
)
from training_src.training.loop import Plan, train
from training_src.training.precision import FLOAT32, set_precision
from training_src.training.progress_report import ProgressReport
from training_src.training.progressive_resizing import measured_part
from training_src.training.records import Records
from training_src.training.request import Request, read_request
from training_src.training.validation import Validation
from training_src.training.written_settings import plain

# On which the trained weights do not depend.
NOT_DECIDING = frozenset(
    # The checkpoint to start from is told in a fingerprint by its own mark.
    {"validation_interval", "checkpoint_interval", "quantize", "initial_checkpoint_uri", "data_bucket", *WITHOUT_EFFECT}
)
# Whose statistics stand for the data set's: batch norms average over places too.
MEASURED_IMAGES = 32


def main() -> int:
    """Run the training job of this process; returns its exit code."""
    return run(train_detector, TrainingJob)


@dataclass(frozen=True)
class _Training:
    """What is trained, as the job, its data and the checkpoint to start from decide it.

    Attributes:
        request: What the job asks for.
        description: Of the detector.
        initial: What to start from; None: drawn weights.
        asked_batch: Images a step.
        fingerprint: Under which its checkpoints lie.
        overridden: A line for each thing that is not as the config says.
        decided_by_data: A sentence for each thing of the config that the data decide.
    """

    request: Request
    description: PipelineDescription
    initial: InitialCheckpoint | None
    asked_batch: Asked
    fingerprint: str
    overridden: Sequence[str]
    decided_by_data: Sequence[str]

    @property
    def bundled(self) -> bool:
        """Whether the config is not the user's own."""
        return self.request.config is None


def train_detector(job: TrainingJob) -> None:
    """Train, evaluate, then export the best weights.

    Raises:
        ConfigurationError: A hyperparameter, the config or the checkpoint to start from is wrong.
        DataError: A channel is missing or damaged.
        TrainingError: A loss is not finite, or a GPU is there that TensorFlow cannot compute on.
    """
    asked_to_stop = threading.Event()
    _listen_to_sigterm(asked_to_stop)
    check_accelerator()
    job = replace(job, hyperparameters=unpacked(job.hyperparameters))
    settings, cluster = read_settings(job.hyperparameters), Cluster.load(job.root)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = strategy_for(cluster)
    # TensorFlow's service for several instances has put its own listener in the place of ours.
    _listen_to_sigterm(asked_to_stop)
    with tempfile.TemporaryDirectory(prefix="mapgate-") as work:
        request = read_request(job, Path(work))
        records, held_out = Records(request.train), Records(request.validation)
        training = _decided(job, request, settings, Path(work) / "checkpoint")
        checkpoints = job.checkpoint_dir / training.fingerprint
        detector = _drawn(training.description, settings, strategy)
        training = _at_size(training, detector, len(records), checkpoints, cluster, strategy)
        plan = _planned(training, settings, detector, records, cluster, strategy)
        validation = Validation(detector, held_out, request.label_map.names, request.every)
        if cluster.is_chief:
            _print_what_is_trained(training, detector, plan, records, validation)
        if training.initial:
            _start_from(training.initial, detector, records, request.label_map, told=cluster.is_chief)
        store = CheckpointStore(checkpoints, plan.config.num_steps)
        report = ProgressReport(event_folders(job) if cluster.is_chief else (), plan.config.num_steps)
        progress = train(detector, plan, records, validation, store, report, asked_to_stop.is_set)
        if cluster.is_chief:
            _export(job, training, detector, validation, (records, held_out), progress, settings.seed)
            store.keep_last()
            print(f"exported      the weights of step {progress.best_step}, the best on the validation split")


def _decided(job: TrainingJob, request: Request, settings: Settings, work: Path) -> _Training:
    """The training but for what depends on the machine: its batch, and so its rate."""
    description, lines = overridden(_describe(request), request)
    initial = initial_checkpoint(request, description, work)
    if request.config is None and takes_zoos_schedule(description, initial):
        description, lines = overridden(_describe(request, zoos_schedule=True), request)
        lines.append("steps, batch and rates are the zoo's, as its checkpoint is where training starts")
    description, sentences = following_data(description, request, initial)
    configs = description.config.train_config.batch_size
    asked = asked_batch(settings.batch_size, configs, bundled=request.config is None)
    hyperparameters = deciding(job.hyperparameters) | {"batch_size": str(asked)}
    start = initial.mark if initial else ""
    mark = fingerprint(description.digest(), hyperparameters, request.dataset_sha256, start)
    return _Training(request, description, initial, asked, mark, lines, sentences)


def _drawn(description: PipelineDescription, settings: Settings, strategy: tf.distribute.Strategy) -> Detector:
    """The detector with the weights that its seed draws."""
    keras.utils.set_random_seed(settings.seed)
    set_precision(settings.mixed_precision)
    with strategy.scope():
        return build_detector(description.config.model)


def _at_size(
    training: _Training,
    detector: Detector,
    images: int,
    checkpoints: Path,
    cluster: Cluster,
    strategy: tf.distribute.Strategy,
) -> _Training:
    """The training with the batch that fits the machine, a rate in proportion, and the length that is asked for."""
    description = training.description
    footprint = footprint_of(detector, description, bundled=training.bundled)
    batch = chosen_batch(training.asked_batch, description, footprint, device_memory(), checkpoints, cluster, strategy)
    description, lines = at_size(description, training.request, batch, images)
    return replace(training, description=description, overridden=[*training.overridden, *lines])


def _planned(
    training: _Training,
    settings: Settings,
    detector: Detector,
    records: Records,
    cluster: Cluster,
    strategy: tf.distribute.Strategy,
) -> Plan:
    config, request = training.description.config.train_config, training.request
    if settings.progressive_resizing is None:
        drawn = training.bundled and training.initial is None
        part = measured_part(training.description.source, detector, records) if drawn else 0.0
        settings = settings.model_copy(update={"progressive_resizing": part})
    epoch = -(-len(records) // config.batch_size) if request.epochs and not request.num_steps else 0
    return Plan(config, settings, cluster, strategy, epoch)


def _print_what_is_trained(
    training: _Training, detector: Detector, plan: Plan, records: Records, validation: Validation
) -> None:
    description, request = training.description, training.request
    names = request.label_map.names
    images = (len(records), len(validation))
    print_header(detector, plan, description.source, names, images, training.fingerprint)
    print_remarks(plan, description, [*request.notes, *training.overridden])
    print_anchors(description, records, names, training.decided_by_data, bundled=training.bundled)


def _start_from(
    initial: InitialCheckpoint, detector: Detector, records: Records, label_map: LabelMap, *, told: bool
) -> None:
    """Read what fits of a checkpoint, and measure the statistics that it does not have."""
    restored = restore(detector, initial, label_map)
    measured = _measure_statistics(detector, restored, records)
    if told:
        print(restored.table(), flush=True)
        print(measured, end="", flush=True)


def _measure_statistics(detector: Detector, restored: Restored, records: Records) -> str:
    """Unfold batch norms that the checkpoint brings folded, after the first images; the line that says so, or ""."""
    network = detector.networks[0]
    norms = folded_batch_norms(network, frozenset(restored.restored))
    if not norms:
        return ""
    images = (records.decoded(index)[1] for index in range(min(len(records), MEASURED_IMAGES)))
    batches = (detector.preprocess(tf.constant(image)[None]).images for image in images)
    count = measure_statistics(network, norms, batches)
    return f"measured      {len(norms):4d} batch norms that were folded into kernels, on {count} images\n"


def _export(
    job: TrainingJob,
    training: _Training,
    detector: Detector,
    validation: Validation,
    splits: tuple[Records, Records],
    progress: TrainingProgress,
    seed: int,
) -> None:
    """Evaluate the best weights and write them, in 32 bits, in each runtime's form; where asked for, for the edge too.

    `splits` are the images to train on and those to validate on.
    """
    request, description = training.request, training.description
    records, held_out = splits
    exported = _in_float32(detector, description)
    if exported is not detector:
        validation = Validation(exported, held_out, request.label_map.names, request.every)
    _print_evaluation(validation)
    calibration = held_out if description.config.quantize else None
    provenance = _provenance(training, progress, seed)
    write_artifact(job.model_dir, exported, request.label_map, provenance, calibration)
    if description.config.quantize:
        _write_edge(job.output_dir, exported, request.label_map, provenance.architecture, records, held_out)


def _write_edge(
    folder: Path, detector: Detector, label_map: LabelMap, name: str, records: Records, held_out: Records
) -> None:
    """`edge.tar.gz` among the job's outputs, calibrated on what was trained on and checked on what was not."""
    # Who asks for no int8 waits for none of it.
    from training_src.export.edge import write_edge, write_edge_archive

    write_edge_archive(folder, lambda edge: write_edge(edge, detector, label_map, name, records, held_out))


def _in_float32(detector: Detector, description: PipelineDescription) -> Detector:
    """The same weights, which have 32 bits in any case, in a detector that computes in as many.

    Not all runtimes take less.
    """
    if keras.mixed_precision.global_policy().name == FLOAT32:
        return detector
    set_precision("off")
    exported = build_detector(description.config.model)
    trained = detector.variables()
    for key, variable in exported.variables().items():
        variable.assign(trained[key].numpy())
    return exported


def _provenance(training: _Training, progress: TrainingProgress, seed: int) -> Provenance:
    request, description, initial = training.request, training.description, training.initial
    return Provenance(
        architecture=request.architecture or description.source,
        pipeline_config=description.text(),
        dataset_sha256=request.dataset_sha256,
        steps=progress.step,
        seed=seed,
        fingerprint=training.fingerprint,
        best_step=progress.best_step,
        history=progress.history,
        initial_checkpoint=initial.description() if initial else None,
        seen=request.seen.joined(initial.seen) if initial else request.seen,
    )


def _describe(request: Request, *, zoos_schedule: bool = False) -> PipelineDescription:
    """The user's pipeline.config if there is one, else the architecture's."""
    if request.config is not None:
        return load(request.config, request.label_map.greatest_id, len(request.label_map.names))
    if not request.architecture:
        raise ConfigurationError("Neither the hyperparameter architecture nor the channel config says what to train.")
    return load_bundled(request.architecture, request.label_map.greatest_id, zoos_schedule=zoos_schedule)


def deciding(hyperparameters: Mapping[str, str]) -> dict[str, str]:
    """Those on which the trained weights depend, defaults filled in."""
    given = {
        name: plain(value)
        for name, value in hyperparameters.items()
        if name not in NOT_DECIDING and not name.startswith(OF_THE_SDK)
    }
    given.pop("architecture", None)  # the config says it
    return {"seed": str(Settings().seed), **given}


def _listen_to_sigterm(asked: threading.Event) -> None:
    """SageMaker sends SIGTERM two minutes before it takes a spot instance away."""
    signal.signal(signal.SIGTERM, lambda *_: asked.set())


def _print_evaluation(validation: Validation) -> None:
    """The exported weights' figures, also as the built-in algorithm's metric definitions read them."""
    result = validation.evaluate()
    for kind in ("localization", "classification"):
        value = sum(loss for name, loss in result.losses.items() if f"{kind}_loss" in name)
        print(f"Val_{kind}={value:.6f}")
    values = {name: result.metrics.values[name] for name in ("mAP", "mAP_50")}
    print(
        "evaluation " + " ".join(f"{name}={-1.0 if value is None else value:.4f}" for name, value in values.items()),
        flush=True,
    )
