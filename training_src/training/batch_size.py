# SPDX-License-Identifier: Apache-2.0
"""The batch of a training: as asked for, or what fits; found once, and kept for whatever machine goes on with it."""

import json
from pathlib import Path

import tensorflow as tf
from tensorflow.python.client import device_lib

from containers.contract.files import write_whole
from training_src.errors import ConfigurationError
from training_src.models.config.pipeline import PipelineDescription
from training_src.models.detector import Detector
from training_src.models.footprint import footprint
from training_src.models.training_memory import Asked, Memory, batch_for
from training_src.training.distribution import Cluster, the_chiefs
from training_src.training.memory import machines_memory

BATCH_FILE = "batch_size.json"


def device_memory() -> Memory:
    """The memory of the smallest GPU, of which TensorFlow says how much it may take; without one the machine's."""
    if not tf.config.list_logical_devices("GPU"):
        return Memory(machines_memory())
    # No public function says it.
    limits = [device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    return Memory(min(limits), on_gpu=True)


def chosen_batch(
    asked: Asked,
    description: PipelineDescription,
    detector: Detector,
    memory: Memory,
    checkpoints: Path,
    cluster: Cluster,
    strategy: tf.distribute.Strategy,
) -> int:
    """The batch with which the training began, or begins; the chief's on every instance.

    Args:
        asked: Images a step.
        description: With the batch that `auto` does not exceed.
        detector: Of the description.
        memory: Of each replica.
        checkpoints: Folder of this training alone, in which the batch is kept.
        cluster: The instances.
        strategy: TensorFlow's for them.

    Raises:
        ConfigurationError: If the batch does not fit here, with the way out.
    """
    configs, replicas = description.config.train_config.batch_size, strategy.num_replicas_in_sync
    counted = footprint(detector, description.config.model)
    begun = _kept(checkpoints) if asked == "auto" else 0
    try:
        batch = the_chiefs(batch_for(begun or asked, configs, counted, memory, replicas), cluster, strategy)
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
