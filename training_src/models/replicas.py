# SPDX-License-Identifier: Apache-2.0
"""What replicas that train together must agree on, so that they compute what one with the whole batch would."""

import tensorflow as tf


def replica_count() -> int:
    """How many replicas train together; 1 outside of distributed training."""
    context = tf.distribute.get_replica_context()
    return int(context.num_replicas_in_sync) if context is not None else 1


def sum_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """A number summed over all replicas, such as the count of matches that losses are divided by."""
    if replica_count() == 1:
        return value
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, value)
