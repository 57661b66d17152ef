# SPDX-License-Identifier: Apache-2.0
"""The batch of a training: as asked for, or what fits; found once, and kept for whatever machine goes on with it."""

import tensorflow as tf

from training_src.errors import ConfigurationError
from training_src.models.config.pipeline import PipelineDescription
from training_src.models.detector import Detector
from training_src.models.footprint import footprint
from training_src.models.training_memory import Asked, Memory, batch_for
from training_src.training.checkpoints import CheckpointStore
from training_src.training.distribution import Cluster, the_chiefs
from training_src.training.hyperparameters import Settings


def asked_batch(settings: Settings, description: PipelineDescription, *, bundled: bool) -> Asked:
    """What the settings ask for, else `auto` for a bundled architecture and the config's batch for any other."""
    return settings.batch_size or ("auto" if bundled else description.config.train_config.batch_size)


def chosen_batch(
    asked: Asked,
    description: PipelineDescription,
    detector: Detector,
    memory: Memory,
    store: CheckpointStore,
    cluster: Cluster,
    strategy: tf.distribute.Strategy,
) -> int:
    """The batch with which the training began, or begins; the chief's on every instance.

    Args:
        asked: Images a step.
        description: With the batch that `auto` does not exceed.
        detector: Of the description.
        memory: Of each replica.
        store: Where the batch is kept beside the checkpoints.
        cluster: The instances.
        strategy: TensorFlow's for them.

    Raises:
        ConfigurationError: If the batch does not fit here, with the way out.
    """
    configs, replicas = description.config.train_config.batch_size, strategy.num_replicas_in_sync
    counted = footprint(detector, description.config.model)
    begun = store.batch_size() if asked == "auto" else 0
    try:
        batch = the_chiefs(batch_for(begun or asked, configs, counted, memory, replicas), cluster, strategy)
    except ConfigurationError as error:
        told = f"the training began with a batch of {begun}, and keeps it; " if begun else ""
        raise ConfigurationError(f"{description.source}: {told}{error}") from None
    if cluster.is_chief:
        store.record_batch_size(batch)
    return batch
