# SPDX-License-Identifier: Apache-2.0
"""How many instances an account may have, and what an execution needs of them.

A new account has a quota of 0 for spot training and for GPUs; until it is raised, every job waits in vain:
https://docs.aws.amazon.com/general/latest/gr/sagemaker.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from pipelines.client.connection import Connection, refusals_told
from pipelines.errors import BadInputError

SERVICE = "sagemaker"


@dataclass(frozen=True)
class Quota:
    """A quota as Service Quotas tells it: `ml.g5.xlarge for training job usage`, its code, how many instances."""

    name: str
    code: str
    value: int


@dataclass(frozen=True)
class Need:
    """Instances that a step needs at once.

    Attributes:
        step: Who needs them, as people are told.
        instance_type: Such as `ml.g5.xlarge`.
        use: `training job`, `spot training job`, `processing job` or `endpoint`.
        count: How many.
    """

    step: str
    instance_type: str
    use: str
    count: int = 1

    @property
    def quota(self) -> str:
        """The name of the quota that it counts against."""
        return f"{self.instance_type} for {self.use} usage"


def needs_of(definition: Mapping[str, Any], chosen: Mapping[str, Any]) -> list[Need]:
    """What the steps of a definition need, and the endpoint on which a new version is tried.

    Args:
        definition: As DescribePipeline or an execution tells it.
        chosen: Parameter name to value; what is missing or None has the definition's default.
    """
    parameters = {each["Name"]: each.get("DefaultValue") for each in definition["Parameters"]}
    parameters |= {name: value for name, value in chosen.items() if value is not None}
    return [need for step in _walk(definition["Steps"]) if (need := _need_of(step, parameters))]


def quotas(connection: Connection) -> dict[str, Quota]:
    """The account's quotas of SageMaker by their names; what was never raised has its default.

    Raises:
        ClientError: They may not be asked for.
    """
    client = connection.client("service-quotas")
    found: dict[str, Quota] = {}
    for operation in ("list_aws_default_service_quotas", "list_service_quotas"):
        for page in client.get_paginator(operation).paginate(ServiceCode=SERVICE):
            for told in page["Quotas"]:
                found[told["QuotaName"]] = Quota(told["QuotaName"], told["QuotaCode"], int(told["Value"]))
    return found


def shortages(needs: Iterable[Need], known: Mapping[str, Quota]) -> list[str]:
    """A sentence with its way out for each need that a quota can never meet; a quota that nobody knows is not told."""
    sentences = []
    for need in needs:
        quota = known.get(need.quota)
        if quota is not None and quota.value < need.count:
            sentences.append(
                f"{need.step} needs {need.count} of {need.quota}, and this account's quota is {quota.value}: ask for "
                f"more with `aws service-quotas request-service-quota-increase --service-code {SERVICE} --quota-code "
                f"{quota.code} --desired-value {need.count}`, which AWS answers within hours or days"
            )
    return sentences


def refuse_shortages(connection: Connection, pipeline: str, chosen: Mapping[str, Any]) -> None:
    """Look before anything is paid for whether the account's quotas are too small for an execution.

    Who may not ask for quotas is not stopped: the steps find out, and wait as long as `quota_wait_minutes` says.

    Args:
        chosen: Parameter name to value; None is the deployment's default.

    Raises:
        BadInputError: A quota is too small, however long one waits.
    """
    with refusals_told(f"pipeline {pipeline}"):
        told = connection.client("sagemaker").describe_pipeline(PipelineName=pipeline)
    try:
        known = quotas(connection)
    except ClientError:
        return
    if faults := shortages(needs_of(json.loads(told["PipelineDefinition"]), chosen), known):
        raise BadInputError("; ".join(faults))


def waited_for(connection: Connection, execution: str, step: str) -> str | None:
    """The quota whose instances a job step needs, by the definition with which its execution began."""
    sagemaker = connection.client("sagemaker")
    told = sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=execution)
    pages = sagemaker.get_paginator("list_pipeline_parameters_for_execution").paginate(PipelineExecutionArn=execution)
    chosen = {each["Name"]: each["Value"] for page in pages for each in page["PipelineParameters"]}
    needs = needs_of(json.loads(told["PipelineDefinition"]), chosen)
    return next((need.quota for need in needs if need.step == step and need.use != "endpoint"), None)


def _need_of(step: Mapping[str, Any], parameters: Mapping[str, Any]) -> Need | None:
    arguments = step.get("Arguments") or {}
    if step["Type"] == "Processing":
        cluster, use = arguments["ProcessingResources"]["ClusterConfig"], "processing job"
    elif step["Type"] == "Training":
        spot = arguments.get("EnableManagedSpotTraining")
        cluster, use = arguments["ResourceConfig"], "spot training job" if spot else "training job"
    elif step["Type"] == "RegisterModel":
        types = arguments["InferenceSpecification"].get("SupportedRealtimeInferenceInstanceTypes", [])
        return Need("DeployCandidate", types[0], "endpoint") if types else None
    else:
        return None
    return Need(step["Name"], _value(cluster["InstanceType"], parameters), use, cluster.get("InstanceCount", 1))


def _value(stated: Any, parameters: Mapping[str, Any]) -> str:
    if isinstance(stated, Mapping):
        return str(parameters.get(str(stated.get("Get", "")).removeprefix("Parameters."), stated))
    return str(stated)


def _walk(steps: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    for step in steps:
        yield step
        if step["Type"] == "Condition":
            for branch in ("IfSteps", "ElseSteps"):
                yield from _walk(step["Arguments"].get(branch, []))
