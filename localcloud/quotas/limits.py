# SPDX-License-Identifier: Apache-2.0
"""Service quotas of instances: their names, their values, and the sentence that refuses more. Pure.

https://docs.aws.amazon.com/general/latest/gr/sagemaker.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import botocore.session

TRAINING = "training job"
SPOT = "spot training job"
PROCESSING = "processing job"
TRANSFORM = "transform job"
ENDPOINT = "endpoint"
SHAPES: Mapping[str, str] = {
    TRAINING: "TrainingInstanceType",
    SPOT: "TrainingInstanceType",
    PROCESSING: "ProcessingInstanceType",
    TRANSFORM: "TransformInstanceType",
    ENDPOINT: "ProductionVariantInstanceType",
}
GROWN = 100
"""Instances of every type and use, unless `quotas.json` says otherwise: an account that has grown, not a new one."""


def name_of(instance_type: str, use: str) -> str:
    """The name of a quota, such as `ml.p3.2xlarge for training job usage`."""
    return f"{instance_type} for {use} usage"


def code_of(name: str) -> str:
    """The code of a quota: AWS's are as opaque, and others."""
    return f"L-{hashlib.sha256(name.encode()).hexdigest()[:8].upper()}"


@cache
def every_name() -> tuple[str, ...]:
    """Names of the quotas of all types that SageMaker's service model knows."""
    model: Any = botocore.session.get_session().get_service_model("sagemaker")
    names = (name_of(kind, use) for use, shape in SHAPES.items() for kind in model.shape_for(shape).enum)
    return tuple(sorted(names))


def refusal(name: str, limit: int, used: int, asked: int) -> str:
    """AWS's sentence where `asked` instances more than `used` exceed a quota; empty where they do not.

    As recorded in https://github.com/gabehollombe-aws/jupyter-notebooks/issues/1 and, with its newer ending, in
    https://github.com/aws/sagemaker-python-sdk/issues/4939.
    """
    if used + asked <= limit:
        return ""
    return (
        f"The account-level service limit '{name}' is {limit} Instances, with current utilization of {used} Instances "
        f"and a request delta of {asked} Instances. Please use AWS Service Quotas to request an increase for this "
        "quota. If AWS Service Quotas is not available, contact AWS support to request an increase for this quota."
    )


def of_job(kind: str, description: Mapping[str, Any]) -> tuple[str, int]:
    """The quota that a job uses, and how many instances of it.

    Args:
        kind: "Training", "Processing" or "Transform".
        description: The job's request, or what describes it.
    """
    if kind == "Processing":
        cluster, use = description["ProcessingResources"]["ClusterConfig"], PROCESSING
    elif kind == "Transform":
        cluster, use = description["TransformResources"], TRANSFORM
    else:
        cluster, use = description["ResourceConfig"], SPOT if description.get("EnableManagedSpotTraining") else TRAINING
    return name_of(cluster.get("InstanceType", ""), use), int(cluster.get("InstanceCount", 1))


def of_variants(variants: Sequence[tuple[str, int]]) -> dict[str, int]:
    """The quotas that variants of an endpoint use, from the type and the number of instances of each."""
    used: dict[str, int] = {}
    for instance_type, instances in variants:
        name = name_of(instance_type, ENDPOINT)
        used[name] = used.get(name, 0) + instances
    return used
