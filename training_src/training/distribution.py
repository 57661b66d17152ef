# SPDX-License-Identifier: Apache-2.0
"""Several GPUs of an instance, and several instances: who they are, and TensorFlow's strategy for them.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html describes
`resourceconfig.json`. Every instance runs the same program; the first is the chief, who alone writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from containers.contract.job import read_hosts
from training_src.errors import ConfigurationError

PORT = 22222


@dataclass(frozen=True)
class Cluster:
    """The instances of a training job.

    Attributes:
        hosts: Their addresses, with a port where it is not `PORT`; in the order that all of them know.
        index: This one's place among them.
    """

    hosts: tuple[str, ...] = ("localhost",)
    index: int = 0

    @classmethod
    def load(cls, root: Path) -> Cluster:
        """Read `input/config/resourceconfig.json` of a job directory; one instance where there is none.

        Raises:
            ConfigurationError: If the file does not say which of its hosts this one is.
        """
        found = read_hosts(root / "input" / "config")
        if found is None:
            return cls()
        hosts = tuple(sorted(found.hosts))
        return cls(hosts, hosts.index(found.current_host))

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    def part(self, batch_size: int) -> int:
        """How many of a batch's images this instance trains on.

        Raises:
            ConfigurationError: If the batch cannot be divided evenly.
        """
        if batch_size % len(self.hosts):
            raise ConfigurationError(
                f"train_config.batch_size: {batch_size} does not divide among {len(self.hosts)} instances; "
                "give a multiple."
            )
        return batch_size // len(self.hosts)


def strategy_for(cluster: Cluster) -> tf.distribute.Strategy:
    """MultiWorkerMirroredStrategy for several instances, MirroredStrategy for several devices, else the default one.

    It must be made before TensorFlow computes anything.
    """
    if len(cluster.hosts) > 1:
        addresses = [host if ":" in host else f"{host}:{PORT}" for host in cluster.hosts]
        task = {"type": "worker", "index": cluster.index}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    if len(devices) > 1:
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def summed(tensors: Sequence[tf.Tensor], cluster: Cluster, strategy: tf.distribute.Strategy) -> list[tf.Tensor]:
    """Each tensor's sum over all instances, on every one of them."""

    def summed_on_a_replica() -> list[tf.Tensor]:
        context = tf.distribute.get_replica_context()
        devices = context.num_replicas_in_sync // len(cluster.hosts)
        return [tensor / devices for tensor in context.all_reduce(tf.distribute.ReduceOp.SUM, list(tensors))]

    outcome = tf.function(lambda: strategy.run(summed_on_a_replica), autograph=False)()
    return [strategy.experimental_local_results(each)[0] for each in outcome]


def the_chiefs(number: int, cluster: Cluster, strategy: tf.distribute.Strategy) -> int:
    """The chief's number, on every instance."""
    if len(cluster.hosts) == 1:
        return number
    return round(float(summed([tf.constant(float(number if cluster.is_chief else 0))], cluster, strategy)[0]))
