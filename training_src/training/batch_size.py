# SPDX-License-Identifier: Apache-2.0
"""The batch of a training: as asked for, or what fits; found once, and kept for whatever machine goes on with it."""

import json
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.python.client import device_lib

from containers.contract.files import write_whole
from training_src.errors import ConfigurationError
from training_src.models.config.pipeline import PipelineDescription
from training_src.models.detector import Detector
from training_src.models.fitted_input import recorded_footprint
from training_src.models.footprint import footprint
from training_src.models.training_memory import Asked, Footprint, Memory, batch_for
from training_src.training.distribution import Cluster, the_chiefs
from training_src.training.memory import machines_memory
from training_src.training.precision import FLOAT32

BATCH_FILE = "batch_size.json"


def device_memory() -> Memory:
    """The memory of the smallest GPU, of which TensorFlow says how much it may take; without one the machine's."""
    if not tf.config.list_logical_devices("GPU"):
        return Memory(machines_memory())
    # No public function says it.
    limits = [device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    return Memory(min(limits), on_gpu=True)


def footprint_of(detector: Detector, description: PipelineDescription, *, bundled: bool) -> Footprint:
    """As it is recorded for a bundled architecture, so that the batch is the one that was announced; else counted."""
    if not bundled:
        return footprint(detector, description.config.model)
    recorded = recorded_footprint(description)
    return recorded if keras.mixed_precision.global_policy().name == FLOAT32 else recorded.in_half_precision()


def chosen_batch(
    asked: Asked,
    description: PipelineDescription,
    footprint: Footprint,
    memory: Memory,
    checkpoints: Path,
    cluster: Cluster,
    strategy: tf.distribute.Strategy,
) -> int:
    """The batch with which the training began, or begins; the chief's on every instance.

    Args:
        asked: Images a step.
        description: With the batch that `auto` does not exceed.
        footprint: Of its detector.
        memory: Of each replica.
        checkpoints: Folder of this training alone, in which the batch is kept.
        cluster: The instances.
        strategy: TensorFlow's for them.

    Raises:
        ConfigurationError: If the batch does not fit here, with the way out.
    """
    configs, replicas = description.config.train_config.batch_size, strategy.num_replicas_in_sync
    begun = _kept(checkpoints) if asked == "auto" else 0
    try:
        batch = the_chiefs(batch_for(begun or asked, configs, footprint, memory, replicas), cluster, strategy)
    except ConfigurationError as error:
        told = f"the training began with a batch of {begun}, and keeps it; " if begun else ""
        raise ConfigurationError(f"{description.source}: {told}{error}") from None
    if cluster.is_chief:
        _keep(checkpoints, batch)
    return batch


def _kept(checkpoints: Path) -> int:
    """The batch with which this training began; 0 where it has not begun."""
    try:
        return int(json.loads((checkpoints / BATCH_FILE).read_text())["batch_size"])
    except FileNotFoundError:
        return 0


def _keep(checkpoints: Path, batch_size: int) -> None:
    checkpoints.mkdir(parents=True, exist_ok=True)
    write_whole(checkpoints / BATCH_FILE, json.dumps({"batch_size": batch_size}))
